"""exp, reciprocal and rsqrt to the bit: integer algorithms around one interpolator, as the scalar engine runs them.

Each is *faithful*: its error is below one unit in the last place for every argument. Each is monotone, and exact where
the result is a power of two that it should hit. The interpolator's value is ``constant + slope * t + curve * t**2``,
its products cut off six places below the constant; that value is rounded once, to nearest even.
"""

from collections.abc import Callable

import numpy as np

from arch.formats import FP32
from arch.functions import FUNCTIONS, INDEX_BITS, LOG2_E, LOG2_E_BITS, OFFSET_BITS, SQUARE_BITS, VALUE_BITS, segments
from golden.checks import float32_array
from golden.kernels import kernel

__all__ = ["exp", "exp_codes", "reciprocal", "reciprocal_codes", "rsqrt", "rsqrt_codes"]

_MAN, _BIAS = FP32.man_bits, FP32.bias
#: Bits below an offset's unit that the interpolator keeps beyond ``VALUE_BITS``.
_GUARD = 6
#: Fraction bits of an interpolated value.
_FRACTION = VALUE_BITS + _GUARD
#: Bits of a significand, hidden bit included.
_SIGNIFICAND = FP32.man_bits + 1
#: From an interpolated value to a significand.
_SHIFT = _FRACTION - _SIGNIFICAND
_INF, _NAN, _MAGNITUDE = FP32.inf, FP32.nan, (1 << 31) - 1
_OFFSET, _SEGMENT = (1 << OFFSET_BITS) - 1, (1 << INDEX_BITS) - 1
#: 128: of this and of all beyond, exp is infinite or, with the other sign, zero.
_BEYOND = _BIAS + 7 << _MAN
#: ``significand * LOG2_E`` is ``x * log2(e)`` in units that are so many places, less the exponent, below an offset's.
_EXP_SHIFT = _BIAS + _MAN + LOG2_E_BITS - OFFSET_BITS - INDEX_BITS
_MANTISSA = (1 << _MAN) - 1

