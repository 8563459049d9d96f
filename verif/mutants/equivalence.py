"""Proofs that a mutant is no fault: the mutated module does at its ports what the module does, whatever comes in."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from verif.mutants.circuit import Circuit, NotHere, UnknownCell
from verif.mutants.mutation import READ, Mutant, Mutation
from verif.mutants.question import Question
from verif.proofs.yosys import yosys

__all__ = ["Verdict", "broken_promises", "prove"]

#: Seconds for one question to the solver.
PATIENCE = 60
#: Register bits from which a module, with all that is within, is not looked at.
LARGE = 6000
#: Most questions about one mutant: each but the last finds registers that may differ.
ROUNDS = 60


@dataclass(frozen=True)
class Verdict:
    """Whether a mutant was proved equivalent, and what was shown, or why nothing was."""

    equivalent: bool
    how: str


@dataclass(frozen=True)
class _Counterexample:
    """A step in which something differs.

    registers : str
        A digit for every register bit, the highest first: 1 where it was to be equal after the step and is not.
    elsewhere : bool
        An output differs too, or what a memory is told.
    """

    registers: str
    elsewhere: bool


def prove(mutant: Mutant, mutation: Mutation) -> Verdict:
    """Compare a module with its mutant under the inputs that the design can give it.

    Both start in the same state. A set of register bits is looked for that are equal in both and stay so in every
    step; it begins with all of them, and a step after which a bit differs removes that bit, or, if it has a guard,
    limits it to that. If the outputs are equal whenever the bits of the final set are, they are equal for ever.
    Memories are taken out of both: what they are told to write must be the same, and what they read is any word, the
    same for the same address. A clock is compared as an output is.

    Instances of other modules are taken out first: what they are told must be the same. If that shows nothing, or if
    what is known speaks of what is in them, they are part of the module, unless it is large then.
    """
    change, name = mutant.command, f"proof_{mutant.number}"
    try:
        try:
            verdict = _compare(mutant.module, change, name, mutation)
        except NotHere as error:
            verdict = Verdict(False, str(error))
        if not verdict.equivalent:
            verdict = _compare(mutant.module, change, f"{name}_flat", mutation, flat=True) or verdict
    except UnknownCell as error:
        return Verdict(False, f"no proof: {error}")
    return verdict


def broken_promises(mutation: Mutation) -> list[str]:
    """Modules that do not do what proofs about others rest on: see no guarded input, keep their promise."""
    broken = []
    for module in mutation.modules:
        if mutation.known(module).owed:
            verdict = _compare(module, "", f"promise_{module}", mutation, flat=True) or Verdict(False, "it is large")
            if not verdict.equivalent:
                broken.append(f"{module}: what proofs rest on does not hold: {verdict.how}")
    return broken


def _compare(module: str, change: str, name: str, mutation: Mutation, flat: bool = False) -> Verdict | None:
    """The module with what a yosys command makes of it; files are called ``name``. None where it is ``LARGE``."""
    gold, gate = _circuits(module, change, name, mutation.directory, flat)
    if flat and sum(gold.registers) > LARGE:
        return None
    if gold.registers != gate.registers or gold.ports("output") != gate.ports("output"):
        return Verdict(False, "module and mutant have different ports")
    question = Question(gold, mutation.known(module))
    both = {"modules": {"gold": gold.module, "gate": gate.module}}
    (mutation.directory / f"{name}_both.json").write_text(json.dumps(both), encoding="utf-8")
    log = f"{name}_sat.log"
    for _ in range(ROUNDS):
        answer = _ask(question, name, mutation.directory)
        if answer is True:
            size = len(question.relation)
            return Verdict(True, f"induction over {question.kept} of {size} register bits" if size else "SAT")
        if answer is None:
            return Verdict(False, f"the solver gave up ({log})")
        # Less is said of register bits that differ. Where none does, there is nothing left to take away.
        if answer.elsewhere or "1" not in answer.registers:
            return Verdict(False, f"not equivalent under what is known of the inputs ({log})")
        question.weaken(answer.registers)
    return Verdict(False, f"no set of equal registers after {ROUNDS} rounds")


def _circuits(module: str, change: str, name: str, directory: Path, flat: bool) -> tuple[Circuit, Circuit]:
    """A module and what a yosys command makes of it, ``gold`` and ``gate``; ``flat``: with all that is within."""
    change = change.replace(f"-module {module} ", "-module gate ")
    script = (
        f"{READ}copy {module} gold\ncopy {module} gate\n{change}\n"
        # Modules with parameters are made for the values they have here: with their defaults they would be narrower.
        "hierarchy\nproc\nmemory_collect\n"
        # What is never written is logic.
        f"{'flatten gold gate' if flat else ''}\nmemory_map -rom-only gold gate\nopt_clean gold gate\n"
        f"select gold gate\nwrite_json -selected {name}.json\n"
    )
    yosys(script, directory, name)
    modules = json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))["modules"]
    return Circuit.of(modules["gold"]), Circuit.of(modules["gate"])


def _ask(question: Question, name: str, directory: Path) -> _Counterexample | bool | None:
    """True: nothing can differ. None: the solver found nothing in time."""
    (directory / f"{name}.v").write_text(question.text(), encoding="utf-8")
    script = (
        f"read_json {name}_both.json\nread_verilog -sv {name}.v\nhierarchy -top proof\nproc; flatten\n"
        "opt_expr -fine; opt_merge -share_all; opt_expr -fine; opt_merge -share_all; opt_clean\n"
        f"sat -set legal 1 -prove wrong 0 -timeout {PATIENCE} -show next_differ -show differ proof\n"
    )
    log = yosys(script, directory, f"{name}_sat")
    if "SAT proof finished - no model found: SUCCESS!" in log:
        return True
    if "TIMEOUT" in log:
        return None
    found = dict(re.findall(r"^\s+\\(next_differ|differ)\s.*?([01]+)\s*$", log, re.MULTILINE))
    return _Counterexample(found["next_differ"], found["differ"] == "1")
