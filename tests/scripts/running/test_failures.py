"""Reports on the console."""

import io

from scripts.ground.terminal import Terminal
from scripts.running.failures import command_line, show_failures
from verif.simulation.report import FAILURE, HEADLINE, section_lines

#: No word of theirs says what they are.
SECTIONS = [
    (HEADLINE, "first"),
    ("stage", "of the pipeline"),
    ("expected", "0x088  4.0"),
    ("actual", "0x000  0.0"),
    ("from", "cycle 5  [b]\nhint"),
    ("waves", "some.fst\nviewer some.fst"),
    (FAILURE, "stage"),
]
AGAIN = ("reproduce", "make it so")


def shown(**options) -> str:
    terminal = Terminal(file=io.StringIO(), width=20, **options)
    show_failures(terminal, SECTIONS, AGAIN[1])
    return terminal.file.getvalue()


def test_plain_where_there_is_no_terminal():
    assert shown().splitlines() == section_lines([*SECTIONS, AGAIN])


def test_colours_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(force_terminal=True, color_system="standard").splitlines()
    red, green, cyan, bold, bold_red = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[1m", "\x1b[1;31m"
    due = [bold_red, "", green, red, "", "", cyan, cyan, red, bold]
    assert [line[: line.find("m") + 1] if line.startswith("\x1b") else "" for line in text] == due


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(force_terminal=True)
    assert not any(f"\x1b[{code}m" in text for code in (31, 32, 33, 36))


def test_command_line_can_be_typed_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/systolith", "gemm", "my X.npy", "W.npy", "--backend", "rtl"])
    assert command_line() == "systolith gemm 'my X.npy' W.npy --backend rtl"
