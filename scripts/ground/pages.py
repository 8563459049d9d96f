"""Documents with a table that a command makes, between two lines that name the command."""

from pathlib import Path

from scripts.ground.errors import InputError
from scripts.ground.files import save

__all__ = ["DOCS", "around_table", "put_table"]

DOCS = Path(__file__).resolve().parents[2] / "docs"


def around_table(page: Path, command: str) -> tuple[str, str]:
    """What comes before a page's table and after it, the lines that mark its place included.

    InputError where the page lacks them: to be asked before anything is measured for it.
    """
    begin, end = (f"<!-- made by {command}: {place} -->\n" for place in ("begin", "end"))
    if not page.exists():
        raise InputError(f"no page {page}: pages belong to a checkout, and this is not one")
    content = page.read_text(encoding="utf-8")
    head, found, rest = content.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise InputError(f"{page.name} must hold the lines {begin.strip()} and {end.strip()}, in this order")
    return head + begin, end + tail


def put_table(page: Path, command: str, table: str) -> None:
    """Replace a page's table."""
    head, tail = around_table(page, command)
    save(page, f"{head}{table}{tail}")
