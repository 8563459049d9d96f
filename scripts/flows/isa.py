"""Writes the tables of docs/isa.md, and that of the registers in docs/core.md: ``python -m scripts.flows.isa``."""

from collections.abc import Iterator, Sequence

from arch.core.fields import InstructionField
from arch.core.instructions import HEADER, INSTRUCTIONS, OPCODES, instruction_layout
from arch.core.presets import CORES
from arch.layout import Layout
from hw.core.page import register_table
from scripts.ground.pages import DOCS, put_table

__all__ = ["COMMAND", "CORE_PAGE", "PAGE", "core_table", "isa_tables"]

PAGE, CORE_PAGE, COMMAND = DOCS / "isa.md", DOCS / "core.md", "python -m scripts.flows.isa"


def isa_tables() -> str:
    """What every instruction begins with, then a table for each, in Markdown."""
    lines = ["", "### Every instruction", ""]
    opcodes = ", ".join(f"{code}: {name}" for name, code in OPCODES.items())
    lines += _table(HEADER, instruction_layout("dma"), opcode=opcodes)
    for name, entries in INSTRUCTIONS.items():
        lines += ["", f"### {name}", "", *_table(entries[len(HEADER) :], instruction_layout(name))]
    return "\n".join([*lines, "", ""])


def core_table() -> str:
    """The registers of a core, which are the same for every configuration but for the number of queues."""
    return f"\n{register_table(CORES['tiny'])}\n\n"


def _table(entries: Sequence[InstructionField], layout: Layout, **accepted: str) -> Iterator[str]:
    yield "| bits | field | values | meaning |"
    yield "|---|---|---|---|"
    for entry in entries:
        low = layout.offset(entry.name)
        bits = f"{low}" if entry.width == 1 else f"{low}..{low + entry.width - 1}"
        values = accepted.get(entry.name) or ", ".join(f"{number}: {name}" for number, name in enumerate(entry.names))
        yield f"| {bits} | `{entry.name}` | {values or entry.accepted} | {entry.doc} |"


if __name__ == "__main__":
    put_table(PAGE, COMMAND, isa_tables())
    put_table(CORE_PAGE, COMMAND, core_table())
