"""The inner loops of a matrix product: chains of fused multiply-adds over decoded blocks held in registers."""

from collections.abc import Callable, Iterator
from itertools import product
from threading import Thread

import numpy as np
from numba import config, njit

from golden.intrinsics import TILE_M, tile_fma, tile_fold, tile_load, tile_store, tile_width, tile_zero

__all__ = ["BLOCK_K", "BLOCK_M", "BLOCK_N", "Block", "Buffers", "Reader", "accumulate", "for_each_block"]

#: A panel of weights, BLOCK_K x a tile's width at most, stays in the first-level cache while the rows pass by.
BLOCK_K = 192
#: Outputs that are accumulated together, at most: the larger, the less often an operand is decoded again.
BLOCK_M, BLOCK_N = 342, 1024
#: Multiply-adds that are worth a thread: a fraction of a millisecond of work.
_THREAD_MACS = 1 << 22

#: ``(codes: uint[M, N], row, col, panels: float[P, H, W])``: decodes as ``formats.block_decoder`` does.
Reader = Callable[[np.ndarray, int, int, np.ndarray], None]
#: The outputs of a block: rows and columns.
Block = tuple[slice, slice]


class Buffers:
    """The memory of one thread, used for block after block: fresh pages cost as much as decoding them full."""

    def __init__(self):
        self._flat: dict[str, np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        """An array with whatever was in it; the one before of that name is gone."""
        size = int(np.prod(shape))
        flat = self._flat.get(name)
        if flat is None or flat.size < size or flat.dtype != dtype:
            flat = self._flat[name] = np.empty(size, dtype)
        return flat[:size].reshape(shape)

    def sums(self, name: str, block: Block, dtype: np.dtype | type) -> np.ndarray:
        """Room for a block of outputs, as ``dtype[P, H, W]``: panels of whole register tiles.

        Output ``[i, j]`` is element ``[j // W, i, j % W]``. What lies beyond the block collects sums of zero
        products, which nobody reads.
        """
        rows, cols = (part.stop - part.start for part in block)
        width = tile_width(dtype)
        return self.take(name, (-(-cols // width), -(-rows // TILE_M) * TILE_M, width), dtype)


def for_each_block(
    shape: tuple[int, int, int], threads: int | None, work: Callable[[Block, Buffers], None], *, sums: int = 1
) -> None:
    """Call ``work`` for every block of the outputs of an [M, K] x [K, N] product, each with its thread's buffers.

    Blocks are independent of each other, and no result depends on how they are cut or on which thread has which.

    Parameters
    ----------
    shape : tuple of int
        M, K and N.
    threads : int or None
        At most so many; small products take fewer. None: as many as Numba's, which is all processors this
        process may use unless NUMBA_NUM_THREADS says otherwise. They live for this call only, so that a
        process may fork afterwards.
    sums : int
        How many sums ``work`` keeps of each output: the more, the fewer columns in a block.
    """
    rows, depth, cols = shape
    threads = config.NUMBA_NUM_THREADS if threads is None else threads
    threads = min(threads, rows * depth * cols // _THREAD_MACS)
    blocks = list(_blocks(rows, cols, threads, BLOCK_N // sums))
    queue, errors = iter(blocks), []

    def run() -> None:
        buffers = Buffers()
        try:
            # One thread at a time runs Python code, so that no two take the same block.
            for block in queue:
                work(block, buffers)
        except BaseException as error:
            errors.append(error)

    helpers = [Thread(target=run) for _ in range(threads - 1)]
    for helper in helpers:
        helper.start()
    run()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]


def _blocks(rows: int, cols: int, threads: int, widest: int = BLOCK_N) -> Iterator[Block]:
    """Blocks of even size, at most BLOCK_M x ``widest``; a multiple of ``threads`` of them where there is room."""
    across, down = -(-cols // widest), -(-rows // BLOCK_M)
    while across * down % max(threads, 1) and across * down < 4 * threads:
        down += 1
    height, width = -(-rows // max(down, 1)), -(-cols // max(across, 1))
    # Whole tiles, so that none is computed twice over.
    height, width = -(-height // TILE_M) * TILE_M, -(-width // 32) * 32
    for m, n in product(range(0, rows, height or 1), range(0, cols, width or 1)):
        yield slice(m, min(m + height, rows)), slice(n, min(n + width, cols))


def accumulate(
    sums: np.ndarray,
    operands: tuple[np.ndarray, np.ndarray],
    readers: tuple[Reader, Reader],
    block: Block,
    buffers: Buffers,
    *,
    fresh: bool = False,
    high: np.ndarray | None = None,
    run: int = BLOCK_K,
    magic: float = 0.0,
) -> None:
    """Add the products of a block's rows of X and columns of W to its sums, k ascending, one fma each.

    Parameters
    ----------
    sums : float32 or float64[P, H, W]
        The block's sums so far, as :meth:`Buffers.sums` lays them out.
    operands : (uint[M, K], uint[K, N])
    readers : (Reader, Reader)
        They decode blocks of the operands to the dtype of ``sums``.
    fresh : bool
        The sums start from +0, whatever they hold. Not together with ``high``.
    high : float64[P, H, W], optional
        Where parts of the sums go: after every ``run`` products, and at the end of every block of K,
        ``part = (sum + magic) - magic`` is taken from a sum and added to its element of ``high``.
    """
    x, w = operands
    panels, height, width = sums.shape
    length = x.shape[1]
    if not length:
        if fresh:
            sums.fill(0)
        return
    # Of even length: a short last block would load and store as many sums for fewer products.
    longest = -(-length // -(-length // BLOCK_K))
    for start in range(0, length, longest):
        depth = min(longest, length - start)
        x_block = buffers.take("x", (1, height, depth), sums.dtype)
        w_block = buffers.take("w", (panels, depth, width), sums.dtype)
        readers[0](x, block[0].start, start, x_block)
        readers[1](w, start, block[1].start, w_block)
        if high is None:
            _multiply(x_block[0], w_block, sums, fresh and start == 0)
        else:
            _multiply_and_fold(x_block[0], w_block, sums, high, run, magic)


@njit(cache=True, nogil=True, boundscheck=False)
def _multiply(x, w, sums, fresh):
    """``sums[p, i, j] = fma(x[i, k], w[p, k, j], sums[p, i, j])`` for every k in turn, a tile at a time."""
    for p in range(w.shape[0]):
        panel = w[p]
        for i in range(0, x.shape[0], TILE_M):
            tile = tile_zero(sums[p]) if fresh else tile_load(sums[p], i)
            for k in range(panel.shape[0]):
                tile = tile_fma(tile, x, i, panel, k)
            tile_store(sums[p], i, tile)


@njit(cache=True, nogil=True, boundscheck=False)
def _multiply_and_fold(x, w, sums, high, run, magic):
    """The same; after every ``run`` products and after the last, ``high`` takes over the sums' high parts."""
    for p in range(w.shape[0]):
        panel = w[p]
        for i in range(0, x.shape[0], TILE_M):
            tile = tile_load(sums[p], i)
            for start in range(0, panel.shape[0], run):
                for k in range(start, min(start + run, panel.shape[0])):
                    tile = tile_fma(tile, x, i, panel, k)
                tile = tile_fold(tile, high[p], i, magic)
            tile_store(sums[p], i, tile)
