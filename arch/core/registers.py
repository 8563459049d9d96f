"""The registers of a core behind AXI4-Lite: which there are, where they lie, what may be read and written."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, MEMORY_BITS
from arch.core.layouts import DOINGS, LIMIT_BITS, program_layout, stop_layout
from arch.layout import Layout

__all__ = [
    "ACKNOWLEDGE",
    "ADDRESS_WIDTH",
    "COUNTER_BITS",
    "OKAY",
    "QUEUES",
    "QUEUE_BYTES",
    "RESET",
    "SLVERR",
    "START",
    "Register",
    "counters",
    "id_value",
    "registers",
    "status_layout",
]

#: Bits of a byte address: 4 KiB.
ADDRESS_WIDTH = 12
#: What a write to CONTROL may be.
START, RESET, ACKNOWLEDGE = 1, 2, 4
#: Bits of a counter; it lies in two registers, and wraps.
COUNTER_BITS = 48
#: AXI's responses.
OKAY, SLVERR = 0, 2
#: Of the map of registers.
_VERSION = 1
#: Where the counters begin; those of queues, and bytes of each queue.
_COUNTERS, QUEUES, QUEUE_BYTES = 0x40, 0x100, 0x20


@dataclass(frozen=True, kw_only=True)
class Register:
    """A register of 32 bits.

    address : int
        Its byte, a multiple of 4.
    readable : bool
    writable : int
        The bits that may be 1 in what is written; 0: it cannot be written.
    """

    name: str
    address: int
    readable: bool = True
    writable: int = 0
    meaning: str


def status_layout() -> Layout:
    """STATUS: a program is under way; one has ended since the last start or reset; the core is stopped, and why."""
    return Layout(running=1, done=1, stopped=1, error=stop_layout().fields["error"])


def id_value(config: CoreConfig) -> int:
    """What ID holds; it has a byte for each fact, and none is above 255 behind AXI."""
    facts = Layout(lanes=8, dma_queues=8, beat_bytes=8, version=8)
    return facts.pack(lanes=config.lanes, dma_queues=config.dma_queues, beat_bytes=config.beat_bytes, version=_VERSION)


def counters(config: CoreConfig) -> dict[str, int]:
    """The byte of each counter's lower half by its name; the upper half follows."""
    found = {name: _COUNTERS + 8 * number for number, name in enumerate(("CYCLES", "BEATS_READ", "BEATS_WRITTEN"))}
    for queue, name in enumerate(config.queues):
        # A cycle in which a queue is empty is any other one.
        for number, doing in enumerate(DOINGS[1:]):
            found[f"{name}_{doing}".upper()] = QUEUES + QUEUE_BYTES * queue + 8 * number
    return found


_MEANINGS = {
    "CYCLES": "cycles in which the program ran",
    "BEATS_READ": "beats of memory read, its instructions among them",
    "BEATS_WRITTEN": "beats of memory written",
}


def registers(config: CoreConfig) -> tuple[Register, ...]:
    """All of them, by address."""
    return (*_control(config), *_counters(config))


def _control(config: CoreConfig) -> Iterator[Register]:
    program = program_layout(config).fields
    yield Register(
        name="ID",
        address=0x00,
        meaning="lanes in bits 7:0, DMA queues in 15:8, bytes of a beat in 23:16, version of this map, 1, in 31:24",
    )
    yield Register(
        name="CONTROL",
        address=0x04,
        readable=False,
        writable=START | RESET | ACKNOWLEDGE,
        meaning=f"{START} starts the program below, {RESET} resets the core, {ACKNOWLEDGE} clears `done`",
    )
    yield Register(
        name="STATUS",
        address=0x08,
        meaning="bit 0 `running`; bit 1 `done`, a program has ended since the last start; bit 2 `stopped`, and "
        "bits 5:3 its `error`",
    )
    yield Register(
        name="ERROR_NUMBER", address=0x0C, meaning="of a stopped core, the number of the instruction at fault"
    )
    low = (1 << 32) - INSTRUCTION_BYTES
    yield Register(name="PROGRAM_LOW", address=0x10, writable=low, meaning="byte of the first instruction, bits 31:6")
    high = _ones(MEMORY_BITS - 32)
    yield Register(name="PROGRAM_HIGH", address=0x14, writable=high, meaning="its bits 39:32")
    count = _ones(program["instructions"])
    yield Register(name="PROGRAM_COUNT", address=0x18, writable=count, meaning="instructions")
    pages = _ones(program["pages"])
    yield Register(name="PAGES", address=0x1C, writable=pages, meaning="pages of 4096 bytes of memory that are its own")
    yield Register(
        name="LIMIT", address=0x20, writable=_ones(LIMIT_BITS), meaning="cycles that it may take; 0: any number"
    )


def _counters(config: CoreConfig) -> Iterator[Register]:
    for name, address in counters(config).items():
        queue, _, doing = name.lower().partition("_")
        meaning = _MEANINGS.get(name) or f"cycles in which {queue} was {doing}"
        yield Register(name=f"{name}_LOW", address=address, meaning=f"{meaning}, bits 31:0")
        yield Register(name=f"{name}_HIGH", address=address + 4, meaning=f"bits {COUNTER_BITS - 1}:32")


def _ones(bits: int) -> int:
    return (1 << bits) - 1
