"""The float blocks against their oracles, and benches of the benches."""

import os

import numpy as np
import pytest

from verif.core.blocks.units import BENCHES
from verif.simulation.replay import replay
from verif.simulation.simulator import build
from verif.simulation.unit_bench import Bundle

SEED = int(os.environ.get("SEED", 41))
ALL = Bundle(tuple(BENCHES.values()))


@pytest.fixture(scope="module")
def units():
    """All blocks in one simulation."""
    return build([ALL.verilog()], ALL.harness, opt_level=1)


@pytest.mark.parametrize("name", BENCHES)
def test_unit(units, name):
    print(f"seed {SEED}")
    bench = BENCHES[name]
    outcome = replay(units, ALL.records(bench, np.random.default_rng(SEED)))
    assert outcome.passed, "\n".join(ALL.describe(bench, mismatch) for mismatch in outcome.mismatches)
