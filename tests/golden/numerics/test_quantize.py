"""Scales and recipes against the definition, value by value."""

import numpy as np
import pytest

from arch.formats import E4M3, FORMATS, FP32
from golden.numerics.conversions import decode, encode
from golden.numerics.functions import reciprocal
from golden.numerics.quantize import RECIPES, Quantized, dequantize, quantize

SEED = 11
FORMAT_NAMES = ("e4m3", "e5m2")
#: The float32 numbers nearest to one over the largest ones.
INVERSE = {"e4m3": np.float32(float.fromhex("0x1.24924ap-9")), "e5m2": np.float32(float.fromhex("0x1.24924ap-16"))}


def bit_patterns(generator, shape):
    """Random finite float32 bit patterns: every exponent is as likely."""
    bits = generator.integers(0, 1 << 32, shape, dtype=np.uint32)
    values = bits.view(np.float32)
    return np.where(np.isfinite(values), values, np.float32(1))


def rng():
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


def groups(shape, recipe, axis, block):
    """int[shape]: a number for each set of values that share a scale, straight from the definition."""
    index = list(np.indices(shape))
    if recipe == "per-tensor":
        return np.zeros(shape, int)
    index[axis] = index[axis] // block if recipe == "per-block" else np.zeros(shape, int)
    return np.ravel_multi_index(index, shape)


CASES = [
    ("per-tensor", None, 128),
    ("per-token", None, 128),
    ("per-token", 0, 128),
    ("per-channel", None, 128),
    ("per-block", None, 4),
    ("per-block", None, 128),
    ("per-block", 1, 3),
    ("per-block", -3, 1),
]


@pytest.mark.parametrize("data", ["bits", "gaussian"])
@pytest.mark.parametrize("fmt", FORMAT_NAMES)
@pytest.mark.parametrize("recipe, axis, block", CASES)
def test_definition(fmt, recipe, axis, block, data):
    generator = rng()
    shape = (3, 7, 10)
    values = bit_patterns(generator, shape)
    if data == "gaussian":
        values = generator.standard_normal(shape).astype(np.float32)
    quantized = quantize(values, fmt, recipe=recipe, axis=axis, block=block)
    assert quantized.scale.dtype == np.float32 and quantized.codes.shape == shape
    axis = {"per-channel": 1}.get(recipe, 2) if axis is None else axis
    group = groups(shape, recipe, axis, block)
    scales = np.broadcast_to(quantized.expanded_scale, shape)
    for number in np.unique(group):
        members = group == number
        scale = np.abs(values[members]).max() * INVERSE[fmt]
        assert (scales[members] == max(scale, np.float32(2.0**-126))).all()
    assert np.array_equal(quantized.codes, encode(values * reciprocal(scales), fmt))
    assert np.array_equal(dequantize(quantized), decode(quantized.codes, fmt) * scales)


@pytest.mark.parametrize(
    "recipe, shape",
    [("per-tensor", (1, 1)), ("per-token", (6, 1)), ("per-channel", (1, 300)), ("per-block", (6, 3))],
)
def test_scale_shapes(recipe, shape):
    quantized = quantize(np.ones((6, 300), np.float32), recipe=recipe)
    assert quantized.scale.shape == shape and quantized.fmt is E4M3
    assert np.array_equal(dequantize(quantized), np.ones((6, 300), np.float32))
    assert recipe in RECIPES


@pytest.mark.parametrize("fmt", FORMAT_NAMES)
def test_largest_value_meets_the_format(fmt):
    """Wherever the scale is normal: the roundings never saturate or fall short."""
    values = np.abs(bit_patterns(rng(), (4096, 1)))
    values = values[values > FORMATS[fmt].max_value * 2.0**-126].reshape(-1, 1)
    quantized = quantize(values, fmt, recipe="per-token")
    assert (quantized.codes == FORMATS[fmt].max_code).all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_zeros(recipe):
    quantized = quantize(np.zeros((4, 8), np.float32), recipe=recipe)
    assert (quantized.scale == 1).all() and not quantized.codes.any()


@pytest.mark.parametrize("fmt", FORMAT_NAMES)
def test_tiny_values(fmt):
    """A subnormal scale is replaced by 2**-126; the error stays below half a subnormal's unit."""
    values = rng().integers(0, 1 << 20, (50, 6), dtype=np.uint32).view(np.float32)
    quantized = quantize(values, fmt, recipe="per-token")
    assert (quantized.scale == np.float32(2.0**-126)).all()
    error = np.abs(dequantize(quantized).astype(np.float64) - values)
    exact_unit = 2.0 ** (FORMATS[fmt].lsb_exp - 126)
    relative = values.astype(np.float64) * 2.0 ** -(FORMATS[fmt].man_bits + 1)
    # Half a unit of the code, and half of fp32's own smallest unit for the last multiplication.
    assert (error <= np.maximum(exact_unit / 2, relative) + 2.0**-150).all()


def test_bf16_is_not_scaled():
    values = bit_patterns(rng(), (5, 40))
    quantized = quantize(values, "bf16", recipe="per-block", block=16)
    assert (quantized.scale == 1).all() and np.array_equal(quantized.codes, encode(values, "bf16"))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
def test_empty(recipe, shape):
    quantized = quantize(np.zeros(shape, np.float32), recipe=recipe)
    assert quantized.codes.shape == shape and dequantize(quantized).shape == shape


def test_one_dimension():
    values = np.array([1, -2, 3], np.float32)
    assert quantize(values, recipe="per-token").scale.shape == (1,)
    assert isinstance(quantize(values, recipe="per-block", block=2), Quantized)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(recipe, bad):
    values = np.ones((3, 5), np.float32)
    values[1, 2] = bad
    with pytest.raises(ValueError, match=rf"values must be finite, not {'nan' if np.isnan(bad) else 'inf'}"):
        quantize(values, recipe=recipe)


def test_errors():
    values = np.ones((3, 5), np.float32)
    with pytest.raises(TypeError, match="values must be float32, not float64"):
        quantize(values.astype(np.float64))
    with pytest.raises(ValueError, match="format must be one of fp32, bf16, e4m3, e5m2, not 'int8'"):
        quantize(values, "int8")
    with pytest.raises(ValueError, match="format must be narrower than fp32, not fp32"):
        quantize(values, FP32)
    with pytest.raises(
        ValueError, match="recipe must be one of per-tensor, per-token, per-channel, per-block, not 'row'"
    ):
        quantize(values, recipe="row")
    with pytest.raises(ValueError, match="axis must be None for recipe per-tensor, not 0"):
        quantize(values, axis=0)
    with pytest.raises(ValueError, match="axis must name one of 2 dimensions, not 2"):
        quantize(values, recipe="per-token", axis=2)
    with pytest.raises(ValueError, match="axis must name one of 1 dimensions, not -2"):
        quantize(values[0], recipe="per-channel")
    with pytest.raises(TypeError, match=r"block must be an int, not 2\.5"):
        quantize(values, recipe="per-block", block=2.5)
    with pytest.raises(ValueError, match="block must be at least 1, not 0"):
        quantize(values, recipe="per-block", block=0)