#: Bits of a slope, with its sign, and of a curve.
_SLOPE_BITS, _CURVE_BITS = 20, 12
#: Coefficients by segment, the functions one behind another. A segment is one word, because most of the time goes to
#: looking words up: constant, slope and curve from the highest bits to the lowest.
_TABLE = np.array(
    [
        constant << _SLOPE_BITS + _CURVE_BITS | slope + (1 << _SLOPE_BITS - 1) << _CURVE_BITS | curve
        for name in FUNCTIONS
        for constant, slope, curve in segments(name)
    ],
    np.int64,
)
_EXP, _RECIPROCAL, _RSQRT = (len(_TABLE) // len(FUNCTIONS) * index for index in range(len(FUNCTIONS)))


@kernel
def _interpolate(segment, offset):
    """The value in a segment, in units of ``2**-_FRACTION``; the products are cut off there, towards minus infinity."""
    word = _TABLE[segment]
    slope = (word >> _CURVE_BITS & (1 << _SLOPE_BITS) - 1) - (1 << _SLOPE_BITS - 1)
    square = (offset >> OFFSET_BITS - SQUARE_BITS) ** 2
    return (
        (word >> _SLOPE_BITS + _CURVE_BITS << _GUARD)
        + (slope * offset >> OFFSET_BITS - _GUARD)
        + ((word & (1 << _CURVE_BITS) - 1) * square >> 2 * SQUARE_BITS - _GUARD)
    )


@kernel
def _rounded(value, exponent):
    """The float32 code of ``value * 2**(exponent - _BIAS - _FRACTION + 1)``, to nearest even, subnormals included.

    ``value`` is from ``2**(_FRACTION - 1)`` to ``2**_FRACTION``; ``exponent`` is the code's, below 1 for subnormals.
    """
    # Beyond that many places nothing is left of a subnormal number.
    shift = _SHIFT + min(max(1 - exponent, 0), _SIGNIFICAND + 1)
    odd = value >> shift & 1
    kept = value + ((np.int64(1) << shift - 1) - 1 + odd) >> shift
    # The hidden bit adds one to the exponent's field, and so does a significand that rounds up to two.
    return min(kept + (max(exponent - 1, 0) << _MAN), _INF)


@kernel
def _normal(magnitude):
    """Exponent and mantissa of a positive number, as if no number were subnormal."""
    exponent, mantissa = magnitude >> _MAN, magnitude & _MANTISSA
    if exponent == 0 and mantissa:
        while mantissa <= _MANTISSA:
            mantissa, exponent = mantissa << 1, exponent - 1
        exponent, mantissa = exponent + 1, mantissa & _MANTISSA
    return exponent, mantissa


@kernel
def exp_codes(codes, out):
    """:func:`exp` for kernels: from float32 codes to float32 codes, uint32[N] both."""
    for i in range(len(codes)):
        code = np.int64(codes[i])
        magnitude = code & _MAGNITUDE
        argument = min(magnitude, _BEYOND)
        exponent = argument >> _MAN
        significand = (argument & _MANTISSA) + (np.int64(exponent > 0) << _MAN)
        # x * log2(e), rounded to a multiple of 2**-26; halves away from zero.
        shift = min(_EXP_SHIFT - max(exponent, 1), 62)
        scaled = (significand * LOG2_E) + (np.int64(1) << shift - 1) >> shift
        scaled = -scaled if code != magnitude else scaled
        place = _EXP + (scaled >> OFFSET_BITS & _SEGMENT)
        result = _rounded(_interpolate(place, scaled & _OFFSET), (scaled >> OFFSET_BITS + INDEX_BITS) + _BIAS)
        out[i] = _NAN if magnitude > _INF else result


@kernel
def reciprocal_codes(codes, out):
    for i in range(len(codes)):
        code = np.int64(codes[i])
        magnitude = code & _MAGNITUDE
        exponent, mantissa = _normal(magnitude)
        value = _interpolate(_RECIPROCAL + (mantissa >> 15), (mantissa & 0x7FFF) << 3)
        result = _rounded(value, 2 * _BIAS - 1 - exponent)
        if magnitude == 0:
            result = _INF
        if magnitude == _INF:
            result = 0
        out[i] = _NAN if magnitude > _INF else result | (code ^ magnitude)


@kernel
def rsqrt_codes(codes, out):
    for i in range(len(codes)):
        code = np.int64(codes[i])
        magnitude = code & _MAGNITUDE
        exponent, mantissa = _normal(magnitude)
        # The argument is from 1 to 4 times a power of four.
        odd = exponent + 1 & 1
        value = _interpolate(_RSQRT + (odd << INDEX_BITS - 1 | mantissa >> 16), (mantissa & 0xFFFF) << 2)
        result = _rounded(value, _BIAS - 1 - (exponent - _BIAS - odd >> 1))
        if magnitude == _INF:
            result = 0
        if magnitude == 0:
            result = _INF | code
        elif code > _INF:
            result = _NAN
        out[i] = result


def _evaluate(kernel_of: Callable, x: np.ndarray) -> np.ndarray:
    x = float32_array("x", x)
    codes = np.empty(x.shape, np.uint32)
    kernel_of(np.ascontiguousarray(x).reshape(-1).view(np.uint32), codes.reshape(-1))
    return codes.view(np.float32)


def exp(x: np.ndarray) -> np.ndarray:
    """e to the x, for x of either sign.

    ``|x| * log2(e)``, with log2(e) as ``LOG2_E`` says and rounded to a multiple of ``2**-26``, halves away from zero,
    takes the sign of x. Its floor is the result's exponent, the next 8 bits are the segment and the last 18 the offset.

    Parameters: x : float32[...].
    Returns: float32[...], within 0.72 ulp; 1 for zeros, Inf for Inf and +0 for -Inf. From 88.72284 up it is Inf, from
    -103.97208 down +0, and below -87.33654 subnormal. NaN gives 0x7FC00000.
    Raises: TypeError if x is not a float32 array, or masked.
    """
    return _evaluate(exp_codes, x)


def reciprocal(x: np.ndarray) -> np.ndarray:
    """One over x.

    With x as ``2**e * m``, m from 1 to 2, the segment is the highest 8 bits of the mantissa and the offset the other 15
    with three zeros below. The result is the interpolated value times ``2**-e``, with the sign of x.

    Parameters: x : float32[...].
    Returns: float32[...], within 0.73 ulp, exact for powers of two; Inf for zeros and numbers up to ``2**-128``, zero
    for Inf, both with the sign of x. NaN gives 0x7FC00000.
    Raises: TypeError if x is not a float32 array, or masked.
    """
    return _evaluate(reciprocal_codes, x)


def rsqrt(x: np.ndarray) -> np.ndarray:
    """One over the square root of x.

    With x as ``4**e * m``, m from 1 to 4, the segment is one bit that says whether m is 2 or more, then the highest 7
    bits of the mantissa, and the offset the other 16 with two zeros below. The result is the interpolated value times
    ``2**-e``.

    Parameters: x : float32[...].
    Returns: float32[...], within 0.79 ulp, exact for powers of four; Inf with their sign for zeros, +0 for Inf. NaN and
    negative numbers give 0x7FC00000.
    Raises: TypeError if x is not a float32 array, or masked.
    """
    return _evaluate(rsqrt_codes, x)
