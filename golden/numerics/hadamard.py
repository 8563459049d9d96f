"""The random Hadamard rotation that spreads a query's or key's outliers over all its channels."""

import numpy as np

from golden.checks import float32_array, integer
from golden.kernels import kernel

__all__ = ["SIGN_SEED", "inverse_sqrt", "rotate", "rotation_signs"]

#: First state of the sign generator.
SIGN_SEED = 0xACE1


def rotation_signs(dim: int) -> np.ndarray:
    """The diagonal of +1 and -1 that precedes the transform, the same for queries and keys.

    Sign ``i`` is negative where bit 0 of the ``i``-th state is set. States come from a 16-bit Fibonacci
    shift register with taps 16, 14, 13, 11 (period 65,535), which starts at ``SIGN_SEED`` and shifts right.

    Parameters: dim : int, at least 1.
    Returns: float32[dim].
    """
    dim = integer("dim", dim, 1)
    signs = np.empty(dim, dtype=np.float32)
    state = SIGN_SEED
    for i in range(dim):
        signs[i] = -1.0 if state & 1 else 1.0
        feedback = (state ^ state >> 2 ^ state >> 3 ^ state >> 5) & 1
        state = state >> 1 | feedback << 15
    return signs


def inverse_sqrt(dim: int) -> np.float32:
    """``1 / sqrt(dim)``, the float32 nearest to it. ``dim`` is 1 to 65,536.

    The float64 quotient is within 2**-52 of it, relatively. Another float32 could be the nearer one only if
    ``1 / dim`` were that close to the square of a midpoint of two float32; none of these is (a test tries all).
    """
    return np.float32(1.0 / np.sqrt(np.float64(integer("dim", dim, 1, 65536))))


@kernel
def _butterflies(rows, signs, scale):
    dim = rows.shape[1]
    for row in rows:
        for i in range(dim):
            row[i] = np.float32(row[i] * signs[i])
        stride = 1
        while stride < dim:
            for start in range(0, dim, 2 * stride):
                for i in range(start, start + stride):
                    low = row[i]
                    high = row[i + stride]
                    row[i] = np.float32(low + high)
                    row[i + stride] = np.float32(low - high)
            stride *= 2
        for i in range(dim):
            row[i] = np.float32(row[i] * scale)


def rotate(values: np.ndarray) -> np.ndarray:
    """Multiply the last axis by ``diag(signs) @ hadamard(dim) / sqrt(dim)``, Sylvester's order.

    The matrix is orthogonal: dot products of two rotated rows stay what they were, up to rounding. Each
    row is computed in this order, every operation one FP32 rounding to nearest even:

    1. ``x[i] = x[i] * signs[i]`` (exact);
    2. for stride 1, 2, 4, ... dim / 2: ``x[i], x[i + stride] = x[i] + x[i + stride], x[i] - x[i + stride]``;
    3. ``x[i] = x[i] * inverse_sqrt(dim)``.

    Parameters: values : float32[..., dim], dim a power of two up to 65,536.
    Returns: float32[..., dim]. Sums beyond float32 become Inf.
    Raises: TypeError if ``values`` is not a float32 array; ValueError for another ``dim``.
    """
    values = float32_array("values", values)
    dim = values.shape[-1] if values.ndim else 0
    if not 1 <= dim <= 65536 or dim & (dim - 1):
        raise ValueError(f"a Hadamard rotation needs a power of two up to 65536 as its last axis, not {dim}")
    rows = values.reshape(-1, dim).copy()
    _butterflies(rows, rotation_signs(dim), inverse_sqrt(dim))
    return rows.reshape(values.shape)
