"""What public functions ask of their arguments, each said once."""

import operator

import numpy as np

__all__ = ["float32_array", "integer", "plain"]


def integer(name: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """A Python int of the same value, which cannot overflow: sizes are multiplied.

    Raises: TypeError for what is no integer, a bool included; ValueError unless ``low <= value <= high``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if (low is not None and number < low) or (high is not None and number > high):
        rule = f"at least {low}" if high is None else f"in {low}..{high}"
        raise ValueError(f"{name} must be {rule}, not {number}")
    return number


def plain(name: str, values: object) -> np.ndarray:
    """The argument as an array. Raises TypeError for a masked one: its mask would be lost without a word."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, not a masked one: its mask would be ignored")
    return np.asarray(values)


def float32_array(name: str, values: object) -> np.ndarray:
    """The argument, if it is a float32 array (or number of NumPy's) already; TypeError otherwise."""
    if not isinstance(values, np.ndarray | np.float32) or values.dtype != np.float32:
        raise TypeError(f"{name} must be a float32 array, not {getattr(values, 'dtype', type(values).__name__)}")
    return plain(name, values)
