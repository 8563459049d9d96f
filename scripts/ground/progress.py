"""The progress bar of the commands."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.ground.terminal import Terminal

__all__ = ["progress_bar"]


def progress_bar(*, disable: bool = False) -> Progress:
    """A bar on standard error, gone when it is done, for work that takes longer than a second or two."""
    console = Terminal(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=disable or not console.is_terminal,
    )
