"""What a kernel's values are: tensors in memory, tiles in SBUF, rows in PSUM."""

from dataclasses import dataclass, field

from arch.core.accesses import Access
from arch.elements import ELEMENTS
from kernels.language.errors import KernelError, Source
from kernels.language.views import Strided

__all__ = ["Buffer", "Psum", "Region", "Rows", "Tensor", "Tile", "element_bytes"]


def element_bytes(dtype: str) -> int:
    """Bytes of an element. Raises KernelError for a type that there is not."""
    if dtype not in ELEMENTS:
        raise KernelError(f"dtype must be {', '.join(ELEMENTS)}, not {dtype!r}")
    return ELEMENTS[dtype].bytes


def _bits(view: Strided, size: int, unit: int) -> int:
    """A bit for each ``unit`` bytes of an area, 1 where an element is."""
    access = Access(operand="", space="sbuf", address=view.offset, size=size, dims=view.dims)
    return access.places(unit) << access.first // unit


@dataclass(eq=False)
class Region:
    """Bytes of memory that are one tensor.

    kind : parameter, output, scratch or constant
    written : what a program wrote so far, a bit for each element; None: all of it was there before
    """

    kind: str
    address: int
    view: Strided
    dtype: str
    source: Source
    written: int | None = None
    contents: bytes = b""

    def write(self, view: Strided) -> None:
        if self.written is not None:
            size = ELEMENTS[self.dtype].bytes
            self.written |= _bits(view, size, size)

    def holds(self, view: Strided) -> bool:
        """Whether all elements of a view were written."""
        size = ELEMENTS[self.dtype].bytes
        return self.written is None or not _bits(view, size, size) & ~self.written


@dataclass(eq=False)
class Buffer:
    """Bytes of each lane of SBUF that are one tile.

    address : where it lies; None until it is placed
    first, last : numbers of the steps that touch it
    reads, writes : the ports of SBUF that it is used by
    partners : numbers of buffers that an instruction reads in the same cycles
    written : lanes up to which, and a bit for each byte that is written in these
    """

    number: int
    bytes: int
    shape: tuple[int, ...]
    dtype: str
    source: Source
    by_hand: bool = False
    address: int | None = None
    first: int | None = None
    last: int = 0
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    partners: set[int] = field(default_factory=set)
    written: list[tuple[int, int]] = field(default_factory=list)

    def _cut(self, lane: int) -> None:
        """Make a border at a lane."""
        start = 0
        for number, (end, bits) in enumerate(self.written):
            if start < lane < end:
                self.written[number : number + 1] = [(lane, bits), (end, bits)]
                return
            start = end
        if start < lane:
            self.written.append((lane, 0))

    def write(self, lane: int, lanes: int, view: Strided, size: int) -> None:
        """Take note of elements that are written."""
        self._cut(lane)
        self._cut(lane + lanes)
        more = _bits(view, size, 1)
        self.written = [(end, bits | more if lane < end <= lane + lanes else bits) for end, bits in self.written]

    def holds(self, lane: int, lanes: int, view: Strided, size: int) -> bool:
        """Whether all elements of a view were written."""
        needed, start = _bits(view, size, 1), 0
        for end, bits in self.written:
            if end > lane and start < lane + lanes and needed & ~bits:
                return False
            start = end
        return start >= lane + lanes

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))} {self.dtype} of {self.source}"


class Tensor:
    """A tensor in memory, or a view of one: NumPy's basic indexing, ``T``, ``reshape`` and so on give more views.

    Members: shape, dtype
    """

    def __init__(self, region: Region, view: Strided) -> None:
        self.region, self.view, self.dtype = region, view, region.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.view.shape

    @property
    def ndim(self) -> int:
        return len(self.view.shape)

    @property
    def T(self) -> "Tensor":
        return self.transpose()

    def __getitem__(self, key: object) -> "Tensor":
        return Tensor(self.region, self.view.index(key))

    def reshape(self, *shape: int) -> "Tensor":
        return Tensor(self.region, self.view.reshape(shape))

    def transpose(self, *axes: int) -> "Tensor":
        return Tensor(self.region, self.view.transpose(axes))

    def broadcast_to(self, shape: tuple[int, ...]) -> "Tensor":
        return Tensor(self.region, self.view.broadcast_to(shape))

    def __repr__(self) -> str:
        return f"tensor {self.shape} {self.dtype}"


