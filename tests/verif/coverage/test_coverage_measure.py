"""A measurement of any unit: what is counted, what is due, and the page about it."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from verif.coverage.hook import CoverageHook, CoverageRun, Measured
from verif.coverage.measure import measure
from verif.coverage.page import page
from verif.coverage.points import Excluded, Hits, Point
from verif.coverage.report import Coverage
from verif.coverage.verilog import CodeCounts, CodePoint, Waiver

PLAN = (
    Point("letter", "A letter.", {"name": ("a", "b")}),
    Point(
        "pair",
        "Two letters.",
        {"first": ("a", "b"), "second": ("x", "y", "z")},
        [Excluded("b is never with z", {"first": ["b"], "second": ["z"]})],
    ),
)
VERILOG = "module adder;\n  assign a = b ? c : d;\nendmodule"


@dataclass
class Ran:
    """A simulation that is over."""

    compared_cycles: int
    failures: tuple[str, ...] = ()
    coverage: Path | None = None

    def lines(self) -> list[str]:
        return list(self.failures)


class Letters:
    """A sampler: each record of the trace is a letter's index."""

    def __init__(self) -> None:
        self._hits = Hits(PLAN)

    def see(self, trace: np.ndarray) -> None:
        self._hits.add("letter", trace[:, 0])

    def hits(self) -> Hits:
        return self._hits


def sampled(*letters: int, **ran) -> Measured:
    sampler = Letters()
    sampler.see(np.array(letters)[:, None])
    return Measured.of(Ran(compared_cycles=len(letters), **ran), sampler)


def hook(*runs: CoverageRun) -> CoverageHook:
    return CoverageHook(names=("only",), plan=lambda _: PLAN, runs=lambda *_: runs)


def full() -> Coverage:
    """A measurement that meets the bars."""
    hits = Hits(PLAN)
    for name, point in hits.points.items():
        hits.counts[name] += point.exclusion < 0
    code = CodeCounts()
    code.texts["adder"] = [VERILOG]
    line = VERILOG.splitlines()[1].strip()
    code.counts = {CodePoint("adder", 0, 1, n, "branch", what, line): n for n, what in ((1, "a"), (2, "b"))}
    return Coverage(seed=1, hits={"only": hits}, code=code, cycles=10, waivers=())


def test_hits_of_all_runs_add_up():
    told = []
    runs = (CoverageRun("first", lambda: sampled(0, 0)), CoverageRun("second", lambda: sampled(0, 1, 0)))
    coverage = measure([hook(*runs)], seed=3, announce=told.append)
    assert told == ["only: first", "only: second"]
    assert (coverage.seed, coverage.cycles, coverage.failures) == (3, 5, [])
    assert coverage.hits["only"].counts["letter"].tolist() == [4, 1]
    assert coverage.bins == (2, 7)


def test_units_are_measured_together():
    other = CoverageHook(
        names=("other",),
        plan=lambda _: PLAN,
        runs=lambda *_: [CoverageRun("second", lambda: sampled(1))],
        waivers=[Waiver("adder", "assign a = *", None, "never")],
    )
    coverage = measure([hook(CoverageRun("first", lambda: sampled(0))), other], seed=1)
    assert {name: hits.counts["letter"].tolist() for name, hits in coverage.hits.items()} == {
        "only": [1, 0],
        "other": [0, 1],
    }
    assert len(coverage.waivers) == 1


def test_a_run_that_differs_counts_nothing():
    runs = (CoverageRun("good", lambda: sampled(0)), CoverageRun("bad", lambda: sampled(1, failures=("o differs",))))
    coverage = measure([hook(*runs)], seed=1)
    assert coverage.failures == ["only, bad: o differs"] == coverage.complaints()[:1]
    assert coverage.hits["only"].counts["letter"].tolist() == [1, 0]
    # Whoever gives hits of such a run is not heard either.
    coverage.add("only", "worse", Measured(failures=["p differs"], hits=full().hits["only"]))
    assert coverage.hits["only"].counts["letter"].tolist() == [1, 0]


@pytest.mark.parametrize("failures", [(), ("o differs",)])
def test_lines_are_those_of_a_run_that_agreed(tmp_path, failures):
    path = tmp_path / "coverage.dat"
    facts = {"f": "/x/source_0.v", "l": 2, "n": 3, "t": "branch", "o": "cond_then"}
    path.write_text(
        "C '" + "".join(f"\x01{name}\x02{value}" for name, value in facts.items()) + "' 5\n", encoding="utf-8"
    )
    ran = Ran(compared_cycles=9, failures=failures, coverage=path)
    coverage = measure([hook(CoverageRun("lines", lambda: Measured.of(ran, verilog=VERILOG)))], seed=1)
    assert coverage.lines == ((0, 0, 0) if failures else (1, 1, 0))
    assert coverage.cycles == 9


def test_the_bars():
    assert full().complaints() == []
    hole = full()
    hole.hits["only"].counts["pair"][0, 1] = 0
    assert hole.complaints() == ["only: pair: not hit: a, y"]
    refuted = full()
    refuted.hits["only"].counts["pair"][1, 2] = 3
    assert refuted.complaints() == ["only: pair: hit, though the plan says that b is never with z: b, z"]
    lines = full()
    lines.code.counts = dict.fromkeys(lines.code.counts, 0)
    assert lines.complaints() == ["lines: 0 of 2 reached, 98% are due"]
    lines.waivers = (Waiver("adder", "assign a = *", None, "never"),)
    assert lines.complaints() == []
    none = full()
    none.code.counts = {}
    assert none.complaints() == ["lines: none were counted"]
    stale = full()
    stale.waivers = (Waiver("adder", "assign a = *", None, "never"),)
    assert stale.complaints() == ["the plan waives what is not missed: adder: assign a = *"]


def test_the_page_stands_alone():
    measured = full()
    measured.code.counts = {p: 0 for p in measured.code.counts}
    text = page(measured)
    assert not re.search(r"(src|href)=\"(?!#)|url\(|@import|<script|https?:", text)
    assert "prefers-color-scheme: dark" in text
    for point in PLAN:
        assert f">{point.name}</span>" in text
    # The missed line, between its neighbours.
    assert "assign a = b ? c : d;" in text and "module adder;" in text
    assert "lines: 0 of 2 reached" in text
