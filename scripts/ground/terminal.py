"""The terminal that commands print to: words as they are, tables whole."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

__all__ = ["Terminal"]

#: Wider than any table: what a table's own width is measured in.
_WIDE = 10_000


class Terminal(Console):
    """Standard output, or standard error, through rich.

    Names and paths come from users, and reports from the RTL: nothing in them is taken for markup, an emoji's name or
    a number to be coloured. Colours are given as styles. Without a terminal, or with NO_COLOR, there are none.
    """

    def __init__(self, **options):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Rich would end the command with exit code 1, which is for something else."""
        raise

    def line(self, text: str, style: str | None = None) -> None:
        """A line, however long: the terminal wraps it."""
        self.print(text, style=style, soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table, with all that is in it, on a terminal however narrow, or none.

        One whose columns may wrap does so. Others keep their own width: where that is more than the terminal's, the
        terminal wraps their lines.
        """
        for column in table.columns:
            column.overflow = "fold"
        if any(column.no_wrap for column in table.columns):
            table.width = Measurement.get(self, self.options.update(max_width=_WIDE), table).maximum
            self.print(table, soft_wrap=True)
        else:
            self.print(table)
