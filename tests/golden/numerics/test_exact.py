"""Exact accumulation against Python integers and Fractions."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from operands import FP8_PAIRS, NAN_BITS, SHAPES, bit_patterns, bits, exact_oracle, gaussian, integer_dot, rng

from arch.formats import E4M3, E5M2, FORMATS, FP32
from golden.numerics import exact
from golden.numerics.conversions import decode, decode_block
from golden.numerics.gemm import gemm
from golden.numerics.panels import BLOCK_K, BLOCK_M, BLOCK_N
from golden.numerics.scalar import exact_value, round_value


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pair", FP8_PAIRS)
@pytest.mark.parametrize("finite", [True, False])
def test_bit_patterns(pair, shape, finite):
    m, k, n = shape
    generator = rng()
    x = bit_patterns(generator, (m, k), pair[0], finite)
    w = bit_patterns(generator, (k, n), pair[1], finite)
    result = gemm(x, w, x_format=pair[0], w_format=pair[1])
    assert np.array_equal(bits(result), exact_oracle(x, w, *pair))


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_specials(pair):
    """Operands that are mostly zero, NaN and Inf: every sticky combination within one sum."""
    generator = rng()
    pool = [[0x00, 0x80, 0x38, 0xB8, *([0x7C, 0xFC, 0x7D] if f == "e5m2" else [0x7F])] for f in pair]
    for k in (1, 2, 3):
        x = generator.choice(pool[0], (40, k)).astype(np.uint8)
        w = generator.choice(pool[1], (k, 50)).astype(np.uint8)
        result = bits(gemm(x, w, x_format=pair[0], w_format=pair[1]))
        assert np.array_equal(result, exact_oracle(x, w, *pair))
        assert NAN_BITS in result and 0 in result


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_every_product(pair):
    codes = np.arange(256, dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        expected = np.multiply.outer(decode(codes, pair[0]), decode(codes, pair[1])) + np.float32(0)
    expected[np.isnan(expected)] = np.uint32(NAN_BITS).view(np.float32)
    for accumulation in ("exact", "fp32"):
        result = gemm(codes[:, None], codes[None], x_format=pair[0], w_format=pair[1], accumulation=accumulation)
        assert np.array_equal(bits(result), bits(expected))


@pytest.mark.parametrize("sign", [0x00, 0x80])
def test_ties(sign):
    """2**24 + 1 lies between two float32 numbers; the smallest product, 2**-32, decides, or evenness."""
    big, one, tiny = 0x6C, 0x3C, 0x01  # 2**12, 1 and 2**-16 in e5m2
    for extra, expected in ((0, 2**24), (tiny, 2**24 + 2), (tiny | 0x80, 2**24)):
        x = np.array([[big, one, extra]], np.uint8) ^ np.array([[sign, sign, sign]], np.uint8)
        w = np.array([[big], [one], [tiny]], np.uint8)
        result = gemm(x, w, x_format="e5m2", w_format="e5m2")
        assert result[0, 0] == (-expected if sign else expected)
        assert np.array_equal(bits(result), exact_oracle(x, w, "e5m2", "e5m2"))


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_cancellation(pair):
    """Sums whose large terms cancel, all but a few of the least."""
    generator = rng()
    x = bit_patterns(generator, (20, 60), pair[0], finite=True)
    w = bit_patterns(generator, (60, 20), pair[1], finite=True)
    x = np.concatenate([x, x ^ 0x80, generator.integers(1, 9, (20, 2), dtype=np.uint8)], axis=1)
    w = np.concatenate([w, w, generator.integers(1, 9, (2, 20), dtype=np.uint8)])
    result = gemm(x, w, x_format=pair[0], w_format=pair[1])
    assert np.array_equal(bits(result), exact_oracle(x, w, *pair))
    zero = gemm(x[:, :120], w[:120], x_format=pair[0], w_format=pair[1])
    assert not bits(zero).any(), "an exactly zero sum is +0"


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_blocks(pair):
    """A size with a ragged edge in every blocked dimension; outputs at the seams and random ones."""
    generator = rng()
    m, k, n = BLOCK_M + 5, 2 * BLOCK_K + 3, BLOCK_N + 7
    x, w = bit_patterns(generator, (m, k), pair[0], True), bit_patterns(generator, (k, n), pair[1], True)
    # A few specials: most outputs stay finite, in every block some do not.
    x[::50, k - 1] = FORMATS[pair[0]].nan
    w[k - 2, ::60] = FORMATS[pair[1]].inf or FORMATS[pair[1]].nan
    result = bits(gemm(x, w, x_format=pair[0], w_format=pair[1]))
    rows = [0, BLOCK_M - 1, BLOCK_M, m - 1, *generator.integers(0, m, 6)]
    cols = [0, BLOCK_N - 1, BLOCK_N, n - 1, *generator.integers(0, n, 6)]
    assert np.array_equal(result[np.ix_(rows, cols)], exact_oracle(x[rows], w[:, cols], *pair))
    reverse = generator.permutation(k)
    assert np.array_equal(bits(gemm(x[:, reverse], w[reverse], x_format=pair[0], w_format=pair[1])), result)


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_long_contraction(pair):
    """Past the K that one float64 sum holds: it rises beyond 2**53, takes an odd part, and comes back."""
    formats = FORMATS[pair[0]], FORMATS[pair[1]]
    plan = exact._plan(*formats)
    for k in (plan.run - 1, plan.run, plan.run + 1, plan.k_limit + 10, BLOCK_K + 1):
        x = np.array([[formats[0].max_code] * k + [1] * 3 + [formats[0].max_code] * k], np.uint8)
        w = np.array([[formats[1].max_code] * k + [1] * 3 + [formats[1].max_code | 0x80] * k], np.uint8).T
        result = bits(gemm(x, w, x_format=pair[0], w_format=pair[1]))
        assert result[0, 0] == round_value(3 * exact_value(1, formats[0]) * exact_value(1, formats[1]), FP32)


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_long_bit_patterns(pair):
    generator = rng()
    k = 2 * exact._plan(E4M3, E4M3).k_limit + 5
    x, w = bit_patterns(generator, (2, k), pair[0], True), bit_patterns(generator, (k, 1), pair[1], True)
    # One row of one sign, so that its sum is as long as can be.
    x[1] = x[1] & 0x7F | w[:, 0] & 0x80
    result = bits(gemm(x, w, x_format=pair[0], w_format=pair[1]))
    assert result[:, 0].tolist() == [round_value(integer_dot(row, w[:, 0], *pair), FP32) for row in x]


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_edges_of_slices_and_runs(pair):
    """The largest numbers, the smallest, and those beside the seam of the slices, in runs that almost cancel."""
    generator = rng()
    pools = [[0, 1, 2, 3, 62, 63, 64, 65, FORMATS[f].max_code - 1, FORMATS[f].max_code] for f in pair]
    x = generator.choice(pools[0], (12, 70)).astype(np.uint8)
    w = generator.choice(pools[1], (70, 13)).astype(np.uint8)
    for signs in (0, 1):  # all of one sign: the longest sums; at random
        x |= (generator.integers(0, 1 + signs, x.shape) << 7).astype(np.uint8)
        assert np.array_equal(bits(gemm(x, w, x_format=pair[0], w_format=pair[1])), exact_oracle(x, w, *pair))
    # Every run of products is followed by its opposite, so that high parts cancel and low ones are left.
    x, w = np.repeat(x, 2, axis=1), np.repeat(w, 2, axis=0)
    x[:, 1:-1:2] ^= 0x80
    assert np.array_equal(bits(gemm(x, w, x_format=pair[0], w_format=pair[1])), exact_oracle(x, w, *pair))


def test_plans():
    """Every slice is of integers, every number is in one, and no sum of the docstrings' lengths can be inexact."""
    assert exact._plan(E4M3, E4M3).k_limit == 171196
    codes = np.arange(256, dtype=np.uint8)
    for x_format, w_format in product((E4M3, E5M2), repeat=2):
        plan = exact._plan(x_format, w_format)
        whole = np.zeros(256)
        for index, part in enumerate(reversed(plan.x)):
            units = np.empty((1, 1, 256))
            decode_block(codes[None], 0, 0, part.rule, units)
            assert (units == np.rint(units)).all() and np.abs(units).max() == part.largest
            assert not (whole.astype(bool) & units.reshape(-1).astype(bool)).any()
            whole += units.reshape(-1) * 2.0 ** (exact._SPLIT * index)
        values = decode(codes, x_format)
        assert np.array_equal(whole, np.where(np.isfinite(values), values, 0) * 2.0**-x_format.lsb_exp)
        low = 2 ** (exact._FOLD - 1)
        assert plan.run >= 2 and plan.run * plan.largest + low <= 2**53 <= 2 ** (exact._FOLD + 51)
        assert low << exact._SPLIT * (len(plan.x) - 1) <= 2**53
        # One term of the whole dot product, at its largest.
        term = int(np.abs(whole).max()) * plan.w.largest
        assert plan.k_max * term + low <= 2 ** (exact._FOLD + 53)
    assert not any(plan.k_max < 3 * 10**8 for plan in (exact._plan(E5M2, E5M2), exact._plan(E4M3, E5M2)))


