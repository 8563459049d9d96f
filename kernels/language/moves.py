"""Transfers between memory and SBUF, by DMA."""

from itertools import product

from kernels.language.errors import KernelError
from kernels.language.operands import require
from kernels.language.tiles import Tensor, Tile, element_bytes
from kernels.language.trace import Trace, current

__all__ = ["dma_copy", "dma_transpose", "gather", "load", "load_folded", "scatter", "store"]


def load(source: Tensor, *, out: Tile | None = None, queue: int | None = None) -> Tile:
    """A tile with a tensor's elements, unchanged: index 0 is the lane.

    Parameters
    ----------
    source : Tensor
        Of at most as many rows as there are lanes. Of one dimension: an element for each lane.
    out : Tile, optional
        Where they go, of the same shape and dtype. Default: a new tile.
    queue : int, optional
        The DMA queue. Default: all but the last, in turn.
    """
    require(source, Tensor, "source", "a tensor in memory")
    shape = source.shape if source.ndim > 1 else (*source.shape, 1)
    tile = current().tile(shape, source.dtype) if out is None else out
    dma_copy(tile, source, queue=queue)
    return tile


def dma_transpose(source: Tensor, *, out: Tile | None = None, queue: int | None = None) -> Tile:
    """``load`` of a matrix whose columns become lanes."""
    return load(source.T, out=out, queue=queue)


