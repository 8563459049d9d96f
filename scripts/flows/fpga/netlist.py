"""A mapped netlist in the words of the machine: cells by block, and the stages a path goes through."""

import re
from collections import Counter, defaultdict

from scripts.flows.fpga.tools import Family

__all__ = ["BLOCKS", "Netlist", "block_of", "part_of", "stage_of"]

#: Blocks of the engine, by the beginning of a hierarchical name.
BLOCKS = {
    "array": r"grid\.",
    "edges": r"west_edge|north_edge|i_weight__payload|i_activation__payload",
    "PSUM": r"psum_\d+",
    "read-out": r"readout|o_result",
    "sequencer": r"sequencer|i_command|i_weight__|i_activation__",
}
#: Those of the core, likewise: the engine is one of them.
CORE_BLOCKS = {
    "tensor engine": r"engine[._]",
    "front end": r"front_end",
    "vector engine": r"vector(\.|__)",
    "scalar engine": r"scalar(\.|__)",
    "SBUF": r"sbuf",
    "DMA": r"dma\d+(\.|__)",
    "memory port": r"memory",
    "dispatch": r"dispatcher|\w+_queue",
    "watch": r"watch|\w+_doing",
}
#: Names that yosys made from those of a cell's neighbours.
_MADE = re.compile(r"_(?:TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21|MULT18X18D|SB_[A-Z0-9]+)_[A-Z]|\$")
_SIZE = re.compile(r"\[\d+\]$")
INSTANCE = "block."
#: Where a part sits in the engine.
PATHS = {"core": "", "engine": "", "array": "grid.", "pe": "grid.row_0.pe_0."}
#: Registers of a PE by what their wires may be called.
_ALIASES = {
    r"psum|sum_|adder": "psum",
    r"(?:hard_)?product|multiplier": "product",
    r"operand|tags|beat|weight|shadow|active|[xw]$": "operand",
    r"align|addend": "aligned",
    r"add_|absolute": "sum",
    r"order": "order",
    r"normal": "normal",
}
#: The stage that computes what such a register holds.
_STAGES = {
    "psum": "accumulate",
    "product": "multiply",
    "aligned": "align",
    "sum": "add",
    "order": "order",
    "normal": "normalise",
}


def block_of(name: str, part: str = "engine") -> str:
    """The block of a core, or of an engine or its parts, that a hierarchical name lies in.

    ``wrapper`` outside the instance.
    """
    if not name.startswith(INSTANCE):
        return "wrapper"
    inner = name.removeprefix(INSTANCE)
    return next((block for block, pattern in _blocks(part).items() if re.match(pattern, inner)), "other")


def _blocks(part: str) -> dict[str, str]:
    return CORE_BLOCKS if part == "core" else BLOCKS


def _register(name: str) -> str:
    """A register's own name where a wire is called after a port: ``row_1__o_psums`` and ``i_psum`` are psum."""
    inner, _, last = name.removeprefix(INSTANCE).rpartition(".")
    last = inner.rpartition(".")[2] if last == "o" else re.sub(r"^(?:\w+?_\d+__)?[io]_+", "", last)
    return next((word for pattern, word in _ALIASES.items() if re.match(pattern, last)), last)


def stage_of(start: str, end: str, part: str = "engine") -> str:
    """The stage of the machine that computes between two registers; of a core, its block or blocks."""
    from_block, to_block = block_of(start, part), block_of(end, part)
    if part == "core":
        return from_block if from_block == to_block else f"{from_block} to {to_block}"
    source, target = _register(start), _register(end)
    if to_block == "wrapper":
        return from_block
    if to_block == "edges":
        return "decode"
    if to_block != "array":
        return to_block if from_block in (to_block, "wrapper", "array") else f"{from_block} to {to_block}"
    if target == "operand":
        return "pass on" if from_block == "array" else "decode"
    if target == "psum":
        if from_block == "PSUM":
            return "PSUM to accumulate"
        return {"psum": "accumulate", "sum": "round", "normal": "round"}.get(source, "align, accumulate")
    return _STAGES.get(target, f"array, {target}")


def part_of(name: str, part: str = "engine") -> str:
    """The stage that a cell on the way belongs to by its name; empty where that says nothing."""
    block = block_of(name, part)
    if block != "array":
        return {"edges": "decode", "other": "", "wrapper": ""}.get(block, block)
    return _STAGES.get(_register(name), "")


def _rank(name: str) -> tuple:
    """How well a name tells what a wire is: registers before ports, deep before shallow, short before long."""
    return bool(name), not re.match(r"[io]_", name.rpartition(".")[2]), name.count("."), -len(name)


class Netlist:
    """A flattened netlist, ``modules.<top>`` of yosys' JSON.

    Names: a wire that crosses module borders has one in each; of those a person wrote the deepest that is no port is
    taken, for it names the register.
    """

    def __init__(self, module: dict, family: Family, part: str):
        self.family, self.part = family, part
        self._path = INSTANCE + PATHS[part]
        self._cells = {name: cell for name, cell in module["cells"].items() if cell["type"] != "$scopeinfo"}
        self._names: dict[int, str] = {}
        for name, net in module["netnames"].items():
            if _MADE.search(name):
                continue
            for bit in net["bits"]:
                if isinstance(bit, int) and _rank(name) > _rank(self._names.get(bit, "")):
                    self._names[bit] = name

    def name_of(self, cell: str) -> str:
        """What a cell computes or holds, as in an engine: the name of its output, or its own without yosys' suffix."""
        name = self._own_name(cell)
        return self._path + name.removeprefix(INSTANCE) if name.startswith(INSTANCE) else name

    def _own_name(self, cell: str) -> str:
        # nextpnr adds to names of cells that it makes of others.
        found = self._cells.get(cell) or self._cells.get(cell.partition("$")[0])
        if found and cell.startswith(INSTANCE):
            for port, bits in found["connections"].items():
                if found["port_directions"].get(port) == "output":
                    names = [self._names[bit] for bit in bits if bit in self._names]
                    if names:
                        return names[0]
        return _SIZE.sub("", _MADE.split(cell)[0])

    def kind_of(self, cell_type: str) -> str | None:
        """What a cell type counts as, None for one that is part of another."""
        if cell_type.startswith("SB_DFF"):
            return "ff"
        return self.family.cells.get(cell_type)

    def by_block(self) -> dict[str, dict[str, int]]:
        """Cells of each kind by block, by their names: LUTs that belong to two blocks are counted in one."""
        counts: dict[str, Counter] = defaultdict(Counter)
        for name, cell in self._cells.items():
            if kind := self.kind_of(cell["type"]):
                counts[block_of(self.name_of(name), self.part)][kind] += 1
        return {block: dict(counts[block]) for block in (*_blocks(self.part), "other", "wrapper") if counts[block]}
