"""Documents with a table that a command makes."""

import pytest

from scripts.ground.errors import InputError
from scripts.ground.pages import around_table, put_table

BEGIN, END = "<!-- made by make x: begin -->\n", "<!-- made by make x: end -->\n"


def test_the_table_alone_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    put_table(page, "make x", "new\n")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}new\n{END}after\n"
    assert around_table(page, "make x") == (f"before\n{BEGIN}", f"{END}after\n")


def test_no_page(tmp_path):
    with pytest.raises(InputError, match=r"^no page .*page\.md: pages belong to a checkout, and this is not one"):
        around_table(tmp_path / "page.md", "make x")


@pytest.mark.parametrize("content", ["", BEGIN, END + BEGIN, BEGIN.strip() + END])
def test_a_page_without_a_place(tmp_path, content):
    page = tmp_path / "page.md"
    page.write_text(content, encoding="utf-8")
    with pytest.raises(
        InputError, match=r"^page.md must hold the lines <!-- made by make x: begin --> and <!-- .*order"
    ):
        put_table(page, "make x", "new\n")
    assert page.read_text(encoding="utf-8") == content
