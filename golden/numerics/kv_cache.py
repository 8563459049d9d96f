"""Quantised keys and values, as memory holds them between the tokens of a sequence."""

from dataclasses import dataclass

import numpy as np

from arch.formats import OPERAND_FORMATS
from golden.checks import float32_array
from golden.numerics.conversions import code_dtype, encode
from golden.numerics.functions import reciprocal
from golden.numerics.hadamard import rotate
from golden.numerics.quantize import quantize

__all__ = [
    "ATTENTION_RECIPES",
    "BLOCK",
    "KVCache",
    "Recipe",
    "check_heads",
    "check_pair",
    "check_scale",
    "quantize_rows",
]

#: Channels that share a scale in the recipe ``per-block``.
BLOCK = 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How attention gives its operands their scales; each head has its own.

    rows : str
        Queries and keys: one scale ``"per-tensor"``, ``"per-token"``, or ``"per-block"`` of ``BLOCK``
        channels of a token (the last block may be shorter).
    values : str
        Values: one scale ``"per-tensor"`` or ``"per-channel"``. A scale per token could not leave the sum
        over tokens.
    rotated : bool
        Queries and keys go through :func:`golden.numerics.hadamard.rotate` first.
    """

    rows: str
    values: str
    rotated: bool = False


#: The recipes of attention by name. Operands in bf16 have scale 1 whatever the recipe.
ATTENTION_RECIPES = {
    "per-tensor": Recipe(rows="per-tensor", values="per-tensor"),
    "per-token": Recipe(rows="per-token", values="per-channel"),
    "per-block": Recipe(rows="per-block", values="per-channel"),
    "hadamard": Recipe(rows="per-tensor", values="per-tensor", rotated=True),
    "hadamard-per-token": Recipe(rows="per-token", values="per-channel", rotated=True),
}


def check_heads(name: str, tensor: np.ndarray) -> np.ndarray:
    """The tensor, if it is float32[heads, tokens, channels], finite and not empty."""
    tensor = float32_array(name, tensor)
    if tensor.ndim != 3 or not tensor.size:
        raise ValueError(f"{name} must be [heads, tokens, channels] and not empty, not {list(tensor.shape)}")
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} must be finite, not {tensor[~np.isfinite(tensor)][0]}: its scale is undefined")
    return tensor


def check_pair(k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys and values, if each is as :func:`check_heads` wants it and both have one shape."""
    k, v = check_heads("k", k), check_heads("v", v)
    if k.shape != v.shape:
        raise ValueError(f"k and v must have one shape, not {list(k.shape)} and {list(v.shape)}")
    return k, v


