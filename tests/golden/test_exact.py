"""Exact accumulation against Python integers and Fractions."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from operands import FP8_PAIRS, NAN_BITS, SHAPES, bit_patterns, bits, exact_oracle, gaussian, integer_dot, rng

from golden import exact
from golden.formats import decode
from golden.gemm import gemm
from golden.panels import BLOCK_K, BLOCK_M, BLOCK_N
from golden.scalar import exact_value, round_value
from golden.spec.formats import E4M3, E5M2, FORMATS, FP32


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
    for plan in exact._plan(*formats):
        largest = int(plan.x_table.argmax()), int(plan.w_table.argmax())
        k = plan.k_limit + 10
        x = np.array([[largest[0]] * k + [1] * 3 + [largest[0]] * k], np.uint8)
        w = np.array([[largest[1]] * k + [1] * 3 + [largest[1] | 0x80] * k], np.uint8).T
        result = bits(gemm(x, w, x_format=pair[0], w_format=pair[1]))
        assert result[0, 0] == round_value(3 * exact_value(1, formats[0]) * exact_value(1, formats[1]), FP32)


@pytest.mark.parametrize("pair", FP8_PAIRS)
def test_long_bit_patterns(pair):
    generator = rng()
    k = 2 * max(plan.k_limit for plan in exact._plan(FORMATS[pair[0]], FORMATS[pair[1]])) + 5
    x, w = bit_patterns(generator, (2, k), pair[0], True), bit_patterns(generator, (k, 1), pair[1], True)
    # One row of one sign, so that its sum is as long as can be.
    x[1] = x[1] & 0x7F | w[:, 0] & 0x80
    result = bits(gemm(x, w, x_format=pair[0], w_format=pair[1]))
    assert result[:, 0].tolist() == [round_value(integer_dot(row, w[:, 0], *pair), FP32) for row in x]


def test_plans():
    """Every table is exact, no code is counted twice, and the bound of the docstring is the one in use."""
    assert exact._plan(E4M3, E4M3)[0].k_limit == 171196
    for x_format, w_format in product((E4M3, E5M2), repeat=2):
        for plan in exact._plan(x_format, w_format):
            assert (plan.x_table == np.rint(plan.x_table)).all()
            assert plan.k_limit * plan.x_table.max() * plan.w_table.max() <= 2**53
    low, high = exact._parts(E5M2)
    assert not (low.astype(bool) & high.astype(bool)).any()


def test_two_limbs():
    """Folding and rounding against integers, compiled and in plain Python."""
    generator = rng()
    # Lengths of the integers vary, so that every alignment of leading bit, last place and limb occurs.
    parts = [generator.integers(0, 2**53, (2, 6, 16)) >> generator.integers(0, 54, (2, 6, 16)) for _ in range(3)]
    parts = [np.where(generator.integers(0, 2, p.shape), p, -p).astype(np.float64) for p in parts]
    terms = [(0, 1), (15, -1), (30, 1)]
    expected = sum(sign * p.astype(np.int64).astype(object) * 2**s for p, (s, sign) in zip(parts, terms, strict=True))
    expected = expected.transpose(1, 0, 2).reshape(6, 32)[:, :30]
    for fold, rounded in (
        (exact._fold, exact._round_two),
        (exact._fold.py_func, exact._round_two.py_func),
    ):
        hi, lo, out = np.zeros((6, 30), np.int64), np.zeros((6, 30), np.int64), np.empty((6, 30), np.float32)
        for part, (shift, sign) in zip(parts, terms, strict=True):
            fold(part, shift, sign, hi, lo)
        assert (hi.astype(object) * 2**exact._LIMB + lo.astype(object) == expected).all()
        rounded(hi, lo, 2.0**-32, out)
        codes = [round_value(Fraction(int(v), 2**32), FP32) for v in expected.reshape(-1)]
        assert bits(out).reshape(-1).tolist() == codes


def test_rounds_two_limbs_once():
    """Next to float32's midpoints, a float64's last place or less away: where rounding twice goes wrong."""
    near = product((2**23, 2**23 + 1, 2**24 - 1), (-1, 0, 1), (-1, 0, 1), (1, -1))
    values = [sign * ((m << 29 | 1 << 28) + last << 20) + sign * rest for m, last, rest, sign in near]
    hi = np.array([[v >> exact._LIMB for v in values]])
    lo = np.array([[v & (1 << exact._LIMB) - 1 for v in values]])
    out = np.empty(hi.shape, np.float32)
    exact._round_two(hi, lo, 1.0, out)
    assert bits(out)[0].tolist() == [round_value(Fraction(v), FP32) for v in values]


def test_gaussian():
    generator = rng()
    x, w = gaussian(generator, (8, 200), "e4m3"), gaussian(generator, (200, 8), "e5m2")
    assert np.array_equal(bits(gemm(x, w, w_format="e5m2")), exact_oracle(x, w, "e4m3", "e5m2"))
