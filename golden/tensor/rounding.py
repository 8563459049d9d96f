"""The arithmetic of one PE and of the read-out, kernel by kernel: products, sums, and their rounding.

Everything is int64, a wide sum two 64-bit patterns (``lo``, ``hi``).
``f`` is ``golden.tensor.arithmetic.Widths``. Mixing int64 and uint64 gives float64 in numba, hence the signed limbs:
shifts to the right are arithmetic, and every value that must be unsigned is masked.
"""

import numpy as np

from golden.kernels import kernel
from golden.tensor.words import load_hi, load_lo, store

_INF = 0x7F800000
_NAN = 0x7FC00000


@kernel
def product_payload(x, w, f):
    """The product register's payload, magnitude at bit 0, of two packed operands."""
    significand_mask = (1 << f.significand_bits) - 1
    exponent_mask = (1 << f.exponent_bits) - 1
    sign_at = f.significand_bits + f.exponent_bits
    magnitude = (x & significand_mask) * (w & significand_mask)
    exponent = (x >> f.significand_bits & exponent_mask) + (w >> f.significand_bits & exponent_mask)
    sign = (x ^ w) >> sign_at & 1
    payload = magnitude | exponent << 2 * f.significand_bits
    sign_to = 2 * f.significand_bits + f.product_exponent_bits
    nan_at = sign_at + 1
    if (x | w) >> nan_at == 0:
        return payload | sign << sign_to
    nan = (x | w) >> nan_at & 1
    inf = (x | w) >> nan_at >> 1 & 1
    # Inf x 0 is NaN: a zero is what has neither a significand nor a flag.
    if (x & significand_mask == 0 and x >> nan_at == 0) or (w & significand_mask == 0 and w >> nan_at == 0):
        nan |= inf
    if f.exact:
        if nan:
            flags = (1 << f.special_bits) - 1
        else:
            flags = 1 + sign
    else:
        flags = nan | (inf & ~nan) << 1
    if nan:
        sign = 0
    return payload | sign << sign_to | flags << sign_to + 1


@kernel
def add_exact(lo, hi, payload, f):
    """A packed exact sum (acc, then flags) plus a product payload; acc wraps modulo ``2**acc_bits``.

    A magnitude of 8 bits has an exponent of at most 63: the shifted magnitude needs two limbs in general. One of 36
    bits, of integer operands, has none.
    """
    magnitude = payload & ((1 << 2 * f.significand_bits) - 1)
    exponent = payload >> 2 * f.significand_bits & ((1 << f.product_exponent_bits) - 1)
    rest = payload >> 2 * f.significand_bits + f.product_exponent_bits
    term_lo = magnitude << exponent
    term_hi = magnitude >> 63 - exponent >> 1
    if rest & 1:
        term_hi = ~term_hi + (term_lo == 0)
        term_lo = -term_lo
    sum_lo = lo + term_lo
    carry = ((lo & term_lo) | ((lo | term_lo) & ~sum_lo)) >> 63 & 1
    sum_hi = hi + term_hi + carry
    flags = rest >> 1
    # What lies above acc_bits are the flags: keep them out of the carry's way.
    if f.acc_bits >= 64:
        keep = -1 << f.acc_bits - 64
        return sum_lo, (sum_hi & ~keep) | (hi & keep) | flags << f.acc_bits - 64
    keep = -1 << f.acc_bits
    return (sum_lo & ~keep) | (lo & keep) | flags << f.acc_bits, hi | flags >> 64 - f.acc_bits


@kernel
def add_fp32(psum, payload, f):
    """fp32 code of ``psum + product``, rounded once to nearest even: float64 is wide enough to round twice.

    A product has 16 bits, a psum 24, and both are exact in float64 (exponents from -280 up). Suppose their
    float64 sum is not: then the larger term's first bit is 53 or more places above the smaller term's last, and
    so 30 or more above its first. The larger term is an fp32 number (a psum is; a product so far above the least
    psum is no subnormal) or beyond 2**128; to it the smaller one is less than an eighth of a last place, so that
    the exact sum and the float64 sum both round to it, or to Inf.
    """
    magnitude = payload & ((1 << 2 * f.significand_bits) - 1)
    exponent = payload >> 2 * f.significand_bits & ((1 << f.product_exponent_bits) - 1)
    rest = payload >> 2 * f.significand_bits + f.product_exponent_bits
    sign = rest & 1
    absolute = psum & 0x7FFFFFFF
    if rest > 1 or absolute >= _INF:
        nan = rest >> 1 & 1
        inf = rest >> 2 & 1
        if nan or absolute > _INF or (inf and absolute == _INF and psum >> 31 != sign):
            return np.int64(_NAN)
        if inf:
            return sign << 31 | np.int64(_INF)
        return np.int64(psum)
    product = np.float64(magnitude) * np.int64(exponent + f.product_lsb_exp + 1023 << 52).view(np.float64)
    if sign:
        product = -product
    total = product + np.float64(np.uint32(psum).view(np.float32))
    return np.int64(np.float32(total).view(np.uint32))


