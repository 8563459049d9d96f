"""Prints what went wrong: in colour on a terminal, as plain text elsewhere."""

import shlex
import sys
from collections.abc import Iterable

from scripts.ground.terminal import Terminal
from verif.simulation.report import FAILURE, HEADLINE, Section, labelled_lines

__all__ = ["command_line", "show_failures"]

#: Styles of a report's sections; those of others are plain.
STYLES = {
    HEADLINE: "bold red",
    FAILURE: "red",
    "expected": "green",
    "actual": "red",
    "hint": "yellow",
    "waves": "cyan",
    "reproduce": "bold",
}


def show_failures(terminal: Terminal, sections: Iterable[Section], reproduce: str) -> None:
    """Print reports, and the command that gives them again."""
    for label, line in [*labelled_lines(sections), *labelled_lines([("reproduce", reproduce)])]:
        terminal.line(line, STYLES.get(label))


def command_line() -> str:
    """The command that is running, to be typed again."""
    return shlex.join(["systolith", *sys.argv[1:]])
