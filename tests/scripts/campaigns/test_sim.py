"""The random GEMMs that the simulation runs on."""

from itertools import combinations

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.numerics.conversions import decode
from golden.tensor.jobs import Gemm, golden_result
from scripts.campaigns import sim
from scripts.campaigns.sim import KINDS, PACES, SIMULATED, campaign_jobs
from verif.tensor.engine import EngineRun
from verif.tensor.operands import random_codes


@pytest.mark.parametrize("fmt", ["e4m3", "e5m2", "bf16"])
def test_kinds_of_operands(fmt):
    rng = np.random.default_rng(1)
    values = {kind: decode(random_codes(rng, (300, 300), fmt, kind), fmt) for kind in KINDS}
    assert not np.isfinite(values["bits"]).all()
    assert np.isfinite(values["finite"]).all()
    medium = np.abs(values["medium"].astype(np.float64))
    assert medium.max() < 2.0**13
    assert len(np.unique(values["medium"])) > 150


@pytest.mark.parametrize("name", ["tiny", "fp8", "bf16"])
def test_a_campaign_sees_finite_sums_and_specials(name):
    config = PRESETS[name]
    jobs = campaign_jobs(name, 0, 7)
    assert len(jobs) == 200
    rows, cols = config.rows, config.cols
    shapes = {job.shape for job in jobs}
    assert {(1, 1, 1), (rows - 1, rows + 1, cols), (3 * rows + 7, 3 * rows + 7, 3 * cols + 7)} <= shapes
    assert {(job.x_format, job.w_format) for job in jobs} == {(x, w) for x in config.formats for w in config.formats}
    # Long contractions too: overflow to Inf would hide every rounding.
    long = [job for job in jobs if job.shape[1] > config.rows and job.out_format == "fp32"]
    codes = np.concatenate([golden_result(job, config).ravel() for job in long])
    finite = np.isfinite(codes.view(np.float32)).mean()
    assert 0.3 < finite < 1


def jobs_run(monkeypatch, preset: str | None, seed: int) -> list[tuple[EngineConfig, list[Gemm]]]:
    """What a campaign simulates; without the real layer, which Icarus is not given."""
    runs = []

    def simulate(config, jobs, **_):
        runs.append((config, jobs))
        return EngineRun(compared_cycles=1)

    monkeypatch.setattr(sim, "simulate", simulate)
    assert not sim.run_campaign(preset, seed=seed, simulator="icarus", waves=False)
    return runs


def same(some: list[Gemm], others: list[Gemm]) -> bool:
    return len(some) == len(others) and all(
        (a.x_format, a.w_format, a.out_format, a.saturate) == (b.x_format, b.w_format, b.out_format, b.saturate)
        and np.array_equal(a.x, b.x)
        and np.array_equal(a.w, b.w)
        for a, b in zip(some, others, strict=True)
    )


def test_a_preset_has_the_same_jobs_alone_and_among_others(monkeypatch):
    """So that the line after a failure, which names the preset, gives the failure again."""
    every = jobs_run(monkeypatch, None, 5)
    assert [config for config, _ in every] == [PRESETS[name] for name in SIMULATED for _ in PACES]
    for name in SIMULATED:
        alone = jobs_run(monkeypatch, name, 5)
        among = [jobs for config, jobs in every if config == PRESETS[name]]
        assert len(alone) == len(among) == len(PACES)
        assert all(same(jobs, others) for (_, jobs), others in zip(alone, among, strict=True))


def test_runs_differ_in_their_jobs(monkeypatch):
    runs = [jobs for seed in (5, 6) for _, jobs in jobs_run(monkeypatch, "tiny", seed)]
    assert not any(same(some, others) for some, others in combinations(runs, 2))
