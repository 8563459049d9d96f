"""Bit layouts of what crosses the ports of the core and of its blocks, least significant field first."""

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import ADDRESS_BITS, INSTRUCTION_BYTES, MEMORY_BITS
from arch.layout import Layout

__all__ = [
    "DOINGS",
    "ERRORS",
    "LIMIT_BITS",
    "NUMBER_BITS",
    "PAGE_BYTES",
    "PORT_ROW_BITS",
    "answer_layout",
    "burst_layout",
    "dispatch_layout",
    "program_layout",
    "read_beat_layout",
    "read_request_layout",
    "stop_layout",
    "write_beat_layout",
    "write_request_layout",
]

#: Width of a number of instructions, or of one instruction among them.
NUMBER_BITS = 24
#: Pages that a program's window of memory ends at.
PAGE_BYTES = 4096
#: Width of a number of cycles that a program may take.
LIMIT_BITS = 32
#: Width of a row that a port of SBUF names: of twice as many as instructions can name, so that one below 0 is seen.
PORT_ROW_BITS = ADDRESS_BITS + 1 - (WORD_BYTES - 1).bit_length()
#: Why a core stopped, from 1 on; 0 is: it did not.
ERRORS = ("illegal", "sbuf", "index", "memory", "bus", "limit")
#: What a queue is doing in a cycle.
DOINGS = ("empty", "order", "conflict", "stream", "busy")


def program_layout(config: CoreConfig) -> Layout:
    """Payload of ``i_program``: what is run, and how far it may go.

    Where the program begins in memory, a multiple of 64; how many instructions it has; how many pages of memory, the
    first ones, are its own; how many cycles it may take, 0 for any number.
    """
    pages = MEMORY_BITS + 1 - (PAGE_BYTES - 1).bit_length()
    return Layout(address=MEMORY_BITS, instructions=NUMBER_BITS, pages=pages, limit=LIMIT_BITS)


def burst_layout(config: CoreConfig) -> Layout:
    """Payload of ``o_ar`` and ``o_aw``: the byte address of the first beat, a multiple of a beat's bytes; beats - 1."""
    return Layout(address=MEMORY_BITS, beats=8)


def read_beat_layout(config: CoreConfig) -> Layout:
    """Payload of ``i_r``: the byte of the lowest address lowest; AXI's response; the last beat of its burst."""
    return Layout(data=8 * config.beat_bytes, response=2, last=1)


def write_beat_layout(config: CoreConfig) -> Layout:
    """Payload of ``o_w``: data, a strobe for each byte, the last beat of its burst."""
    return Layout(data=8 * config.beat_bytes, strobes=config.beat_bytes, last=1)


def answer_layout(config: CoreConfig) -> Layout:
    """Payload of ``i_b``: AXI's response."""
    return Layout(response=2)


def read_request_layout(config: CoreConfig) -> Layout:
    """What a read port of SBUF is asked."""
    return Layout(valid=1, row=PORT_ROW_BITS)


def write_request_layout(config: CoreConfig) -> Layout:
    """What a write port of SBUF is asked: a row, an enable for each byte (lane 0 lowest), the row's data."""
    return Layout(valid=1, row=PORT_ROW_BITS, enable=config.row_bits // 8, data=config.row_bits)


def dispatch_layout(config: CoreConfig) -> Layout:
    """An instruction on its way from the dispatcher to its queue, its number in the program; 0 while there is none."""
    return Layout(valid=1, code=8 * INSTRUCTION_BYTES, number=NUMBER_BITS)


def stop_layout() -> Layout:
    """Whether something that must not be stopped the core, what it was, and the instruction at fault."""
    return Layout(stopped=1, error=len(ERRORS).bit_length(), number=NUMBER_BITS)
