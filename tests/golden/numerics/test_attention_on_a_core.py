"""That a core's instructions, one after the other as docs/attention.md lists them, give golden.attention's bits."""

import numpy as np
import pytest
from operands import FP8_PAIRS, case

from arch.formats import FORMATS
from golden.numerics import functions
from golden.numerics.attention import attention
from golden.numerics.conversions import decode, encode
from golden.numerics.gemm import gemm
from golden.numerics.kv_cache import KVCache
from golden.numerics.quantize import quantize

f32 = np.float32
LN_256, TINY, INF = f32(5.545177459716796875), f32(2.0**-126), f32(np.inf)
#: One over the largest number of a format.
INVERSE = {"e4m3": f32(1 / 448), "e5m2": f32(1 / 57344)}
INVERSE_SQRT_64 = f32(0.125)
#: Added to any number, -0 leaves it what it is.
NO_BIAS = f32(-0.0)

OPERATIONS = {
    "multiply": np.multiply,
    "max": np.maximum,
    "subtract from": lambda x, a: a - x,
}


def vector(x, *operations, seen=None, fmt=None):
    """``y = (x op0 a) op1 b``, its masked elements -Inf, in a format if one is named."""
    assert len(operations) in (1, 2)
    for name, operand in operations:
        assert np.shape(operand) in ((), (len(x), 1), (1, x.shape[1]))
        x = OPERATIONS[name](x, operand)
    if seen is not None:
        x = np.where(seen, x, -INF)
    assert x.dtype == np.float32
    return x if fmt is None else encode(x, fmt)


def scalar(function, x, bias=NO_BIAS, fmt=None):
    """``y = f(x * 1 + bias)``, the sum a rounding."""
    assert np.shape(bias) in ((), (len(x), 1))
    y = getattr(functions, function)(x + bias)
    return y if fmt is None else encode(y, fmt)


def quantized(x, fmt):
    """Codes of rows with a scale for each, and the scales."""
    amax = np.abs(x).max(axis=1, keepdims=True)
    scale = vector(amax, ("multiply", INVERSE[fmt]), ("max", TINY))
    inverse = scalar("reciprocal", scale)
    return vector(x, ("multiply", inverse), fmt=fmt), scale


def core_head(q, k, v, recipe, formats, accumulation, causal, given):
    """A head's output from its q, k and v, in float32; ``given`` are the scales known beforehand."""
    x_format, w_format = formats
    q_scale, k_scale, v_scale = given
    if recipe == "per-token":
        q, q_scale = quantized(q, x_format)
        k, k_scale = quantized(k, w_format)
        factor, k_scale = vector(q_scale, ("multiply", INVERSE_SQRT_64)), k_scale.T
    else:
        factor = q_scale * INVERSE_SQRT_64
        q, k = (
            vector(x, ("multiply", functions.reciprocal(scale)), fmt=fmt)
            for x, scale, fmt in ((q, q_scale, x_format), (k, k_scale, w_format))
        )
    v = vector(v, ("multiply", functions.reciprocal(v_scale)), fmt=w_format)

    def matmul(x, w):
        return gemm(x, w, x_format=x_format, w_format=w_format, accumulation=accumulation)

    queries, keys = len(q), len(k)
    seen = np.tri(queries, keys, keys - queries if causal else keys, dtype=bool)
    scores = vector(matmul(q, k.T.copy()), ("multiply", factor), ("multiply", k_scale), seen=seen)
    largest = scores.max(axis=1, keepdims=True)
    bias = vector(largest, ("subtract from", LN_256))
    numerators = scalar("exp", scores, bias=bias, fmt=x_format)
    ones = encode(np.ones((keys, 1), f32), w_format)
    sums = matmul(numerators, np.hstack([ones, v]))
    inverse = scalar("reciprocal", sums[:, :1])
    return vector(sums[:, 1:], ("multiply", inverse), ("multiply", v_scale))


def check(q, k, v, recipe, formats, accumulation, causal, scales):
    """Compare every head; ``scales`` are q's, k's and v's where they are known beforehand."""
    names = {"per-tensor": ("q_scale", "k_scale", "v_scale"), "per-token": ("v_scale",)}[recipe]
    options = dict(zip(("q_scale", "k_scale", "v_scale"), scales, strict=True))
    expected = attention(
        q, k, v, recipe=recipe, x_format=formats[0], w_format=formats[1], accumulation=accumulation, causal=causal,
        **{name: options[name] for name in names},
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        for head, out in enumerate(expected):
            of = head // (len(q) // len(k))
            given = scales[0][head], scales[1][of], scales[2][of][None]
            got = core_head(q[head], k[of], v[of], recipe, formats, accumulation, causal, given)
            nan = np.isnan(out)
            assert np.array_equal(np.isnan(got), nan)
            np.testing.assert_array_equal(got.view(np.uint32)[~nan], out.view(np.uint32)[~nan])
            assert (out.view(np.uint32)[nan] == 0x7FC00000).all()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("recipe", ["per-tensor", "per-token"])
@pytest.mark.parametrize("formats", FP8_PAIRS, ids="-".join)
@pytest.mark.parametrize("accumulation", ["exact", "fp32"])
def test_fp8(formats, accumulation, recipe, causal):
    q, k, v = case(30, queries=6, tokens=23)
    q[0, 0], k[0, 1], v[0, :, 2] = 0, 0, 0
    q[1], k[1] = q[1] * f32(20), k[1] * f32(20)
    q[2], k[0, 2:4] = q[2] * f32(1e-37), k[0, 2:4] * f32(1e-36)
    rng = np.random.default_rng(31)
    scales = [rng.uniform(0.003, 0.03, shape).astype(f32) for shape in (4, 2, (2, 64))]
    check(q, k, v, recipe, formats, accumulation, causal, scales)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", [1, 30, 1e19])
def test_bf16(size, causal):
    """With scores up to those that float32 does not hold: NaN, in the same places."""
    q, k, v = case(32, queries=6, tokens=23)
    q, k = q * f32(size), k * f32(size)
    ones = [np.ones(shape, f32) for shape in (4, 2, (2, 64))]
    check(q, k, v, "per-tensor", ("bf16", "bf16"), "fp32", causal, ones)


@pytest.mark.parametrize("fmt", INVERSE)
def test_codes_of_numbers_half_way_between_two(fmt):
    """Where an ulp of a scale, or a division in the place of a reciprocal, shows in the codes."""
    print("seed 33")
    numbers = decode(np.arange(FORMATS[fmt].max_code + 1, dtype=np.uint8), fmt)
    scales = np.random.default_rng(33).uniform(0.003, 0.03, (200, 1)).astype(f32)
    x = np.hstack([numbers[-1:], (numbers[1:] + numbers[:-1]) / 2]) * scales
    codes, scale = quantized(x, fmt)
    expected = quantize(x, fmt, recipe="per-token")
    np.testing.assert_array_equal(scale, expected.scale)
    np.testing.assert_array_equal(codes, expected.codes)
    assert (encode(x / scale, fmt) != codes).any() and (np.abs(x[:, :1]) / numbers[-1] != scale).any()
    cache = KVCache(w_format=fmt, k_scale=scales[:, 0], v_scale=np.tile(scales, x.shape[1]))
    cache.append(x[:, None], x[:, None])
    codes = vector(x, ("multiply", functions.reciprocal(scales)), fmt=fmt)
    np.testing.assert_array_equal(codes, cache.k_codes[:, 0])
    np.testing.assert_array_equal(codes, cache.v_codes[:, 0])
    assert (encode(x / scales, fmt) != codes).any()
