"""The table of the library's kernels: none is missing, and its figures are those of today."""

import pytest

from scripts.flows.library_table import CASES, COMMAND, PAGE, table
from scripts.ground.pages import around_table
from tests.kernels.library.test_library import parameters


def test_every_kernel_has_a_row():
    assert {case.kernel for case in CASES} == {kernel for kernel, _, _ in parameters("fp8")}
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{case.kernel.__name__}" in page for case in CASES)


@pytest.mark.slow
def test_the_page_has_todays_figures():
    head, tail = around_table(PAGE, COMMAND)
    assert PAGE.read_text(encoding="utf-8") == head + table() + tail
