"""The form of a report: sections, lines, and how much of them is shown."""

import pytest

from arch.record import Field
from verif.simulation.report import CLOSE_LOOK, FAILURE, LISTED, Difference, Divergence, section_lines
from verif.simulation.window import Input


def divergence(count: int = 1, **told) -> Divergence:
    found = [Difference(Field("sum", 8, row=lane), 0, 1, f"lane {lane}") for lane in range(count)]
    values = {"stage": "sums: hw/x.py", "expected": "0x00  0", "actual": "0x01  1"}
    return Divergence(cycle=1234, differences=found, **values | told)


def test_a_whole_report():
    report = divergence(
        2,
        job=("job", "4 beats (number 8)"),
        term="beat 3",
        inputs=[Input(1233, "lane 1", "0x1  one"), Input(99, "port i", "0x2  two")],
        hint="it is a bug",
        note="of ports only",
        waves="some.fst\nviewer some.fst",
        close_look=[(CLOSE_LOOK, "the same job in small:"), *divergence().sections()],
    )
    assert report.lines() == [
        "RTL and golden model differ first in cycle 1234, at lane 0",
        "  stage     sums: hw/x.py",
        "  note      of ports only",
        "  job       4 beats (number 8)",
        "  term      beat 3",
        "  expected  0x00  0",
        "  actual    0x01  1",
        "  hint      it is a bug",
        "  from      cycle 1233  lane 1  0x1  one",
        "            cycle 99  port i    0x2  two",
        "  also      lane 1",
        "  waves     some.fst",
        "            viewer some.fst",
        "  the same job in small:",
        "  RTL and golden model differ first in cycle 1234, at lane 0",
        "    stage     sums: hw/x.py",
        "    expected  0x00  0",
        "    actual    0x01  1",
    ]


def test_what_has_nothing_to_say_is_left_out():
    assert [label for label, _ in divergence().sections()] == ["differs", "stage", "expected", "actual"]


def test_other_failures_stand_for_themselves():
    assert section_lines([(FAILURE, "the RTL gave 3 rows")]) == ["the RTL gave 3 rows"]


@pytest.mark.parametrize("count", [1, 2, LISTED, LISTED + 1, LISTED + 2, 100])
def test_many_differences_are_counted(count):
    also = dict(divergence(count).sections()).get("also")
    others = [f"lane {lane}" for lane in range(1, min(count, LISTED + 1))]
    more = f", {count - 1 - LISTED} more" if count > LISTED + 1 else ""
    assert also == (f"{'; '.join(others)}{more}" if others else None)
