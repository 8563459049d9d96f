"""What rounding an exact value to nearest even does, told from the value alone and not from an implementation."""

import numpy as np

from arch.formats import Format

__all__ = ["CASES", "RANGES", "exact_sum", "rounding"]

#: Exclusive: a carry and an overflow are rounded up, whether from a tie or from above.
CASES = (
    "exact",
    "below half",
    "tie, down to even",
    "tie, up to even",
    "above half",
    "carry into the exponent",
    "overflow by rounding",
    "beyond the range",
)
#: Of the binade of the value before rounding.
RANGES = ("subnormal", "normal")

EXACT, BELOW, TIE_DOWN, TIE_UP, ABOVE, CARRY, OVERFLOW, BEYOND = range(len(CASES))


def exact_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The float64 sum of two float64 and its error, which is a float64 too (Knuth's TwoSum)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def rounding(high: np.ndarray, low: np.ndarray, fmt: Format) -> tuple[np.ndarray, np.ndarray]:
    """Case and range of rounding ``high + low`` to a format, as indices into ``CASES`` and ``RANGES``.

    Parameters
    ----------
    high, low : float64[...]
        A finite value in two parts, of which ``high`` is the sum rounded to float64, as :func:`exact_sum` gives them.

    Returns
    -------
    int64[...], int64[...]
        Both -1 for a value of zero.
    """
    negative = high < 0
    high, low = np.where(negative, -high, high), np.where(negative, -low, low)
    mantissa, exponent = np.frexp(high)
    # Just below a power of two the leading bit is one place lower.
    exponent = exponent - 1 - ((mantissa == 0.5) & (low < 0))
    last_place = np.maximum(exponent - fmt.man_bits, fmt.lsb_exp)
    # Scaling by a power of two is exact: the least values here are multiples of 2**-280.
    scaled, below = np.ldexp(high, -last_place), np.ldexp(low, -last_place)
    kept = np.floor(scaled)
    rest = scaled - kept
    # A value just below a multiple of the last place.
    borrowed = (rest == 0) & (below < 0)
    kept, rest = kept - borrowed, rest + borrowed
    exact = (rest == 0) & (below == 0)
    tie = (rest == 0.5) & (below == 0)
    above = (rest > 0.5) | ((rest == 0.5) & (below > 0))
    odd = kept % 2 == 1
    up = above | (tie & odd)
    subnormal = kept < 2.0**fmt.man_bits
    ones = kept == np.where(subnormal, 2.0**fmt.man_bits, 2.0 ** (fmt.man_bits + 1)) - 1
    # A power of two times an integer of 25 bits at most: exact, and at most 2**256 or so.
    largest = np.ldexp(fmt.max_value, -last_place)
    case = np.select(
        [exact, tie & ~up, tie, above],
        [EXACT, TIE_DOWN, TIE_UP, ABOVE],
        BELOW,
    )
    case = np.where(up & ones, CARRY, case)
    case = np.where(kept + up > largest, OVERFLOW, case)
    case = np.where(kept > largest, BEYOND, case)
    zero = high == 0
    return np.where(zero, -1, case), np.where(zero, -1, 1 - subnormal.astype(np.int64))
