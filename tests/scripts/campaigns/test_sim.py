"""The random GEMMs that the simulation runs on."""

import numpy as np
import pytest

from arch.tensor.presets import PRESETS
from golden.numerics.conversions import decode
from golden.tensor.jobs import golden_result
from scripts.campaigns.sim import KINDS, campaign_jobs
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


def test_a_preset_has_the_same_jobs_alone_and_among_others():
    one, other = campaign_jobs("tiny", 2, 5), campaign_jobs("tiny", 2, 5)
    assert all(np.array_equal(a.x, b.x) and a.shape == b.shape for a, b in zip(one, other, strict=True))
