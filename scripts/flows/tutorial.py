"""Runs the snippets of docs/kernels.md and writes what they print into the page."""

import io
import linecache
import re
from contextlib import redirect_stdout

from scripts.ground.pages import DOCS

__all__ = ["PAGE", "printed"]

PAGE = DOCS / "kernels.md"
#: How messages and reports call it, wherever they are made.
_NAME = "docs/kernels.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)


def printed(page: str) -> str:
    """The page with what its snippets print now, run one after another in one namespace."""
    linecache.cache[_NAME] = len(page), None, page.splitlines(keepends=True), _NAME
    namespace: dict[str, object] = {"__name__": "tutorial"}

    def run(block: re.Match) -> str:
        first = page.count("\n", 0, block.start(1))
        out = io.StringIO()
        with redirect_stdout(out):
            # Lines of the page are lines of the source.
            exec(compile("\n" * first + block[1], _NAME, "exec"), namespace)
        text = "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
        return f"```python\n{block[1]}```\n" + (f"\n```text\n{text}```\n" if text or block[2] is not None else "")

    return _BLOCK.sub(run, page)


def main() -> None:
    """Write the page until nothing in it moves: what is printed has numbers of lines in it."""
    text = PAGE.read_text(encoding="utf-8")
    while (after := printed(text)) != text:
        text = after
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
