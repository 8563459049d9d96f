"""What the runs of a regression are drawn from, and their verdicts."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from test_planted_bugs import LATE_SWAP, planted

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from golden.tensor.schedule import gemm_cycles
from verif.simulation.simulator import SimulatorError
from verif.tensor import regress
from verif.tensor.covering import VALUES
from verif.tensor.engine import EngineRun
from verif.tensor.regress import CONFIGS, LONGEST, RUNS_PER_CONFIG, Run, execute
from verif.tensor.workload.operands import CLASSES

SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"
RUNS = [Run.draw(5, index) for index in range(400)]
#: Small, its modules as in the patterns of planted bugs, and without resets: those are added where they are the point.
RUN = replace(
    next(r for r in RUNS if r.config.rows * r.config.cols <= 8 and r.config.store_latency > 2 and not r.target),
    resets=(),
)


def test_a_run_follows_from_its_seed_and_number():
    again, other = Run.draw(5, 77), Run.draw(6, 77)
    assert again == RUNS[77] != other
    for one, two in zip(again.jobs(), RUNS[77].jobs(), strict=True):
        assert np.array_equal(one.x, two.x) and np.array_equal(one.w, two.w)
    assert len({run.gemms for run in RUNS}) > 380


def test_runs_share_a_bounded_number_of_configurations():
    configs = [run.config for run in RUNS]
    assert all(config == configs[index // RUNS_PER_CONFIG * RUNS_PER_CONFIG] for index, config in enumerate(configs))
    assert len(set(configs)) > 40
    assert Run.draw(5, RUNS_PER_CONFIG * CONFIGS).config == configs[0]
    assert Run.draw(5, RUNS_PER_CONFIG * CONFIGS) != RUNS[0]


def test_every_constraint_is_met_and_every_choice_made():
    gemms = [(run.config, spec) for run in RUNS for spec in run.gemms]
    for config, spec in gemms:
        m, k, n = spec.shape
        assert gemm_cycles(m, k, n, config) <= gemm_cycles(1, 1, 1, config) + LONGEST
        assert {spec.x_format, spec.w_format} <= set(config.formats)
        assert not config.exact or k <= config.k_max
    configs = {run.config for run in RUNS}
    assert {len(config.formats) for config in configs} == {1, 2, 3}
    assert {config.exact for config in configs} == {True, False}
    assert any(config.rows == 1 < config.cols for config in configs)
    assert any(config.cols == 1 < config.rows for config in configs)
    assert any(min(config.rows, config.cols) > 4 for config in configs)
    assert {spec.kind for _, spec in gemms} == set(CLASSES)
    assert {spec.out_format for _, spec in gemms} == set(FORMATS)
    assert {spec.saturate for _, spec in gemms} == {True, False}
    for name in ("product_latency", "add_latency", "readout_latency", "integer_operands"):
        assert {getattr(config, name) for config in configs} == set(VALUES[name])
    assert any(config.rows_per_load_cycle > 1 < config.add_latency for config in configs)
    assert {run.target for run in RUNS} == set(VALUES["target"])
    assert {len(run.resets) for run in RUNS} == {0, 1, 2, 3}
    # Ragged tiles, several tiles, the deepest sums, blocks of M, and rings that wrap.
    assert any(spec.shape[1] % config.rows for config, spec in gemms)
    assert any(spec.shape[2] % config.cols and spec.shape[2] > config.cols for config, spec in gemms)
    assert any(config.exact and config.k_max > config.rows and spec.shape[1] == config.k_max for config, spec in gemms)
    assert any(spec.shape[0] > config.tile_m for config, spec in gemms)
    assert any(spec.shape[0] < config.rows for config, spec in gemms)
    assert any(sum(spec.shape[0] for spec in run.gemms) > run.config.psum_depth for run in RUNS)
    unhindered = [not any(run.idle) and not run.stall for run in RUNS]
    assert 0.25 < np.mean(unhindered) < 0.45
    for port in range(4):
        assert {(*run.idle, run.stall)[port] for run in RUNS} == {0.0, 0.1, 0.5, 0.9}
    assert any(len(set(run.idle)) == 3 for run in RUNS)


def test_a_run_passes():
    verdict = execute(RUN, SIMULATOR)
    assert verdict.passed and verdict.report == ()
    assert verdict.cycles > 0 and verdict.signals > RUN.config.rows * RUN.config.cols
    assert 0 < verdict.seconds


def test_a_planted_bug_is_the_verdict():
    verdict = execute(RUN, SIMULATOR, planted(LATE_SWAP))
    assert not verdict.passed
    assert "differ first in cycle" in verdict.report[0] and "PE(0, 0).active" in verdict.report[0]


def test_what_a_reset_leaves_behind_is_found():
    """A register that survives a reset shows in no GEMM: the passes that follow them see it."""
    run = replace(RUN, resets=(40, 60, 80), stall=0.0)
    survives = ("sequencer", r"if \(rst\) (in_flight <= )", r"if (1'b0) \1", 1)
    assert not execute(replace(run, resets=()), SIMULATOR, planted(survives)).failed
    verdict = execute(run, SIMULATOR, planted(survives))
    assert verdict.report[0].startswith("passes with resets: RTL and golden model differ first in cycle ")
    assert execute(run, SIMULATOR).passed


def test_all_that_is_drawn_is_told():
    run = next(run for run in RUNS if run.target and run.resets and run.config.integer_operands)
    c, text = run.config, str(run)
    assert f"{c.product_latency}, {c.add_latency}, {c.readout_latency}" in text
    for part in ("of integers", f"for {run.target}", f"resets after {run.resets[0]}", f"psum_depth {c.psum_depth}"):
        assert part in text


def answer(monkeypatch, outcome) -> regress.Verdict:
    """The verdict of a run whose simulation gives, or raises, this."""

    def simulate(*args, **options):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(regress, "simulate", simulate)
    return execute(RUN, SIMULATOR)


def test_what_is_raised_is_the_verdict(monkeypatch):
    assert answer(monkeypatch, SimulatorError("it crashed:\ntail")).report == ("it crashed:", "tail")
    verdict = answer(monkeypatch, IndexError("in the golden model"))
    assert verdict.report[-1] == "IndexError: in the golden model"
    assert not verdict.passed


def test_every_disagreement_fails_the_run(monkeypatch):
    results = [np.zeros((1, 1))] * len(RUN.gemms)
    assert answer(monkeypatch, EngineRun(results=results)).passed
    wrong = EngineRun(results=results, failures=["result", "cycles"])
    assert answer(monkeypatch, wrong).report == ("result", "cycles")
    missing = answer(monkeypatch, EngineRun(results=results[1:]))
    assert missing.report == (f"{len(results) - 1} of {len(results)} GEMMs came through",)


@pytest.mark.parametrize("hindered", [True, False])
def test_cycle_counts_are_checked_where_nothing_hinders(monkeypatch, hindered):
    """A schedule of another length is seen exactly in the runs without idle and stall."""
    run = replace(RUN, idle=(0.0, 0.1, 0.0) if hindered else (0.0,) * 3, stall=0.0)
    monkeypatch.setattr("verif.tensor.engine.gemm_cycles", lambda *shape_and_config: gemm_cycles(*shape_and_config) + 1)
    assert execute(run, SIMULATOR).passed == hindered


def test_single_run_configurations_are_legal():
    """Every configuration of many seeds is one that ``EngineConfig`` accepts and round-trips."""
    for seed in range(300):
        config = Run.draw(seed, 0).config
        assert EngineConfig(**{name: getattr(config, name) for name in config.__dataclass_fields__}) == config
