"""``systolith coverage``: its stimulus reaches every bin, its exit code says what is missing."""

import json
import re
from functools import partial

import numpy as np
import pytest

from arch.tensor.presets import PRESETS
from golden.tensor.engine import TensorEngine
from golden.tensor.schedule import gemm_beats, gemm_passes, next_base
from scripts.campaigns import coverage
from verif.coverage import page as pages
from verif.coverage import report
from verif.coverage.points import Hits
from verif.coverage.report import Coverage
from verif.coverage.verilog import CodeCounts, CodePoint, Waiver
from verif.tensor.coverage.plan import WAIVERS, plan
from verif.tensor.coverage.sampling import Sampler
from verif.tensor.engine import EngineRun
from verif.tensor.resets import RESET_POINTS, RESET_STATES, Reset, sample_resets


def golden_hits(config, run, seed: int) -> Hits:
    """What the golden trace of one run hits; no RTL."""
    model, sampler, base = TensorEngine(config), Sampler(config), 0
    pace = {"seed": seed, "idle": run.idle, "stall": run.stall}
    for job in run.jobs:
        formats = {"x_format": job.x_format, "w_format": job.w_format, "out_format": job.out_format}
        for beats in gemm_beats(job.x, job.w, config, saturate=job.saturate, base=base, **formats):
            model.offer(*beats)
        base = next_base(gemm_passes(*job.shape, config, base=base), config)
        while not model.done:
            sampler.see(model.run(1024, until_done=True, **pace))
            model.forget()
    return sampler.hits()


@pytest.mark.parametrize("preset", ["tiny", "fp8", "bf16"])
def test_the_stimulus_reaches_every_bin(preset):
    seed = int(np.random.default_rng().integers(1 << 31))
    print(f"seed {seed}")
    config = PRESETS[preset]
    hits = Hits(plan(config))
    for run in coverage._runs(preset, config, seed):
        hits.merge(golden_hits(config, run, seed))
    assert not [(point.name, labels) for point, labels in hits.holes()]
    assert not [(point.name, labels, reason) for point, labels, reason in hits.refuted()]


def full(preset: str) -> Coverage:
    """A measurement that meets the bars."""
    hits = Hits(plan(PRESETS[preset]))
    for name, point in hits.points.items():
        hits.counts[name] += point.exclusion < 0
    code = CodeCounts()
    text = "module pe;\n  assign a = b ? c : d;\nendmodule"
    code.texts["pe"] = [text]
    line = text.splitlines()[1].strip()
    code.counts = {CodePoint("pe", 0, 1, n, "branch", what, line): n for n, what in ((1, "a"), (2, "b"))}
    return Coverage(seed=1, hits={preset: hits}, code=code, cycles=10, waivers=())


def test_the_bars():
    assert full("tiny").complaints() == []
    hole = full("bf16")
    index = [
        p.index(label) for p, label in zip(hole.hits["bf16"].points["fp32 rounding"].axes.values(), LABELS, strict=True)
    ]
    hole.hits["bf16"].counts["fp32 rounding"][tuple(index)] = 0
    assert hole.complaints() == ["bf16: fp32 rounding: not hit: tie, up to even, subnormal, -"]
    refuted = full("tiny")
    refuted.hits["tiny"].counts["addends"][1, 0] = 3
    assert refuted.complaints() == [
        "tiny: addends: hit, though the plan says that a fixed-point zero has no sign: -0, +0"
    ]
    lines = full("tiny")
    lines.code.counts = dict.fromkeys(lines.code.counts, 0)
    assert lines.complaints() == ["lines: 0 of 2 reached, 98% are due"]
    lines.waivers = [Waiver("pe", "assign a = *", None, "never")]
    assert lines.complaints() == []
    none = full("tiny")
    none.code.counts = {}
    assert none.complaints() == ["lines: none were counted"]
    stale = full("tiny")
    stale.waivers = [Waiver("pe", "assign a = *", None, "never")]
    assert stale.complaints() == ["the plan waives what is not missed: pe: assign a = *"]


LABELS = ("tie, up to even", "subnormal", "-")


