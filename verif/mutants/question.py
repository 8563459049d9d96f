"""One step of a module and of its mutant as a question to a solver: can anything that matters differ?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from verif.mutants.circuit import Circuit
from verif.mutants.known import NAMES, TRUE, Guard, Known

__all__ = ["Question"]

#: How a register bit of the module and that of the mutant are related: not at all, equal while the bit's guard is true,
#: equal.
FREE, GUARDED, EQUAL = range(3)
FALSE = "1'b0"
#: Ports that ``Circuit`` puts in the place of registers and memories.
_IN_PLACE = re.compile(r"[qdc]\d+|(RD|WR)_\w+_\d+")


@dataclass
class _Wiring:
    """The proof's text as it grows.

    free : list of str
        Declarations of inputs: the solver chooses their values.
    gold, gate : dict of str to str
        What each input of the module, and of the mutant, is connected to.
    checks : list of str
        Expressions that must all be zero.
    """

    free: list[str] = field(default_factory=list)
    gold: dict[str, str] = field(default_factory=dict)
    gate: dict[str, str] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)

    def choose(self, width: int, *names: str) -> None:
        """Declare inputs."""
        self.free += [f"input [{width - 1}:0] {name}" for name in names]


class Question:
    """The module, ``gold``, and the mutant, ``gate``, side by side in a module ``proof``, their registers taken out.

    Both see the same inputs and begin in states of which some bits are the same: ``relation`` says which. At first all
    are; :meth:`weaken` takes away what a counterexample refutes.
    """

    def __init__(self, gold: Circuit, known: Known) -> None:
        self.known, self.gold = known, gold
        self.relation = [EQUAL] * sum(gold.registers)
        self._guard: dict[int, Guard] = {}
        for guard in known.guards:
            if guard.kind == "register":
                for place in gold.places(guard.name)[guard.low : guard.low + guard.width]:
                    self._guard[place] = guard
        #: Those of the mutant: the module has more, which show its registers.
        self._outputs = gold.ports("output")
        over_registers = [known.invariant, *(g.condition for g in known.guards if g.kind == "register")]
        shown = re.findall(r"\bgold_net_(\w+)", known.assumption)
        gold.show({*NAMES.findall(" ".join(over_registers)), *shown})

    def weaken(self, differ: str) -> None:
        """After some step these register bits, the highest first, differ: from now on less is said of them."""
        for bit, differs in zip(range(len(self.relation)), reversed(differ), strict=False):
            if differs == "1":
                self.relation[bit] = GUARDED if self.relation[bit] == EQUAL and bit in self._guard else FREE

    @property
    def kept(self) -> int:
        """Register bits of which something is still said."""
        return sum(relation != FREE for relation in self.relation)

    def text(self) -> str:
        """The module ``proof``: its output ``wrong`` is to be 0 whenever ``legal`` is 1."""
        wiring = _Wiring()
        self._connect_inputs(wiring)
        next_differ = self._connect_registers(wiring)
        self._connect_memories(wiring)
        self._compare_outputs(wiring)
        bits = max(len(self.relation), 1)
        ports = [*wiring.free, f"output [{bits - 1}:0] next_differ", "output differ, legal, wrong"]
        wires = [f"  wire [{width - 1}:0] gold_{name};" for name, width in self.gold.ports("output").items()]
        wires += [f"  wire [{width - 1}:0] gate_{name};" for name, width in self._outputs.items()]
        reset = "rst" if "rst" in self.gold.ports("input") else FALSE
        invariant = self.known.invariant
        return "\n".join(
            [
                f"module proof({', '.join(ports)});",
                *wires,
                f"  gold gold ({_pins(wiring.gold, 'gold', self.gold.ports('output'))});",
                f"  gate gate ({_pins(wiring.gate, 'gate', self._outputs)});",
                "  // Register bits that were to be equal after the step and are not.",
                f"  assign next_differ = {next_differ};",
                "  // An output, or what a memory is told.",
                f"  assign differ = {' || '.join(f'({check})' for check in wiring.checks)};",
                "  // What the inputs hold in the design.",
                f"  assign legal = {self.known.assumption};",
                f"  wire kept = {_renamed(self.known.promise, 'gold_')};",
                "  // The invariant: before the step, and after it.",
                f"  wire holds = {_renamed(invariant, 'gold_net_')};",
                f"  wire still_holds = {_renamed(invariant, 'gold_next_')};",
                "  // A reset leads from any state to one in which it holds.",
                f"  wire reset = {reset};",
                "  assign wrong = holds && (differ || |next_differ || !kept) || (reset || holds) && !still_holds;",
                "endmodule\n",
            ]
        )

    def _connect_inputs(self, wiring: _Wiring) -> None:
        """The same to both, but for bits whose guard is false: those of the mutant may be anything."""
        for name, width in self.gold.ports("input").items():
            if not _IN_PLACE.fullmatch(name):
                wiring.choose(width, name, f"any_{name}")
                wiring.gold[name] = name
                wiring.gate[name] = _mixed(self._conditions("input", name, width, ""), name, f"any_{name}")

    def _connect_registers(self, wiring: _Wiring) -> str:
        """What they hold before the step; the result says which bits differ after it that were not to."""
        wiring.choose(max(len(self.relation), 1), "state", "other")
        at, differ = 0, []
        for index, width in enumerate(self.gold.registers):
            places = range(at, at + width)
            before = [self._condition(place, "gold_net_") for place in places]
            after = [self._condition(place, "gold_next_") for place in places]
            wiring.gold[f"q{index}"] = f"state[{at + width - 1}:{at}]"
            wiring.gate[f"q{index}"] = _mixed(before, "state", "other", at)
            differ.append(f"(gold_d{index} ^ gate_d{index}) & {_side_by_side(after)}")
            wiring.checks.append(f"gold_c{index} != gate_c{index}")
            at += width
        return _side_by_side(differ) if differ else FALSE

    def _condition(self, place: int, prefix: str) -> str:
        """When a register bit is the same in both."""
        if self.relation[place] == GUARDED:
            return _renamed(self._guard[place].condition, prefix)
        return TRUE if self.relation[place] == EQUAL else FALSE

    def _connect_memories(self, wiring: _Wiring) -> None:
        """A read gives any word, but both the same for the same address; both must write the same."""
        for index, memory in enumerate(self.gold.memories):
            width, address, reads = memory["WIDTH"], memory["ABITS"], memory["RD_PORTS"]
            wiring.choose(reads * width, f"read_{index}", f"unread_{index}")
            same = []
            for port in range(reads):
                bits = f"[{port * address} +: {address}]"
                same += [f"(gold_RD_ADDR_{index}{bits} == gate_RD_ADDR_{index}{bits})"] * width
            wiring.gold[f"RD_DATA_{index}"] = f"read_{index}"
            wiring.gate[f"RD_DATA_{index}"] = _mixed(same, f"read_{index}", f"unread_{index}")
            for name in ("WR_EN", "WR_CLK") if memory["WR_PORTS"] else ():
                wiring.checks.append(f"gold_{name}_{index} != gate_{name}_{index}")
            for port in range(memory["WR_PORTS"]):
                bits, place = f"[{port * width} +: {width}]", f"[{port * address} +: {address}]"
                enable = f"gold_WR_EN_{index}{bits}"
                wiring.checks += [
                    f"|{enable} && gold_WR_ADDR_{index}{place} != gate_WR_ADDR_{index}{place}",
                    f"|({enable} & (gold_WR_DATA_{index}{bits} ^ gate_WR_DATA_{index}{bits}))",
                ]

    def _compare_outputs(self, wiring: _Wiring) -> None:
        for name, width in self._outputs.items():
            if not _IN_PLACE.fullmatch(name):
                mask = _side_by_side(self._conditions("output", name, width, "gold_"))
                wiring.checks.append(f"|((gold_{name} ^ gate_{name}) & {mask})")

    def _conditions(self, kind: str, name: str, width: int, prefix: str) -> list[str]:
        """When each bit of a port means something."""
        conditions = [TRUE] * width
        for guard in self.known.guards:
            if (guard.kind, guard.name) == (kind, name):
                conditions[guard.low : guard.low + guard.width] = [_renamed(guard.condition, prefix)] * guard.width
        return conditions


def _pins(inputs: Mapping[str, str], side: str, outputs: Mapping[str, int]) -> str:
    connected = inputs | {name: f"{side}_{name}" for name in outputs}
    return ", ".join(f".{name}({value})" for name, value in connected.items())


def _renamed(expression: str, prefix: str) -> str:
    """The expression over signals of the proof, which are named after those of the module."""
    return NAMES.sub(lambda match: prefix + match[0], expression)


def _side_by_side(parts: Sequence[str]) -> str:
    """Vectors as one, the first lowest."""
    return f"{{{', '.join(reversed(parts))}}}"


def _mixed(conditions: Sequence[str], this: str, other: str, low: int = 0) -> str:
    """Bits from ``low`` on of one vector, of the other where the bit's condition is false."""
    if set(conditions) == {TRUE}:
        return f"{this}[{low + len(conditions) - 1}:{low}]"
    bits = [f"({condition} ? {this}[{at}] : {other}[{at}])" for at, condition in enumerate(conditions, low)]
    return _side_by_side(bits)
