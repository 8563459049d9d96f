"""docs/isa.md has the fields that the encoder writes, where it writes them."""

import re

import pytest

from arch.core.instructions import INSTRUCTIONS, Instruction, encode
from scripts.flows.isa import COMMAND, CORE_PAGE, PAGE, core_table, isa_tables
from scripts.ground.pages import around_table, put_table

ROWS = re.compile(r"^\| (\d+)(?:\.\.(\d+))? \| `(\w+)` \| (.*?) \| .+ \|$", re.M)
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_instructions():
    """After a change of them: ``python -m scripts.flows.isa``."""
    head, tail = around_table(PAGE, COMMAND)
    assert head + isa_tables() + tail == TEXT


def test_the_registers_are_those_that_there_are():
    head, tail = around_table(CORE_PAGE, COMMAND)
    assert head + core_table() + tail == CORE_PAGE.read_text(encoding="utf-8")


def test_writing_the_tables_again_changes_nothing(tmp_path):
    page = tmp_path / "isa.md"
    page.write_text(TEXT.replace("| 40 | `x_source` |", "| 41 | `x_source` |"), encoding="utf-8")
    assert page.read_text(encoding="utf-8") != TEXT
    put_table(page, COMMAND, isa_tables())
    assert page.read_text(encoding="utf-8") == TEXT


def _rows(title):
    """Field, lowest and highest bit, values."""
    part = TEXT.split(f"\n### {title}\n")[1].split("\n###")[0]
    return [(name, int(low), int(high or low), values) for low, high, name, values in ROWS.findall(part)]


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_a_field_stands_where_the_page_says(name):
    rows = _rows("Every instruction") + _rows(name)
    assert [row[0] for row in rows] == [entry.name for entry in INSTRUCTIONS[name]]
    plain = int.from_bytes(encode(Instruction(name)), "little")
    (_, low, high, codes), *rows = rows
    assert (low, high) == (0, 3) and f"{plain & 15}: {name}" in codes.split(", ")
    for field, low, high, values in rows:
        # The last of the names, or the largest number.
        *_, last = values.split(", ") if ": " in values else values.split("..")
        code, _, given = last.partition(": ")
        found = int.from_bytes(encode(Instruction(name, **{field: given or int(code)})), "little")
        mask = (1 << high + 1) - (1 << low)
        assert (found ^ plain) & ~mask == 0, field
        assert found >> low & (mask >> low) == int(code), field
