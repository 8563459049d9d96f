"""The parameters of a core, and every width that follows from them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from operator import index

from arch.tensor.config import EngineConfig

__all__ = ["CoreConfig"]

#: Bytes of a word: what a lane of SBUF reads or writes in a cycle.
WORD_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """What a core is built for.

    Parameters
    ----------
    engine : EngineConfig
        Its tensor engine, of as many rows as columns: the core's lanes, a power of two from 4 to 128.
    lane_bytes : int
        Bytes of SBUF in each lane, a power of two from 1024 to 262144.
    banks : int
        Banks of SBUF, a power of two from 2 to 16. A bank is a range of addresses, in all lanes.
    beat_bytes : int
        Bytes of a beat of external memory, a power of two from 4 to 256. (AXI4 knows up to 128.)
    dma_queues : int
        DMA queues, 1..4.
    queue_depth : int
        Instructions that wait for each engine and each DMA queue, 2..8.
    reads_in_flight : int
        Bursts that may be asked of memory before the first is answered, a power of two from 1 to 64.

    Raises
    ------
    TypeError, ValueError
        With the rule and the offending value.
    """

    engine: EngineConfig
    lane_bytes: int = 16384
    banks: int = 4
    beat_bytes: int = 32
    dma_queues: int = 2
    queue_depth: int = 4
    reads_in_flight: int = 16

    #: Bytes that a DMA moves to or from a lane at a time, where a beat has no more: what DRAM gives at once.
    MIN_CHUNK_BYTES = 64

    def __post_init__(self) -> None:
        if not isinstance(self.engine, EngineConfig):
            raise TypeError(f"engine must be an EngineConfig, not {self.engine!r}")
        rows, cols = self.engine.rows, self.engine.cols
        if rows != cols or rows not in (4, 8, 16, 32, 64, 128):
            raise ValueError(
                f"engine must have as many rows as columns, a power of two from 4 to 128, not {rows} x {cols}"
            )
        self._set_power("lane_bytes", 1024, 1 << 18)
        self._set_power("banks", 2, 16)
        self._set_power("beat_bytes", WORD_BYTES, 256)
        self._set_integer("dma_queues", 1, 4)
        self._set_integer("queue_depth", 2, 8)
        self._set_power("reads_in_flight", 1, 64)

    def _set_integer(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        try:
            value = index(value)
        except TypeError:
            raise TypeError(f"{name} must be an integer, not {value!r}") from None
        if not low <= value <= high:
            raise ValueError(f"{name} must be {low}..{high}, not {value}")
        object.__setattr__(self, name, value)

    def _set_power(self, name: str, low: int, high: int) -> None:
        self._set_integer(name, low, high)
        value = getattr(self, name)
        if value & (value - 1):
            raise ValueError(f"{name} must be a power of two, not {value}")

    @property
    def tag(self) -> str:
        """A word for names of what is made for it: its lanes, and a digest of all its parameters."""
        return f"core_{self.lanes}_{hashlib.sha256(repr(self).encode()).hexdigest()[:6]}"

    @property
    def lanes(self) -> int:
        """Lanes P: rows and columns of the array, lanes of SBUF and of the vector and scalar engines."""
        return self.engine.rows

    @cached_property
    def queues(self) -> tuple[str, ...]:
        """The engines and DMA queues, each with a queue of instructions and a timeline."""
        return ("tensor", "vector", "scalar", *(f"dma{number}" for number in range(self.dma_queues)))

    @property
    def outstanding_bits(self) -> int:
        """Width of a number of instructions that a queue was given and has not completed.

        They wait in the queue, or are at work: one of an engine, up to four in the tensor engine's front end.
        """
        return (self.queue_depth + 4).bit_length()

    # ---- SBUF -----------------------------------------------------------------------------------

    @property
    def row_bits(self) -> int:
        """Bits of a row of SBUF, a word of each lane, lane 0 lowest."""
        return 8 * WORD_BYTES * self.lanes

    @property
    def sbuf_rows(self) -> int:
        """Rows of SBUF in all banks."""
        return self.lane_bytes // WORD_BYTES

    @property
    def bank_rows(self) -> int:
        """Rows of a bank; bank b holds rows ``b * bank_rows`` and up."""
        return self.sbuf_rows // self.banks

    @property
    def row_address_bits(self) -> int:
        """Width of the number of a row of SBUF."""
        return (self.sbuf_rows - 1).bit_length()

    # ---- memory ---------------------------------------------------------------------------------

    @property
    def beat_words(self) -> int:
        """Words of a beat."""
        return self.beat_bytes // WORD_BYTES

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a lane that a DMA queue holds at a time: a burst of memory."""
        return max(self.MIN_CHUNK_BYTES, self.beat_bytes)

    @property
    def chunk_words(self) -> int:
        """The same in words."""
        return self.chunk_bytes // WORD_BYTES
