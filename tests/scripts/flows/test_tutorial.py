"""docs/kernels.md shows what its snippets print."""

import pytest

from scripts.flows.tutorial import PAGE, printed

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_shows_what_is_printed():
    """After a change of either: ``python -m scripts.flows.tutorial``."""
    assert TEXT.count("```python\n") >= 8
    assert printed(TEXT) == TEXT


def test_a_snippet_that_fails_or_prints_something_else_is_found():
    start = TEXT.index("```python\n")
    wrong = TEXT.replace("assert (result.outputs[0] == a + b).all()", "assert (result.outputs[0] == a).all()", 1)
    assert wrong != TEXT
    with pytest.raises(AssertionError):
        printed(wrong)
    assert printed(TEXT[:start] + "```python\nprint(6 * 7)\n```\n\n```text\n41\n```\n").endswith("```text\n42\n```\n")
