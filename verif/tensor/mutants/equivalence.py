"""Proofs that a mutant is no fault: the mutated module does at its ports what the module does, whatever comes in."""

import json
import re
from dataclasses import dataclass

from arch.tensor.config import EngineConfig
from verif.mutants.circuit import Circuit
from verif.tensor.mutants.assumptions import NAMES, Guard, assumption, guards, invariant, promise
from verif.tensor.mutants.mutants import READ, Mutant, Mutation, modules_of, yosys

__all__ = ["Verdict", "broken_promises", "prove"]

#: Seconds for one question to the solver.
PATIENCE = 60
#: Most questions about one mutant: each but the last finds registers that may differ.
ROUNDS = 60
#: How a register bit is related in both circuits.
FREE, GUARDED, EQUAL = range(3)


@dataclass(frozen=True)
class Verdict:
    """Whether a mutant was proved equivalent, and what was shown, or why nothing was."""

    equivalent: bool
    how: str


def _circuits(module: str, change: str, name: str, mutation: Mutation) -> tuple[Circuit, Circuit]:
    """A module and what a yosys command makes of it, ``gold`` and ``gate``."""
    change = change.replace(f"-module {module} ", "-module gate ")
    script = (
        f"{READ}copy {module} gold\ncopy {module} gate\n{change}\n"
        f"flatten gold gate\nopt_clean gold gate\nselect gold gate\nwrite_json -selected {name}.json\n"
    )
    yosys(script, mutation.directory, name)
    modules = json.loads((mutation.directory / f"{name}.json").read_text())["modules"]
    return Circuit.of(modules["gold"]), Circuit.of(modules["gate"])


def _renamed(expression: str, prefix: str) -> str:
    return NAMES.sub(lambda match: prefix + match[0], expression)


def _bits(parts: list[str]) -> str:
    """Bits side by side, the first lowest."""
    return f"{{{', '.join(reversed(parts))}}}" if parts else "1'b0"


