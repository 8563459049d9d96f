"""Bit layouts of what crosses the ports of the core and of its blocks, least significant field first."""

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, MEMORY_BITS
from arch.layout import Layout

__all__ = [
    "answer_layout",
    "burst_layout",
    "dispatch_layout",
    "program_layout",
    "read_beat_layout",
    "read_request_layout",
    "write_beat_layout",
    "write_request_layout",
]

#: Width of a number of instructions.
_PROGRAM_BITS = 24


def program_layout(config: CoreConfig) -> Layout:
    """Payload of ``i_program``: where a program begins in memory, a multiple of 64, and its instructions' number."""
    return Layout(address=MEMORY_BITS, instructions=_PROGRAM_BITS)


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
    return Layout(valid=1, row=config.row_address_bits)


def write_request_layout(config: CoreConfig) -> Layout:
    """What a write port of SBUF is asked: a row, an enable for each byte (lane 0 lowest), the row's data."""
    return Layout(valid=1, row=config.row_address_bits, enable=config.row_bits // 8, data=config.row_bits)


def dispatch_layout(config: CoreConfig) -> Layout:
    """An instruction on its way from the dispatcher to its queue in this cycle; 0 while there is none."""
    return Layout(valid=1, code=8 * INSTRUCTION_BYTES)