def _some(view: Strided) -> Strided:
    """A view that has a dimension: an element of each lane is one of one."""
    return view if view.shape else Strided((1,), (0,), view.offset)


class Tile:
    """A tile in SBUF, or a view of one: dimension 0 is its lanes, the others, up to three, lie in each lane.

    Members: shape, dtype; lane, lanes : the first of its lanes, and how many; view : the free dimensions
    """

    def __init__(self, buffer: Buffer, lane: int, lanes: int, view: Strided, dtype: str | None = None) -> None:
        self.buffer, self.lane, self.lanes, self.view = buffer, lane, lanes, view
        self.dtype = dtype or buffer.dtype

    def _part(self, lane: int, lanes: int, view: Strided) -> "Tile":
        return Tile(self.buffer, lane, lanes, view, self.dtype)

    def bitcast(self, dtype: str) -> "Tile":
        """The same bytes as elements of another type of the same size."""
        if element_bytes(dtype) != element_bytes(self.dtype):
            raise KernelError(f"a bitcast must keep the size of {self.dtype}, not give {dtype}")
        return Tile(self.buffer, self.lane, self.lanes, self.view, dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.lanes, *self.view.shape)

    @property
    def ndim(self) -> int:
        return 1 + len(self.view.shape)

    def __getitem__(self, key: object) -> "Tile":
        first, *rest = key if isinstance(key, tuple) else (key,)
        lane, lanes = self.lane, self.lanes
        if first is Ellipsis:
            return self._part(lane, lanes, _some(self.view.index((Ellipsis, *rest))))
        if isinstance(first, slice):
            start, stop, step = first.indices(self.lanes)
            if step != 1 or stop <= start:
                raise KernelError(f"a slice of lanes must choose some of {self.lanes} in a row, not {first}")
            lane, lanes = lane + start, stop - start
        elif hasattr(first, "__index__") and -lanes <= first < lanes:
            lane, lanes = lane + int(first) % lanes, 1
        else:
            raise KernelError(f"lanes must be a slice or an integer below {lanes}, not {first!r}")
        return self._part(lane, lanes, _some(self.view.index(tuple(rest))))

    def _same_lanes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not shape or shape[0] not in (self.lanes, -1):
            raise KernelError(f"dimension 0 must stay the {self.lanes} lanes, not {shape[:1]}")
        return tuple(shape[1:])

    def reshape(self, *shape: int) -> "Tile":
        return self._part(self.lane, self.lanes, self.view.reshape(self._same_lanes(shape)))

    def broadcast_to(self, shape: tuple[int, ...]) -> "Tile":
        return self._part(self.lane, self.lanes, self.view.broadcast_to(self._same_lanes(shape)))

    def transpose(self, *axes: int) -> "Tile":
        if not axes or axes[0] != 0:
            raise KernelError(f"dimension 0, the lanes, must stay the first, not {axes}")
        return self._part(self.lane, self.lanes, self.view.transpose(tuple(a - 1 for a in axes[1:])))

    def __repr__(self) -> str:
        return f"tile {self.shape} {self.dtype}"


@dataclass(eq=False)
class Rows:
    """The rows of PSUM of one product: how many, and how many of them were taken."""

    count: int
    source: Source
    taken: int = 0


class Psum:
    """A product's rows in PSUM, or some of them: lanes are the product's columns, dimension 1 and on its rows.

    They are taken once, in order: by the ``activation`` or the vector operation of which they are x.
    """

    dtype = "fp32"

    def __init__(self, rows: Rows, lanes: int, view: Strided) -> None:
        self.rows, self.lanes, self.view = rows, lanes, view

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.lanes, *self.view.shape)

    def __getitem__(self, key: object) -> "Psum":
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            return Psum(self.rows, self.lanes, _some(self.view.index((Ellipsis, *rest))))
        if not isinstance(first, slice) or first.indices(self.lanes)[0] or first.indices(self.lanes)[2] != 1:
            raise KernelError(f"lanes of PSUM must be the first ones, not {first!r}")
        return Psum(self.rows, first.indices(self.lanes)[1], _some(self.view.index(tuple(rest))))

    def __repr__(self) -> str:
        return f"rows of PSUM {self.shape}"
