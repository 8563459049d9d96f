from dataclasses import replace
from functools import partial
from itertools import product

import ml_dtypes
import numpy as np
import pytest
from given import off_by_one

from arch.formats import FORMATS
from arch.tensor.presets import PRESETS
from golden.numerics.attention import attention
from golden.numerics.conversions import code_dtype, decode, encode
from golden.numerics.functions import reciprocal
from golden.numerics.gemm import gemm
from golden.tensor.schedule import gemm_cycles, ideal_cycles, readout_cycles
from scripts.ground.errors import InputError
from scripts.running import backends
from scripts.running.attention import run_attention
from scripts.running.gemm import GEMM_RECIPES, run_gemm
from verif.simulation.report import HEADLINE
from verif.simulation.waves import FOLDER
from verif.tensor.engine import EngineRun, simulate

TINY, FP8, BF16 = (PRESETS[name] for name in ("tiny", "fp8", "bf16"))
ML_DTYPES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "bf16": ml_dtypes.bfloat16}


def normal(*shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def bits(array):
    return array.view(f"u{array.itemsize}")


def run(x, w, config=TINY, **options):
    defaults = {"x_format": "e4m3", "w_format": "e4m3", "out_format": "fp32", "recipe": None, "backend": "golden"}
    return run_gemm(x, w, config, **defaults | options)


# ---- gemm on the golden model ---------------------------------------------------------------------


@pytest.mark.parametrize("out_format", list(FORMATS))
@pytest.mark.parametrize(("config", "x_format", "w_format"), [
    (TINY, "e4m3", "e4m3"),
    (FP8, "e5m2", "e4m3"),
    (BF16, "bf16", "bf16"),
    (BF16, "e4m3", "bf16"),
])  # fmt: skip
def test_gemm_has_the_bits_of_golden_gemm(config, x_format, w_format, out_format):
    x, w = normal(7, 33, scale=30), normal(33, 10, seed=1)
    x_codes, w_codes = encode(x, x_format), encode(w, w_format)
    expected = gemm(x_codes, w_codes, x_format=x_format, w_format=w_format, accumulation=config.accumulation)
    if out_format != "fp32":
        expected = encode(expected, out_format)
    # Values or codes, in any mixture.
    for a, b in product((x, x_codes), (w, w_codes)):
        summary = run(a, b, config, x_format=x_format, w_format=w_format, out_format=out_format)
        assert summary.result.dtype == (np.float32 if out_format == "fp32" else code_dtype(out_format))
        assert (bits(summary.result) == bits(expected)).all()
    assert summary.shape == {"M": 7, "K": 33, "N": 10}
    assert summary.cycles == gemm_cycles(7, 33, 10, config)
    assert summary.ideal_cycles == ideal_cycles(7, 33, 10, config)
    assert summary.readout_cycles == readout_cycles(7, 33, 10, config)


def test_plain_conversion_saturates_and_keeps_nan():
    x = np.array([[1e9, -np.inf, np.nan]], np.float32)
    result = run(x, np.eye(3, dtype=np.float32)).result
    assert (bits(result) == bits(np.full((1, 3), np.nan, np.float32))).all()  # NaN * 0
    assert run(x[:, :2], np.eye(2, dtype=np.float32)).result.tolist() == [[448.0, -448.0]]


def test_rows_are_cut_for_the_bar_without_a_trace_in_the_result(monkeypatch):
    x, w = normal(23, 9), normal(9, 5, seed=1)
    whole = run(x, w).result
    monkeypatch.setattr(backends, "ROWS", 4)
    monkeypatch.setattr(backends, "LONG", 0)
    assert (bits(run(x, w).result) == bits(whole)).all()


def _scales(values, fmt, axis):
    """amax by the inverse of the format's largest number along an axis (None: all), as ml_dtypes has the format."""
    if fmt == "bf16":
        return np.float32(1)
    amax = np.abs(values).max(axis=axis, keepdims=True)
    scale = np.maximum(amax * np.float32(1 / float(ml_dtypes.finfo(ML_DTYPES[fmt]).max)), np.float32(2.0**-126))
    return np.where(amax == 0, np.float32(1), scale)


def _rederived(x, w, recipe, x_format, w_format):
    """The product of a recipe in plain NumPy: nothing of the golden model but its reciprocal, sums as real numbers."""
    axes = {"per-tensor": (None, None), "per-token": (1, 0), "per-channel": (None, 0), "per-block": (1, 0)}[recipe]
    depth = x.shape[1]
    size = 128 if recipe == "per-block" else depth
    total = np.zeros((x.shape[0], w.shape[1]))
    for start in range(0, depth, size):
        a, b = x[:, start : start + size], w[start : start + size]
        sa, sb = _scales(a, x_format, axes[0]), _scales(b, w_format, axes[1])
        qa = (a * reciprocal(sa)).astype(ML_DTYPES[x_format]).astype(np.float64)
        qb = (b * reciprocal(sb)).astype(ML_DTYPES[w_format]).astype(np.float64)
        # Few terms of 8-bit numbers of about the same size: exact in float64.
        total += (qa @ qb).astype(np.float32).astype(np.float64) * sa.astype(np.float64) * sb.astype(np.float64)
    return total.astype(np.float32)


@pytest.mark.parametrize("scale", [1.0, 3e-39, 1e37])
@pytest.mark.parametrize("formats", [("e4m3", "e4m3"), ("e5m2", "e4m3")])
@pytest.mark.parametrize("recipe", list(GEMM_RECIPES))
def test_recipes_are_what_numpy_says(recipe, formats, scale):
    x, w = normal(5, 300, scale=scale), normal(300, 7, seed=1, scale=1 / scale if scale > 1 else 1)
    x[2] = 0
    x[:, 130:140] *= np.float32(1e-3)
    summary = run(x, w, FP8, recipe=recipe, x_format=formats[0], w_format=formats[1])
    expected = _rederived(x, w, recipe, *formats)
    assert np.isfinite(expected).all() and expected.any()
    assert (bits(summary.result) == bits(expected)).all()


def test_recipes_with_bf16_have_scale_one():
    x, w = normal(5, 300, scale=1e4), normal(300, 7, seed=1)
    plain = run(x, w, BF16, x_format="bf16", w_format="bf16").result
    for recipe in ("per-tensor", "per-token", "per-channel"):
        scaled = run(x, w, BF16, x_format="bf16", w_format="bf16", recipe=recipe).result
        assert (bits(scaled) == bits(plain)).all()


def test_a_recipe_converts_to_the_out_format_last():
    x, w = normal(5, 200), normal(200, 7, seed=1)
    value = run(x, w, recipe="per-block").result
    assert (run(x, w, recipe="per-block", out_format="e4m3").result == encode(value, "e4m3")).all()


def test_scales_beyond_float32_neither_overflow_nor_make_nan():
    x, w = np.full((2, 4), 3e38, np.float32), np.full((4, 3), 1e-30, np.float32)
    assert np.allclose(run(x, w, recipe="per-tensor").result, 1.2e9, rtol=1e-3)
    w = np.full((4, 3), 3e38, np.float32)
    assert np.isposinf(run(x, w, recipe="per-tensor").result).all()
    x[:, ::2] *= -1
    assert (run(x, w, recipe="per-tensor").result == 0).all()


def test_nan_of_a_recipe_is_canonical():
    x = np.full((1, 256), 3e38, np.float32)
    x[:, 128:] *= -1
    result = run(x, np.full((256, 1), 100, np.float32), BF16, x_format="bf16", w_format="bf16", recipe="per-block")
    assert bits(result.result).tolist() == [[0x7FC00000]]


def test_per_block_takes_any_k():
    config = replace(TINY, k_max=128)
    x, w = normal(2, 300), normal(300, 2, seed=1)
    with pytest.raises(InputError, match="K must be at most k_max = 128 under exact accumulation, not 300"):
        run(x, w, config, recipe="per-token")
    summary = run(x, w, config, recipe="per-block")
    assert (bits(summary.result) == bits(run(x, w, recipe="per-block").result)).all()
    assert summary.cycles == sum(gemm_cycles(2, k, 2, config) for k in (128, 128, 44))


@pytest.mark.parametrize(
    ("x", "w", "options", "message"),
    [
        (normal(7, 9), normal(8, 6), {}, r"^X is \(7, 9\) and W is \(8, 6\); X's columns must be as many as W's rows$"),
        (normal(1, 16385), normal(16385, 1), {}, r"^K must be at most k_max = 16384 under exact accumulation, not"),
        (normal(2, 2).astype(float), normal(2, 2), {}, r"^X: dtype float64; needs float32 values or uint8 codes of e4"),
        (normal(2, 2), np.ones((2, 2), np.uint16), {}, r"^W: dtype uint16; needs float32 values or uint8 codes of e4"),
        (np.ones((2, 2), np.int8), normal(2, 2), {}, r"^X: dtype int8; needs float32"),
        (np.ones((2, 2), bool), normal(2, 2), {}, r"^X: dtype bool; needs float32"),
        (
            normal(2, 2),
            normal(2, 2),
            {"recipe": "hadamard"},
            r"^--recipe: 'hadamard'; needs per-tensor, per-token, per",
        ),
        (np.ones((2, 2), np.uint8), normal(2, 2), {"recipe": "per-token"}, r"^X: dtype uint8; a recipe needs float32"),
        (
            normal(2, 2),
            np.full((2, 2), np.nan, "f4"),
            {"recipe": "per-token"},
            r"^W: has NaN or Inf; a scale needs fin",
        ),
        (
            np.full((2, 2), np.inf, "f4"),
            normal(2, 2),
            {"recipe": "per-block"},
            r"^X: has NaN or Inf; a scale needs fin",
        ),
    ],
)
def test_gemm_refuses(x, w, options, message):
    with pytest.raises(InputError, match=message):
        run(x, w, **options)


def test_codes_of_bf16_are_uint16():
    with pytest.raises(InputError, match="X: dtype uint8; needs float32 values or uint16 codes of bf16"):
        run(np.ones((2, 2), np.uint8), normal(2, 2), BF16, x_format="bf16")


# ---- gemm on the RTL ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "k", "n", "out_format"), [(1, 1, 1, "fp32"), (3, 5, 7, "bf16"), (13, 4, 9, "e4m3"), (6, 17, 4, "e5m2")]
)
def test_the_rtl_gives_the_same_bits(m, k, n, out_format):
    # Every code, NaN among them.
    codes = np.random.default_rng(m).integers(0, 256, (m, k), dtype=np.uint8)
    w = normal(k, n, seed=1)
    golden, rtl = (run(codes, w, out_format=out_format, backend=backend) for backend in ("golden", "rtl"))
    assert golden.result.dtype == rtl.result.dtype and (bits(golden.result) == bits(rtl.result)).all()
    assert rtl.mismatches == 0 and list(rtl.failures) == []
    assert rtl.cycles == golden.cycles
    # Every cycle of the GEMM, of the first command before it and of the read-out after it.
    assert rtl.compared_cycles >= rtl.cycles + rtl.readout_cycles


