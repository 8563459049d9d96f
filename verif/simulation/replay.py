"""Replays a trace, as it is made, through a running simulation, and says where the device first differs."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from cocotb_tools.check_results import get_results

from arch.record import Field
from verif.simulation.feed import make_feed
from verif.simulation.harness import Status, wave_name
from verif.simulation.simulator import Simulation

__all__ = ["Mismatch", "Outcome", "replay"]

# Directories of earlier runs left beside a build; waveforms may make them large.
KEPT_RUNS = 20


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
class Outcome:
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
) -> Outcome:
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
    """
    runs = simulation.directory / "runs"
    runs.mkdir(exist_ok=True)
    _prune(runs)
    run = Path(tempfile.mkdtemp(prefix=f"{datetime.now():%Y%m%d-%H%M%S-%f}-", dir=runs))
    feed = make_feed(simulation, run, stall_timeout)
    started = time.monotonic()
    process = simulation.start(
        "verif.simulation.cocotb_replay",
        run,
        [
            f"+trace={feed.pipe}",
            f"+log={run / 'log'}",
            f"+report={run / 'report.json'}",
            f"+announced={run / 'announced'}",
            *plusargs,
        ],
    )
    try:
        feed.open(process)
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


def _prune(runs: Path) -> None:
    """Remove the oldest finished runs."""
    for run in sorted(runs.iterdir(), reverse=True)[KEPT_RUNS:]:
        if not (run / "trace").exists():  # the pipe of a run under way
            shutil.rmtree(run, ignore_errors=True)


def _outcome(simulation: Simulation, run: Path, seconds: float) -> Outcome:
    report = json.loads((run / "report.json").read_text())
    mismatches = []
    if report["status"] == Status.MISMATCH:
        differing = _differences(simulation.harness.fields, report["expected"], report["actual"])
        mismatches.append(Mismatch(report["compared"] - 1, differing))
    words = simulation.harness.log.words if simulation.harness.log else 0
    return Outcome(
        compared_cycles=report["compared"],
        mismatches=mismatches,
        failure=_failure(run, report, mismatches),
        entries=np.fromfile(run / "log", np.uint32).reshape(-1, words) if words else np.zeros((0, 0), np.uint32),
        log=run / "simulator.log",
        seconds=seconds,
        cpu_seconds=report["cpu_seconds"],
    )


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
    """One line; cocotb's own verdict has the last word."""
    tests, failed = get_results(run / "results.xml")
    if tests == 1 and failed == 0:
        return None
    compared = report["compared"]
    if mismatches:
        return str(mismatches[0]).partition("\n")[0]
    if report["status"] == Status.TRUNCATED:
        return f"record {compared} of the trace is cut short"
    announced = (run / "announced").read_text()
    if compared != int(announced):
        return f"{compared} cycles were compared, {announced} were announced"
    return "nothing was compared" if compared == 0 else f"cocotb reports {failed} of {tests} tests failed"
