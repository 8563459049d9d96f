"""exp, reciprocal and rsqrt: against MPFR, against the specification read once more, over all float32 numbers."""

from fractions import Fraction

import gmpy2
import numpy as np
import pytest

from arch.functions import FUNCTIONS, INDEX_BITS, LOG2_E, LOG2_E_BITS, OFFSET_BITS, SQUARE_BITS, VALUE_BITS, segments
from golden.numerics import functions

NAN = 0x7FC00000
EXACT = {"exp": gmpy2.exp, "reciprocal": lambda x: 1 / x, "rsqrt": gmpy2.rec_sqrt}
FLOAT64 = {"exp": np.exp, "reciprocal": np.reciprocal, "rsqrt": lambda x: 1 / np.sqrt(x)}
#: The largest errors, in ulp, that the slow test measures over all 2**32 arguments.
LARGEST = {"exp": 0.72, "reciprocal": 0.73, "rsqrt": 0.79}


def bits(values):
    return np.asarray(values, np.float32).view(np.uint32)


def floats(codes):
    return np.asarray(codes, np.uint32).view(np.float32)


def errors(results, exact):
    """Distances in ulp of the result's binade, subnormals' below the least normal number; 0 where not finite."""
    finite = np.isfinite(results) & np.isfinite(exact)
    exact = np.where(finite, exact, 1.0)
    exponents = np.maximum(np.frexp(exact)[1] - 1, -126)
    return np.where(finite, np.abs(results.astype(np.float64) - exact) / np.exp2(exponents - 23.0), 0.0)


def sample(seed, count):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    edges = [0, 1, 0x007FFFFF, 0x00800000, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000]
    powers = np.arange(0, 0x7F800000, 0x00800000, dtype=np.int64)
    # Where exp overflows, becomes subnormal and becomes zero, and where the interpolator's segments meet.
    turns = bits([88.72284, 87.33655, 103.27893, 103.97208, 128.0]).astype(np.int64)
    segment_ends = 0x3F800000 + (np.arange(512, dtype=np.int64) << 15)
    near = np.concatenate([edges, powers, turns, segment_ends])
    near = np.unique(np.clip(np.concatenate([near - 1, near, near + 1]), 0, 0x7FFFFFFF)).astype(np.uint32)
    some = rng.integers(bits(2.0**-30), bits(128.0), count, dtype=np.uint32)
    codes = np.concatenate([near, some, rng.integers(0, 1 << 31, count, dtype=np.uint32)])
    return floats(np.concatenate([codes, codes | np.uint32(1 << 31)]))


def interpolated(name, index, offset):
    """The specification once more, in Fractions: the value, a multiple of ``2**-(VALUE_BITS + 6)``."""
    constant, slope, curve = segments(name)[index]
    unit, square = Fraction(1, 2 ** (VALUE_BITS + 6)), (offset >> OFFSET_BITS - SQUARE_BITS) ** 2
    terms = (
        Fraction(constant << 6),
        Fraction(slope * offset << 6, 1 << OFFSET_BITS),
        Fraction(curve * square << 6, 1 << 2 * SQUARE_BITS),
    )
    return sum(term.__floor__() for term in terms) * unit


