"""What a kernel did: its instructions before tiles have places, and what must hold of them in order."""

from collections import deque
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from operator import index

from arch.core.config import CoreConfig
from kernels.language.errors import KernelError, Source, author
from kernels.language.tiles import Buffer, Psum, Region, Rows, Tensor, Tile, element_bytes
from kernels.language.views import Strided, contiguous

__all__ = ["Step", "Trace", "current", "tracing"]

#: Tensors begin at multiples of it.
_ALIGNED = 256


@dataclass(frozen=True)
class Step:
    """An instruction whose tiles have no places yet.

    places : the fields that are addresses in SBUF: a buffer, and bytes from its begin
    """

    name: str
    fields: dict[str, object]
    places: dict[str, tuple[Buffer, int]]
    source: Source


class Trace:
    """A kernel that is being run for its instructions.

    Parameters
    ----------
    config : CoreConfig
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        self.steps: list[Step] = []
        self.buffers: list[Buffer] = []
        self.regions: list[Region] = []
        self.memory_bytes = 0
        #: Products of which rows are in PSUM.
        self._psum: deque[Rows] = deque()
        self._loads = 0
        self._constants: dict[tuple, Tensor] = {}
        #: What comes before all steps.
        self.prologue: list[Step] = []
        self._zero: Tile | None = None

    # ---- memory ---------------------------------------------------------------------------------

    def tensor(self, kind: str, shape: Sequence[int], dtype: str, contents: bytes = b"") -> Tensor:
        """A new tensor behind those that there are."""
        size = element_bytes(dtype)
        shape = _counts("a tensor's shape", shape)
        view = contiguous(shape, size)
        written = 0 if kind in ("output", "scratch") else None
        region = Region(kind, self.memory_bytes, view, dtype, author(), written, contents)
        self.memory_bytes += -(-view.size // _ALIGNED) * _ALIGNED
        self.regions.append(region)
        return Tensor(region, view)

    def constant(self, shape: tuple[int, ...], dtype: str, contents: bytes) -> Tensor:
        """A tensor that is there when the program begins; the same one for the same contents."""
        key = shape, dtype, contents
        if key not in self._constants:
            self._constants[key] = self.tensor("constant", shape, dtype, contents)
        return self._constants[key]

    # ---- SBUF -----------------------------------------------------------------------------------

    def tile(self, shape: Sequence[int], dtype: str, address: int | None = None) -> Tile:
        """A new tile: dimension 0 its lanes, then up to three free dimensions. Its place comes later, or is given."""
        size, shape = element_bytes(dtype), _counts("a tile's shape", shape)
        if not 2 <= len(shape) <= 4:
            raise KernelError(f"a tile's shape must be lanes and one to three free dimensions, not {shape}")
        if shape[0] > self.config.lanes:
            raise KernelError(f"a tile must have at most {self.config.lanes} lanes, not {shape[0]}: see blocks")
        view = contiguous(shape[1:], size)
        if view.size > self.config.lane_bytes:
            raise KernelError(f"a tile must have at most {self.config.lane_bytes} bytes a lane, not {view.size}")
        if address is not None and not (0 <= address <= self.config.lane_bytes - view.size and address % 4 == 0):
            rule = f"address must be a multiple of 4, at most {self.config.lane_bytes - view.size}"
            raise KernelError(f"{rule}, not {address}")
        buffer = Buffer(len(self.buffers), view.size, shape, dtype, author(), address is not None, address)
        self.buffers.append(buffer)
        return Tile(buffer, 0, shape[0], view)

    def zero(self) -> Tile:
        """fp32[P, 1] of zeros, there from the program's begin on."""
        if self._zero is None:
            self._zero = self.tile((self.config.lanes, 1), "fp32")
            buffer, source = self._zero.buffer, self.constant((1, 1), "fp32", bytes(4)).region
            self.write(self._zero, "dma")
            buffer.first = -1
            fields = {"queue": 0, "lanes": self.config.lanes, "size": "4", "source_address": source.address}
            sink = {"sink_address": (buffer, 0)}
            self.prologue.append(Step("dma", fields | {"sink_space": "sbuf"}, sink, author()))
        return self._zero

    def read(self, tile: Tile, port: str, operand: str) -> None:
        """Take note that the step to come reads a tile. Raises KernelError for what nobody wrote."""
        buffer = tile.buffer
        if not buffer.holds(tile.lane, tile.lanes, tile.view, element_bytes(tile.dtype)):
            raise KernelError(f"{operand} must be written before it is read, not the whole of the tile {buffer} is")
        buffer.reads.add(port)
        self._touch(buffer)

    def write(self, tile: Tile, port: str) -> None:
        """Take note that the step to come writes a tile."""
        tile.buffer.write(tile.lane, tile.lanes, tile.view, element_bytes(tile.dtype))
        tile.buffer.writes.add(port)
        self._touch(tile.buffer)

    def _touch(self, buffer: Buffer) -> None:
        number = len(self.steps)
        buffer.first = number if buffer.first is None else buffer.first
        buffer.last = number

    # ---- instructions ---------------------------------------------------------------------------

    def emit(self, name: str, places: dict[str, tuple[Buffer, int]], **fields: object) -> None:
        """Add an instruction."""
        self.steps.append(Step(name, fields, places, author()))

    def queue(self, loads: bool, given: int | None) -> int:
        """The DMA queue of a transfer: results have the last one, so that what waits for them holds up no load."""
        count = self.config.dma_queues
        if given is not None:
            if given not in range(count):
                raise KernelError(f"queue must be 0..{count - 1}, not {given!r}")
            return given
        if not loads or count == 1:
            return count - 1
        self._loads += 1
        return (self._loads - 1) % (count - 1)

    # ---- PSUM -----------------------------------------------------------------------------------

    def put_rows(self, lanes: int, shape: tuple[int, ...]) -> Psum:
        """The rows of a product."""
        count, depth = prod(shape), self.config.engine.psum_depth
        held = sum(rows.count - rows.taken for rows in self._psum)
        if held + count > depth:
            raise KernelError(
                f"rows of PSUM must be at most {depth}, not {held + count}, of which {held} were not taken yet"
            )
        rows = Rows(count, author())
        self._psum.append(rows)
        strides = tuple(prod(shape[number + 1 :]) for number in range(len(shape)))
        return Psum(rows, lanes, Strided(tuple(shape), strides))

    def take_rows(self, psum: Psum) -> None:
        """Take rows from PSUM's front. Raises KernelError for rows that are not those."""
        rows, count = psum.rows, prod(psum.shape[1:])
        if rows.taken == rows.count:
            raise KernelError(f"rows of PSUM must be taken once, not again those of the product of {rows.source}")
        if self._psum[0] is not rows:
            raise KernelError(
                f"rows of PSUM must be taken in order, those of the product of {self._psum[0].source} first"
            )
        step, in_order = 1, psum.view.offset == rows.taken
        for length, stride in reversed(psum.view.dims):
            in_order &= length == 1 or stride == step
            step *= length
        if not in_order:
            raise KernelError(f"rows of PSUM must be taken in order, from row {rows.taken} of the product on")
        rows.taken += count
        if rows.taken == rows.count:
            self._psum.popleft()

    def finish(self) -> None:
        """Raise KernelError for what a whole kernel must not leave."""
        for rows in self._psum:
            left = f"{rows.count - rows.taken} of {rows.count}"
            raise KernelError(f"rows of PSUM must be taken, not left: {left}", rows.source)
        outputs = [region for region in self.regions if region.kind == "output"]
        for region in outputs:
            if not region.holds(region.view):
                shown = f"{'x'.join(map(str, region.view.shape))} {region.dtype}"
                raise KernelError(f"an output must be stored whole, not in part: {shown}", region.source)


def _counts(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape as integers."""
    try:
        counts = tuple(map(index, shape))
    except TypeError:
        counts = ()
    if not counts or min(counts) < 1:
        raise KernelError(f"{name} must be integers of 1 or more, not {shape!r}")
    return counts


_STACK: list[Trace] = []


def current() -> Trace:
    """The trace of the kernel that is being run. Raises KernelError outside of one."""
    if not _STACK:
        raise KernelError("the language must be used in a kernel that is being built")
    return _STACK[-1]


@contextmanager
def tracing(trace: Trace):
    """Make a trace the current one."""
    _STACK.append(trace)
    try:
        yield
    finally:
        _STACK.pop()
