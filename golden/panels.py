"""The inner loops of a matrix product: chains of fused multiply-adds over decoded blocks held in registers."""

from collections.abc import Callable

import numpy as np
from numba import njit

from golden.intrinsics import LANES, vector_fma, vector_load, vector_splat, vector_store

__all__ = ["BLOCK_K", "BLOCK_M", "BLOCK_N", "TILE_M", "Reader", "accumulate", "accumulator"]

#: Rows of the register tile; its width is two vectors.
TILE_M = 6
#: A panel of weights, BLOCK_K x two vectors, stays in the first-level cache while the rows pass by.
BLOCK_K = 192
#: Outputs that are accumulated together: the larger, the less often an operand is decoded again.
BLOCK_M, BLOCK_N = 342, 512

#: ``(codes: uint[M, N], row, col, panels: float[P, H, W])``: decodes as ``formats.block_decoder`` does.
Reader = Callable[[np.ndarray, int, int, np.ndarray], None]


def accumulator(rows: int, cols: int, dtype: type) -> np.ndarray:
    """Zeros for a block of outputs, as ``dtype[P, H, W]``: panels two vectors wide of whole register tiles.

    Output ``[i, j]`` is element ``[j // W, i, j % W]``. What lies beyond the block collects sums of zero
    products, which nobody reads.
    """
    width = 2 * LANES[np.dtype(dtype)]
    return np.zeros((-(-cols // width), -(-rows // TILE_M) * TILE_M, width), dtype)


def accumulate(
    acc: np.ndarray, x: np.ndarray, w: np.ndarray, read_x: Reader, read_w: Reader, m: int, n: int, k: range
) -> None:
    """Add the products of ``x[m:, k]`` and ``w[k, n:]`` to a block of sums, k ascending, one fma each.

    Parameters
    ----------
    acc : float32 or float64[P, H, W]
        The sums so far of the outputs from ``[m, n]`` on, as :func:`accumulator` lays them out.
    x : uint[M, K]
    w : uint[K, N]
    read_x, read_w : Reader
        They decode blocks of ``x`` and ``w`` to the dtype of ``acc``.
    k : range
        The part of the contraction to add.
    """
    panels, height, width = acc.shape
    depth = min(BLOCK_K, len(k))
    x_buffer = np.empty(height * depth, acc.dtype)
    w_buffer = np.empty(panels * depth * width, acc.dtype)
    for start in range(k.start, k.stop, BLOCK_K):
        depth = min(BLOCK_K, k.stop - start)
        x_block = x_buffer[: height * depth].reshape(1, height, depth)
        w_block = w_buffer[: panels * depth * width].reshape(panels, depth, width)
        read_x(x, m, start, x_block)
        read_w(w, start, n, w_block)
        _block(x_block[0], w_block, acc, LANES[acc.dtype])


@njit(cache=True)
def _block(x, w, acc, lanes):
    """``acc[p, i, j] = fma(x[i, k], w[p, k, j], acc[p, i, j])`` for every k in turn."""
    for p in range(w.shape[0]):
        for i in range(0, x.shape[0], TILE_M):
            _tile(x, w[p], acc[p], i, lanes)


@njit(cache=True, boundscheck=False)
def _tile(x, w, acc, i, lanes):
    """Rows ``i`` to ``i + 5`` of one panel: twelve vectors of sums stay in registers over all of k."""
    a0, b0 = vector_load(acc, i, 0), vector_load(acc, i, lanes)
    a1, b1 = vector_load(acc, i + 1, 0), vector_load(acc, i + 1, lanes)
    a2, b2 = vector_load(acc, i + 2, 0), vector_load(acc, i + 2, lanes)
    a3, b3 = vector_load(acc, i + 3, 0), vector_load(acc, i + 3, lanes)
    a4, b4 = vector_load(acc, i + 4, 0), vector_load(acc, i + 4, lanes)
    a5, b5 = vector_load(acc, i + 5, 0), vector_load(acc, i + 5, lanes)
    for k in range(w.shape[0]):
        wa, wb = vector_load(w, k, 0), vector_load(w, k, lanes)
        s = vector_splat(x[i, k])
        a0, b0 = vector_fma(s, wa, a0), vector_fma(s, wb, b0)
        s = vector_splat(x[i + 1, k])
        a1, b1 = vector_fma(s, wa, a1), vector_fma(s, wb, b1)
        s = vector_splat(x[i + 2, k])
        a2, b2 = vector_fma(s, wa, a2), vector_fma(s, wb, b2)
        s = vector_splat(x[i + 3, k])
        a3, b3 = vector_fma(s, wa, a3), vector_fma(s, wb, b3)
        s = vector_splat(x[i + 4, k])
        a4, b4 = vector_fma(s, wa, a4), vector_fma(s, wb, b4)
        s = vector_splat(x[i + 5, k])
        a5, b5 = vector_fma(s, wa, a5), vector_fma(s, wb, b5)
    vector_store(acc, i, 0, a0)
    vector_store(acc, i, lanes, b0)
    vector_store(acc, i + 1, 0, a1)
    vector_store(acc, i + 1, lanes, b1)
    vector_store(acc, i + 2, 0, a2)
    vector_store(acc, i + 2, lanes, b2)
    vector_store(acc, i + 3, 0, a3)
    vector_store(acc, i + 3, lanes, b3)
    vector_store(acc, i + 4, 0, a4)
    vector_store(acc, i + 4, lanes, b4)
    vector_store(acc, i + 5, 0, a5)
    vector_store(acc, i + 5, lanes, b5)
