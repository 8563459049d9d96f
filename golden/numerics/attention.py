"""Quantised attention: both products on the array, softmax in FP32, every rounding in a fixed order."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from arch.formats import FP32, OPERAND_FORMATS
from golden.checks import plain
from golden.numerics.conversions import encode
from golden.numerics.functions import reciprocal
from golden.numerics.gemm import gemm
from golden.numerics.hadamard import inverse_sqrt
from golden.numerics.kv_cache import (
    ATTENTION_RECIPES,
    BLOCK,
    KVCache,
    check_heads,
    check_pair,
    check_scale,
    quantize_rows,
)
from golden.numerics.softmax import softmax_numerator

__all__ = ["ErrorReport", "attend", "attention", "attention_reference", "error_report"]

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
        Which numbers share a scale: a name in ``golden.numerics.kv_cache.ATTENTION_RECIPES``.
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
        NaN is always 0x7FC00000. All are finite unless something overflows float32. Only a score beyond 3.4e38 gives
        NaN. Numerators go up to about 256 (2981 where scores are beyond 2**26), so a sum of values can become Inf, and
        with it the result, where v is in bf16 and T times its largest magnitude comes near 2**120; so can a rounded
        value times a ``v_scale`` that was given.

    Raises
    ------
    TypeError
        If a tensor or scale is not a float32 array, or masked.
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

        a[i, b]    = q_scale[i, b] * inverse_sqrt(D)                         [*]
        t[i, j, b] = (q_codes @ k_codes.T over block b)[i, j] * a[i, b] [*] * k_scales[j, b] [*]
        s[i, j]    = t[i, j, 0] + t[i, j, 1] [*] + ... [*]                   blocks ascending; -Inf where masked
        shift[i]   = LOG_P_SCALE - max over j of s[i, j]                     [*]
        p_codes    = encode(exp(s[i, j] + shift[i] [*]))                     up to about 256
        o, l       = p_codes @ [v_codes, 1]                                  D columns, and one
        out[i, d]  = (o[i, d] * reciprocal(l[i])) [*] * v_scale[d] [*]

    There is no division: exp and reciprocal are those of :mod:`golden.numerics.functions`, and codes and scales of q, k
    and v are made as in :func:`golden.numerics.quantize.quantize`. ``docs/attention.md`` puts all of it as the
    instructions of a core. The matrix products round as their accumulation says. The normaliser ``l`` is the sum of the
    quantised numerators, so the weights of the average add up to 1 whatever their quantisation did.
    """
    q = check_heads("q", q)
    if x_format not in OPERAND_FORMATS:
        raise ValueError(f"x_format must be one of {', '.join(OPERAND_FORMATS)}, not {x_format!r}")
    if not cache.tokens:
        raise ValueError("the cache must hold at least one token, not 0")
    _check_shapes(q.shape, cache.k_codes.shape, causal)
    kv_heads, tokens, _ = cache.k_codes.shape
    heads = q.shape[0]
    if matmul is None:
        matmul = partial(gemm, accumulation=accumulation)
    matmul = partial(_checked, matmul, x_format=x_format, w_format=cache.w_format)
    recipe = ATTENTION_RECIPES[cache.recipe]
    q_codes, q_scales = quantize_rows("q", q, x_format, recipe, check_scale("q_scale", q_scale, (heads,)))

    out = np.empty_like(q, order="C")
    one = encode(np.ones((tokens, 1), np.float32), cache.w_format)
    # Overflow is defined (Inf, then NaN) and shows in the result.
    with np.errstate(over="ignore", invalid="ignore"):
        for head in range(heads):
            kv = head // (heads // kv_heads)
            scores = _scores(matmul, q_codes[head], q_scales[head], cache.k_codes[kv], cache.k_scales[kv])
            p_codes = encode(softmax_numerator(scores, causal=causal), x_format)
            try:
                sums = matmul(p_codes, np.hstack([cache.v_codes[kv], one]))
            except ValueError as error:
                # An engine speaks of its K, which is no tensor of the caller's here.
                raise ValueError(f"softmax times values, whose K is the {tokens} tokens: {error}") from None
            out[head] = sums[:, :-1] * reciprocal(sums[:, -1:]) * cache.v_scale[kv]
    # A processor may give a NaN of its own, of either sign.
    out.view(np.uint32)[np.isnan(out)] = FP32.nan
    return out


def _check_shapes(q: tuple[int, ...], keys: tuple[int, ...], causal: bool) -> None:
    """ValueError unless queries and keys of these shapes, heads by tokens by channels, go together."""
    if q[2] != keys[2]:
        raise ValueError(f"q must have the keys' {keys[2]} channels, not {q[2]}")
    if q[0] % keys[0]:
        raise ValueError(f"q must have a multiple of the keys' {keys[0]} heads, not {q[0]}")
    if causal and keys[1] < q[1]:
        raise ValueError(f"a causal mask needs as many keys as queries, not {keys[1]} for {q[1]}")


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
        scores = scores * q_scales[:, block, None]
        scores *= k_scales[:, block]
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
    """``softmax(q k^T / sqrt(D)) v`` in float64, unquantised; arguments and errors as for :func:`attention`.

    Returns: float64[H, S, D]. BLAS may add in any order: a yardstick for errors, not for bits.
    """
    q, (k, v) = check_heads("q", q), check_pair(k, v)
    _check_shapes(q.shape, k.shape, causal)
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

    Raises: TypeError for another type or a masked array; ValueError if shapes differ or nothing is compared.
    """
    actual, reference = plain("actual", actual), plain("reference", reference)
    for name, values in (("actual", actual), ("reference", reference)):
        if values.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name} must be float32 or float64, not {values.dtype}")
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
