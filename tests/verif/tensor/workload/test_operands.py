"""Classes of random operands."""

import numpy as np
import pytest

from arch.formats import FORMATS, OPERAND_FORMATS
from golden.numerics.conversions import decode
from golden.numerics.gemm import gemm
from verif.tensor.workload.operands import CLASSES, random_codes, random_operands

SEED = 3


@pytest.fixture
def rng():
    print("seed", SEED)
    return np.random.default_rng(SEED)


@pytest.mark.parametrize("fmt", OPERAND_FORMATS)
def test_any_bits_finite_and_medium_codes(rng, fmt):
    values = {kind: decode(random_codes(rng, (300, 300), fmt, kind), fmt) for kind in ("bits", "finite", "medium")}
    assert not np.isfinite(values["bits"]).all()
    assert np.isfinite(values["finite"]).all()
    medium = np.abs(values["medium"].astype(np.float64))
    assert medium.max() < 2.0**13
    assert len(np.unique(values["medium"])) > 150


@pytest.mark.parametrize("fmt", OPERAND_FORMATS)
def test_subnormals_abound(rng, fmt):
    values = np.abs(decode(random_codes(rng, (200, 200), fmt, "subnormal"), fmt).astype(np.float64))
    facts = FORMATS[fmt]
    assert np.isfinite(values).all()
    assert 0.45 < (values < 2.0 ** (1 - facts.bias)).mean() < 0.6
    assert (values >= 0.5).mean() > 0.1


@pytest.mark.parametrize("fmt", OPERAND_FORMATS)
def test_cancelling_sums(rng, fmt):
    """Many sums cancel to zero, many to something small beside their terms; in medium operands hardly any do."""
    shares = {}
    for kind in ("cancellation", "medium"):
        x, w = random_operands(rng, (40, 8, 40), fmt, fmt, kind)
        values = decode(x, fmt).astype(np.float64), decode(w, fmt).astype(np.float64)
        assert all(np.isfinite(v).all() for v in values)
        result = np.abs(gemm(x, w, x_format=fmt, w_format=fmt, accumulation="fp32"))
        terms = (np.abs(values[0])[:, :, None] * np.abs(values[1])[None]).max(axis=1)
        shares[kind] = (result == 0).mean(), ((result > 0) & (result < terms / 3)).mean()
    assert min(shares["cancellation"]) > 0.1
    assert shares["medium"][0] < 0.02


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 7, 3)])
def test_shapes_and_types(rng, kind, shape):
    m, k, n = shape
    x, w = random_operands(rng, shape, "bf16", "e5m2", kind)
    assert (x.shape, x.dtype, w.shape, w.dtype) == ((m, k), np.uint16, (k, n), np.uint8)
