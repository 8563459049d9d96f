"""Tables on the terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

__all__ = ["plain_table"]

TEXT_COLUMNS = ("config", "array", "recipe", "verdict")


def plain_table(*columns: str, text: tuple[str, ...] = TEXT_COLUMNS) -> Table:
    """A table that fits 80 columns of plain text: ``text`` to the left, figures to the right."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, justify="left" if column in text else "right", no_wrap=True)
    return table
