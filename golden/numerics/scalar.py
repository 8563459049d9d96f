"""The numerics contract on single codes, in Python integers and fractions: slow, and short enough to read.

The compiled kernels are tested against these functions; they share no code with them.
"""

import math
from collections.abc import Iterable
from fractions import Fraction
from operator import index

from arch.formats import FP32, Format

__all__ = ["dot", "exact_value", "fma", "is_negative", "round_value"]


def is_negative(code: int, fmt: Format) -> bool:
    """The sign bit."""
    return bool(index(code) >> fmt.bits - 1)


def exact_value(code: int, fmt: Format) -> Fraction | float:
    """The number a code stands for: a Fraction, or one of the floats inf, -inf and nan. -0 is 0."""
    # Narrow integers of NumPy would overflow below.
    code = index(code)
    sign = -1 if is_negative(code, fmt) else 1
    magnitude = code & (1 << fmt.bits - 1) - 1
    if magnitude > fmt.max_code:
        return sign * math.inf if magnitude == fmt.inf else math.nan
    exponent, fraction = divmod(magnitude, 1 << fmt.man_bits)
    significand = fraction + (1 << fmt.man_bits if exponent else 0)
    return sign * significand * Fraction(2) ** (max(exponent, 1) - fmt.bias - fmt.man_bits)


def round_value(value: Fraction | float, fmt: Format, *, saturate: bool = False, negative: bool = False) -> int:
    """The code nearest to a number, ties to even; a zero has the sign ``negative``."""
    if value != value:
        return fmt.nan
    sign = 1 << fmt.bits - 1 if value < 0 or (value == 0 and negative) else 0
    over = fmt.max_code if saturate else fmt.inf if fmt.has_inf else fmt.nan
    if math.isinf(value):
        code = over
    elif value == 0:
        code = 0
    else:
        value = abs(Fraction(value))
        # The weight of the last place: that of the leading bit less the mantissa, or the subnormals'.
        exponent = value.numerator.bit_length() - value.denominator.bit_length()
        exponent -= value < Fraction(2) ** exponent
        last = max(exponent - fmt.man_bits, fmt.lsb_exp)
        # round() of a Fraction is to nearest even. The hidden bit adds one to the exponent field.
        code = (last - fmt.lsb_exp << fmt.man_bits) + round(value / Fraction(2) ** last)
        code = code if code <= fmt.max_code else over
    return code if code == fmt.nan else sign | code


def fma(x: int, w: int, acc: int, x_format: Format, w_format: Format) -> int:
    """``x * w + acc`` in fp32, rounded once. ``acc`` and the result are fp32 codes."""
    product_negative = is_negative(x, x_format) != is_negative(w, w_format)
    product = _product(exact_value(x, x_format), exact_value(w, w_format))
    total = product + exact_value(acc, FP32)
    # A sum of zeros is negative only if both are; an exact cancellation is +0.
    return round_value(total, FP32, negative=product_negative and is_negative(acc, FP32))


def dot(x: Iterable[int], w: Iterable[int], x_format: Format, w_format: Format) -> int:
    """The correctly rounded dot product as an fp32 code; a sum of exactly zero is +0."""
    pairs = zip(x, w, strict=True)
    products = [_product(exact_value(a, x_format), exact_value(b, w_format)) for a, b in pairs]
    special = sum(p for p in products if isinstance(p, float))
    total = special if special != 0 else sum((p for p in products if isinstance(p, Fraction)), Fraction(0))
    return round_value(total, FP32)


def _product(x: Fraction | float, w: Fraction | float) -> Fraction | float:
    if isinstance(x, Fraction) and isinstance(w, Fraction):
        return x * w
    # Only the sign of a finite factor matters beside an infinite one, and a large Fraction is no float.
    return _sign(x) * _sign(w)


def _sign(value: Fraction | float) -> float:
    return value if isinstance(value, float) else float((value > 0) - (value < 0))