def test_k_too_long():
    x = np.broadcast_to(np.uint8(1), (1, 1 << 29))
    with pytest.raises(ValueError, match=r"K must be at most \d+ for exact sums of these formats, not 536870912"):
        exact.exact_gemm(x, x.T, E5M2, E5M2)


def folded(values):
    """Integers as ``high, low``: float64[1, H, W] each."""
    low = np.array(
        [[value + (1 << exact._FOLD - 1) & (1 << exact._FOLD) - 1 for value in row] for row in values], object
    )
    low = low - (1 << exact._FOLD - 1)
    return [np.array(part.tolist(), np.float64)[None] for part in (np.array(values, object) - low, low)]


def whole(high, low):
    """The integers back."""
    return [[int(a) + int(b) for a, b in zip(*rows, strict=True)] for rows in zip(high[0], low[0], strict=True)]


def lengths(generator, bits_most, shape):
    """Integers whose lengths vary, so that every alignment of leading bit, last place and low part occurs."""
    values = [int.from_bytes(generator.bytes(16), "little") for _ in range(shape[0] * shape[1])]
    values = [v % (1 << int(generator.integers(0, bits_most))) * (1 - 2 * (v & 1)) for v in values]
    return [values[row * shape[1] : (row + 1) * shape[1]] for row in range(shape[0])]


