"""Quantised attention: both products on the array, softmax in FP32, every rounding in a fixed order."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from arch.formats import FP32, OPERAND_FORMATS
from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm
from golden.numerics.hadamard import inverse_sqrt
from golden.numerics.kv_cache import BLOCK, RECIPES, KVCache, check_heads, check_scale, quantize_rows
from golden.numerics.softmax import softmax_numerator

__all__ = ["P_SCALE", "ErrorReport", "attend", "attention", "attention_reference", "error_report"]

#: Softmax numerators are at most 1; times this they use the range of every format (e4m3 ends at 448).
P_SCALE = np.float32(256.0)

#: ``(x_codes[M, K], w_codes[K, N], *, x_format, w_format) -> float32[M, N]``: golden.gemm, or an engine.
Matmul = Callable[..., np.ndarray]


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    *,
    recipe: str = "per-tensor",
    x_format: str = "e4m3",
    w_format: str = "e4m3",
    accumulation: str = "exact",
    causal: bool = False,
    q_scale: np.ndarray | None = None,
    k_scale: np.ndarray | None = None,
    v_scale: np.ndarray | None = None,
    matmul: Matmul | None = None,
) -> np.ndarray:
    """``softmax(q k^T / sqrt(D)) v`` of every head, quantised: the bits of :func:`attend` on a new cache.

    Parameters
    ----------
    q : float32[H, S, D]
        Queries.
    k, v : float32[Hkv, T, D]
        Keys and values. H is a multiple of Hkv; query head ``h`` uses head ``h // (H / Hkv)``.
    recipe : str
        Which numbers share a scale: a name in ``golden.numerics.kv_cache.RECIPES``.
    x_format, w_format : str
        Formats of what moves through the array (q and the softmax numerators) and of what stays in it
        (k and v).
    accumulation : str
        ``"exact"`` or ``"fp32"``, as for :func:`golden.numerics.gemm.gemm`. bf16 needs ``"fp32"``.
    causal : bool
        Query ``i`` sees keys ``0 .. i + T - S``.
    q_scale : float32[H], optional
    k_scale : float32[Hkv], optional
    v_scale : float32[Hkv, D], optional
        Scales decided beforehand; each replaces the recipe's.
    matmul : callable, optional
        Computes every matrix product in place of golden.gemm: ``matmul(x_codes, w_codes, *, x_format, w_format)
        -> float32[M, N]``. ``accumulation`` is then its own affair.

    Returns
    -------
    float32[H, S, D]
        NaN is always 0x7FC00000. There is none unless a sum overflows float32: scores beyond 3.4e38, or
        values in bf16 beyond 2**120.

    Raises
    ------
    TypeError
        If a tensor or scale is not a float32 array.
    ValueError
        If a tensor is empty, not finite or of the wrong shape, or a name is unknown.
    """
    cache = KVCache(recipe=recipe, w_format=w_format, k_scale=k_scale, v_scale=v_scale)
    cache.append(k, v)
    return attend(q, cache, x_format=x_format, accumulation=accumulation, causal=causal, q_scale=q_scale, matmul=matmul)


def attend(
    q: np.ndarray,
    cache: KVCache,
    *,
    x_format: str = "e4m3",
    accumulation: str = "exact",
    causal: bool = False,
    q_scale: np.ndarray | None = None,
    matmul: Matmul | None = None,
) -> np.ndarray:
    """Attention of queries to a cache of T tokens; parameters and result as for :func:`attention`.

    Each head, where ``[*]`` marks an FP32 rounding to nearest even and D is the number of channels::

        a[i, b]   = q_scale[i, b] * inverse_sqrt(D)                                 [*]
        t[i, j, b] = (q_codes @ k_codes.T over block b)[i, j] * a[i, b] [*] * k_scales[j, b] [*]
        s[i, j]   = t[i, j, 0] + t[i, j, 1] [*] + ... [*]                           blocks ascending
        p[i, j]   = exp_fp32(s[i, j] - max over the keys that i sees [*])           +0 where masked
        p_codes   = encode(p * 256)                                                 (the product is exact)
        o, l      = p_codes @ [v_codes, 1]                                          D columns, and one
        out[i, d] = (o[i, d] / l[i]) [*] * v_scale[d] [*]

    The matrix products round as their accumulation says. The normaliser ``l`` is the sum of the quantised
    numerators, so the weights of the average add up to 1 whatever their quantisation did.
    """
    q = check_heads("q", q)
    if x_format not in OPERAND_FORMATS:
        raise ValueError(f"x_format must be one of {', '.join(OPERAND_FORMATS)}, not {x_format!r}")
    if not cache.tokens:
        raise ValueError("the cache must hold at least one token, not 0")
    kv_heads, tokens, channels = cache.k_codes.shape
    heads, queries, width = q.shape
    if width != channels:
        raise ValueError(f"q must have the keys' {channels} channels, not {width}")
    if heads % kv_heads:
        raise ValueError(f"q must have a multiple of the keys' {kv_heads} heads, not {heads}")
    if causal and tokens < queries:
        raise ValueError(f"a causal mask needs as many keys as queries, not {tokens} for {queries}")
    if matmul is None:
        matmul = partial(gemm, accumulation=accumulation)
    matmul = partial(_checked, matmul, x_format=x_format, w_format=cache.w_format)
    recipe = RECIPES[cache.recipe]
    q_codes, q_scales = quantize_rows("q", q, x_format, recipe, check_scale("q_scale", q_scale, (heads,)))

    out = np.empty_like(q, order="C")
    one = encode(np.ones((tokens, 1), np.float32), cache.w_format)
    # Overflow is defined (Inf, then NaN) and shows in the result.
    with np.errstate(over="ignore", invalid="ignore"):
        for head in range(heads):
            kv = head // (heads // kv_heads)
            scores = _scores(matmul, q_codes[head], q_scales[head], cache.k_codes[kv], cache.k_scales[kv])
            p_codes = encode(softmax_numerator(scores, causal=causal) * P_SCALE, x_format)
            sums = matmul(p_codes, np.hstack([cache.v_codes[kv], one]))
            out[head] = sums[:, :-1] / sums[:, -1:] * cache.v_scale[kv]
    # A processor may give a NaN of its own, of either sign.
    out.view(np.uint32)[np.isnan(out)] = FP32.nan
    return out


def _scores(matmul, q_codes, q_scales, k_codes, k_scales):
    """float32[queries, tokens]: one product on the array for each block of channels, scaled and summed."""
    channels = q_codes.shape[1]
    blocks = max(q_scales.shape[1], k_scales.shape[1])
    q_scales = q_scales * inverse_sqrt(channels)
    # One operand may have a single scale where the other has one for each block.
    q_scales = np.broadcast_to(q_scales, (q_scales.shape[0], blocks))
    k_scales = np.broadcast_to(k_scales, (k_scales.shape[0], blocks))
    size = channels if blocks == 1 else BLOCK
    total = None
    for block in range(blocks):
        part = slice(block * size, (block + 1) * size)
        scores = matmul(np.ascontiguousarray(q_codes[:, part]), np.ascontiguousarray(k_codes[:, part].T))
        scores = scores * q_scales[:, block, None] * k_scales[:, block]
        total = scores if total is None else total + scores
    return total


def _checked(matmul, x, w, **formats):
    """The product, if it has the shape and type that an engine's result has."""
    result = matmul(x, w, **formats)
    shape = (x.shape[0], w.shape[1])
    if not isinstance(result, np.ndarray) or result.dtype != np.float32 or result.shape != shape:
        got = f"{result.dtype}{list(result.shape)}" if isinstance(result, np.ndarray) else type(result).__name__
        raise TypeError(f"matmul must return float32{list(shape)}, not {got}")
    return result


