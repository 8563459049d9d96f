"""What is printed: words as they are, figures all there."""

import ast
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.table import Table
from rich.text import Text

import scripts
from scripts.ground.progress import progress_bar
from scripts.ground.tables import plain_table
from scripts.ground.terminal import Terminal

NAMES = ("mlp[up]", "[/]", "[red]x", ":smile:", "\\[b]")


def printed(width: int, show) -> str:
    terminal = Terminal(file=io.StringIO(), width=width)
    show(terminal)
    return terminal.file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_as_they_are(name):
    table = plain_table("layer", "cycles", text=("layer",))
    table.add_row(name, "1")
    assert name in printed(80, lambda terminal: terminal.table(table))
    assert printed(80, lambda terminal: terminal.line(name)) == f"{name}\n"
    assert progress_bar().columns[0].render(SimpleNamespace(description=name)).plain == name


@pytest.mark.parametrize("width", [1, 20, 40, 80])
def test_a_table_of_figures_is_never_cut(width):
    table = plain_table("layer", *(f"figure {i}" for i in range(8)), text=("layer",))
    table.add_row("a name of some length", *(f"{10**i:,}" for i in range(8)))
    text = printed(width, lambda terminal: terminal.table(table))
    assert text == printed(500, lambda terminal: terminal.table(table))
    assert text.split()[-8:] == [f"{10**i:,}" for i in range(8)]


@pytest.mark.parametrize("width", [20, 80])
def test_a_table_of_words_wraps_and_keeps_them(width):
    table = Table(show_header=False, box=None)
    words = "an-uncommonly-long-word-for-a-terminal and others"
    table.add_row("name", words)
    text = printed(width, lambda terminal: terminal.table(table))
    assert max(map(len, text.splitlines())) <= width
    assert "".join(text.split()) == "name" + "".join(words.split())


def test_styles_are_no_markup():
    terminal = Terminal(file=io.StringIO(), force_terminal=True, color_system="standard", width=80, no_color=False)
    table = plain_table("verdict", text=("verdict",))
    table.add_row(Text("differs", "red"))
    terminal.table(table)
    assert "\x1b[31mdiffers" in terminal.file.getvalue()


def test_every_command_prints_through_it():
    """A console of rich's own would take names for markup."""
    root = Path(scripts.__file__).parent
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert path.name == "terminal.py" or "Console" not in names, path