@kernel
def bit_length(value):
    """Bits of ``value``, taken as an unsigned 64-bit pattern."""
    if value < 0:
        return 64
    length = 0
    for step in (32, 16, 8, 4, 2, 1):
        if value >> step:
            value >>= step
            length += step
    return length + (value != 0)


@kernel
def round_exact(lo, hi, f):
    """fp32 code of a packed exact sum, rounded to nearest even; never subnormal, never out of range.

    One unit is 2**-32 or more, and acc has at most 81 bits.
    """
    flag_mask = (1 << f.special_bits) - 1
    if f.acc_bits > 64:
        flags = hi >> f.acc_bits - 64 & flag_mask
        hi = hi << 128 - f.acc_bits >> 128 - f.acc_bits
    elif f.acc_bits == 64:
        flags = hi & flag_mask
        hi = lo >> 63
    else:
        flags = (lo >> f.acc_bits | hi << 64 - f.acc_bits) & flag_mask
        lo = lo << 64 - f.acc_bits >> 64 - f.acc_bits
        hi = lo >> 63
    if flags == flag_mask:
        return np.int64(_NAN)
    if flags:
        return (flags - 1) << 31 | np.int64(_INF)
    sign = hi >> 63 & 1
    if sign:
        hi = ~hi + (lo == 0)
        lo = -lo
    length = 64 + bit_length(hi) if hi else bit_length(lo)
    if length == 0:
        return np.int64(0)
    # Move the leading bit to bit 61, for a carry out to stay in 63 bits; what falls off is or-ed into bit 0.
    if length <= 62:
        value = lo << 62 - length
    else:
        shift = length - 62
        value = (lo >> shift & ((1 << 64 - shift) - 1)) | hi << 64 - shift
        value |= lo & ((1 << shift) - 1) != 0
    kept = (value + (1 << 37) - 1 + (value >> 38 & 1)) >> 38
    return sign << 31 | ((length + 125 + f.product_lsb_exp) << 23) + kept


@kernel
def narrow(code, fmt, saturate):
    """The code of another format for an fp32 code, to nearest even; ``fmt`` is a row of ``narrow_table()``."""
    man_bits, bias, max_code, nan, over = fmt[0], fmt[1], fmt[2], fmt[3], fmt[4]
    if man_bits == 23:
        # fp32 itself: nothing is converted, so nothing saturates.
        return code
    absolute = code & 0x7FFFFFFF
    if absolute > _INF:
        return nan
    # A zero exponent field means the exponent of one, without the hidden bit.
    exponent = max(absolute >> 23, 1)
    significand = absolute - (exponent - 1 << 23)
    exponent += bias - 127
    drop = 23 - man_bits
    if exponent < 1:
        # Below 2**-25 of the significand's top bit everything rounds to zero.
        drop = min(drop + 1 - exponent, 25)
        exponent = np.int64(1)
    if drop:
        significand = (significand + (1 << drop - 1) - 1 + (significand >> drop & 1)) >> drop
    result = (exponent - 1 << man_bits) + significand
    if result > max_code or absolute == _INF:
        result = max_code if saturate else over
        if result == nan:
            return nan
    # The sign goes above the magnitude: bit 7, 15 or 31.
    width = 8 if nan < 1 << 8 else 16 if nan < 1 << 16 else 32
    return result | (code >> 31 & 1) << width - 1


@kernel
def round_psum(lo, hi, f):
    """fp32 code of a packed psum."""
    return round_exact(lo, hi, f) if f.exact else lo


@kernel
def multiply_all(x, w, f, payloads):
    """``payloads[i] = x[i] * w[i]``."""
    for i in range(x.size):
        payloads[i] = product_payload(np.int64(x[i]), np.int64(w[i]), f)


@kernel
def add_all(psums, payloads, f):
    """``psums[i] += payloads[i]``."""
    for i in range(payloads.size):
        words = psums[i]
        lo, hi = load_lo(words, 0, f), load_hi(words, 0, f)
        if f.exact:
            lo, hi = add_exact(lo, hi, np.int64(payloads[i]), f)
        else:
            lo = add_fp32(lo, np.int64(payloads[i]), f)
        store(words, 0, lo, hi, f)


@kernel
def round_all(psums, f, codes):
    """``codes[i]`` from ``psums[i]``."""
    for i in range(codes.size):
        words = psums[i]
        codes[i] = round_psum(load_lo(words, 0, f), load_hi(words, 0, f), f)


@kernel
def narrow_all(codes, fmt, saturate):
    """fp32 codes to another format, in place."""
    for i in range(codes.size):
        codes[i] = narrow(np.int64(codes[i]), fmt, saturate)
