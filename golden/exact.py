"""Correctly rounded dot products of FP8 codes: the model of the fixed-point accumulator."""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numba import njit

from golden.formats import code_dtype, decode
from golden.panels import BLOCK_M, BLOCK_N, accumulate, accumulator
from golden.spec.formats import FP32, Format

__all__ = ["exact_gemm"]

# Operands whose integers need more bits than this are handled in two parts.
_WIDE_BITS = 24
# A wide operand is split between the numbers that are multiples of 2**_SPLIT units and the smaller rest.
_SPLIT = 15
# Sums that need two limbs are hi * 2**_LIMB + lo with 0 <= lo < 2**_LIMB, both int64.
_LIMB = 45

_FP32_NAN, _FP32_INF = FP32.nan, FP32.inf

# Classes of operands, for products with NaN and Inf.
_ZERO, _POSITIVE, _NEGATIVE, _POSITIVE_INF, _NEGATIVE_INF, _NAN = range(6)


@dataclass(frozen=True)
class _Product:
    """One integer GEMM of a plan: tables from codes to float64 integers, and where its sum counts.

    terms : ``((shift, sign), ...)``: the sum enters the total as ``sign * sum * 2**shift``, for each.
    """

    x_table: np.ndarray
    w_table: np.ndarray
    terms: tuple[tuple[int, int], ...]

    @property
    def k_limit(self) -> int:
        """The longest contraction whose sums float64 holds exactly.

        Every partial sum is an integer of magnitude at most ``k * max|x| * max|w|``, whichever products
        it has; float64 represents every integer up to 2**53, so no addition ever rounds. For e4m3 pairs:
        448 * 2**9 = 229,376 units each, hence 171,196.
        """
        return int(2**53 // (int(self.x_table.max()) * int(self.w_table.max())))


def _parts(fmt: Format) -> list[np.ndarray]:
    """Tables, float64[256], from codes to integers whose sum, weighted ``2**(_SPLIT * index)``, is the value.

    The unit is the format's smallest subnormal. NaN and Inf count as zero here. A format with a short range
    is one table. The other's numbers are ``significand * 2**s`` with a significand below
    ``2**(man_bits + 1)``; those with ``s >= _SPLIT`` go to the second table, divided by ``2**_SPLIT``, exactly.
    A number is in one table only and zero in the other: e5m2's integers up to 7 * 2**29 become 7 * 2**14.
    """
    values = decode(np.arange(1 << fmt.bits, dtype=code_dtype(fmt)), fmt)
    units = np.where(np.isfinite(values), values, 0).astype(np.float64) * 2.0**-fmt.lsb_exp
    if units.max() < 1 << _WIDE_BITS:
        return [units]
    high = np.abs(units) >= 1 << fmt.man_bits + _SPLIT
    return [np.where(high, 0, units), np.where(high, units / (1 << _SPLIT), 0)]


@cache
def _plan(x_format: Format, w_format: Format) -> tuple[_Product, ...]:
    """Integer GEMMs whose weighted sums add up to the dot product, in units of both formats' subnormals.

    With two wide operands, x = x0 + x1 2**S and w = w0 + w1 2**S, three GEMMs replace four (Karatsuba):
    x0 w1 + x1 w0 = (x0 + x1)(w0 + w1) - x0 w0 - x1 w1. As x0 or x1 is zero, x0 + x1 is no longer than they.
    """
    x, w = _parts(x_format), _parts(w_format)
    if len(x) == len(w) == 2:
        return (
            _Product(x[0], w[0], ((0, 1), (_SPLIT, -1))),
            _Product(x[0] + x[1], w[0] + w[1], ((_SPLIT, 1),)),
            _Product(x[1], w[1], ((2 * _SPLIT, 1), (_SPLIT, -1))),
        )
    return tuple(_Product(xi, wj, ((_SPLIT * (i + j), 1),)) for i, xi in enumerate(x) for j, wj in enumerate(w))


def exact_gemm(x: np.ndarray, w: np.ndarray, x_format: Format, w_format: Format) -> np.ndarray:
    """Correctly rounded ``x @ w``; arguments as ``golden.gemm.gemm`` has validated them.

    Blocks of outputs are summed over all of K before the next, so that memory beyond the result is a few
    buffers of fixed size. The two limbs are right for any K below 2**34.
    """
    (rows, depth), cols = x.shape, w.shape[1]
    plan = _plan(x_format, w_format)
    scale = 2.0 ** (x_format.lsb_exp + w_format.lsb_exp)
    x_classes, w_classes = _classes(x_format), _classes(w_format)
    special = _any_special(x.reshape(-1), x_format.max_code) or _any_special(w.reshape(-1), w_format.max_code)
    out = np.empty((rows, cols), np.float32)
    for m in range(0, rows, BLOCK_M):
        for n in range(0, cols, BLOCK_N):
            block = out[m : m + BLOCK_M, n : n + BLOCK_N]
            _finite_block(block, x, w, plan, m, n, depth, scale)
            if special:
                flags = np.zeros(block.shape, np.uint8)
                _flag_specials(x, w, x_classes, w_classes, _PRODUCT_FLAGS, m, n, flags)
                _apply_specials(flags, block.view(np.uint32))
    return out


def _finite_block(block, x, w, plan, m, n, depth, scale):
    """Fill one block of outputs, NaN and Inf operands counted as zero."""
    acc = accumulator(*block.shape, np.float64)
    if len(plan) == 1 and depth <= plan[0].k_limit:
        _sum(acc, x, w, plan[0], m, n, range(depth))
        _round_one(acc, scale, block)
        return
    hi, lo = np.zeros(block.shape, np.int64), np.zeros(block.shape, np.int64)
    for product in plan:
        for start in range(0, depth, product.k_limit):
            acc[:] = 0
            _sum(acc, x, w, product, m, n, range(start, min(start + product.k_limit, depth)))
            for shift, sign in product.terms:
                _fold(acc, shift, sign, hi, lo)
    _round_two(hi, lo, scale, block)


def _sum(acc, x, w, product, m, n, k):
    read_x = partial(_read_table, product.x_table)
    read_w = partial(_read_table, product.w_table)
    accumulate(acc, x, w, read_x, read_w, m, n, k)


@njit(cache=True)
def _read_table(table, codes, row, col, panels):
    """A reader of ``golden.panels`` that looks codes up in float64[256]."""
    height, width = panels.shape[1:]
    for p in range(panels.shape[0]):
        left = col + p * width
        block = codes[row : row + height, left : left + width]
        rows, cols = block.shape
        for i in range(rows):
            for j in range(cols):
                panels[p, i, j] = table[block[i, j]]
            panels[p, i, cols:] = 0
        panels[p, rows:] = 0


@njit(cache=True)
def _round_one(acc, scale, out):
    """Sums that are exact float64 integers to float32. Zero is +0: a chain from +0 never reaches -0."""
    width = acc.shape[2]
    for i in range(out.shape[0]):
        for p in range(acc.shape[0]):
            sums, row = acc[p, i], out[i, p * width : (p + 1) * width]
            for j in range(row.size):
                row[j] = np.float32(sums[j] * scale)


@njit(cache=True)
def _fold(acc, shift, sign, hi, lo):
    """``hi * 2**_LIMB + lo += sign * acc * 2**shift``, for integers |acc| <= 2**53 and shift < _LIMB.

    The low ``_LIMB - shift`` bits of the two's complement integer go to ``lo``, the rest, with floor, to ``hi``.
    """
    keep = _LIMB - shift
    width = acc.shape[2]
    for i in range(hi.shape[0]):
        for p in range(acc.shape[0]):
            columns = slice(p * width, (p + 1) * width)
            sums, high, low = acc[p, i], hi[i, columns], lo[i, columns]
            for j in range(high.size):
                value = np.int64(sums[j]) * sign
                total = low[j] + ((value & ((1 << keep) - 1)) << shift)
                high[j] += (value >> keep) + (total >> _LIMB)
                low[j] = total & ((1 << _LIMB) - 1)


@njit(cache=True)
def _round_two(hi, lo, scale, out):
    """``hi * 2**_LIMB + lo`` to float32, rounded once to nearest even, for |hi| < 2**53.

    Both halves are exact in float64, and the first is zero or the larger, so ``error`` is what their sum
    lost (Dekker's Fast2Sum). An inexact sum is moved to its odd neighbour on the error's side: rounding to
    odd at 53 bits and then to nearest even at 24 is rounding once (Boldo and Melquiond, 2008: 53 >= 24 + 2).
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            high = np.float64(hi[i, j]) * np.float64(1 << _LIMB)
            low = np.float64(lo[i, j])
            total = high + low
            error = low - (total - high)
            bits = np.float64(total).view(np.int64)
            # An even total is not the odd neighbour: step away from zero if the error has its sign.
            step = 1 if (error > 0) == (total > 0) else -1
            bits += step if error != 0 and bits & 1 == 0 else 0
            out[i, j] = np.float32(np.int64(bits).view(np.float64) * scale)


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


@njit(cache=True)
def _any_special(codes, max_code):
    """Whether uint8[N] holds a NaN or an Inf: every code above the largest number's, the sign apart."""
    limit = np.uint8(max_code)
    found = False
    for i in range(codes.size):
        found |= np.uint8(codes[i] & np.uint8(0x7F)) > limit
    return found


@njit(cache=True)
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


@njit(cache=True)
def _apply_specials(flags, bits):
    """Replace the outputs that a NaN or an Inf reached."""
    for i in range(flags.shape[0]):
        for j in range(flags.shape[1]):
            if flags[i, j] == 3:
                bits[i, j] = _FP32_NAN
            elif flags[i, j]:
                bits[i, j] = _FP32_INF | (flags[i, j] & 2) << 30
