"""Prints what went wrong: in colour on a terminal, as plain text elsewhere."""

import shlex
import sys
from collections.abc import Iterable

from rich.console import Console

__all__ = ["command_line", "show_failures"]

#: Styles by the label that a line begins with.
STYLES = {
    "RTL and golden": "bold red",
    "expected": "green",
    "actual": "red",
    "hint": "yellow",
    "waves": "cyan",
    "gtkwave": "cyan",
    "surfer": "cyan",
    "reproduce": "bold",
}
PLAIN = ("stage", "note", "gemm", "term", "from", "cycle", "also", "the same GEMM")


def show_failures(console: Console, lines: Iterable[str]) -> None:
    """Print the lines of reports; rich leaves colours out where there is no terminal, or NO_COLOR is set."""
    for line in lines:
        label = line.strip()
        style = next((style for start, style in STYLES.items() if label.startswith(start)), None)
        if style is None and not label.startswith(PLAIN):
            style = "red"
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def command_line() -> str:
    """The command that is running, to be typed again."""
    return shlex.join(["systolith", *sys.argv[1:]])
