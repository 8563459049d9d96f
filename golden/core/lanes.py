"""Arithmetic of the vector and scalar engines on many elements at once: IEEE binary32, each operation rounded."""

from collections.abc import Callable

import numpy as np

from arch.formats import FP32
from golden.numerics.functions import exp, reciprocal, rsqrt

__all__ = ["FUNCTIONS", "add_up", "canonical", "keep", "maximum_index", "operate", "reduced_maximum"]

_NAN = np.uint32(FP32.nan).view(np.float32)
_MAGNITUDE = np.int32((1 << 31) - 1)
#: Interleaved sums along the free dimensions.
_PARTIAL_SUMS = 8

#: What the scalar engine computes, by name: float32[...] to float32[...].
FUNCTIONS = {"identity": lambda x: x, "exp": exp, "reciprocal": reciprocal, "rsqrt": rsqrt}


def canonical(values: np.ndarray) -> np.ndarray:
    """float32[...] with every NaN 0x7FC00000, changed in place."""
    unordered = np.isnan(values)
    if unordered.any():
        values[unordered] = _NAN
    return values


def _order(values: np.ndarray) -> np.ndarray:
    """int32[...] that are ordered as the numbers are, -0 below +0 and the canonical NaN highest; its own inverse."""
    codes = values.view(np.int32)
    return codes ^ (codes >> 31 & _MAGNITUDE)


def _largest(x: np.ndarray, a: np.ndarray) -> np.ndarray:
    return _order(np.maximum(_order(x), _order(a)).view(np.float32)).view(np.float32)


def _smallest(x: np.ndarray, a: np.ndarray) -> np.ndarray:
    result = _order(np.minimum(_order(x), _order(a)).view(np.float32)).view(np.float32)
    result[np.isnan(x) | np.isnan(a)] = _NAN
    return result


def _compared(ufunc: Callable) -> Callable:
    return lambda x, a: ufunc(x, a).astype(np.float32)


_OPERATIONS = {
    "add": np.add,
    "subtract": np.subtract,
    "rsubtract": lambda x, a: np.subtract(a, x),
    "multiply": np.multiply,
    "max": _largest,
    "min": _smallest,
    "equal": _compared(np.equal),
    "less": _compared(np.less),
    "less_equal": _compared(np.less_equal),
}


def operate(name: str, x: np.ndarray, a: np.ndarray) -> np.ndarray:
    """``x op a``, rounded, with NaN as 0x7FC00000.

    Parameters: name : one of ``OPERATIONS`` but bypass; x : float32[P, F]; a : float32[P, F], [P, 1] or [1, 1]. NaN is
    canonical in both.
    Returns: float32[P, F]. max and min: NaN wins, and -0 is less than +0. Comparisons give 1 or +0, of NaN +0.
    """
    with np.errstate(all="ignore"):
        return canonical(_OPERATIONS[name](x, a))


def keep(y: np.ndarray, kind: str, limits: np.ndarray, inner: int, fill: np.ndarray) -> np.ndarray:
    """y where the index in dimension 0 is at most, at least or equal to its lane's limit, else ``fill``.

    Parameters: y : float32[P, F]; kind : at_most, at_least or equal; limits : int[P]; inner : elements in dimension 0,
    a divisor of F; fill : float32[].
    """
    compare = {"at_most": np.less_equal, "at_least": np.greater_equal, "equal": np.equal}[kind]
    kept = compare(np.arange(inner), limits[:, None])
    return np.where(kept[:, None, :], y.reshape(len(y), -1, inner), fill).reshape(y.shape)


def add_up(y: np.ndarray) -> np.ndarray:
    """The sum of each lane: float32[P] of float32[P, F], NaN as 0x7FC00000.

    Element f belongs to partial sum f mod 8, which begins at +0 and takes its elements in ascending order; then
    ``((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))``.
    """
    lanes, count = y.shape
    # +0, the elements, and +0 up to the last row of eight: a partial sum is never -0, so that +0 changes none.
    padded = np.zeros((lanes, 1 + -(-count // _PARTIAL_SUMS), _PARTIAL_SUMS), np.float32)
    padded.reshape(lanes, -1)[:, _PARTIAL_SUMS : _PARTIAL_SUMS + count] = y
    with np.errstate(all="ignore"):
        # An accumulation is defined element by element; NumPy's sums are in an order of its own.
        sums = np.add.accumulate(padded, axis=1)[:, -1]
        while sums.shape[1] > 1:
            sums = sums[:, 0::2] + sums[:, 1::2]
    return canonical(sums[:, 0])


def reduced_maximum(y: np.ndarray) -> np.ndarray:
    """The maximum of each lane, float32[P] of float32[P, F]: NaN wins, and -0 is less than +0."""
    return _order(_order(y).max(axis=1).view(np.float32)).view(np.float32)


def maximum_index(y: np.ndarray) -> np.ndarray:
    """The lowest index of each lane's maximum, uint32[P] of float32[P, F]: NaN is largest, and -0 equals +0."""
    return _order(y + np.float32(0)).argmax(axis=1).astype(np.uint32)
