"""The tensor engine's part in the measurement: its stimulus reaches every bin, its lines are counted."""

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from verif.coverage import report
from verif.coverage.points import Hits
from verif.coverage.report import Coverage
from verif.simulation.stimulus import Stimulus
from verif.tensor.coverage import hook
from verif.tensor.coverage.hook import COVERAGE, PacedGemms, count_lines, stimuli
from verif.tensor.coverage.plan import WAIVERS, plan
from verif.tensor.coverage.sampling import Sampler
from verif.tensor.engine import EngineRun
from verif.tensor.interactive.resets import RESET_POINTS, RESET_STATES, Reset, sample_resets
from verif.tensor.unit import tensor_unit


def golden_hits(config: EngineConfig, stimulus: PacedGemms, seed: int) -> Hits:
    """What the golden trace of one run hits; no RTL."""
    sampler = Sampler(config)
    pace = {"seed": seed, "idle": stimulus.idle, "stall": stimulus.stall}
    for trace in Stimulus(tensor_unit(config), stimulus.jobs, **pace).chunks():
        sampler.see(trace)
    return sampler.hits()


# ``make coverage`` measures all three.
@pytest.mark.parametrize("preset", ["tiny", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fp8", "bf16"))])
def test_the_stimulus_reaches_every_bin(preset):
    seed = int(np.random.default_rng().integers(1 << 31))
    print(f"seed {seed}")
    config = PRESETS[preset]
    hits = Hits(plan(config))
    for stimulus in stimuli(preset, seed):
        hits.merge(golden_hits(config, stimulus, seed))
    assert not [(point.name, labels) for point, labels in hits.holes()]
    assert not [(point.name, labels, reason) for point, labels, reason in hits.refuted()]


def test_every_part_has_its_points_and_runs():
    assert COVERAGE.names == ("tiny", "fp8", "bf16", "interactive")
    for name in COVERAGE.names:
        runs = [run.name for run in COVERAGE.runs(name, 1)]
        assert runs == (
            ["resets"] if name == "interactive" else [*(s.name for s in stimuli(name, 1)), "lines and toggles"]
        )
        assert COVERAGE.plan(name)


def test_what_the_sampler_saw_counts_where_the_rtl_agreed(monkeypatch):
    """Simulations that show the golden trace: of one that differs nothing is counted."""
    failures: list[str] = []

    def simulate(config, jobs, *, observe, **pace):
        for trace in Stimulus(tensor_unit(config), jobs, **pace).chunks():
            observe(trace)
        return EngineRun(compared_cycles=100, failures=failures)

    monkeypatch.setattr(hook, "simulate", simulate)
    busy = next(run for run in COVERAGE.runs("tiny", 1) if run.name == "busy")
    assert busy.measure().hits.covered("steps of a tile") == (1, 4)
    failures.append("GEMM: a result differs")
    measured = busy.measure()
    assert (measured.hits, measured.failures, measured.cycles) == (None, failures, 100)


def test_resets():
    hits = Hits(RESET_POINTS)
    sample_resets([Reset(("pass half done", "result offered"), 2)], hits)
    assert [labels for _, labels in hits.holes()] == [
        *((state,) for state in RESET_STATES if state not in ("pass half done", "result offered")),
        ("1",),
        ("3",),
    ]


def test_every_waiver_has_a_reason():
    assert all(waiver.reason for waiver in WAIVERS)


@pytest.mark.slow
def test_lines_are_counted_in_every_module():
    measured = Coverage(seed=3)
    measured.add("tiny", "lines", count_lines(PRESETS["tiny"], measured.seed))
    assert measured.failures == []
    # The skew of both edges, with all registers of the west edge, is in ``delay``.
    logic = {"pe", "decoder", "sequencer", "delay", "north_edge", "psum_bank", "readout", "rounder", "narrower"}
    assert logic <= {name for name in measured.code.texts if measured.code.of(name, "line", "branch")}
    assert all(measured.code.of(name, "toggle") for name in measured.code.texts)
    reached, total, waived = measured.lines
    assert reached + waived >= report.LINES_BAR * total > 250
    hit, total = measured.toggles
    assert hit > 0.9 * total > 0
