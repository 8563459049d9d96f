"""The golden model and the benches' expected values against arithmetic that nobody here wrote.

The host's ``fmaf`` (IEEE 754 in hardware, or the C library's), MPFR through gmpy2 (every result correctly rounded),
ml_dtypes, and Python's Fractions. ``docs/verification.md`` lists which claim rests on which.
"""

import ctypes
import ctypes.util
from fractions import Fraction

import gmpy2
import ml_dtypes
import numpy as np
import pytest
from operands import FP8_PAIRS, PAIRS, bit_patterns, bits, rng

from arch.formats import FP32
from arch.tensor.config import EngineConfig
from golden.numerics.conversions import code_dtype, encode
from golden.numerics.gemm import gemm
from golden.tensor import arithmetic
from verif.tensor.blocks.vectors import fp32_psums

DTYPES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "bf16": ml_dtypes.bfloat16}
FUSED = EngineConfig(rows=2, cols=2, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32")


def values_of(codes, fmt):
    """float32 values of codes, as ml_dtypes reads them."""
    return codes.view(DTYPES[fmt]).astype(np.float32)


def fp32_codes(values):
    """fp32 codes of floats that are float32 already, with the canonical NaN."""
    codes = np.asarray(values, np.float32).view(np.uint32)
    return np.where((codes & 0x7FFFFFFF) > FP32.inf, np.uint32(FP32.nan), codes)


def host_fmaf():
    """The C library's fmaf on floats."""
    function = ctypes.CDLL(ctypes.util.find_library("m")).fmaf
    function.argtypes, function.restype = [ctypes.c_float] * 3, ctypes.c_float
    return function


def mpfr_fma(x, w, acc):
    """MPFR's fused multiply-add, rounded to binary32 with its subnormals."""
    with gmpy2.context(gmpy2.ieee(32)):
        return float(gmpy2.fma(gmpy2.mpfr(x), gmpy2.mpfr(w), gmpy2.mpfr(acc)))


def broken_fma(x, w, acc):
    """Rounds the product first."""
    return np.float32(np.float32(x) * np.float32(w)) + np.float32(acc)


def operand_triples(pair, count):
    """Codes of x and w, and fp32 sums near their products, opposite to them, tied with them, and any."""
    generator = rng()
    x, w = (bit_patterns(generator, count, fmt) for fmt in pair)
    operands = (arithmetic.decode_operands(codes, fmt, FUSED) for codes, fmt in zip((x, w), pair, strict=True))
    products = arithmetic.multiply(*operands, FUSED)
    return x, w, products, fp32_psums(products, FUSED, generator)


def fma_differences(pair, oracle, count):
    """How many of ``count`` sums of the PE's arithmetic differ from the oracle's."""
    x, w, products, psums = operand_triples(pair, count)
    ours = arithmetic.add_products(psums[:, None], products, FUSED)[:, 0]
    operands = values_of(x, pair[0]).tolist(), values_of(w, pair[1]).tolist(), psums.view(np.float32).tolist()
    with np.errstate(all="ignore"):
        theirs = fp32_codes(np.array([oracle(*triple) for triple in zip(*operands, strict=True)], np.float32))
    return np.count_nonzero(ours != theirs)


class TestFusedMultiplyAdd:
    @pytest.mark.parametrize("pair", PAIRS)
    def test_host(self, pair):
        assert fma_differences(pair, host_fmaf(), 60_000) == 0

    @pytest.mark.parametrize("pair", PAIRS)
    def test_mpfr(self, pair):
        assert fma_differences(pair, mpfr_fma, 20_000) == 0

    def test_sees_a_second_rounding(self):
        assert fma_differences(("bf16", "bf16"), broken_fma, 20_000) > 0

    @pytest.mark.parametrize("oracle", [host_fmaf(), mpfr_fma], ids=["host", "mpfr"])
    @pytest.mark.parametrize("pair", PAIRS)
    def test_chain(self, pair, oracle):
        """golden.gemm is the oracle's fma for k = 0, 1, ..., from Y0."""
        generator = rng()
        x, w = bit_patterns(generator, (6, 29), pair[0], True), bit_patterns(generator, (29, 7), pair[1], True)
        initial = generator.integers(0, 1 << 31, (6, 7), dtype=np.uint32).view(np.float32)
        expected = np.empty((6, 7), np.float32)
        x_values, w_values = values_of(x, pair[0]), values_of(w, pair[1])
        for m, n in np.ndindex(6, 7):
            acc = float(initial[m, n])
            for k in range(29):
                acc = oracle(float(x_values[m, k]), float(w_values[k, n]), acc)
            expected[m, n] = acc
        result = gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation="fp32", initial=initial)
        assert np.array_equal(bits(result), fp32_codes(expected))


def mpfr_dot(x, w):
    """The dot product, correctly rounded to binary32: MPFR's sum is exact until then."""
    with gmpy2.context(gmpy2.ieee(64)):
        products = [gmpy2.mpfr(a) * gmpy2.mpfr(b) for a, b in zip(x, w, strict=True)]  # exact: 8 significant bits
    with gmpy2.context(gmpy2.ieee(32)):
        return float(gmpy2.fsum(products))