class _Question:
    """The circuits side by side, with what is known of their inputs and registers, and what must not differ."""

    def __init__(self, module: str, config: EngineConfig, gold: Circuit):
        self.module, self.config, self.gold = module, config, gold
        self.guards = guards(module, config)
        self.relation = [EQUAL] * sum(gold.registers)
        # Of register bits: the guard they have, if any.
        self.guarded: dict[int, Guard] = {}
        for guard in self.guards:
            if guard.kind == "register":
                for place in gold.places(guard.name)[guard.low : guard.low + guard.width]:
                    self.guarded[place] = guard
        self.outputs = gold.ports("output")
        seen = " ".join([invariant(module, config), *(g.condition for g in self.guards if g.kind == "register")])
        gold.show({*NAMES.findall(seen), *re.findall(r"\bgold_net_(\w+)", assumption(module, config))})

    def weaken(self, differ: str) -> None:
        """A step after which these register bits, the highest first, differ: less is known of them."""
        for bit, differs in zip(range(len(self.relation)), reversed(differ), strict=False):
            if differs == "1":
                self.relation[bit] = GUARDED if self.relation[bit] == EQUAL and bit in self.guarded else FREE

    def _guarded(self, kind: str, name: str, width: int, prefix: str) -> list[str]:
        """The condition of each bit of a port."""
        conditions = ["1'b1"] * width
        for guard in self.guards:
            if (guard.kind, guard.name) == (kind, name):
                conditions[guard.low : guard.low + guard.width] = [_renamed(guard.condition, prefix)] * guard.width
        return conditions

    def text(self) -> str:
        """The module ``proof``, whose output ``wrong`` must be 0 whenever ``legal`` is 1."""
        ports, body = [], []
        connected: dict[str, list[str]] = {
            "gold": [f".{name}(gold_{name})" for name in self.gold.ports("output")],
            "gate": [f".{name}(gate_{name})" for name in self.outputs],
        }
        for name, width in self.gold.ports("output").items():
            body.append(f"  wire [{width - 1}:0] gold_{name}, gate_{name};")
        self._inputs(ports, connected)
        differ = self._registers(ports, connected)
        checks = [*self._output_checks(), *self._memories(ports, connected)]
        holds = invariant(self.module, self.config)
        body += [
            f"  gold gold ({', '.join(connected['gold'])});",
            f"  gate gate ({', '.join(connected['gate'])});",
            f"  assign next_differ = {differ};",
            f"  assign differ = {' || '.join(f'({check})' for check in checks)};",
            f"  assign legal = {assumption(self.module, self.config)};",
            f"  wire kept = {_renamed(promise(self.module, self.config), 'gold_')};",
            # What holds of the registers holds after a reset, whatever they were, and after every step.
            f"  wire holds = {_renamed(holds, 'gold_net_')}, held = {_renamed(holds, 'gold_next_')};",
            f"  wire reset = {'rst' if 'rst' in self.gold.ports('input') else 0};",
            "  assign wrong = (holds && (differ || |next_differ || !kept)) || ((reset || holds) && !held);",
            "endmodule\n",
        ]
        ports += [f"output [{max(len(self.relation), 1) - 1}:0] next_differ", "output legal, differ, wrong"]
        return "\n".join([f"module proof({', '.join(ports)});", *body])

    def _inputs(self, ports: list[str], connected: dict[str, list[str]]) -> None:
        for name, width in self.gold.ports("input").items():
            if not re.fullmatch(r"q\d+|RD_DATA_\d+", name):
                ports.append(f"input [{width - 1}:0] {name}, any_{name}")
                connected["gold"].append(f".{name}({name})")
                conditions = self._guarded("input", name, width, "")
                bits = [f"({c} ? {name}[{i}] : any_{name}[{i}])" for i, c in enumerate(conditions)]
                guarded = any(condition != "1'b1" for condition in conditions)
                connected["gate"].append(f".{name}({_bits(bits) if guarded else name})")

    def _registers(self, ports: list[str], connected: dict[str, list[str]]) -> str:
        """Which register bits differ after a step that were not to."""
        ports.append(f"input [{max(len(self.relation), 1) - 1}:0] state, other")
        at, after = 0, []
        for index, width in enumerate(self.gold.registers):
            connected["gold"].append(f".q{index}(state[{at + width - 1}:{at}])")
            bits = []
            for bit in range(at, at + width):
                relation, guard = self.relation[bit], self.guarded.get(bit)
                differs = f"gold_d{index}[{bit - at}] ^ gate_d{index}[{bit - at}]"
                if relation == GUARDED:
                    bits.append(f"({_renamed(guard.condition, 'gold_net_')} ? state[{bit}] : other[{bit}])")
                    after.append(f"({differs}) & {_renamed(guard.condition, 'gold_next_')}")
                else:
                    bits.append(f"{'state' if relation == EQUAL else 'other'}[{bit}]")
                    after.append(differs if relation == EQUAL else "1'b0")
            connected["gate"].append(f".q{index}({_bits(bits)})")
            at += width
        return _bits(after)

    def _output_checks(self) -> list[str]:
        checks = []
        for name, width in self.outputs.items():
            if not re.fullmatch(r"d\d+|(RD|WR)_\w+_\d+", name):
                mask = _bits(self._guarded("output", name, width, "gold_"))
                checks.append(f"|((gold_{name} ^ gate_{name}) & {mask})")
        return checks

    def _memories(self, ports: list[str], connected: dict[str, list[str]]) -> list[str]:
        """Each read gives any word, but both circuits the same for the same address; both must write the same."""
        checks = []
        for index, memory in enumerate(self.gold.memories):
            width, address, reads = memory["WIDTH"], memory["ABITS"], range(memory["RD_PORTS"])
            ports.append(f"input [{len(reads) * width - 1}:0] read_{index}, unread_{index}")
            words = []
            for port in reads:
                bits, word = f"[{port * address} +: {address}]", f"[{port * width} +: {width}]"
                same = f"gold_RD_ADDR_{index}{bits} == gate_RD_ADDR_{index}{bits}"
                words.append(f"({same} ? read_{index}{word} : unread_{index}{word})")
            connected["gold"].append(f".RD_DATA_{index}(read_{index})")
            connected["gate"].append(f".RD_DATA_{index}({_bits(words)})")
            enable = f"gold_WR_EN_{index}"
            checks += [
                f"gold_WR_CLK_{index} != gate_WR_CLK_{index}",
                f"{enable} != gate_WR_EN_{index}",
                f"|{enable} && gold_WR_ADDR_{index} != gate_WR_ADDR_{index}",
                f"|({enable} & (gold_WR_DATA_{index} ^ gate_WR_DATA_{index}))",
            ]
        return checks


