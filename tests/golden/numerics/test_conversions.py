"""Conversions against ml_dtypes on every kind of float32, and against Fractions on every rounding boundary."""

import math
from dataclasses import replace
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from arch.formats import BF16, E4M3, E5M2, FORMATS, FP32, Format
from golden.numerics import conversions as formats
from golden.numerics.conversions import (
    code_dtype,
    decode,
    decode_block,
    encode,
    known_format,
    resolve,
    unit_rule,
    value_rule,
)
from golden.numerics.scalar import exact_value, is_negative, round_value

ORACLES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "bf16": ml_dtypes.bfloat16}
SEED = 20240607
SPECIALS = np.array(
    [0x0, 0x1, 0x7FFFFF, 0x800000, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF],
    np.uint32,
)


def all_codes(fmt):
    return np.arange(1 << fmt.bits, dtype=code_dtype(fmt))


def boundaries(fmt):
    """float32 bits of every number of a format, every midpoint, the overflow threshold, and all their neighbours."""
    numbers = decode(np.arange(fmt.max_code + 1, dtype=code_dtype(fmt)), fmt).astype(np.float64)
    beyond = 2 * numbers[-1] - numbers[-2]
    midpoints = (numbers + np.append(numbers[1:], beyond)) / 2
    with np.errstate(over="ignore"):
        bits = np.concatenate([numbers, midpoints, [beyond]]).astype(np.float32).view(np.uint32)
    bits = np.unique(np.concatenate([bits, bits + 1, np.maximum(bits, 1) - 1, SPECIALS]))
    return np.concatenate([bits, bits | 0x80000000]).astype(np.uint32)


def assert_matches_ml_dtypes(bits, fmt):
    codes = encode(bits.view(np.float32), fmt, saturate=False)
    # A sign of the oracle's NaN is the one difference.
    with np.errstate(invalid="ignore", over="ignore"):
        expected = bits.view(np.float32).astype(ORACLES[fmt.name]).view(code_dtype(fmt))
    magnitude = expected & ((1 << fmt.bits - 1) - 1)
    special = magnitude > fmt.max_code
    special &= magnitude != fmt.inf if fmt.has_inf else True
    expected = np.where(special, fmt.nan, expected)
    wrong = np.flatnonzero(codes != expected)
    assert wrong.size == 0, f"{bits[wrong[0]]:#010x}: {codes[wrong[0]]:#x}, not {expected[wrong[0]]:#x}"


@pytest.mark.parametrize("fmt", [E4M3, E5M2, BF16], ids=lambda f: f.name)
class TestOracle:
    def test_decode_every_code(self, fmt):
        codes = all_codes(fmt)
        expected = codes.view(ORACLES[fmt.name]).astype(np.float32)
        bits = np.where(np.isnan(expected), np.uint32(FP32.nan), expected.view(np.uint32))
        assert np.array_equal(decode(codes, fmt).view(np.uint32), bits)

    def test_round_trip(self, fmt):
        codes = all_codes(fmt)
        codes = codes[np.isfinite(decode(codes, fmt))]
        assert np.array_equal(encode(decode(codes, fmt), fmt), codes)

    def test_encode_boundaries(self, fmt):
        assert_matches_ml_dtypes(boundaries(fmt), fmt)

    def test_encode_random_bits(self, fmt):
        print(f"seed {SEED}")
        assert_matches_ml_dtypes(np.random.default_rng(SEED).integers(0, 1 << 32, 1 << 21, dtype=np.uint32), fmt)

    def test_encode_gaussian(self, fmt):
        print(f"seed {SEED}")
        values = np.random.default_rng(SEED).standard_normal(1 << 18, dtype=np.float32)
        assert_matches_ml_dtypes(values.view(np.uint32), fmt)

    def test_saturation_changes_overflow_only(self, fmt):
        values = boundaries(fmt).view(np.float32)
        saturated, plain = encode(values, fmt), encode(values, fmt, saturate=False)
        over = (np.abs(values) > fmt.max_value) & (plain != saturated)
        assert over.any() and np.isinf(values[over]).any()
        assert np.array_equal(decode(saturated[over], fmt), np.copysign(np.float32(fmt.max_value), values[over]))
        assert np.array_equal(saturated[~over], plain[~over])
        assert (saturated[np.isnan(values)] == fmt.nan).all()

    @pytest.mark.slow
    def test_encode_every_float32(self, fmt):
        for high in range(1 << 10):
            assert_matches_ml_dtypes(np.arange(high << 22, (high + 1) << 22, dtype=np.uint64).astype(np.uint32), fmt)