def check_scale(name: str, scale: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The scale given by a caller, if it is positive, normal and of that shape; None stays None."""
    if scale is None:
        return None
    scale = float32_array(name, scale)
    if scale.shape != shape:
        raise ValueError(f"{name} must be {list(shape)}, not {list(scale.shape)}")
    good = np.isfinite(scale) & (scale >= np.finfo(np.float32).tiny)
    if not good.all():
        raise ValueError(f"{name} must be positive, normal and finite, not {scale[~good][0]}")
    return scale


def quantize_rows(
    name: str, rows: np.ndarray, fmt: str, recipe: Recipe, scale: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Queries or keys as ``(codes[heads, tokens, channels], scales float32[heads, tokens, blocks])``.

    ``scale``, float32[heads], replaces the recipe's scales.
    A token's one scale is a single block.
    """
    if recipe.rotated:
        rows = rotate(rows)
        if not np.isfinite(rows).all():
            raise ValueError(f"{name} is too large: its rotation overflows float32")
    if scale is not None:
        scales = np.broadcast_to(scale[:, None, None], (*rows.shape[:2], 1))
        return encode_scaled(rows, scales, fmt), scales
    # The only scale of bf16 is 1: blocks would cut the sum for nothing.
    kind = "per-tensor" if fmt == "bf16" else recipe.rows
    heads = [quantize(head, fmt, recipe=kind, block=BLOCK) for head in rows]
    scales = [np.broadcast_to(head.scale, (rows.shape[1], head.scale.shape[1])) for head in heads]
    return np.stack([head.codes for head in heads]), np.stack(scales)


def encode_scaled(values: np.ndarray, scale: np.ndarray, fmt: str) -> np.ndarray:
    """Codes of ``values * reciprocal(scale)``; a product beyond the format, or float32, becomes the largest number."""
    with np.errstate(over="ignore"):
        return encode(values * reciprocal(scale), fmt)


class KVCache:
    """The keys and values of one sequence, quantised once, when they are appended.

    A key gets its token's own scales, so it is stored the same whatever came before or comes after it;
    values, and the keys of per-tensor recipes, need scales that hold for all tokens. Those are given, or
    taken from the first ``append`` (the prompt) and kept: later numbers beyond the range saturate.

    Hence a query of a sequence decoded token by token has the bits it has when the whole sequence is
    processed at once, if both use the same lasting scales: ``v_scale`` for recipes with a scale per
    token, ``q_scale``, ``k_scale`` and ``v_scale`` for those with one per tensor, none for bf16.

    An append copies the cache, work of the order of the next query's.

    Parameters
    ----------
    recipe : str
        A name in ``ATTENTION_RECIPES``.
    w_format : str
        Format of the codes: ``"e4m3"``, ``"e5m2"`` or ``"bf16"``.
    k_scale : float32[heads], optional
        Scale of every key of a head; replaces the recipe's.
    v_scale : float32[heads, channels], optional
        Scale of every channel of the values; replaces the recipe's.

    Members
    -------
    k_codes, v_codes : uint8 or uint16[heads, tokens, channels]
        Keys (rotated, if the recipe says so) and values.
    k_scales : float32[heads, tokens, blocks]
        One per token and block of channels.
    k_scale : float32[heads] or None
        The lasting scale of keys, where there is one.
    v_scale : float32[heads, channels] or None
        The lasting scale of values; None before the first append.
    """

    def __init__(
        self,
        *,
        recipe: str = "per-tensor",
        w_format: str = "e4m3",
        k_scale: np.ndarray | None = None,
        v_scale: np.ndarray | None = None,
    ) -> None:
        if recipe not in ATTENTION_RECIPES:
            raise ValueError(f"recipe must be one of {', '.join(ATTENTION_RECIPES)}, not {recipe!r}")
        if w_format not in OPERAND_FORMATS:
            raise ValueError(f"w_format must be one of {', '.join(OPERAND_FORMATS)}, not {w_format!r}")
        self.recipe = recipe
        self.w_format = w_format
        # Copies: what the caller does to its arrays afterwards must not change what is stored here already. Their shape
        # is not known to be right before the first append.
        self.k_scale = None if k_scale is None else float32_array("k_scale", k_scale).copy()
        self.v_scale = None if v_scale is None else float32_array("v_scale", v_scale).copy()
        self.k_codes = self.v_codes = np.empty((0, 0, 0), code_dtype(w_format))
        self.k_scales = np.empty((0, 0, 0), np.float32)

    @property
    def tokens(self) -> int:
        """Tokens held."""
        return self.k_codes.shape[1]

    def append(self, k: np.ndarray, v: np.ndarray) -> None:
        """Quantise and store more tokens.

        Parameters: k, v : float32[heads, tokens, channels], of equal shape, finite.
        Raises: TypeError, ValueError; the cache is then unchanged.
        """
        k, v = check_pair(k, v)
        heads, _, channels = k.shape
        held = self.k_codes.shape
        if self.tokens and (heads, channels) != (held[0], held[2]):
            raise ValueError(
                f"the cache holds {held[0]} heads of {held[2]} channels, not {heads} heads of {channels} channels"
            )
        k_scale = check_scale("k_scale", self.k_scale, (heads,))
        v_scale = check_scale("v_scale", self.v_scale, (heads, channels))
        recipe = ATTENTION_RECIPES[self.recipe]
        if v_scale is None:
            v_scale = np.stack(
                [np.broadcast_to(quantize(h, self.w_format, recipe=recipe.values).scale[0], channels) for h in v]
            )
        k_codes, k_scales = quantize_rows("k", k, self.w_format, recipe, k_scale)
        v_codes = encode_scaled(v, v_scale[:, None, :], self.w_format)
        if self.tokens:
            k_codes = np.concatenate([self.k_codes, k_codes], axis=1)
            k_scales = np.concatenate([self.k_scales, k_scales], axis=1)
            v_codes = np.concatenate([self.v_codes, v_codes], axis=1)
        # k_scales may be a view of the lasting scale.
        self.k_codes, self.k_scales, self.v_codes, self.v_scale = k_codes, k_scales.copy(), v_codes, v_scale
        if recipe.rows == "per-tensor" and k_scale is None:
            self.k_scale = k_scales[:, 0, 0].copy()
