"""Where a DMA queue's bursts lie: a chunk's lanes, or its elements where memory is transposed, one after another.

A *unit* is what lies together in memory of a chunk: a lane's words or, transposed, the words of one element of all
lanes. Its bursts are cut at multiples of a chunk's bytes.
"""

from typing import NamedTuple

from arch.core.instructions import MEMORY_BITS
from golden.kernels import borrowing_kernel

__all__ = ["Burst", "Side", "burst_at", "chunk_rows", "next_burst", "sink", "source"]

_ADDRESS = (1 << MEMORY_BITS) - 1


class Side(NamedTuple):
    """A side of a DMA in memory."""

    address: int
    transposed: int
    pitch: int
    stride: int


class Burst(NamedTuple):
    """A burst: bytes ``first`` to before ``end``, in so many beats; ``unit`` is where its unit begins."""

    unit: int
    first: int
    end: int
    beats: int


@borrowing_kernel
def source(code):
    """The side that is read."""
    return Side(code.source_address, code.source_transposed, code.source_pitch, code.source_stride)


@borrowing_kernel
def sink(code):
    """The side that is written."""
    return Side(code.sink_address, code.sink_transposed, code.sink_pitch, code.sink_stride)


@borrowing_kernel
def chunk_rows(state, chunk, h):
    """Words of a chunk in each lane."""
    return min(h.chunk_words, state.words - h.chunk_words * (chunk % state.row_chunks))


@borrowing_kernel
def _units(side, state, code, chunk, h):
    """Units of a chunk, and the words of each."""
    if not side.transposed:
        return code.lanes, chunk_rows(state, chunk, h)
    elements = 4 * h.chunk_words >> code.size
    return min(elements, code.count0 - elements * (chunk % state.row_chunks)), ((code.lanes << code.size) + 3) // 4


@borrowing_kernel
def burst_at(side, state, code, rows, walker, h):
    """The burst that a walker has come to; ``rows``: int64[P], of each lane, where memory is not transposed."""
    index, part = walker.chunk // state.row_chunks, walker.chunk % state.row_chunks
    words = _units(side, state, code, walker.chunk, h)[1]
    unit = side.address + index * side.stride
    if side.transposed:
        unit += ((4 * h.chunk_words >> code.size) * part + walker.unit) * side.pitch
    else:
        unit += rows[walker.unit] * side.pitch + 4 * h.chunk_words * part
    unit &= _ADDRESS
    first = unit + 4 * walker.word
    end = min(unit + 4 * words, (first | 4 * h.chunk_words - 1) + 1)
    return Burst(unit, first, end, (end - 1) // h.beat_bytes - first // h.beat_bytes + 1)


@borrowing_kernel
def next_burst(side, state, code, rows, walker, h):
    """Move a walker on to the next burst; True if that is in another chunk."""
    units, words = _units(side, state, code, walker.chunk, h)
    burst = burst_at(side, state, code, rows, walker, h)
    walker.beat = 0
    walker.word = (burst.end - burst.unit) // 4
    if walker.word < words:
        return False
    walker.word = 0
    walker.unit += 1
    if walker.unit < units:
        return False
    walker.unit = 0
    walker.chunk += 1
    return True
