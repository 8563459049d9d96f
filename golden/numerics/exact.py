"""Correctly rounded dot products of FP8 codes: the model of the fixed-point accumulator."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from arch.formats import FP32, Format
from golden.kernels import kernel
from golden.numerics.conversions import DecodeRule, code_dtype, decode, unit_rule
from golden.numerics.panels import BLOCK_K, BLOCK_M, BLOCK_N, Block, Buffers, accumulate, for_each_block

__all__ = ["exact_gemm"]

# A product of two integers must be shorter than float64's 53 bits, or no second one could be added: where it is not, X
# is split between the numbers that are multiples of 2**_SPLIT units and the smaller rest.
_SPLIT = 15
# Long sums are high + low: high a multiple of 2**_FOLD, |low| <= 2**(_FOLD - 1), both float64.
_FOLD = 39
# (sum + _MAGIC) - _MAGIC is the multiple of 2**_FOLD nearest to a sum, for |sum| <= 2**(_FOLD + 51): sum + _MAGIC then
# lies between 2**(_FOLD + 52) and twice that, where float64's spacing is 2**_FOLD. Both differences are exact.
_MAGIC = 1.5 * 2.0 ** (_FOLD + 52)

_FP32_NAN, _FP32_INF = FP32.nan, FP32.inf

# Blocks of one float64 sum where threads share a cache: as square as they are, they leave more of it.
_SHARED = 516, 512

# Classes of operands, for products with NaN and Inf.
_ZERO, _POSITIVE, _NEGATIVE, _POSITIVE_INF, _NEGATIVE_INF, _NAN = range(6)


@dataclass(frozen=True)
class _Slice:
    """The numbers of a format whose codes lie in ``least`` to ``most``, the sign apart; all others count as zero.

    They are integers: multiples of 2**drop of the format's smallest subnormals.
    """

    fmt: Format
    least: int
    most: int
    drop: int = 0

    @cached_property
    def largest(self) -> int:
        """The largest integer."""
        value = float(decode(np.array([self.most], code_dtype(self.fmt)), self.fmt)[0])
        return int(value * 2.0 ** (-self.fmt.lsb_exp - self.drop))

    @cached_property
    def rule(self) -> DecodeRule:
        """From codes to the integers."""
        return unit_rule(self.fmt, self.least, self.most, self.drop)


@dataclass(frozen=True)
class _Plan:
    """Integer GEMMs whose sums make the dot product: ``sum(x[i] @ w * 2**(_SPLIT * (len(x) - 1 - i)))``.

    Every partial sum is a sum of some of the products, so an integer of magnitude at most K * max|x| * max|w|,
    and float64 represents every integer up to 2**53: below that no addition ever rounds.
    """

    x: tuple[_Slice, ...]
    w: _Slice

    @cached_property
    def largest(self) -> int:
        """The largest product of one of the GEMMs."""
        return max(part.largest for part in self.x) * self.w.largest

    @cached_property
    def k_limit(self) -> int:
        """The longest contraction whose sums one float64 holds: for e4m3 pairs 229,376 units each, hence 171,196."""
        return 2**53 // self.largest

    def fits(self, depth: int) -> bool:
        """Whether one float64 holds a sum of so many products."""
        return len(self.x) == 1 and depth <= self.k_limit

    @cached_property
    def run(self) -> int:
        """Products that may be added to a low part before it is folded."""
        return (2**53 - 2 ** (_FOLD - 1)) // self.largest

    @cached_property
    def k_max(self) -> int:
        """The longest contraction whose high part float64 holds: a multiple of 2**_FOLD, it has 53 bits above."""
        whole = self.largest << _SPLIT * (len(self.x) - 1)
        return (2 ** (_FOLD + 53) - 2**_FOLD) // whole


@cache
def _plan(x_format: Format, w_format: Format) -> _Plan:
    """The numbers of both formats as integers, X in two slices where a product would not fit float64.

    e5m2 has significands below 8 and exponents 0 to 29 above its unit: from code 16 << man_bits on, numbers
    are multiples of 2**_SPLIT units. Split there, 7 * 2**29 becomes 7 * 2**14 in either slice.
    """
    x, w = (_Slice(fmt, 0, fmt.max_code) for fmt in (x_format, w_format))
    if x.largest * w.largest < 2**53:
        return _Plan((x,), w)
    first = _SPLIT + 1 << x_format.man_bits
    return _Plan((_Slice(x_format, first, x_format.max_code, _SPLIT), _Slice(x_format, 0, first - 1)), w)


def exact_gemm(
    x: np.ndarray, w: np.ndarray, x_format: Format, w_format: Format, threads: int | None = None
) -> np.ndarray:
    """Correctly rounded ``x @ w``; arguments as ``golden.numerics.gemm.gemm`` has validated them.

    Blocks of outputs are summed over all of K before the next, so that memory beyond the result is a few
    buffers of fixed size for each thread.

    Raises ValueError if K is so long that the sums could overflow: over 300 million.
    """
    (rows, depth), cols = x.shape, w.shape[1]
    plan = _plan(x_format, w_format)
    if depth > plan.k_max:
        raise ValueError(f"K must be at most {plan.k_max} for exact sums of these formats, not {depth}")
    scale = 2.0 ** (x_format.lsb_exp + w_format.lsb_exp)
    x_classes, w_classes = _classes(x_format), _classes(w_format)
    special = _any_special(x.reshape(-1), x_format.max_code) or _any_special(w.reshape(-1), w_format.max_code)
    out = np.empty((rows, cols), np.float32)

    def work(block: Block, buffers: Buffers) -> None:
        _finite_block(out[block], (x, w), plan, block, buffers, scale)
        if special:
            flags = np.zeros(out[block].shape, np.uint8)
            _flag_specials(x, w, x_classes, w_classes, _PRODUCT_FLAGS, block[0].start, block[1].start, flags)
            _apply_specials(flags, out[block].view(np.uint32))

    if not plan.fits(depth):
        largest = BLOCK_M, BLOCK_N // 2
    else:
        largest = (BLOCK_M, BLOCK_N) if threads == 1 else _SHARED
    for_each_block((rows, depth, cols), threads, work, largest=largest)
    return out


def _finite_block(out, operands, plan, block, buffers, scale):
    """Fill one block of outputs, NaN and Inf operands counted as zero.

    Two slices are added by Horner's rule. The high slice's sums times 2**_SPLIT are exact: a low part of at most
    2**(_FOLD - 1) becomes one of at most 2**53, which is folded before more is added to it.
    """
    low = buffers.sums("low", block, np.float64)
    rules = [(part.rule, plan.w.rule) for part in plan.x]
    if plan.fits(operands[0].shape[1]):
        accumulate(low, operands, rules[0], block, buffers, fresh=True)
        _round_one(low, scale, out)
        return
    high = buffers.sums("high", block, np.float64)
    low.fill(0)
    high.fill(0)
    for index, pair in enumerate(rules):
        if index:
            _scale_and_fold(low, high, 2.0**_SPLIT, _MAGIC)
        accumulate(low, operands, pair, block, buffers, high=high, run=min(plan.run, BLOCK_K), magic=_MAGIC)
    _round_two(high, low, scale, out)


@kernel(nogil=True)
def _scale_and_fold(low, high, factor, magic):
    """``high + low`` times a power of two."""
    for p in range(low.shape[0]):
        for i in range(low.shape[1]):
            lows, highs = low[p, i], high[p, i]
            for j in range(lows.size):
                total = lows[j] * factor
                part = (total + magic) - magic
                highs[j] = highs[j] * factor + part
                lows[j] = total - part


@kernel(nogil=True)
def _round_one(acc, scale, out):
    """Sums that are exact float64 integers to float32. Zero is +0: a chain from +0 never reaches -0."""
    width = acc.shape[2]
    for i in range(out.shape[0]):
        for p in range(acc.shape[0]):
            sums, row = acc[p, i], out[i, p * width : (p + 1) * width]
            for j in range(row.size):
                row[j] = np.float32(sums[j] * scale)


@kernel(nogil=True)
def _round_two(high, low, scale, out):
    """``high + low`` to float32, rounded once to nearest even.

    ``high`` is zero or the larger, so ``error`` is what their sum lost (Dekker's Fast2Sum). An inexact sum is moved to
    its odd neighbour on the error's side: rounding to odd at 53 bits and then to nearest even at 24 is rounding once
    (Boldo and Melquiond, 2008: 53 >= 24 + 2).
    """
    width = high.shape[2]
    for i in range(out.shape[0]):
        for p in range(high.shape[0]):
            highs, lows, row = high[p, i], low[p, i], out[i, p * width : (p + 1) * width]
            for j in range(row.size):
                total = highs[j] + lows[j]
                error = lows[j] - (total - highs[j])
                bits = np.float64(total).view(np.int64)
                # An even total is not the odd neighbour: step away from zero if the error has its sign.
                step = 1 if (error > 0) == (total > 0) else -1
                bits += step if error != 0 and bits & 1 == 0 else 0
                row[j] = np.float32(np.int64(bits).view(np.float64) * scale)


# ---- NaN and Inf ------------------------------------------------------------------------------------


@cache
def _classes(fmt: Format) -> np.ndarray:
    """uint8[256]: the class of each code."""
    values = decode(np.arange(1 << fmt.bits, dtype=code_dtype(fmt)), fmt)
    conditions = [np.isnan(values), values == np.inf, values == -np.inf, values > 0, values < 0]
    return np.select(conditions, [_NAN, _POSITIVE_INF, _NEGATIVE_INF, _POSITIVE, _NEGATIVE], _ZERO).astype(np.uint8)


def _product_flags() -> np.ndarray:
    """uint8[6, 6]: the sticky flags of a product of two classes. Bit 0 +Inf, bit 1 -Inf, both: NaN."""
    representative = np.array([0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])
    with np.errstate(invalid="ignore"):
        products = np.multiply.outer(representative, representative)
    return np.select([np.isnan(products), products == np.inf, products == -np.inf], [3, 1, 2], 0).astype(np.uint8)


_PRODUCT_FLAGS = _product_flags()


@kernel(nogil=True)
def _any_special(codes, max_code):
    """Whether uint8[N] holds a NaN or an Inf: every code above the largest number's, the sign apart."""
    limit = np.uint8(max_code)
    found = False
    for i in range(codes.size):
        found |= np.uint8(codes[i] & np.uint8(0x7F)) > limit
    return found


@kernel(nogil=True)
def _flag_specials(x, w, x_classes, w_classes, product_flags, m, n, flags):
    """``flags[i, j] |=`` the flags of every product with a special operand: its row's x, then its column's w."""
    rows, cols = flags.shape
    for i in range(rows):
        for k in range(x.shape[1]):
            kind = x_classes[x[m + i, k]]
            if kind == _NAN:
                flags[i] = 3
                break
            if kind >= _POSITIVE_INF:
                for j in range(cols):
                    flags[i, j] |= product_flags[kind, w_classes[w[k, n + j]]]
    poisoned = np.zeros(cols, np.bool_)
    column = np.empty(rows, np.uint8)
    for k in range(x.shape[1]):
        loaded = False
        for j in range(cols):
            kind = w_classes[w[k, n + j]]
            if kind < _POSITIVE_INF or poisoned[j]:
                continue
            if not loaded:
                loaded = True
                for i in range(rows):
                    column[i] = x_classes[x[m + i, k]]
            for i in range(rows):
                flags[i, j] |= product_flags[column[i], kind]
            poisoned[j] = kind == _NAN


@kernel(nogil=True)
def _apply_specials(flags, bits):
    """Replace the outputs that a NaN or an Inf reached."""
    for i in range(flags.shape[0]):
        for j in range(flags.shape[1]):
            if flags[i, j] == 3:
                bits[i, j] = _FP32_NAN
            elif flags[i, j]:
                bits[i, j] = _FP32_INF | (flags[i, j] & 2) << 30