def _compare(module: str, change: str, name: str, mutation: Mutation) -> Verdict:
    gold, gate = _circuits(module, change, name, mutation)
    if gold.registers != gate.registers or gold.ports("output") != gate.ports("output"):
        return Verdict(False, "module and mutant have different ports")
    question = _Question(module, mutation.config, gold)
    both = {"modules": {"gold": gold.module, "gate": gate.module}}
    (mutation.directory / f"{name}_both.json").write_text(json.dumps(both))
    for _ in range(ROUNDS):
        (mutation.directory / f"{name}.v").write_text(question.text())
        script = (
            f"read_json {name}_both.json\nread_verilog -sv {name}.v\nhierarchy -top proof\nproc; flatten\n"
            "opt_expr -fine; opt_merge -share_all; opt_expr -fine; opt_merge -share_all; opt_clean\n"
            f"sat -set legal 1 -prove wrong 0 -timeout {PATIENCE} -show next_differ -show differ proof\n"
        )
        log = yosys(script, mutation.directory, f"{name}_sat")
        if "SAT proof finished - no model found: SUCCESS!" in log:
            equal, size = sum(relation != FREE for relation in question.relation), len(question.relation)
            return Verdict(True, f"induction over {equal} of {size} register bits" if size else "SAT")
        found = dict(re.findall(r"^\s+\\(next_differ|differ)\s.*?([01]+)\s*$", log, re.MULTILINE))
        if len(found) != 2:
            return Verdict(False, f"the solver gave up ({name}_sat.log)")
        if found["differ"] == "1" or "1" not in found["next_differ"]:
            return Verdict(False, f"not equivalent under what is known of the inputs ({name}_sat.log)")
        question.weaken(found["next_differ"])
    return Verdict(False, f"no set of equal registers after {ROUNDS} rounds")


def prove(mutant: Mutant, mutation: Mutation) -> Verdict:
    """Compare a module with its mutant under the inputs that the design can give it.

    Both start in the same state. A set of register bits is looked for that are equal in both and stay so in every
    step; it begins with all of them, and a step after which a bit differs removes that bit, or, if it has a guard,
    limits it to that. If the outputs are equal whenever the bits of the final set are, they are equal for ever.
    Memories are taken out of both: what they are told to write must be the same, and what they read is any word, the
    same for the same address. A clock is compared as an output is.
    """
    return _compare(mutant.module, mutant.command, f"proof_{mutant.number}", mutation)


def broken_promises(mutation: Mutation) -> list[str]:
    """Modules that do not do what proofs about others rest on: see no guarded input, keep their promise."""
    broken = []
    for module in modules_of(mutation.config):
        guarded = any(guard.kind == "input" for guard in guards(module, mutation.config))
        if guarded or promise(module, mutation.config) != "1'b1":
            verdict = _compare(module, "", f"promise_{module}", mutation)
            if not verdict.equivalent:
                broken.append(f"{module}: what proofs rest on does not hold: {verdict.how}")
    return broken