def specified(name, x):
    """A result in Fractions, for arguments that have a finite one that is no zero."""
    value = Fraction(float(x))
    if name == "exp":
        scaled = abs(value) * Fraction(LOG2_E, 2**LOG2_E_BITS) * 2 ** (INDEX_BITS + OFFSET_BITS)
        units = (scaled + Fraction(1, 2)).__floor__() * (1 if value > 0 else -1)
        octave, place = divmod(units, 1 << INDEX_BITS + OFFSET_BITS)
        return interpolated(name, *divmod(place, 1 << OFFSET_BITS)) * Fraction(2) ** (octave + 1)
    exponent = abs(value).numerator.bit_length() - abs(value).denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    if name == "rsqrt":
        exponent -= exponent % 2
    place = abs(value) / Fraction(2) ** exponent - 1
    if name == "reciprocal":
        units = int(place * (1 << INDEX_BITS + OFFSET_BITS))
        magnitude = interpolated(name, *divmod(units, 1 << OFFSET_BITS)) / Fraction(2) ** exponent
        return magnitude if value > 0 else -magnitude
    half = 1 << INDEX_BITS - 1
    octave = int(place >= 1)
    units = int((place if not octave else (place - 1) / 2) * half * (1 << OFFSET_BITS))
    index, offset = divmod(units, 1 << OFFSET_BITS)
    return interpolated(name, octave * half + index, offset) / Fraction(2) ** (exponent // 2)


def nearest(value):
    """The float32 number nearest to a Fraction, ties to even, by MPFR."""
    context = gmpy2.ieee(32)
    with gmpy2.context(context):
        return np.float32(float(gmpy2.mpfr(gmpy2.mpq(value.numerator, value.denominator))))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_bits_are_those_of_the_specification(name):
    x = sample(3, 3000)
    got = getattr(functions, name)(x)
    finite = np.flatnonzero(np.isfinite(got) & (got != 0) & np.isfinite(x))
    assert len(finite) > 3000
    for i in finite:
        assert bits(got[i]) == bits(nearest(specified(name, x[i]))), (name, x[i].hex())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_faithful_against_mpfr(name):
    x = sample(4, 4000)
    got = getattr(functions, name)(x)
    with gmpy2.context(precision=100, emin=-10000, emax=10000):
        for value, result in zip(x, got, strict=True):
            if np.isnan(result) or np.isinf(result) or not np.isfinite(value):
                continue
            exact = EXACT[name](gmpy2.mpfr(float(value)))
            exponent = max(gmpy2.get_exp(exact) - 1, -126) if exact else -126
            error = abs(gmpy2.mpfr(float(result)) - exact) * gmpy2.exp2(23 - exponent)
            assert error <= LARGEST[name], (value.hex(), result.hex(), float(error))


@pytest.mark.parametrize(
    ("name", "argument", "result"),
    [
        ("exp", 0x00000000, 0x3F800000),
        ("exp", 0x80000000, 0x3F800000),
        ("exp", 0x00000001, 0x3F800000),
        ("exp", 0x7F800000, 0x7F800000),
        ("exp", 0xFF800000, 0x00000000),
        ("exp", 0x42B17218, 0x7F800000),  # 88.72284, just too large
        ("exp", 0x42B17217, 0x7F7FFF84),
        ("exp", 0xC2CFF1B5, 0x00000000),  # -103.97208, just below half the least number
        ("exp", 0xC2CFF1B4, 0x00000001),
        ("exp", 0xFFC00001, NAN),
        ("exp", 0x7F800001, NAN),
        ("reciprocal", 0x00000000, 0x7F800000),
        ("reciprocal", 0x80000000, 0xFF800000),
        ("reciprocal", 0x7F800000, 0x00000000),
        ("reciprocal", 0xFF800000, 0x80000000),
        ("reciprocal", 0x00000001, 0x7F800000),
        ("reciprocal", 0x00200000, 0x7F800000),  # 2**-128
        ("reciprocal", 0x80400000, 0xFF000000),  # -2**-127
        ("reciprocal", 0x7F000000, 0x00400000),  # 2**127
        ("reciprocal", 0x7F7FFFFF, 0x00200000),
        ("reciprocal", 0xFFFFFFFF, NAN),
        ("rsqrt", 0x00000000, 0x7F800000),
        ("rsqrt", 0x80000000, 0xFF800000),
        ("rsqrt", 0x80000001, NAN),
        ("rsqrt", 0xFF800000, NAN),
        ("rsqrt", 0x7F800000, 0x00000000),
        ("rsqrt", 0x00000001, 0x64B504F3),
        ("rsqrt", 0x7FFFFFFF, NAN),
    ],
)
def test_corners(name, argument, result):
    assert bits(getattr(functions, name)(floats([argument])))[0] == result


def test_powers_of_two_are_hit():
    exponents = np.arange(-126, 127)
    powers = np.exp2(exponents).astype(np.float32)
    assert np.array_equal(functions.reciprocal(powers), np.exp2(-exponents).astype(np.float32))
    even = exponents[exponents % 2 == 0]
    assert np.array_equal(functions.rsqrt(np.exp2(even).astype(np.float32)), np.exp2(-even // 2).astype(np.float32))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_and_views(name):
    x = np.linspace(0.5, 3, 24, dtype=np.float32).reshape(2, 3, 4)
    function = getattr(functions, name)
    assert np.array_equal(function(x[:, ::-1, ::2]), function(x)[:, ::-1, ::2])
    assert function(np.float32(1)).shape == () and function(np.zeros((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_refused(name):
    function = getattr(functions, name)
    with pytest.raises(TypeError, match=r"x must be a float32 array, not float64"):
        function(np.ones(3))
    with pytest.raises(TypeError, match=r"x must be a float32 array, not float"):
        function(1.0)
    with pytest.raises(TypeError, match=r"x must be a plain array, not a masked one"):
        function(np.ma.masked_equal(np.float32([1, 2]), 2))


def test_tables():
    """Every coefficient fits the bits that hardware gives it, and no other function has a table."""
    for name in FUNCTIONS:
        table = segments(name)
        assert len(table) == 1 << INDEX_BITS
        for constant, slope, curve in table:
            assert 0 <= constant - (1 << VALUE_BITS - 1) < 1 << 27 and -(1 << 19) <= slope < 1 << 19
            assert 0 <= curve < 1 << 12
    with pytest.raises(ValueError, match=r"function must be one of exp, reciprocal, rsqrt, not 'tanh'"):
        segments("tanh")


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument(name):
    """Over all 2**32: within the largest error stated, NaN and overflow as IEEE's nearest would, never turning back."""
    chunk, largest = 1 << 22, 0.0
    function, exact_of = getattr(functions, name), FLOAT64[name]
    rises = {"exp": (True, False), "reciprocal": (False, True), "rsqrt": (False, False)}[name]
    for sign, rise in enumerate(rises):
        before = None
        for start in range(0, 1 << 31, chunk):
            codes = np.arange(start, start + chunk, dtype=np.uint32) | np.uint32(sign << 31)
            x = floats(codes)
            with np.errstate(all="ignore"):
                results, exact = function(x), exact_of(x.astype(np.float64))
                assert np.array_equal(np.isnan(results), np.isnan(exact))
                assert np.array_equal(np.isinf(results), np.isinf(exact.astype(np.float32)))
            assert (bits(results)[np.isnan(results)] == NAN).all()
            largest = max(largest, float(errors(results, exact).max()))
            numbers = results[~np.isnan(results)]
            if before is not None:
                numbers = np.concatenate([before, numbers])
            ahead, behind = numbers[1:], numbers[:-1]
            assert (ahead >= behind if rise else ahead <= behind).all(), f"{name} turns back after {x[0]}"
            before = numbers[-1:]
    print(f"{name}: largest error {largest:.3f} ulp")
    assert largest <= LARGEST[name]
