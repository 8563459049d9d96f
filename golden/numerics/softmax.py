"""The softmax numerator of quantised attention, in FP32 and defined to the bit."""

import math

import numpy as np

from golden.checks import float32_array
from golden.kernels import kernel
from golden.numerics.functions import exp_codes

__all__ = ["LOG_P_SCALE", "softmax_numerator"]

#: The float32 nearest to ln 256, of which :func:`golden.numerics.functions.exp` is 256: numerators up to there use the
#: range of every format (e4m3 ends at 448).
LOG_P_SCALE = np.float32(math.log(256))


@kernel
def _numerator(scores, reach, out):
    """Row ``i`` sees keys ``0 .. reach[i] - 1``; the others are never read and get +0."""
    shifted = np.empty(scores.shape[1], np.float32)
    for i in range(scores.shape[0]):
        seen = reach[i]
        top = scores[i, 0]
        for j in range(1, seen):
            # A NaN stays: nothing compares greater than it, and it replaces any number.
            if scores[i, j] > top or scores[i, j] != scores[i, j]:
                top = scores[i, j]
        shift = np.float32(LOG_P_SCALE - top)
        for j in range(seen):
            shifted[j] = np.float32(scores[i, j] + shift)
        exp_codes(shifted.view(np.uint32)[:seen], out[i].view(np.uint32))
        out[i, seen:] = 0


def softmax_numerator(scores: np.ndarray, *, causal: bool = False) -> np.ndarray:
    """``256 exp(score - row maximum)`` of every row, masked keys excluded: one addition and one exp for each element::

        shift[i] = LOG_P_SCALE - maximum over the keys that row i sees [*]
        p[i, j]  = exp(scores[i, j] + shift[i] [*])

    ``[*]`` is one FP32 rounding, nearest even; exp is :func:`golden.numerics.functions.exp`. What the rounding of
    ``shift`` loses is a factor of the whole row, and leaves with the normaliser. A masked key takes no part in the
    maximum and its result is +0, whatever its score. A NaN among the scores that a row sees makes all of them NaN; a
    maximum of +Inf or -Inf gives NaN wherever a score equals it.

    Parameters
    ----------
    scores : float32[S, T]
        One row per query, one column per key.
    causal : bool
        Query ``i`` sees keys ``0 .. i + T - S``: the last query sees every key.

    Returns: float32[S, T], each positive, +0 or NaN. A row's largest is 256 up to its rounding: within a thousandth of
    it for scores up to 4096, and below 2982 for any.
    Raises: TypeError if ``scores`` is not a float32 array; ValueError for a wrong or empty shape, or a
    causal mask with fewer keys than queries.
    """
    scores = np.ascontiguousarray(float32_array("scores", scores))
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"scores must be queries by keys and not empty, not of shape {scores.shape}")
    queries, keys = scores.shape
    if causal and keys < queries:
        raise ValueError(f"a causal mask needs as many keys as queries, not {keys} for {queries}")
    reach = np.full(queries, keys, dtype=np.int64)
    if causal:
        reach = np.arange(keys - queries + 1, keys + 1, dtype=np.int64)
    out = np.empty_like(scores)
    _numerator(scores, reach, out)
    return out