@pytest.mark.parametrize("interpreted", [False, True])
def test_scale_and_fold(interpreted):
    """A high and a low part against Python integers, compiled and in plain Python."""
    generator = rng()
    kernel = exact._scale_and_fold.py_func if interpreted else exact._scale_and_fold
    values = lengths(generator, exact._FOLD + 36, (6, 32))
    high, low = folded(values)
    assert whole(high, low) == values
    kernel(low, high, 2.0**exact._SPLIT, exact._MAGIC)
    assert whole(high, low) == [[v << exact._SPLIT for v in row] for row in values]
    assert np.abs(low).max() <= 2.0 ** (exact._FOLD - 1) and not (high % 2.0**exact._FOLD).any()


@pytest.mark.parametrize("interpreted", [False, True])
def test_rounds_a_long_sum_once(interpreted):
    """Any lengths, and a float64's last place or less from float32's midpoints: where rounding twice goes wrong."""
    kernel = exact._round_two.py_func if interpreted else exact._round_two
    near = product((2**23, 2**23 + 1, 2**24 - 1), (-1, 0, 1), (-1, 0, 1), (1, -1))
    values = [[sign * ((m << 29 | 1 << 28) + last << 20) + sign * rest for m, last, rest, sign in near]]
    values += lengths(rng(), exact._FOLD + 50, (40, len(values[0])))
    high, low = folded(values)
    out = np.empty(high.shape[1:], np.float32)
    kernel(high, low, 2.0**-32, out)
    assert bits(out).tolist() == [[round_value(Fraction(v, 2**32), FP32) for v in row] for row in values]


def test_gaussian():
    generator = rng()
    x, w = gaussian(generator, (8, 200), "e4m3"), gaussian(generator, (200, 8), "e5m2")
    assert np.array_equal(bits(gemm(x, w, w_format="e5m2")), exact_oracle(x, w, "e4m3", "e5m2"))
