"""Random matrix products: within their bounds, of every kind, and the same for a seed."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.tensor.jobs import golden_result
from golden.tensor.schedule import gemm_cycles
from verif.tensor.workload.gemms import draw_gemm, ragged_gemms, random_gemms
from verif.tensor.workload.operands import CLASSES

SLOW = EngineConfig(rows=128, cols=3, formats=("e4m3", "bf16"), accumulation="fp32", add_latency=5)


@pytest.fixture
def rng():
    seed = int(np.random.default_rng().integers(1 << 31))
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "config",
    [PRESETS["tiny"], PRESETS["fp8"], SLOW, replace(PRESETS["tiny"], k_max=3)],
    ids=["tiny", "fp8", "slow", "short"],
)
def test_products_are_within_their_bounds_and_of_every_kind(rng, config):
    specs = [draw_gemm(rng, config, longest=700) for _ in range(400)]
    for spec in specs:
        assert gemm_cycles(*spec.shape, config) <= gemm_cycles(1, 1, 1, config) + 700
        assert not config.exact or spec.shape[1] <= config.k_max
    assert {(spec.x_format, spec.w_format) for spec in specs} == {
        (x, w) for x in config.formats for w in config.formats
    }
    assert {spec.out_format for spec in specs} == set(FORMATS)
    assert {spec.saturate for spec in specs} == {False, True}
    assert {spec.kind for spec in specs} == set(CLASSES)
    sizes = np.array([spec.shape for spec in specs])
    # Blocks of M, where there is time for them.
    assert (sizes[:, 0] > config.tile_m).any() == (config.tile_m < 700)
    for side, size in ((min(config.rows, 3), sizes[:, 1]), (config.cols, sizes[:, 2])):
        assert {1, side} <= set(size.tolist())


def test_what_is_given_is_kept(rng):
    config = PRESETS["fp8"]
    for _ in range(20):
        spec = draw_gemm(rng, config, m=3000, n=1, longest=0, x_format="e5m2", kind="bits", saturate=False)
        # Nothing is left for K.
        assert spec.shape[0] == 3000 and spec.shape[2] == 1
        assert gemm_cycles(*spec.shape, config) == gemm_cycles(3000, 1, 1, config)
        assert (spec.x_format, spec.kind, spec.saturate) == ("e5m2", "bits", False)


def test_operands_follow_from_the_seed():
    config = PRESETS["bf16"]
    one, again, other = (random_gemms(config, np.random.default_rng(seed), 5) for seed in (1, 1, 2))
    for a, b in zip(one, again, strict=True):
        assert np.array_equal(a.x, b.x) and np.array_equal(a.w, b.w) and str(a) == str(b)
    assert [str(job) for job in one] != [str(job) for job in other]


@pytest.mark.parametrize("name", ["tiny", "fp8", "bf16"])
def test_ragged_products_see_finite_sums_and_specials(rng, name):
    config = PRESETS[name]
    jobs = ragged_gemms(config, rng)
    rows, cols = config.rows, config.cols
    shapes = {job.shape for job in jobs}
    assert len(jobs) == len(shapes) == 125
    assert {(1, 1, 1), (rows - 1, rows + 1, cols), (3 * rows + 7, 3 * rows + 7, 3 * cols + 7)} <= shapes
    assert {(job.x_format, job.w_format) for job in jobs} == set(product(config.formats, repeat=2))
    # Long contractions too: overflow to Inf would hide every rounding. A list alone has a dozen of them.
    jobs += [job for _ in range(4) for job in ragged_gemms(config, rng)]
    long = [job for job in jobs if job.shape[1] > config.rows and job.out_format == "fp32"]
    codes = np.concatenate([golden_result(job, config).ravel() for job in long])
    assert 0.3 < np.isfinite(codes.view(np.float32)).mean() < 1