class TestExactSum:
    @pytest.mark.parametrize("k", [1, 2, 17, 300])
    @pytest.mark.parametrize("pair", FP8_PAIRS)
    @pytest.mark.parametrize("finite", [True, False])
    def test_gemm_is_the_correctly_rounded_dot_product(self, pair, k, finite):
        generator = rng()
        x, w = bit_patterns(generator, (12, k), pair[0], finite), bit_patterns(generator, (k, 13), pair[1], finite)
        x_values, w_values = values_of(x, pair[0]).tolist(), values_of(w, pair[1]).T.tolist()
        expected = fp32_codes([[mpfr_dot(row, column) for column in w_values] for row in x_values])
        expected = np.where(expected == 0x80000000, 0, expected)  # a sum of exactly zero is +0
        result = gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation="exact")
        assert np.array_equal(bits(result), expected)
        if finite and k == 300:  # a sum rounded at every step is seen
            chain = gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation="fp32")
            assert not np.array_equal(bits(chain), expected)


def is_nearest(code, exact):
    """Whether an fp32 code is the float nearest to a Fraction, ties to even, told by comparing distances alone."""
    value = np.uint32(code).view(np.float32)
    distance = abs(exact - Fraction(float(value)))
    others = [abs(exact - Fraction(float(np.nextafter(value, np.float32(end))))) for end in (-np.inf, np.inf)]
    return distance < min(others) or (distance == min(others) and code % 2 == 0)


class TestFractions:
    """The correctly rounded dot product, without a float, a library or a rounding of ours in between."""

    @pytest.mark.parametrize("k", [1, 2, 33])
    @pytest.mark.parametrize("pair", FP8_PAIRS)
    def test_gemm_is_nearest_to_the_exact_sum(self, pair, k):
        generator = rng()
        x, w = bit_patterns(generator, (15, k), pair[0], True), bit_patterns(generator, (k, 16), pair[1], True)
        rows, columns = (
            [[Fraction(value) for value in line] for line in values_of(codes, fmt).tolist()]
            for codes, fmt in ((x, pair[0]), (w.T.copy(), pair[1]))
        )
        result = bits(gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation="exact"))
        beside = 0
        for m, n in np.ndindex(15, 16):
            exact = sum((a * b for a, b in zip(rows[m], columns[n], strict=True)), Fraction(0))
            code = int(result[m, n])
            assert is_nearest(code, exact) and (exact or code == 0)
            beside += not is_nearest(code ^ 1, exact)
        assert beside == 15 * 16  # the neighbouring code never is

    def test_ties_go_to_even(self):
        """Sums half way between two floats: 2**24 + 1 down, 2**24 + 3 up, and 2**24 + 1 and a bit up."""
        ones = {0: [], 1: [2.0**0], 3: [2.0, 1.0], 1.001953125: [1.0, 2.0**-9]}
        for extra, terms in ones.items():
            values = np.array([[256.0, *terms]], np.float32), np.array([[256.0] + [1.0] * len(terms)], np.float32)
            codes = [encode(value, "e4m3") for value in values]
            assert np.array_equal(values_of(codes[0], "e4m3"), values[0])
            big = [np.repeat(code[:, :1], 256, 1) for code in codes]  # 256 * 2**16
            x, w = (np.concatenate([b, c[:, 1:]], 1) for b, c in zip(big, codes, strict=True))
            result = bits(gemm(x, w.T.copy(), x_format="e4m3", w_format="e4m3", accumulation="exact"))
            assert is_nearest(int(result[0, 0]), Fraction(2) ** 24 + Fraction(extra))

    def test_sees_a_truncated_sum(self):
        exact = Fraction(2) ** 24 + 3
        codes = [int(np.float32(2**24 + step).view(np.uint32)) for step in (2, 4)]
        assert [is_nearest(code, exact) for code in codes] == [False, True]


class TestNarrowing:
    @pytest.mark.parametrize("saturate", [True, False])
    @pytest.mark.parametrize("fmt", DTYPES)
    def test_read_out(self, fmt, saturate):
        """The read-out's conversion is ml_dtypes', and clipping to the largest number before it is saturation."""
        codes = fp32_codes(rng().integers(0, 1 << 32, 1 << 20, dtype=np.uint32).view(np.float32))
        ours = arithmetic.read_out(codes[:, None], FUSED, fmt, saturate=saturate)
        values = codes.view(np.float32)
        largest = np.float32(ml_dtypes.finfo(DTYPES[fmt]).max)
        with np.errstate(over="ignore", invalid="ignore"):
            theirs = (np.clip(values, -largest, largest) if saturate else values).astype(DTYPES[fmt])
        theirs = theirs.view(code_dtype(fmt))
        nan = np.isnan(values) | (np.isnan(theirs.view(DTYPES[fmt]).astype(np.float32)))
        canonical = encode(np.array([np.nan], np.float32), fmt)[0]
        assert np.array_equal(ours, np.where(nan, canonical, theirs))
