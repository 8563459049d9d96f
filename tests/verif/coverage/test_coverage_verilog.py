"""Line, branch and toggle counts: what is read, added up and waived."""

import pytest

from arch.environment import EnvironmentFault
from verif.coverage.verilog import CodeCounts, Waiver

SOURCE = """\
// header

module top(a);
  assign b = a ? 1 : 0;
endmodule

module leaf(a);
  always @(posedge clk)
    if (rst) q <= 0;
    else q <= a;
endmodule
"""


def dat(path, *records):
    """A file as Verilator writes it: line, column, kind, comment, count of each record."""
    lines = ["# SystemC::Coverage-3"]
    for line, column, kind, comment, count, *file in records:
        pairs = {"f": f"/x/{file[0] if file else 'source_0.v'}", "l": line, "n": column, "t": kind, "o": comment}
        facts = "".join(f"\x01{name}\x02{value}" for name, value in pairs.items())
        lines.append(f"C '{facts}' {count}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def code(tmp_path):
    counts = CodeCounts()
    records = [
        (4, 3, "branch", "cond_then", 0),
        (4, 4, "branch", "cond_else", 5),
        (8, 3, "line", "block", 7),
        (9, 5, "branch", "if", 0),
        (9, 6, "branch", "else", 7),
        (7, 1, "toggle", "a:0->1", 0),
        (1, 1, "line", "block", 0, "top.sv"),
    ]
    counts.add(dat(tmp_path / "one.dat", *records), SOURCE)
    return counts


RESET = Waiver("leaf", "if (rst) q <= 0;", None, "never reset")
FIRST = Waiver("top", "assign b = *", "?: first", "never high")


def test_points_are_told_by_module_line_and_branch(code):
    holes = [(p.module, p.line, p.what, p.text) for p in code.holes(())]
    assert holes == [("top", 1, "?: first", "assign b = a ? 1 : 0;"), ("leaf", 2, "if taken", "if (rst) q <= 0;")]
    assert len(code.of("leaf", "line", "branch")) == 3
    assert len(code.of("leaf", "toggle")) == 1
    # Verilator's own files are no part of the engine.
    assert sum(len(code.of(name, "line", "branch", "toggle")) for name in code.texts) == 6


def test_counts_of_the_same_text_add_up_and_of_others_do_not(code, tmp_path):
    code.add(dat(tmp_path / "two.dat", (4, 3, "branch", "cond_then", 1)), SOURCE)
    assert [p.module for p in code.holes(())] == ["leaf"]
    changed = SOURCE.replace("? 1 : 0", "? 2 : 0")
    code.add(dat(tmp_path / "three.dat", (4, 3, "branch", "cond_then", 0), (9, 5, "branch", "if", 1)), changed)
    assert [(p.module, p.variant) for p in code.holes(())] == [("top", 1)]


def test_a_waiver_hides_what_it_names(code):
    assert [p.module for p in code.holes([RESET])] == ["top"]
    assert not code.holes([RESET, FIRST])
    assert not code.stale([RESET, FIRST])
    # Neither another branch of the line, nor another module, nor a part of the line.
    for other in (
        Waiver("top", "assign b = *", "?: second", ""),
        Waiver("leaf", "assign b = *", None, ""),
        Waiver("top", "b = a", None, ""),
    ):
        assert len(code.holes([other])) == 2
        assert code.stale([other]) == [other]


def test_a_waiver_of_what_was_reached_is_stale(code, tmp_path):
    code.add(dat(tmp_path / "two.dat", (9, 5, "branch", "if", 1)), SOURCE)
    assert code.stale([RESET, FIRST]) == [RESET]
    assert str(RESET) == "leaf: if (rst) q <= 0;"
    assert str(FIRST) == "top: assign b = * (?: first)"


@pytest.mark.parametrize("kept", [0, -1, -5])
def test_counts_cut_short_are_no_counts(tmp_path, kept):
    """What is missing would be no hole."""
    path = dat(tmp_path / "one.dat", (4, 3, "branch", "cond_then", 0), (4, 4, "branch", "cond_else", 5))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(EnvironmentFault, match=r"Verilator's counts are cut short: .*one\.dat"):
        CodeCounts().add(path, SOURCE)
