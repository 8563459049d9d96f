"""Scaling of float32 tensors into the range of a format, before they become the engine's operands."""

from dataclasses import dataclass

import numpy as np

from arch.formats import FP32, Format
from golden.checks import integer, plain
from golden.numerics.conversions import decode, encode, resolve
from golden.numerics.functions import reciprocal

__all__ = ["RECIPES", "Quantized", "dequantize", "quantize"]

#: Which values share a scale; see :func:`quantize`.
RECIPES = ("per-tensor", "per-token", "per-channel", "per-block")

# The axis that shares a scale where the caller names none: the contraction axis of X[M, K] for
# per-token and per-block, of W[K, N] for per-channel.
_DEFAULT_AXIS = {"per-token": -1, "per-channel": -2, "per-block": -1}
_MIN_SCALE = np.float32(2.0 ** (1 - FP32.bias))


@dataclass(frozen=True, eq=False)
class Quantized:
    """A tensor as codes and scales, of its own: a value is about ``decode(codes) * scale``.

    Attributes
    ----------
    codes : uint8 or uint16[...]
        Of the shape of the values.
    scale : float32[...]
        As many dimensions as ``codes``, of size 1 along the axes that share a scale: ``[1, ..., 1]`` per
        tensor, ``[..., 1]`` per token, ``[..., 1, N]`` per channel. Per block, the axis has one entry
        for each block.
    fmt : Format
    axis : int
        The axis cut into blocks (per-block), or -1.
    block : int or None
        Values in a block; None for every other recipe.
    """

    codes: np.ndarray
    scale: np.ndarray
    fmt: Format
    axis: int = -1
    block: int | None = None

    def __post_init__(self) -> None:
        for name in ("codes", "scale"):
            object.__setattr__(self, name, plain(name, getattr(self, name)).copy())

    @property
    def expanded_scale(self) -> np.ndarray:
        """The scale as an array that broadcasts against ``codes``."""
        if self.block is None:
            return self.scale
        return _spread(self.scale, self.axis, self.block, self.codes.shape[self.axis])


def quantize(
    values: np.ndarray,
    fmt: str | Format = "e4m3",
    *,
    recipe: str = "per-tensor",
    axis: int | None = None,
    block: int = 128,
) -> Quantized:
    """Scale values so that the largest magnitude meets the format's, and round them to codes.

    ``scale = amax * c`` with c the float32 nearest to ``1 / fmt.max_value``, and ``codes = encode(values *
    reciprocal(scale))``, with :func:`golden.numerics.functions.reciprocal`. Both products are float32, and each rounds
    to nearest even, as the conversion does: there is no division. amax is the largest magnitude of the values that
    share the scale.

    - amax 0 gives scale 1.
    - A scale is at least 2**-126, the smallest normal number: a subnormal product has lost bits, and the
      values scaled by it could exceed the format. So a tensor with an amax below ``max_value * 2**-126``
      does not reach the format's largest number; its rounding error is at most half a unit of the format's
      smallest subnormal times 2**-126.
    - A format with float32's exponents (bf16) needs no scale and gets 1: scaled to its largest number,
      every product would overflow.

    Parameters
    ----------
    values : float32[...]
        At least one dimension (per-channel: two). Finite.
    fmt : str or Format
        ``"e4m3"``, ``"e5m2"`` or ``"bf16"``.
    recipe : str
        ``"per-tensor"``: one scale. ``"per-token"``: one for each row of X[..., M, K].
        ``"per-channel"``: one for each column of W[..., K, N].
        ``"per-block"``: one for each ``block`` consecutive values along K, the last block may be shorter.
    axis : int, optional
        The axis whose values share a scale, or are cut into blocks: the contraction axis. Default: the last
        (per-channel: the last but one).
    block : int
        Values in a block; for per-block only.

    Returns
    -------
    Quantized

    Raises
    ------
    TypeError
        If ``values`` is not float32, or ``block`` is not an int.
    ValueError
        If a value is NaN or infinite, or the format, recipe, axis or block is not one of those above.
    """
    fmt = resolve(fmt)
    values = plain("values", values)
    if values.dtype != np.float32:
        raise TypeError(f"values must be float32, not {values.dtype}")
    if fmt == FP32:
        raise ValueError("format must be narrower than fp32, not fp32")
    axis = _checked_axis(values, recipe, axis)
    if recipe != "per-block":
        amax = _amax(values, tuple(range(values.ndim)) if recipe == "per-tensor" else (axis,))
        scale = _scale(amax, fmt)
        return Quantized(encode(values * reciprocal(scale), fmt), scale, fmt)
    block = integer("block", block, 1)
    length = values.shape[axis]
    amax = np.zeros([*values.shape[:axis], -(-length // block), *values.shape[axis + 1 :]], np.float32)
    for index in range(amax.shape[axis]):
        part = (slice(None),) * axis + (slice(index * block, (index + 1) * block),)
        amax[(slice(None),) * axis + (slice(index, index + 1),)] = _amax(values[part], (axis,))
    scale = _scale(amax, fmt)
    inverse = _spread(reciprocal(scale), axis, block, length)
    return Quantized(encode(values * inverse, fmt), scale, fmt, axis, block)


def dequantize(quantized: Quantized) -> np.ndarray:
    """float32[...]: ``decode(codes) * scale``, one float32 rounding."""
    return decode(quantized.codes, quantized.fmt) * quantized.expanded_scale


def _checked_axis(values: np.ndarray, recipe: str, axis: int | None) -> int:
    """The axis that shares a scale, counted from 0."""
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, not {recipe!r}")
    if not values.ndim:
        raise ValueError("values must have at least 1 dimension, not 0")
    if recipe == "per-tensor":
        if axis is not None:
            raise ValueError(f"axis must be None for recipe per-tensor, not {axis}")
        return -1
    axis = _DEFAULT_AXIS[recipe] if axis is None else integer("axis", axis)
    if not -values.ndim <= axis < values.ndim:
        raise ValueError(f"axis must name one of {values.ndim} dimensions, not {axis}")
    return axis % values.ndim


def _amax(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The largest magnitude along the axes, which stay with size 1; ValueError unless all are finite."""
    # A running maximum of both ends needs no copy of the magnitudes; it keeps any NaN.
    amax = np.maximum(
        np.max(values, axis=axes, keepdims=True, initial=0), -np.min(values, axis=axes, keepdims=True, initial=0)
    )
    if not np.isfinite(amax).all():
        raise ValueError(f"values must be finite, not {amax[~np.isfinite(amax)][0]}")
    return amax


def _scale(amax: np.ndarray, fmt: Format) -> np.ndarray:
    if fmt.exp_bits == FP32.exp_bits:
        return np.ones_like(amax)
    scale = np.maximum(amax * np.float32(1 / fmt.max_value), _MIN_SCALE)
    return np.where(amax == 0, np.float32(1), scale)


def _spread(scale: np.ndarray, axis: int, block: int, length: int) -> np.ndarray:
    """One scale for each of the ``length`` values along an axis, from one for each block."""
    return np.take(scale, np.arange(length) // block, axis)
