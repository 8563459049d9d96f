"""The inner loops of a matrix product: chains of fused multiply-adds over decoded blocks held in registers."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from threading import Thread

import numpy as np
from numba import config

from golden.kernels import kernel
from golden.numerics.conversions import DecodeRule, decode_block
from golden.numerics.intrinsics import TILE_M, tile_fma, tile_fold, tile_load, tile_store, tile_width, tile_zero

__all__ = ["BLOCK_K", "BLOCK_M", "BLOCK_N", "Block", "Buffers", "accumulate", "for_each_block"]

#: A panel of weights, BLOCK_K x a tile's width at most, stays in the first-level cache while the rows pass by.
BLOCK_K = 192
#: Outputs that are accumulated together, by default: the larger, the less often an operand is decoded again.
BLOCK_M, BLOCK_N = 342, 1024
#: Multiply-adds that are worth a thread: a fraction of a millisecond of work.
_THREAD_MACS = 1 << 22

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
    shape: tuple[int, int, int],
    threads: int | None,
    work: Callable[[Block, Buffers], None],
    *,
    largest: tuple[int, int] = (BLOCK_M, BLOCK_N),
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
    largest : tuple of int
        The most rows and columns of a block.
    """
    rows, depth, cols = shape
    threads = config.NUMBA_NUM_THREADS if threads is None else threads
    threads = min(threads, rows * depth * cols // _THREAD_MACS)
    queue, errors = iter(list(_blocks(rows, cols, threads, largest))), []

    def run(processors: set[int]) -> None:
        buffers = Buffers()
        try:
            with _on(processors):
                # One thread at a time runs Python code, so that no two take the same block.
                for block in queue:
                    work(block, buffers)
        except BaseException as error:
            errors.append(error)

    own, *others = _processors(threads)
    helpers = [Thread(target=run, args=(processors,)) for processors in others]
    for helper in helpers:
        helper.start()
    run(own)
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]


def _processors(threads: int) -> list[set[int]]:
    """Where each thread may run, the caller first: where it is; all others are dealt out. Empty sets: anywhere.

    Linux may leave two busy threads on one processor, with another idle, for longer than a product of 1024 takes.
    """
    anywhere = [set() for _ in range(max(threads, 1))]
    if threads < 2 or not hasattr(os, "sched_setaffinity"):
        return anywhere
    try:
        fields = Path("/proc/thread-self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return anywhere
    # Field 39 of proc(5), of which the name in brackets is the second.
    here = int(fields[36])
    others = sorted(os.sched_getaffinity(0) - {here})
    helpers = threads - 1
    return anywhere if len(others) < helpers else [{here}, *(set(others[i::helpers]) for i in range(helpers))]


@contextmanager
def _on(processors: set[int]) -> Iterator[None]:
    """The calling thread on these processors, if any are named and may be, and back to where it might run before."""
    if not processors:
        yield
        return
    before = os.sched_getaffinity(0)
    with suppress(OSError):
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)


def _blocks(rows: int, cols: int, threads: int, largest: tuple[int, int] = (BLOCK_M, BLOCK_N)) -> Iterator[Block]:
    """Blocks of even size, at most ``largest``; a multiple of ``threads`` of them where there is room."""
    down, across = -(-rows // largest[0]), -(-cols // largest[1])
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
    rules: tuple[DecodeRule, DecodeRule],
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
    rules : (DecodeRule, DecodeRule)
        How each is decoded.
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
    x_flat = buffers.take("x", (height * longest,), sums.dtype)
    w_flat = buffers.take("w", (panels * longest * width,), sums.dtype)
    first = block[0].start, block[1].start
    _accumulate(x, w, *rules, first, longest, x_flat, w_flat, sums, fresh, high, run, magic)


@kernel(nogil=True)
def _accumulate(x, w, x_rule, w_rule, first, longest, x_flat, w_flat, sums, fresh, high, run, magic):
    """All of a block in one call: a thread that comes back to Python waits for the others, and is slow to wake."""
    panels, height, width = sums.shape
    length = x.shape[1]
    for start in range(0, length, longest):
        depth = min(longest, length - start)
        x_block = x_flat[: height * depth].reshape((1, height, depth))
        w_block = w_flat[: panels * depth * width].reshape((panels, depth, width))
        decode_block(x, first[0], start, x_rule, x_block)
        decode_block(w, start, first[1], w_rule, w_block)
        if high is None:
            _multiply(x_block[0], w_block, sums, fresh and start == 0)
        else:
            _multiply_and_fold(x_block[0], w_block, sums, high, run, magic)


@kernel(nogil=True, boundscheck=False)
def _multiply(x, w, sums, fresh):
    """``sums[p, i, j] = fma(x[i, k], w[p, k, j], sums[p, i, j])`` for every k in turn, a tile at a time."""
    for p in range(w.shape[0]):
        panel = w[p]
        for i in range(0, x.shape[0], TILE_M):
            tile = tile_zero(sums[p]) if fresh else tile_load(sums[p], i)
            for k in range(panel.shape[0]):
                tile = tile_fma(tile, x, i, panel, k)
            tile_store(sums[p], i, tile)


@kernel(nogil=True, boundscheck=False)
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