def test_fp32_keeps_inf():
    """Nothing is converted, so nothing saturates."""
    values = np.array([np.inf, -np.inf, FP32.max_value, -0.0], np.float32)
    for saturate in (True, False):
        assert np.array_equal(encode(values, "fp32", saturate=saturate), values.view(np.uint32))


# To fp32 nothing saturates: the test above.
@pytest.mark.parametrize(
    ("fmt", "saturate"),
    [(fmt, saturate) for fmt in FORMATS.values() for saturate in (False, True) if not (fmt is FP32 and saturate)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_three_ways(fmt, saturate):
    """Compiled, in plain Python, and by Fractions."""
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    bits = rng.integers(0, 1 << 32, 1000, dtype=np.uint32) if fmt is FP32 else boundaries(fmt)
    bits = np.concatenate([bits if bits.size < 5000 else rng.choice(bits, 2000), SPECIALS])
    codes = encode(bits.view(np.float32), fmt, saturate=saturate)
    expected = [
        round_value(exact_value(int(b), FP32), fmt, saturate=saturate, negative=is_negative(int(b), FP32)) for b in bits
    ]
    assert codes.tolist() == expected
    interpreted = np.empty_like(codes)
    with np.errstate(all="ignore"):
        formats._encoder(fmt, saturate).py_func(bits, interpreted)
    assert np.array_equal(interpreted, codes)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_decode_three_ways(fmt):
    print(f"seed {SEED}")
    codes = np.random.default_rng(SEED).integers(0, 1 << fmt.bits, 1000, dtype=code_dtype(fmt))
    values = decode(codes, fmt)
    expected = [round_value(exact_value(int(c), fmt), FP32, negative=is_negative(int(c), fmt)) for c in codes]
    assert values.view(np.uint32).tolist() == expected
    interpreted = np.empty((1, 1, codes.size), np.float32)
    with np.errstate(all="ignore"):
        decode_block.py_func(codes.reshape(1, -1), 0, 0, value_rule(fmt), interpreted)
    assert np.array_equal(interpreted.view(np.uint32).reshape(-1), values.view(np.uint32))


def test_decoding_pads_with_zeros():
    codes = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    panels = np.full((3, 4, 2), np.nan, np.float32)
    decode_block(codes, 1, 1, value_rule(E4M3), panels)
    expected = np.zeros((4, 6), np.uint8)
    expected[:2, :3] = codes[1:, 1:]
    assert np.array_equal(panels, decode(expected, E4M3).reshape(4, 3, 2).transpose(1, 0, 2))


@pytest.mark.parametrize("fmt", [E4M3, E5M2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("interpreted", [False, True])
def test_units(fmt, dtype, interpreted):
    """Every code as an integer, within any bounds, two panels wide."""
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for least, most, drop in ((0, fmt.max_code, 0), (64, fmt.max_code, 3), (3, 63, 0)):
        panels = np.full((2, 16, 8), np.nan, dtype)
        with np.errstate(all="ignore"):
            (decode_block.py_func if interpreted else decode_block)(
                codes, 0, 0, unit_rule(fmt, least, most, drop), panels
            )
        unit = Fraction(2) ** (fmt.lsb_exp + drop)
        expected = [exact_value(c, fmt) / unit if least <= c & 0x7F <= most else 0 for c in range(256)]
        assert panels.transpose(1, 0, 2).reshape(-1).tolist() == expected


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3, 4)])
def test_shapes(shape):
    codes = encode(np.ones(shape, np.float32), "e5m2")
    assert codes.shape == shape and codes.dtype == np.uint8
    values = decode(codes, "e5m2")
    assert values.shape == shape and values.dtype == np.float32 and (values == 1).all()


def test_strided_input():
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert np.array_equal(encode(values.T[::2], "e4m3"), encode(values, "e4m3").T[::2])
    codes = encode(values, "bf16")
    assert np.array_equal(decode(codes.T[::2], BF16), values.T[::2])


def test_resolve():
    assert resolve("e4m3") is E4M3 and resolve(E5M2) is E5M2
    assert code_dtype("bf16") == np.uint16 and code_dtype(FP32) == np.uint32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exp_bits": 2, "man_bits": 1}, "codes of 8, 16 or 32 bits, not 4 as own"),
        ({"exp_bits": 5, "man_bits": 6}, "codes of 8, 16 or 32 bits, not 12 as own"),
        ({"exp_bits": 7, "man_bits": 0}, "1 to 23 bits of mantissa, and an exponent, not Format"),
        ({"exp_bits": 7, "man_bits": 24}, "1 to 23 bits of mantissa, and an exponent, not Format"),
        ({"exp_bits": 0, "man_bits": 7}, "1 to 23 bits of mantissa, and an exponent, not Format"),
        ({"bias": 128}, "a bias of 0 to 127 and no exponent above float32's, not Format"),
        ({"bias": -1}, "a bias of 0 to 127 and no exponent above float32's, not Format"),
        ({"exp_bits": 8, "man_bits": 7, "bias": 127}, "a bias of 0 to 127 and no exponent above float32's, not Format"),
        ({"nan": 0x7E}, "a positive code for NaN that no number has, not Format"),
        ({"nan": 0xFF}, "a positive code for NaN that no number has, not Format"),
        ({"has_inf": True, "nan": 0x78}, "a positive code for NaN that no number has, not Format"),
    ],
)
def test_formats_that_do_not_convert_are_refused(change, message):
    fmt = replace(E4M3, name="own", **change)
    for call in (
        lambda: encode(np.ones(3, np.float32), fmt),
        lambda: decode(np.ones(3, np.uint8), fmt),
        lambda: code_dtype(fmt),
    ):
        with pytest.raises(ValueError, match=f"format must have {message}"):
            call()


