"""The GEMMs that ``make sim`` runs on."""

import numpy as np
import pytest

from arch.tensor.presets import PRESETS
from scripts.campaigns import sim
from scripts.campaigns.sim import PACES, SIMULATED, campaign_jobs
from verif.tensor.engine import EngineRun


def test_a_run_has_ragged_and_random_gemms():
    assert len(campaign_jobs("tiny", 0, 7)) == 125 + sim.RANDOM_SHAPES
    # Thousands of cycles each.
    assert len(campaign_jobs("mxu", 0, 7)) == sim.LARGE_SAMPLE


@pytest.mark.slow
def test_a_preset_has_the_same_jobs_alone_and_among_others(monkeypatch, capsys):
    seen = []

    def simulate(config, jobs, **options):
        seen.append((config, options["idle"], options["stall"], jobs))
        return EngineRun()

    monkeypatch.setattr(sim, "simulate", simulate)
    monkeypatch.setattr(sim, "_real_layer", lambda _: (0, []))
    options = {"seed": 5, "simulator": "verilator", "waves": False}
    assert not sim.run_campaign(None, **options)
    among, seen = seen, []
    assert not sim.run_campaign("fp8", **options)
    assert len(among) == len(PACES) * len(SIMULATED) and len(seen) == len(PACES)
    among = [run for run in among if run[0] == PRESETS["fp8"]]
    for one, other in zip(among, seen, strict=True):
        assert one[:3] == other[:3]
        for a, b in zip(one[3], other[3], strict=True):
            assert str(a) == str(b) and np.array_equal(a.x, b.x) and np.array_equal(a.w, b.w)
    # Each pace has GEMMs of its own.
    assert len({str(jobs) for *_, jobs in seen}) == len(PACES)
