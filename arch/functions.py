"""The scalar engine's functions as facts: which there are, and the tables of the interpolator that serves them all."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import NamedTuple

__all__ = [
    "FUNCTIONS",
    "INDEX_BITS",
    "LOG2_E",
    "LOG2_E_BITS",
    "OFFSET_BITS",
    "SQUARE_BITS",
    "VALUE_BITS",
    "Segment",
    "segments",
]

#: The functions with a table.
FUNCTIONS = ("exp", "reciprocal", "rsqrt")
#: A table has ``2**INDEX_BITS`` segments.
INDEX_BITS = 8
#: Within a segment an argument is ``offset / 2**OFFSET_BITS``, from 0 up to but without 1.
OFFSET_BITS = 18
#: The highest bits of an offset, of which the square is taken.
SQUARE_BITS = 12
#: Values are multiples of ``2**-VALUE_BITS``, from a half up to one.
VALUE_BITS = 27
#: log2(e), a multiple of ``2**-LOG2_E_BITS``, to nearest.
LOG2_E_BITS = 35
LOG2_E = 49570624150


class Segment(NamedTuple):
    """The coefficients of a segment, ``constant + slope * t + curve * t**2`` for t from 0 to 1, in units of
    ``2**-VALUE_BITS``.

    ``constant`` less ``2**(VALUE_BITS - 1)`` has 27 bits, ``slope`` 20 with its sign, ``curve`` 12 and no sign.
    """

    constant: int
    slope: int
    curve: int


@cache
def segments(function: str) -> tuple[Segment, ...]:
    """The table of a function.

    A segment's polynomial goes through the function's values at the three Chebyshev nodes, and each coefficient is
    rounded to nearest; the first segment's constant is the value at its start, a power of two that must be hit. Worked
    out in decimals of 30 digits, so that every machine has the same table.

    ``exp``: ``2**x / 2`` for x from 0 to 1, in 256 equal segments.
    ``reciprocal``: ``1 / x`` for x from 1 to 2, in 256 equal segments.
    ``rsqrt``: ``1 / sqrt(x)`` for x from 1 to 2 in 128 segments, then from 2 to 4 in 128.

    Raises ValueError if ``function`` is none of FUNCTIONS.
    """
    if function not in FUNCTIONS:
        raise ValueError(f"function must be one of {', '.join(FUNCTIONS)}, not {function!r}")
    with localcontext() as context:
        context.prec = 30
        value = {"exp": _exp, "reciprocal": _reciprocal, "rsqrt": _rsqrt}[function]
        return tuple(_fit(value, index) for index in range(1 << INDEX_BITS))


def _exp(index: int, t: Decimal) -> Decimal:
    return (Decimal(2).ln() * (index + t) / (1 << INDEX_BITS)).exp() / 2


def _reciprocal(index: int, t: Decimal) -> Decimal:
    return 1 / (1 + (index + t) / (1 << INDEX_BITS))


def _rsqrt(index: int, t: Decimal) -> Decimal:
    octave, place = divmod(index, 1 << INDEX_BITS - 1)
    return 1 / (2**octave * (1 + (place + t) / (1 << INDEX_BITS - 1))).sqrt()


def _fit(value: Callable[[int, Decimal], Decimal], index: int) -> Segment:
    """Newton's divided differences at the nodes, multiplied out."""
    half, reach = Decimal(1) / 2, Decimal(3).sqrt() / 4
    x0, x1, x2 = half - reach, half, half + reach
    y0, y1, y2 = (value(index, node) for node in (x0, x1, x2))
    rise = (y1 - y0) / (x1 - x0)
    curve = ((y2 - y1) / (x2 - x1) - rise) / (x2 - x0)
    start = y0 - rise * x0 + curve * x0 * x1 if index else value(0, Decimal(0))
    coefficients = (start, rise - curve * (x0 + x1), curve)
    return Segment(*(int((c * (1 << VALUE_BITS)).to_integral_value()) for c in coefficients))
