"""What a dma moves: elements, unchanged, between SBUF and memory."""

from dataclasses import replace

import numpy as np

from arch.core.accesses import Access, accesses
from arch.core.config import CoreConfig
from arch.core.instructions import Instruction
from golden.core.stores import Memory, Sbuf

__all__ = ["move"]


def move(instruction: Instruction, sbuf: Sbuf, memory: Memory, config: CoreConfig) -> None:
    """Run a legal dma.

    Raises ValueError for what nobody wrote, for bytes outside of memory, for an index out of range that is not to be
    skipped, and for an indirect sink in which two lanes have a byte in common: their order is nobody's to know.
    """
    found = {access.operand: access for access in accesses(instruction, config)}
    stores = {"sbuf": sbuf, "memory": memory}
    if instruction.named("indirect") == "none":
        source, sink = found["source"], found["sink"]
        stores[sink.space].write(sink, stores[source.space].read(source))
        return
    indices = sbuf.read(found["index"])
    lanes = _lanes_in_range(indices, instruction)
    # With no index in range the side that they choose is none.
    if len(lanes):
        sides = [_rows(found[side], lanes, indices) for side in ("source", "sink")]
        if instruction.named("indirect") == "sink":
            _check_apart(sides[1])
        moved = [stores[row.space].read(row) for row in sides[0]]
        for row, values in zip(sides[1], moved, strict=True):
            stores[row.space].write(row, values)


def _lanes_in_range(indices: np.ndarray, instruction: Instruction) -> np.ndarray:
    """The lanes that take part."""
    limit = instruction.fields["index_limit"]
    in_range = indices < limit
    if not in_range.all() and instruction.named("out_of_range") == "error":
        lane = int(np.argmin(in_range))
        raise ValueError(f"the index of lane {lane} must be below {limit}, not {indices[lane]}")
    return np.flatnonzero(in_range)


def _rows(side: Access, lanes: np.ndarray, indices: np.ndarray) -> list[Access]:
    """The part of a side that belongs to each lane; the one in memory is the indirect one."""
    if side.space == "sbuf":
        return [replace(side, lane=side.lane + int(lane), lanes=1) for lane in lanes]
    (_, pitch), *dims = side.dims
    return [replace(side, address=side.address + int(index) * pitch, dims=((1, 0), *dims)) for index in indices[lanes]]


def _check_apart(rows: list[Access]) -> None:
    """That no byte of an indirect sink is written twice."""
    offsets = np.zeros(1, np.int64)
    for count, stride in rows[0].dims:
        offsets = (offsets[:, None] + np.arange(count) * stride).reshape(-1)
    places = np.sort((np.array([row.address for row in rows])[:, None] + offsets).reshape(-1))
    twice = np.flatnonzero(np.diff(places) < rows[0].size)
    if len(twice):
        raise ValueError(
            f"sink must have each element at bytes of its own, not two at byte {places[twice[0]]} of memory"
        )