def load_folded(source: Tensor, *, out: Tile | None = None, queue: int | None = None) -> Tile:
    """A tile with a tensor of any number of rows: row k is in lane k % P at index k // P of the first free dimension.

    What a product's moving operand is. Lanes that the last rows do not reach hold nothing there.
    """
    require(source, Tensor, "source", "a tensor in memory")
    lanes, (rows, *rest) = current().config.lanes, source.shape
    blocks = -(-rows // lanes)
    tile = current().tile((min(rows, lanes), blocks, *rest), source.dtype) if out is None else out
    whole = rows // lanes
    if whole:
        part = source[: whole * lanes].reshape(whole, lanes, *rest)
        dma_copy(tile[:, :whole], part.transpose(1, 0, *range(2, len(rest) + 2)), queue=queue)
    if whole < blocks:
        part = source[whole * lanes :]
        dma_copy(tile[: part.shape[0], whole], part, queue=queue)
    return tile


def store(sink: Tensor, tile: Tile, *, queue: int | None = None) -> None:
    """Write a tile's elements, unchanged, to a tensor of its shape in memory: index 0 is the lane.

    ``queue``: the DMA queue. Default: the last.
    """
    require(sink, Tensor, "the sink", "a tensor in memory")
    require(tile, Tile, "what is stored", "a tile")
    dma_copy(sink, tile, queue=queue)


def dma_copy(sink: Tensor | Tile, source: Tensor | Tile, *, queue: int | None = None) -> None:
    """Write a source's elements, unchanged, to a sink of the same shape and dtype, each in memory or in SBUF."""
    for name, side in (("the sink", sink), ("source", source)):
        require(side, Tensor | Tile, name, "a tensor in memory or a tile")
    _move(sink, source, queue)


def gather(
    table: Tensor, index: Tile, *, skip: bool = False, out: Tile | None = None, queue: int | None = None
) -> Tile:
    """A tile of which lane p is ``table[index[p]]``.

    Parameters
    ----------
    table : Tensor
    index : Tile
        u32[lanes, 1], in lanes from 0 on.
    skip : bool
        A lane whose index is not below the table's rows keeps what it had in ``out``; otherwise it is an error, which
        stops the program.
    """
    shape = (index.lanes, *(table.shape[1:] or (1,)))
    tile = current().tile(shape, table.dtype) if out is None else out
    _move(tile, table, queue, _indirect("source", table, index, skip))
    return tile


def scatter(table: Tensor, index: Tile, tile: Tile, *, skip: bool = False, queue: int | None = None) -> None:
    """Write lane p of a tile to ``table[index[p]]``; indices as ``gather`` takes them, no two the same."""
    _move(table, tile, queue, _indirect("sink", table, index, skip))


def _indirect(side: str, table: Tensor, index: Tile, skip: bool) -> dict:
    require(table, Tensor, "the table", "a tensor in memory")
    require(index, Tile, "index", "a tile")
    if index.dtype != "u32" or index.shape[1:] != (1,) or index.lane:
        raise KernelError(f"index must be u32 of one element in lanes from 0 on, not {index} from lane {index.lane} on")
    limit, choice = {"index_limit": table.shape[0]}, {"out_of_range": "skip" if skip else "error"}
    return {"indirect": side, "index": index, **limit, **choice}


class _Side:
    """A source or sink: bytes from a lane to the next, and its free dimensions. ``table``: lanes choose their rows."""

    def __init__(self, value: Tensor | Tile, table: bool) -> None:
        self.value, self.is_tile = value, isinstance(value, Tile)
        view = value.view
        if self.is_tile:
            self.lanes, self.pitch, self.dims = value.lanes, 0, list(view.dims)
        else:
            (self.lanes, self.pitch), *self.dims = view.dims
            if self.lanes == 1 and not self.pitch and not table:
                # A single row, by reshape: as far from the next one as an element of a column is.
                self.pitch = element_bytes(value.dtype)
        self.dims = self.dims or [(1, 0)]
        self.shape = (self.lanes, *(count for count, _ in self.dims))

    def transposed(self, size: int, stride: int, count: int) -> bool | None:
        """How elements ``stride`` apart can be the innermost ones: transposed or not; None: they cannot."""
        if not self.is_tile and self.pitch == size and (stride != size or count == 1):
            return True
        return False if stride == size or count == 1 else None

    def fields(self, name: str, offset: int, inner: int, stride: int, transposed: bool) -> dict:
        """The fields of the instruction, but the address in SBUF."""
        found = {f"{name}_space": "sbuf" if self.is_tile else "memory", f"{name}_stride": stride}
        if self.is_tile:
            return found | {f"{name}_lane": self.value.lane}
        found[f"{name}_address"] = self.value.region.address + self.value.view.offset + offset
        found[f"{name}_transposed"] = "yes" if transposed else "no"
        return found | {f"{name}_pitch": inner if transposed else self.pitch}


def _move(sink: Tensor | Tile, source: Tensor | Tile, queue: int | None, indirect: dict | None = None) -> None:
    """The instructions of a transfer: one, if all but two free dimensions are contiguous."""
    trace, indirect = current(), dict(indirect or {})
    values = {"source": source, "sink": sink}
    sides = {name: _Side(value, indirect.get("indirect") == name) for name, value in values.items()}
    shapes = {name: side.shape for name, side in sides.items()}
    if indirect:
        shapes[indirect["indirect"]] = (indirect["index"].lanes, *shapes[indirect["indirect"]][1:])
        if any(side.is_tile and not side.value.lanes == indirect["index"].lanes for side in sides.values()):
            raise KernelError(f"a tile must have the {indirect['index'].lanes} lanes of its index")
    if shapes["source"] != shapes["sink"]:
        raise KernelError(f"source and sink must have one shape, not {shapes['source']} and {shapes['sink']}")
    if source.dtype != sink.dtype:
        raise KernelError(f"a dma changes no element: dtype must be {sink.dtype}, not {source.dtype}; see tensor_copy")
    if not sides["sink"].is_tile and sides["sink"].value.region.kind == "constant":
        raise KernelError("a sink must be no constant")
    size = element_bytes(source.dtype)
    inner, outer = _walk(sides["source"], sides["sink"], size)
    number = trace.queue(sides["sink"].is_tile, queue)
    lanes = shapes["source"][0]
    rows = max(outer, key=lambda dim: dim[0], default=(1, 0, 0))
    others = [dim for dim in outer if dim is not rows]
    for indices in product(*(range(count) for count, _, _ in others)):
        offsets = [sum(i * dim[1 + side] for i, dim in zip(indices, others, strict=True)) for side in range(2)]
        fields, places = {}, {}
        for (name, side), offset, step, stride in zip(sides.items(), offsets, inner[1:], rows[1:], strict=True):
            transposed = bool(side.transposed(size, step, inner[0])) and name != indirect.get("indirect")
            fields |= side.fields(name, offset, step, stride, transposed)
            if side.is_tile:
                places[f"{name}_address"] = side.value.buffer, side.value.view.offset + offset
        _note(trace, sides, indirect)
        if indirect:
            index = indirect["index"]
            places["index_address"] = index.buffer, index.view.offset
            fields |= {name: value for name, value in indirect.items() if name != "index"}
        counts = {"count0": inner[0], "count1": rows[0]}
        trace.emit("dma", places, queue=number, lanes=lanes, size=str(size), **counts, **fields)


def _note(trace: Trace, sides: dict[str, _Side], indirect: dict) -> None:
    """Reads before writes."""
    source, sink = sides["source"].value, sides["sink"].value
    if indirect:
        trace.read(indirect["index"], "dma", "index")
    if sides["source"].is_tile:
        trace.read(source, "dma", "source")
    elif not source.region.holds(source.view):
        raise KernelError("a tensor in memory must be written before it is loaded, not in part")
    if sides["sink"].is_tile:
        trace.write(sink, "dma")
    else:
        sink.region.write(sink.view)


def _walk(source: _Side, sink: _Side, size: int) -> tuple[tuple[int, int, int], list[tuple[int, int, int]]]:
    """The innermost dimension, and the others: counts, strides of the source, strides of the sink."""
    dims: list[tuple[int, int, int]] = []
    for (count, stride), (_, other) in zip(source.dims, sink.dims, strict=True):
        if count == 1:
            continue
        if dims and dims[-1][1] == count * stride and dims[-1][2] == count * other:
            dims[-1] = dims[-1][0] * count, stride, other
        else:
            dims.append((count, stride, other))
    for dim in reversed(dims):
        if source.transposed(size, dim[1], dim[0]) is not None and sink.transposed(size, dim[2], dim[0]) is not None:
            return dim, [other for other in dims if other is not dim]
    # One element at a time.
    return (1, size, size), dims
