"""The exponential and the softmax numerator of quantised attention, in FP32 and defined to the bit."""

import numpy as np

from arch.formats import FP32
from golden.checks import float32_array
from golden.kernels import kernel

__all__ = ["EXP_MAX_ULP", "exp_fp32", "softmax_numerator"]

#: Every result of :func:`exp_fp32` is within this many ulp of the exact one (0.986 over all of float32).
EXP_MAX_ULP = 1.0

# Every product and every sum below is one FP32 rounding to nearest even; nothing is fused.
_LOG2E = np.float32(float.fromhex("0x1.715476p+0"))
# ln 2 in two parts. LN2_HI has 15 significant bits and |n| <= 150 has 8, so n * LN2_HI is exact, and so
# is x - n * LN2_HI: it is small beside x and a multiple of the lower of their two last places.
_LN2_HI = np.float32(float.fromhex("0x1.62e4p-1"))
_LN2_LO = np.float32(float.fromhex("0x1.7f7d1cp-20"))
# exp(r) is close to 1 + r + r**2 (C1 + C2 r + ... + C5 r**4) on |r| <= ln(2) / 2. The fit makes the largest
# error, counted in ulp of exp(r), smallest (iteratively reweighted least squares on 4,001 Chebyshev points
# in float64). Coefficients were rounded to FP32 one by one, lowest first, and the rest fitted again after
# each. The polynomial alone is within 0.037 ulp; roundings make up the rest.
_C1 = np.float32(float.fromhex("0x1.fffffap-2"))
_C2 = np.float32(float.fromhex("0x1.555492p-3"))
_C3 = np.float32(float.fromhex("0x1.5559fep-5"))
_C4 = np.float32(float.fromhex("0x1.12398p-7"))
_C5 = np.float32(float.fromhex("0x1.697bb8p-10"))
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)
# exp(-104) < 2**-150, half of the smallest subnormal: all from here down rounds to +0.
_UNDERFLOW = np.float32(-104.0)
_NAN = np.uint32(FP32.nan).view(np.float32)


@kernel
def _scale(p, n):
    """``p * 2**n`` for a normal ``p`` in (0.5, 2) and -151 <= n <= 0, rounded once to nearest even."""
    bits = np.int64(np.float32(p).view(np.uint32))
    exponent = (bits >> 23) + n
    if exponent > 0:
        return np.uint32(bits + (n << 23)).view(np.float32)
    # Gradual underflow: the significand moves right by `shift` >= 1 places, into a zero exponent field.
    # A carry out of the 23 bits lands in the exponent field, where it means the smallest normal number.
    shift = 1 - exponent
    significand = (bits & 0x7FFFFF) | 0x800000
    kept = significand >> shift
    rest = significand - (kept << shift)
    half = 1 << (shift - 1)
    if rest > half or (rest == half and kept & 1):
        kept += 1
    return np.uint32(kept).view(np.float32)


@kernel
def _exp(x):
    """``float32`` exp of one ``float32`` x <= 0; NaN gives the canonical NaN."""
    if x != x:
        return _NAN
    if x < _UNDERFLOW:
        return _ZERO
    n = np.rint(np.float32(x * _LOG2E))
    r = np.float32(np.float32(x - np.float32(n * _LN2_HI)) - np.float32(n * _LN2_LO))
    h = np.float32(np.float32(_C5 * r) + _C4)
    h = np.float32(np.float32(h * r) + _C3)
    h = np.float32(np.float32(h * r) + _C2)
    h = np.float32(np.float32(h * r) + _C1)
    p = np.float32(np.float32(np.float32(np.float32(r * r) * h) + r) + _ONE)
    return _scale(p, np.int64(n))


@kernel
def _exp_array(x, out):
    for i in range(x.size):
        out[i] = _exp(x[i])


@kernel
def _numerator(scores, reach, out):
    """Row ``i`` sees keys ``0 .. reach[i] - 1``; the others are never read and get +0."""
    for i in range(scores.shape[0]):
        seen = reach[i]
        top = scores[i, 0]
        for j in range(1, seen):
            # A NaN stays: nothing compares greater than it, and it replaces any number.
            if scores[i, j] > top or scores[i, j] != scores[i, j]:
                top = scores[i, j]
        for j in range(seen):
            out[i, j] = _exp(np.float32(scores[i, j] - top))
        for j in range(seen, scores.shape[1]):
            out[i, j] = _ZERO


def exp_fp32(x: np.ndarray) -> np.ndarray:
    """The exponential of numbers that are not positive, as softmax needs it.

    Every operation rounds to FP32, nearest even, and none is fused::

        n = rint(x * LOG2E)                      # to an integer, ties to even
        r = (x - n * LN2_HI) - n * LN2_LO        # Cody-Waite: |r| <= ln(2) / 2 and a little
        h = (((C5 * r + C4) * r + C3) * r + C2) * r + C1
        p = ((r * r) * h + r) + 1                # 0.70 < p < 1.42
        exp(x) = p * 2**n                        # one rounding, exact unless the result is subnormal

    ``x`` below -104, and -Inf, give +0; +-0 gives exactly 1; NaN gives the canonical NaN. The error is
    below ``EXP_MAX_ULP`` ulp for every argument.

    Parameters: x : float32[...], each <= 0 or NaN.
    Returns: float32[...] of the same shape, in 0..1 or NaN.
    Raises: TypeError if ``x`` is not a float32 array; ValueError for a positive ``x``.
    """
    x = float32_array("x", x)
    if (x > 0).any():
        raise ValueError(f"exp_fp32 takes numbers that are not positive, not {float(x[x > 0][0])!r}")
    out = np.empty(x.shape, np.float32)
    _exp_array(np.ascontiguousarray(x).reshape(-1), out.reshape(-1))
    return out


def softmax_numerator(scores: np.ndarray, *, causal: bool = False) -> np.ndarray:
    """``exp(score - row maximum)`` of every row, masked keys excluded.

    The maximum is taken over the keys a row sees; the difference is one FP32 rounding, nearest even; then
    :func:`exp_fp32`. A masked key takes no part in the maximum and its result is +0, whatever its score.
    A NaN among a row's scores, or a maximum of +Inf beside another +Inf, gives NaN there.

    Parameters
    ----------
    scores : float32[S, T]
        One row per query, one column per key.
    causal : bool
        Query ``i`` sees keys ``0 .. i + T - S``: the last query sees every key.

    Returns: float32[S, T], each in 0..1 or NaN.
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