def attention_reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, *, causal: bool = False) -> np.ndarray:
    """``softmax(q k^T / sqrt(D)) v`` in float64, unquantised; arguments as for :func:`attention`.

    Returns: float64[H, S, D]. BLAS may add in any order: a yardstick for errors, not for bits.
    """
    group = q.shape[0] // k.shape[0]
    queries, tokens = q.shape[1], k.shape[1]
    out = np.empty(q.shape, np.float64)
    for head in range(q.shape[0]):
        scores = q[head].astype(np.float64) @ k[head // group].T.astype(np.float64)
        scores /= np.sqrt(q.shape[2])
        if causal:
            scores[~np.tri(queries, tokens, tokens - queries, dtype=bool)] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        out[head] = scores @ v[head // group].astype(np.float64)
    return out


@dataclass(frozen=True, kw_only=True)
class ErrorReport:
    """How far a result is from its reference.

    cosine : float
        Of the angle between the two, taken as vectors; NaN if either is all zero.
    relative_l1 : float
        Sum of the magnitudes of differences over that of the reference; NaN if the reference is all zero.
    rmse : float
        Root of the mean squared difference.
    worst_index, worst_actual, worst_expected : tuple of int, float, float
        The element with the largest difference; one that is NaN comes first.
    """

    cosine: float
    relative_l1: float
    rmse: float
    worst_index: tuple[int, ...]
    worst_actual: float
    worst_expected: float


def error_report(actual: np.ndarray, reference: np.ndarray) -> ErrorReport:
    """Compare a result, float32 or float64, with a reference of the same shape, in float64.

    Raises: ValueError if shapes differ or nothing is compared.
    """
    if actual.shape != reference.shape or not actual.size:
        raise ValueError(f"shapes must be equal and not empty, not {list(actual.shape)} and {list(reference.shape)}")
    a, r = actual.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.abs(a - r)
        worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
        return ErrorReport(
            cosine=float(np.dot(a, r) / (np.linalg.norm(a) * np.linalg.norm(r))),
            relative_l1=float(difference.sum() / np.abs(r).sum()),
            rmse=float(np.sqrt(np.mean(difference**2))),
            worst_index=tuple(int(i) for i in np.unravel_index(worst, actual.shape)),
            worst_actual=float(a[worst]),
            worst_expected=float(r[worst]),
        )
