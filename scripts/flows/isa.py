"""Writes the tables of docs/isa.md: ``python -m scripts.flows.isa``."""

from collections.abc import Iterator, Sequence

from arch.core.fields import InstructionField
from arch.core.instructions import HEADER, INSTRUCTIONS, OPCODES, instruction_layout
from arch.layout import Layout
from scripts.ground.pages import DOCS, put_table

__all__ = ["COMMAND", "PAGE", "isa_tables"]

PAGE, COMMAND = DOCS / "isa.md", "python -m scripts.flows.isa"


def isa_tables() -> str:
    """What every instruction begins with, then a table for each, in Markdown."""
    lines = ["", "### Every instruction", ""]
    opcodes = ", ".join(f"{code}: {name}" for name, code in OPCODES.items())
    lines += _table(HEADER, instruction_layout("dma"), opcode=opcodes)
    for name, entries in INSTRUCTIONS.items():
        lines += ["", f"### {name}", "", *_table(entries[len(HEADER) :], instruction_layout(name))]
    return "\n".join([*lines, "", ""])


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