@pytest.mark.parametrize("recipe", ["per-token", "per-block"])
def test_the_rtl_gives_the_same_bits_with_a_recipe(recipe):
    x, w = normal(3, 150), normal(150, 5, seed=1)
    golden, rtl = (run(x, w, recipe=recipe, backend=backend) for backend in ("golden", "rtl"))
    assert (bits(golden.result) == bits(rtl.result)).all()
    assert rtl.mismatches == 0 and rtl.cycles == golden.cycles


def test_the_result_is_the_rtls_own(monkeypatch):
    """Not the golden model's: a simulation that gives something else, and no mismatch, is believed."""
    fake = EngineRun(compared_cycles=9, results=[np.full((2, 3), 0x3F800000, np.uint32)], cycles=[5])
    monkeypatch.setattr("verif.tensor.engine.simulate", lambda *_, **__: fake)
    summary = run(normal(2, 4), normal(4, 3), backend="rtl")
    assert (summary.result == 1.0).all() and summary.cycles == 5 and summary.compared_cycles == 9


def test_a_bug_in_the_rtl_is_found_and_placed(monkeypatch):
    monkeypatch.setattr("verif.tensor.engine.simulate", partial(simulate, rewrite=off_by_one))
    monkeypatch.setattr(backends, "waves_folder", None)
    summary = run(-np.ones((3, 5), np.float32), np.ones((5, 2), np.float32), backend="rtl")
    assert summary.mismatches == 1 and summary.result is None
    sections = dict(summary.failures)
    assert "PE(0, 0).psum" in sections[HEADLINE] and "hw/arithmetic/exact_adder.py" in sections["stage"]
    record = summary.record()
    assert record["cycles"] == 0 and record["utilization"] == 0.0 and record["compared_cycles"] > 0


