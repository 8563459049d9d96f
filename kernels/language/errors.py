"""Mistakes in a kernel, and the lines of source that they are made at."""

import os
import sys
from dataclasses import dataclass

__all__ = ["KernelError", "Source", "author"]

_HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True)
class Source:
    """A line of a kernel's source."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{_shown(self.file)}:{self.line}"


def _shown(file: str) -> str:
    """A path from the current folder on, if it lies below."""
    folder = os.getcwd() + os.sep
    return file.removeprefix(folder)


def author() -> Source:
    """The line that is being run, outside of the language itself."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return Source(frame.f_code.co_filename, frame.f_lineno)


class KernelError(ValueError):
    """A mistake in a kernel: where, what is accepted, and what was found.

    Members: source : Source, the line of the kernel at fault.
    """

    def __init__(self, message: str, source: Source | None = None) -> None:
        self.source = source or author()
        super().__init__(f"{self.source}: {message}")
