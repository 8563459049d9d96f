"""Replays a trace, as it is made, through a running simulation, and says where the device first differs."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from cocotb_tools.check_results import get_results

from arch.environment import EnvironmentFault
from arch.record import Field
from verif.simulation.feed import make_feed
from verif.simulation.harness import Status, wave_name
from verif.simulation.runs import run_folder
from verif.simulation.simulator import Simulation

__all__ = ["Mismatch", "ReplayResult", "replay"]

#: Files of a run, by the arguments that tell the simulator of them.
FILES = {"log": "log", "report": "report.json", "announced": "announced"}


@dataclass(frozen=True)
class Mismatch:
    """The first record that differs.

    cycle : int
        Its index in the trace.
    fields : list of (Field, int, int or str)
        Each field that differs, in the record's order: expected value, and the device's, which is binary text if it
        has X or Z.
    """

    cycle: int
    fields: list[tuple[Field, int, int | str]]

    def __str__(self) -> str:
        lines = []
        for field, expected, actual in self.fields:
            shown = actual if isinstance(actual, str) else f"{actual:#x}"
            lines.append(f"cycle {self.cycle}: {wave_name(field)} is {shown}, expected {expected:#x}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """How a replay ended.

    compared_cycles : int
        Records compared, the differing one included.
    mismatches : list of Mismatch
        None, or one: the replay stops at the first record that differs.
    failure : str or None
        Why the replay failed; None if every announced record was compared, at least one, and none differed.
    entries : uint32[n, words]
        The harness's log; no words without one.
    log : Path
        The simulator's output.
    seconds : float
        From the simulator's start to its end.
    cpu_seconds : float
        Processor time of the simulator from the first cycle to the last: without Python's start.
    """

    compared_cycles: int
    mismatches: list[Mismatch]
    failure: str | None
    entries: np.ndarray
    log: Path
    seconds: float
    cpu_seconds: float

    @property
    def passed(self) -> bool:
        """Nothing failed."""
        return self.failure is None


def replay(
    simulation: Simulation,
    chunks: Iterable[np.ndarray],
    *,
    expected_cycles: int | None = None,
    progress: Callable[[int], None] | None = None,
    stall_timeout: float = 600.0,
    plusargs: Sequence[str] = (),
) -> ReplayResult:
    """Write a trace to a running simulation as it is made, and collect what the simulation says.

    The iterable runs in this process while the simulator compares what it has yielded; a buffer of a megabyte lies
    between.

    Parameters
    ----------
    simulation : Simulation
    chunks : iterable of uint32[cycles, words]
        The trace, in pieces of any length.
    expected_cycles : int or None
        Cycles that must be compared; None: as many as ``chunks`` holds.
    progress : callable or None
        Called with the number of records written so far, after each piece.
    stall_timeout : float
        Seconds without progress after which a simulator counts as hung and is stopped.
    plusargs : sequence of str
        More arguments, of the harness or of what the device itself reads with ``$value$plusargs``.

    Raises
    ------
    ValueError
        A piece is not uint32[cycles, words].
    SimulatorError
        The simulator crashed or hung.
    EnvironmentFault, OSError
        The machine kept the replay from its end: nothing is known of the device.
    """
    with run_folder(simulation.directory) as run:
        started = time.monotonic()
        feed = make_feed(simulation, run, stall_timeout)
        files = {name: run / file for name, file in FILES.items()}
        named = [f"+{name}={path}" for name, path in {"trace": feed.pipe, **files}.items()]
        try:
            feed.open(simulation.start("verif.simulation.cocotb_replay", run, [*named, *plusargs]))
            for chunk in chunks:
                if not feed.write(chunk):
                    break
                if progress:
                    progress(feed.records)
            feed.close(feed.records if expected_cycles is None else expected_cycles)
            feed.wait()
        finally:
            feed.stop()
        return _outcome(simulation, run, time.monotonic() - started)


def _outcome(simulation: Simulation, run: Path, seconds: float) -> ReplayResult:
    report = _report(run)
    mismatches = []
    if report["status"] == Status.MISMATCH:
        differing = _differences(simulation.harness.fields, report["expected"], report["actual"])
        mismatches.append(Mismatch(report["compared"] - 1, differing))
    return ReplayResult(
        compared_cycles=report["compared"],
        mismatches=mismatches,
        failure=_failure(run, report, mismatches),
        entries=_entries(simulation, run, report["entries"], needed=not mismatches),
        log=run / "simulator.log",
        seconds=seconds,
        cpu_seconds=report["cpu_seconds"],
    )


def _report(run: Path) -> dict:
    """What the simulator said; EnvironmentFault if that did not come through."""
    path = run / FILES["report"]
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise EnvironmentFault(f"the simulator's report is cut short: {path}") from None
    if report["status"] == Status.NO_FILE:
        raise EnvironmentFault(f"the simulator could not open its trace or its log in {run}")
    return report


def _entries(simulation: Simulation, run: Path, written: int, *, needed: bool) -> np.ndarray:
    """The log; EnvironmentFault if it does not hold all entries that were written to it, and they are needed."""
    words = simulation.harness.log.words if simulation.harness.log else 0
    if not words:
        return np.zeros((0, 0), np.uint32)
    path = run / FILES["log"]
    there = path.stat().st_size // (4 * words)
    if needed and there != written:
        raise EnvironmentFault(f"the simulation's log is cut short: {path}")
    return np.fromfile(path, np.uint32, there * words).reshape(there, words)


def _differences(fields: Iterable[Field], expected: list[str], actual: list[str]) -> list[tuple[Field, int, int | str]]:
    """The compared fields whose words, given in binary, differ."""
    differences, start = [], 0
    for field in fields:
        words = slice(start, start + field.words)
        start += field.words
        wanted, found = ("".join(reversed(side[words])) for side in (expected, actual))
        if not field.drive and wanted != found:
            value = int(found, 2) if set(found) <= {"0", "1"} else found[-field.width :]
            differences.append((field, int(wanted, 2), value))
    return differences


def _failure(run: Path, report: dict, mismatches: list[Mismatch]) -> str | None:
    """One line, or None: neither the report nor cocotb finds anything wrong."""
    compared = report["compared"]
    if mismatches:
        return str(mismatches[0]).partition("\n")[0]
    if report["status"] == Status.TRUNCATED:
        return f"record {compared} of the trace is cut short"
    announced = (run / FILES["announced"]).read_text(encoding="utf-8")
    if compared != int(announced):
        return f"{compared} cycles were compared, {announced} were announced"
    if compared == 0:
        return "nothing was compared"
    results = run / "results.xml"
    try:
        tests, failed = get_results(results)
    except (RuntimeError, ElementTree.ParseError):
        raise EnvironmentFault(f"cocotb's verdict is missing or cut short: {results}") from None
    return None if (tests, failed) == (1, 0) else f"cocotb reports {failed} of {tests} tests failed"