def test_a_bug_during_attention_is_found(monkeypatch):
    monkeypatch.setattr("verif.tensor.engine.simulate", partial(simulate, rewrite=off_by_one))
    monkeypatch.setattr(backends, "waves_folder", None)
    q, k, v = normal(2, 3), normal(4, 3, seed=1), normal(4, 3, seed=2)
    summary = attend(q, k, v, recipe="per-block", backend="rtl")
    assert summary.mismatches == 1 and summary.failures


def test_making_waveforms_is_announced(capsys):
    assert backends.waves_folder() == FOLDER
    assert capsys.readouterr().err == "RTL and golden model differ: building the waveform variant\n"


# ---- attention ------------------------------------------------------------------------------------

SHAPES = {
    "one head": ((3, 5), (6, 5)),
    "grouped": ((4, 3, 6), (2, 7, 6)),
    "one key": ((2, 1, 1), (1, 1, 1)),
    "blocks": ((1, 2, 40), (1, 3, 40)),
}


def attend(q, k, v, config=TINY, **options):
    defaults = {"recipe": "per-tensor", "x_format": "e4m3", "w_format": "e4m3", "causal": False, "backend": "golden"}
    return run_attention(q, k, v, config, **defaults | options)


def qkv(shape):
    q, kv = SHAPES[shape]
    return normal(*q), normal(*kv, seed=1), normal(*kv, seed=2)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("recipe", ["per-tensor", "per-token", "per-block"])