@pytest.fixture
def run(run, monkeypatch, tmp_path):
    """The command on one small run of ``tiny``, without lines and resets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(coverage, "SIMULATED", ("tiny",))
    for part in ("_count_lines", "_resets"):
        monkeypatch.setattr(coverage, part, lambda *_: None)
    monkeypatch.setattr(coverage, "WAIVERS", ())

    return partial(run, "coverage")


def test_a_missing_stimulus_is_named(run, monkeypatch, tmp_path):
    runs = coverage._runs("tiny", PRESETS["tiny"], 1)
    busy = next(r for r in runs if r.name == "busy")
    monkeypatch.setattr(coverage, "_runs", lambda *_: [busy])
    code, out, _ = run("--seed", "1", "--out", "reports")
    assert code == 1
    assert "tiny: steps of a tile: not hit: no, no" in out
    assert "lines: none were counted" in out
    record = json.loads((tmp_path / "reports" / "coverage.json").read_text())
    assert record["seed"] == 1 and record["bins"]["hit"] < record["bins"]["declared"]
    hole = "tiny: steps of a tile: not hit: no, no; no, yes; yes, no"
    assert hole in record["complaints"]
    assert hole in (tmp_path / "reports" / "index.html").read_text()


def test_a_run_that_differs_counts_nothing(run, monkeypatch):
    def simulate(config, jobs, *, observe, **_):
        model = TensorEngine(config)
        model.offer(*next(gemm_beats(jobs[0].x, jobs[0].w, config, x_format="e4m3", w_format="e4m3")))
        observe(model.run(100))
        return EngineRun(compared_cycles=100, failures=["GEMM: a result differs"])

    monkeypatch.setattr(coverage, "simulate", simulate)
    monkeypatch.setattr(coverage, "_runs", lambda *_: [coverage._Run("one", coverage.ring_jobs(PRESETS["tiny"]))])
    code, out, _ = run("--seed", "1")
    assert code == 1
    assert "tiny, one: GEMM: a result differs" in out
    assert re.search(r"functional bins: 0 of \d+", out)


def test_a_folder_that_cannot_be_made_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("--out", "file/reports")
    assert code == 2
    assert err.startswith("systolith: cannot make folder file/reports") and err.count("\n") == 1


def test_a_page_of_ones_own_is_not_replaced(run, monkeypatch, tmp_path):
    monkeypatch.setattr(coverage, "_runs", lambda *_: [])
    (tmp_path / "index.html").write_text("my own")
    code, _, err = run("--out", ".")
    assert code == 2
    assert (
        err == "systolith: --out: index.html would be replaced and is no file of an earlier run; needs another name\n"
    )
    for _ in range(2):
        assert run("--out", "reports")[0] == 1
    assert (tmp_path / "reports" / "index.html").exists()


def test_resets():
    hits = Hits(RESET_POINTS)
    sample_resets([Reset(("pass half done", "result offered"), 2)], hits)
    assert [labels for _, labels in hits.holes()] == [
        *((state,) for state in RESET_STATES if state not in ("pass half done", "result offered")),
        ("1",),
        ("3",),
    ]


def test_the_page_stands_alone():
    measured = full("tiny")
    measured.code.counts = {p: 0 for p in measured.code.counts}
    text = pages.page(measured)
    assert not re.search(r"(src|href)=\"(?!#)|url\(|@import|<script|https?:", text)
    assert "prefers-color-scheme: dark" in text
    for point in plan(PRESETS["tiny"]):
        assert f">{point.name}</span>" in text
    # The missed line, between its neighbours.
    assert "assign a = b ? c : d;" in text and "module pe;" in text
    assert "lines: 0 of 2 reached" in text


def test_every_waiver_has_a_reason():
    assert all(waiver.reason for waiver in WAIVERS)


@pytest.mark.slow
def test_lines_are_counted_in_every_module():
    measured = Coverage(seed=3)
    coverage._count_lines(measured, "tiny", PRESETS["tiny"], measured.seed)
    assert measured.failures == []
    # The skew of both edges, with all registers of the west edge, is in ``delay``.
    logic = {"pe", "decoder", "sequencer", "delay", "north_edge", "psum_bank", "readout", "rounder", "narrower"}
    assert logic <= {name for name in measured.code.texts if measured.code.of(name, "line", "branch")}
    assert all(measured.code.of(name, "toggle") for name in measured.code.texts)
    reached, total, waived = measured.lines
    assert reached + waived >= report.LINES_BAR * total > 250
    hit, total = measured.toggles
    assert hit > 0.9 * total > 0
