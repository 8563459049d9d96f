"""Bytes that instructions read and write: SBUF and external memory, each with which of its bytes are written."""

import numpy as np

from arch.core.accesses import Access
from arch.core.config import CoreConfig
from golden.checks import integer, plain

__all__ = ["Memory", "Sbuf"]

#: A byte of each of so many that are written, as one number.
_ALL = {1: 0x01, 2: 0x0101, 4: 0x01010101}


class _Store:
    """Bytes in a row. Reading one that nobody wrote is an error."""

    #: Address of the first byte.
    base = 0

    def __init__(self, data: np.ndarray, written: np.ndarray) -> None:
        self.data, self.written = data, written

    def read(self, access: Access) -> np.ndarray:
        """A copy of the elements: uint8, uint16 or uint32 of the access's dimensions, in SBUF of the lanes before them.

        Raises ValueError for elements outside, and for the first byte that nobody wrote.
        """
        _, dims = layout = self._layout(access)
        written = self._view(self.written, access, *layout)
        if not (written == _ALL[access.size]).all():
            where = np.argwhere(written != _ALL[access.size])[0]
            byte = layout[0] + sum(int(i) * stride for i, (_, stride) in zip(where, dims, strict=True))
            byte += int(np.argmin(self.written[byte : byte + access.size]))
            raise ValueError(f"{access.operand} reads {self._name(byte)}, which nobody wrote")
        return self._view(self.data, access, *layout).copy()

    def write(self, access: Access, values: np.ndarray) -> None:
        """Write elements, of the type and the dimensions that ``read`` gives. Raises ValueError for those outside."""
        layout = self._layout(access)
        self._view(self.data, access, *layout)[...] = values
        self._view(self.written, access, *layout)[...] = _ALL[access.size]

    def _layout(self, access: Access) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The place of the first element, and the dimensions."""
        first, last = access.first - self.base, access.last - self.base
        if first < 0 or last >= len(self.data):
            window = f"{self.base}..{self.base + len(self.data) - 1}"
            raise ValueError(f"{access.operand} must lie in memory's bytes {window}, not {access.first}..{access.last}")
        return access.address - self.base, access.dims

    @staticmethod
    def _view(array: np.ndarray, access: Access, offset: int, dims: tuple[tuple[int, int], ...]) -> np.ndarray:
        shape, strides = [count for count, _ in dims], [stride for _, stride in dims]
        return np.ndarray(shape, f"<u{access.size}", array, offset, strides)

    def _name(self, byte: int) -> str:
        return f"byte {self.base + byte} of memory"


class Memory(_Store):
    """A window of external memory.

    Parameters
    ----------
    data : uint8[BYTES]
        Its bytes, C-contiguous: programs change them in place.
    written : bool[BYTES], optional
        Which of them somebody wrote, changed as well. Default: all.
    base : int
        Address of the first byte, a multiple of 4.

    Raises
    ------
    TypeError, ValueError
        For arrays of another type, shape or order, and for another base.
    """

    def __init__(self, data: np.ndarray, written: np.ndarray | None = None, base: int = 0) -> None:
        written = np.ones(np.shape(data), bool) if written is None else written
        for name, array, dtype in (("data", data, np.uint8), ("written", written, np.bool_)):
            if not isinstance(array, np.ndarray) or plain(name, array).dtype != dtype:
                raise TypeError(f"{name} must be a {np.dtype(dtype)} array, not {getattr(array, 'dtype', type(array))}")
            if array.ndim != 1 or not array.flags.c_contiguous or not array.flags.writeable:
                raise ValueError(f"{name} must be one row of bytes that can be written, not {list(array.shape)}")
        if len(data) != len(written):
            raise ValueError(f"written must have {len(data)} entries as data has, not {len(written)}")
        super().__init__(data, written.view(np.uint8))
        self.base = integer("base", base, 0)
        if self.base % 4:
            raise ValueError(f"base must be a multiple of 4, not {base}")


class Sbuf(_Store):
    """The memory of a core's lanes, which begins as bytes that nobody wrote.

    Members: data, written : uint8[P * LANE_BYTES], lane after lane; ``written`` is 0 or 1.
    """

    def __init__(self, config: CoreConfig) -> None:
        size = config.lanes * config.lane_bytes
        super().__init__(np.zeros(size, np.uint8), np.zeros(size, np.uint8))
        self.lane_bytes = config.lane_bytes

    def _layout(self, access: Access) -> tuple[int, tuple[tuple[int, int], ...]]:
        return access.lane * self.lane_bytes + access.address, ((access.lanes, self.lane_bytes), *access.dims)

    def _name(self, byte: int) -> str:
        lane, byte = divmod(byte, self.lane_bytes)
        return f"byte {byte} of lane {lane}"