def test_attention_has_the_bits_of_golden_attention(shape, recipe, causal):
    q, k, v = qkv(shape)
    heads = [array.reshape(-1, *array.shape[-2:]) for array in (q, k, v)]
    expected = attention(*heads, recipe=recipe, causal=causal).reshape(q.shape)
    summary = attend(q, k, v, recipe=recipe, causal=causal)
    assert summary.result.dtype == np.float32 and (bits(summary.result) == bits(expected)).all()
    (count, queries, channels), tokens = heads[0].shape, k.shape[-2]
    assert summary.shape == {"H": count, "S": queries, "T": tokens, "D": channels}
    assert summary.compared_cycles == 0
    blocks = [32, 8] if recipe == "per-block" and shape == "blocks" else [channels]
    due = sum(gemm_cycles(queries, b, tokens, TINY) for b in blocks) + gemm_cycles(queries, tokens, channels + 1, TINY)
    assert summary.cycles == count * due


@pytest.mark.parametrize(
    ("shape", "recipe", "causal"),
    [
        ("one head", "per-block", False),
        ("grouped", "per-block", True),
        ("one key", "hadamard", False),
        ("blocks", "per-block", True),
    ],
)
def test_products_on_the_rtl(shape, recipe, causal):
    """Of recipes that the core's program lacks."""
    q, k, v = qkv(shape)
    golden, rtl = (attend(q, k, v, recipe=recipe, causal=causal, backend=backend) for backend in ("golden", "rtl"))
    assert rtl.result.shape == q.shape and (bits(rtl.result) == bits(golden.result)).all()
    assert rtl.mismatches == 0 and rtl.cycles == golden.cycles and rtl.notes == golden.notes
    assert rtl.compared_cycles >= rtl.cycles
    assert f"\nNot on the core: the core's program knows per-tensor and per-token, not {recipe}." in rtl.remark