def own_formats():
    """Formats that are none of the project's, at the ends of what is taken."""
    for exp_bits, man_bits in ((1, 6), (4, 3), (6, 1), (5, 10), (7, 8)):
        for has_inf in (False, True):
            top = (1 << exp_bits) - 1
            nan = (top << man_bits) + (1 << man_bits) - 1
            fmt = Format(name="own", select=0, exp_bits=exp_bits, man_bits=man_bits, bias=0, has_inf=has_inf, nan=nan)
            biases = {0, top // 2, 127}
            yield from (replace(fmt, bias=bias) for bias in biases)


@pytest.mark.parametrize("fmt", [*own_formats()], ids=str)
def test_formats_of_ones_own_convert_as_the_oracle_says(fmt):
    rng = np.random.default_rng(fmt.bits * 1000 + fmt.exp_bits)
    codes = rng.permutation(1 << fmt.bits)[:256].astype(code_dtype(fmt))
    for code, value in zip(codes.tolist(), decode(codes, fmt).tolist(), strict=True):
        expected = exact_value(code, fmt)
        assert repr(value) == repr(expected) if isinstance(expected, float) else Fraction(value) == expected
    near = decode(codes, fmt).view(np.uint32) + rng.integers(-2, 3, codes.size).astype(np.uint32)
    values = np.concatenate([near, rng.integers(0, 1 << 32, 256, dtype=np.uint32)]).view(np.float32)
    for saturate in (False, True):
        for code, value in zip(encode(values, fmt, saturate=saturate).tolist(), values.tolist(), strict=True):
            exact = value if math.isnan(value) or math.isinf(value) else Fraction(value)
            negative = math.copysign(1, value) < 0
            assert code == round_value(exact, fmt, saturate=saturate, negative=negative), value


def test_another_format_of_a_known_name_is_no_operand_format():
    other = replace(E4M3, bias=8)
    with pytest.raises(ValueError, match=r"x_format must be .*, not another format of that name"):
        known_format("x_format", other, ("e4m3",))
    with pytest.raises(ValueError, match="x_format must be one of e4m3, not 'e5m2'"):
        known_format("x_format", E5M2, ("e4m3",))
    assert known_format("x_format", "e4m3", ("e4m3",)) is known_format("x_format", E4M3, ("e4m3",)) is E4M3


def test_errors():
    values = np.ones(3, np.float32)
    with pytest.raises(TypeError, match="values must be float32, not float64"):
        encode(values.astype(np.float64), "e4m3")
    with pytest.raises(TypeError, match="values must be float32, not float16"):
        encode(values.astype(np.float16), "e4m3")
    with pytest.raises(ValueError, match="format must be one of fp32, bf16, e4m3, e5m2, not 'fp8'"):
        encode(values, "fp8")
    with pytest.raises(ValueError, match=r"format must be one of .*, not 'int8'"):
        decode(np.zeros(3, np.uint8), "int8")
    with pytest.raises(ValueError, match=r"format must be one of .*, not 8"):
        code_dtype(8)
    with pytest.raises(TypeError, match="codes must be uint8 codes of e4m3, not int8"):
        decode(np.zeros(3, np.int8), "e4m3")
    with pytest.raises(TypeError, match="codes must be uint16 codes of bf16, not uint8"):
        decode(np.zeros(3, np.uint8), "bf16")
