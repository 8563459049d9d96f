"""A page on driving a core behind AXI: its ports, its registers, and how a program is run."""

from collections.abc import Iterator

from arch.core.config import CoreConfig
from arch.core.layouts import DOINGS, ERRORS
from arch.core.registers import (
    ACKNOWLEDGE,
    COUNTER_BITS,
    QUEUE_BYTES,
    QUEUES,
    RESET,
    START,
    Register,
    registers,
)
from hw.core.axi import check_axi, registers_name, wrapper_name
from hw.core.core import Core

__all__ = ["describe", "register_table"]


def register_table(config: CoreConfig) -> str:
    """The map of the registers, in Markdown."""
    rows = [*_rows(registers(config))]
    return "\n".join(["| address | register | | bits that may be written | meaning |", "|---|---|---|---|---|", *rows])


def _rows(table: tuple[Register, ...]) -> Iterator[str]:
    for register in table:
        half = register.name.rpartition("_")[2]
        if register.address >= QUEUES:
            # The same for each queue: those of the first stand for all.
            if register.address < QUEUES + QUEUE_BYTES and half == "LOW":
                doing = DOINGS[1 + (register.address - QUEUES) // 8]
                place = f"0x{register.address:03x} + 0x{QUEUE_BYTES:x} q, and 4 more"
                meaning = f"cycles in which `doing` of queue q was {doing}, {COUNTER_BITS} bits"
                yield f"| {place} | `QUEUE_{doing.upper()}_LOW`, `_HIGH` | r | | {meaning} |"
            continue
        ways = "r" * register.readable + "w" * bool(register.writable)
        bits = f"`0x{register.writable:x}`" if register.writable and register.readable else ""
        yield f"| 0x{register.address:03x} | `{register.name}` | {ways} | {bits} | {register.meaning} |"


def describe(config: CoreConfig, name: str = Core.module_name) -> str:
    """One Markdown page on the wrapper around the core, module ``name``."""
    check_axi(config)
    errors = ", ".join(f"{number} {error}" for number, error in enumerate(ERRORS, 1))
    queues = ", ".join(f"{number} is {queue}" for number, queue in enumerate(config.queues))
    return f"""# {wrapper_name(name)}

A core of {config.lanes} lanes, {config.lane_bytes} bytes of SBUF in each, {config.dma_queues} DMA queues, operands {
        ", ".join(config.engine.formats)
    }. It runs
programs out of memory; golden.core and docs/isa.md of Systolith say what their instructions do.

Modules: `{wrapper_name(name)}` holds `{name}` and `{registers_name(name)}`.

## Ports

| port | direction | what |
|---|---|---|
| `aclk` | in | clock, rising edge |
| `aresetn` | in | reset, active low, for at least one rising edge of `aclk`; memory must be reset with it |
| `s_axil_...` | slave | AXI4-Lite, 32 bits, 4 KiB: the registers |
| `m_axi_...` | master | AXI4, addresses of 40 bits, data of {8 * config.beat_bytes} bits: memory |
| `irq` | out | high while a program has ended (`done`) or the core is `stopped` |

Memory: one ID, 0; bursts are INCR, of whole beats of {config.beat_bytes} bytes, and stay within 4 KiB; at most
{config.reads_in_flight} bursts wait to be read. `cache` is 0011, `prot` 000. While `aresetn` is low every `valid` and
`ready` of the wrapper is low. No output of AXI4-Lite depends on an input of its cycle.

## Registers

{register_table(config)}

Queue q: {queues}. Errors: {errors}.

A write is refused, with SLVERR, that has not all four strobes, comes while a program runs, is to no register that can
be written, or has bits that may not be. So is a read of no register that can be read. Counters are 0 at a start, go up
while the program runs, and stand when it has ended; while it runs, read the upper half again after the lower one.

## Running a program

1. Put the program, 64 bytes an instruction, and its tensors into memory.
2. Write `PROGRAM_LOW` and `PROGRAM_HIGH` (its first byte, a multiple of 64), `PROGRAM_COUNT`, `PAGES` (it may use
   memory below byte 4096 `PAGES`) and `LIMIT`.
3. Write {START} to `CONTROL`. A stopped core refuses that.
4. Wait for `irq`, or for `done` in `STATUS`.
5. If `STATUS` is {1 << 1}, the results are in memory: write {
        ACKNOWLEDGE
    } to `CONTROL`, or start the next program; either
   takes `irq` away. If it says `stopped`, `ERROR_NUMBER` is the instruction at fault: write {RESET} to `CONTROL` once
   `running` is 0.
"""
