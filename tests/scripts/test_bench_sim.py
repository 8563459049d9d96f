"""The benchmark of the simulation runs what it says: no figure is asserted but that there is one."""

import pytest

from golden.spec.config import EngineConfig
from scripts.bench_sim import check_gemm, flat_rates, whole_rate

SMALL = EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=32)


@pytest.mark.slow
def test_every_way_to_run_is_timed():
    rates = flat_rates(SMALL, cycles=2000, seed=1, rounds=2)
    assert {way: len(values) for way, values in rates.items()} == {"bare": 2, "ports": 2, "registers": 2}
    assert all(rate > 0 for values in rates.values() for rate in values)
    assert whole_rate(SMALL, cycles=2000, seed=1) > 0
    cycles, seconds = check_gemm(SMALL, seed=1)
    assert cycles > 128 * 256 * 128 / 4 and seconds > 0