@pytest.mark.parametrize("recipe", ["hadamard", "hadamard-per-token"])
def test_rotated_attention(recipe):
    q, k, v = normal(2, 3, 8), normal(1, 4, 8, seed=1), normal(1, 4, 8, seed=2)
    summary = attend(q, k, v, recipe=recipe)
    assert (bits(summary.result) == bits(attention(q, k, v, recipe=recipe))).all()


def test_attention_in_bf16():
    q, k, v = qkv("grouped")
    summary = attend(q, k, v, BF16, x_format="bf16", w_format="bf16")
    expected = attention(q, k, v, x_format="bf16", w_format="bf16", accumulation="fp32")
    assert (bits(summary.result) == bits(expected)).all()


def test_attention_replays_the_rtls_own_results(monkeypatch):
    """The final pass takes every product from the simulation."""
    jobs_seen = []

    def fake(config, jobs, **_):
        jobs_seen.extend(jobs)
        real = simulate(config, jobs)
        real.results[1] = np.zeros_like(real.results[1])  # the second product is the last: nothing follows from it
        return real

    monkeypatch.setattr("verif.tensor.engine.simulate", fake)
    q, k, v = qkv("one head")
    summary = attend(q, k, v, recipe="per-block", backend="rtl")
    assert len(jobs_seen) == 2
    assert np.isnan(summary.result).all()  # 0 / 0


def test_errors_of_a_zero_tensor_are_null():
    zero = np.zeros((3, 4), np.float32)
    record = attend(zero, zero, zero).record()
    assert record["cosine"] is None and record["relative_l1"] is None and record["rmse"] == 0.0


@pytest.mark.parametrize(
    ("q", "k", "v", "options", "message"),
    [
        (normal(2, 3), normal(4, 3), normal(4, 2), {}, "k and v must have one shape, not"),
        (normal(3, 2, 3), normal(2, 4, 3), normal(2, 4, 3), {}, "q must have a multiple of the keys' 2 heads, not 3"),
        (normal(2, 3), normal(4, 5), normal(4, 5), {}, "q must have the keys' 5 channels, not 3"),
        (normal(5, 3), normal(4, 3), normal(4, 3), {"causal": True}, "a causal mask needs as many keys as queries"),
        (
            normal(2, 3),
            normal(4, 3),
            normal(4, 3),
            {"recipe": "x"},
            "recipe must be one of per-tensor, per-token, per-b",
        ),
        (normal(2, 3), normal(4, 3), normal(4, 3), {"recipe": "hadamard"}, "needs a power of two"),
        (normal(1, 2), normal(16385, 2), normal(16385, 2), {}, "K and V must have at most k_max = 16384 tokens"),
        (normal(2, 3).astype(float), normal(4, 3), normal(4, 3), {}, "^Q: dtype float64; attention needs float32 val"),
        (normal(2, 3), np.ones((4, 3), "u1"), normal(4, 3), {}, "^K: dtype uint8; attention needs float32 values$"),
        (normal(2, 3), normal(4, 3), np.full((4, 3), np.nan, "f4"), {}, "^V: has NaN or Inf; a scale needs finite val"),
    ],
)
def test_attention_refuses(q, k, v, options, message):
    with pytest.raises(InputError, match=message):
        attend(q, k, v, **options)


def test_decoded_codes_are_what_the_oracle_says():
    """The oracle of the recipes and the golden model mean the same formats."""
    for fmt, dtype in ML_DTYPES.items():
        codes = np.arange(1 << FORMATS[fmt].bits).astype(code_dtype(fmt))
        theirs = codes.view(dtype).astype(np.float32)
        assert np.array_equal(decode(codes, fmt), theirs, equal_nan=True)
