"""Runs jobs through the RTL of a unit and compares every cycle with its golden model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from verif.simulation.harness import RESET, Harness, Log
from verif.simulation.replay import replay
from verif.simulation.report import FAILURE, Divergence, Section, section_lines
from verif.simulation.rerun import Case, investigate
from verif.simulation.simulator import COVERAGE, WAVES, Simulation, build
from verif.simulation.unit import Unit

__all__ = ["UnitRun", "build_unit", "simulate_unit"]

#: Where waveforms are dumped: whether the record before this one differed, at each change.
DIFFERENCE_LOG = Log(payload="harness_compared", width=64, state="harness_difference !== 0")


@dataclass(kw_only=True)
class UnitRun:
    """What a simulation showed, measured on the RTL.

    compared_cycles, compared_signals : int
        Cycles, and signals in each of them, that were compared.
    divergence : Divergence or None
        The first cycle that differs from the golden cycle model; the run stops there.
    failures : list of str
        Whatever else is wrong.
    entries : uint32[n, words]
        What the unit's log wrote down.
    waves, coverage : Path or None
        Waveforms, and Verilator's coverage counts, where they were asked for.
    """

    compared_cycles: int = 0
    compared_signals: int = 0
    divergence: Divergence | None = None
    failures: list[str] = field(default_factory=list)
    entries: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint32))
    waves: Path | None = None
    coverage: Path | None = None

    @property
    def mismatches(self) -> int:
        """0 if RTL and golden model agree in everything compared."""
        return int(self.divergence is not None) + len(self.failures)

    def sections(self) -> list[Section]:
        """What went wrong: labels, and the lines that each names."""
        report = self.divergence.sections() if self.divergence else []
        return [*report, *((FAILURE, failure) for failure in self.failures)]

    def lines(self) -> list[str]:
        """The same, a line each."""
        return section_lines(self.sections())


def build_unit(
    unit: Unit,
    *,
    simulator: str = "verilator",
    waves: bool = False,
    window: bool = False,
    coverage: bool = False,
    resets: bool = False,
    rewrite: Callable[[str], str] | None = None,
    root: Path | None = None,
) -> Simulation:
    """The compiled simulation of a unit.

    ``window``: for waveforms around a difference (see ``Harness``). ``resets``: a record begins with ``RESET``.
    ``rewrite`` changes the emitted Verilog first: a bench of the bench plants its bugs with it.
    """
    text = unit.verilog()
    if rewrite is not None:
        text = rewrite(text)
    harness = Harness(
        dut=unit.top,
        fields=(RESET, *unit.record.fields) if resets else unit.record.fields,
        path=unit.path,
        log=DIFFERENCE_LOG if window else unit.log,
        window=window,
    )
    return build(
        [text],
        harness,
        simulator=simulator,
        waves=waves or window,
        coverage=coverage,
        hier_blocks=unit.coverage_blocks if coverage else unit.hier_blocks,
        # With waveforms or counters, most of the time is spent compiling.
        opt_level=0 if coverage else min(1, unit.opt_level) if window else unit.opt_level,
        root=root,
    )


def simulate_unit(
    unit: Unit,
    jobs: Sequence,
    *,
    simulator: str = "verilator",
    pace: dict | None = None,
    waves: bool = False,
    coverage: bool = False,
    observe: Callable[[np.ndarray], None] | None = None,
    progress: Callable[[int], None] | None = None,
    waves_folder: Callable[[], Path] | None = None,
    rewrite: Callable[[str], str] | None = None,
) -> UnitRun:
    """Run jobs through the RTL, one after another, and compare every signal of the record in every cycle.

    Parameters
    ----------
    pace : dict
        How sources idle and sinks stall, as the unit's model takes it.
    coverage : bool
        Count lines and toggles of the RTL. Verilator compiles and counts every instance apart into which the harness
        looks: the unit's record should hold ports only.
    observe : callable
        Shown each piece of the golden trace before the simulator compares it; the array is used again. What it saw
        happened in the RTL only if the run has no mismatches.
    progress : callable
        Told the number of cycles handed to the simulator.
    waves_folder : callable
        Asked at a divergence, before the RTL is built and run once more for waveforms of the cycles around it, where
        they go: each time to a numbered folder below. Without it there are none.

    Raises
    ------
    SimulatorError
        If there is no simulator, or the build or the simulation fails.
    """
    simulation = build_unit(unit, simulator=simulator, waves=waves, coverage=coverage, rewrite=rewrite)
    case = Case(unit=unit, jobs=jobs, pace=pace or {})
    rules = unit.rules() if unit.rules else None
    watchers = [watch for watch in (observe, rules and rules.see) if watch]
    outcome = replay(simulation, _shown(case.stimulus().chunks(), watchers), progress=progress)
    run = UnitRun(
        compared_cycles=outcome.compared_cycles,
        compared_signals=sum(not f.drive for f in unit.record.fields),
        entries=outcome.entries,
    )
    if waves:
        run.waves = outcome.log.parent / WAVES
    if coverage:
        run.coverage = outcome.log.parent / COVERAGE
    if outcome.mismatches:
        with_waves = partial(build_unit, unit, simulator=simulator, window=True, rewrite=rewrite)
        run.divergence = investigate(case, outcome.mismatches[0], build=with_waves, waves_folder=waves_folder)
    elif not outcome.passed:
        run.failures.append(outcome.failure)
    if rules:
        run.failures += rules.broken
    return run


def _shown(chunks: Iterator[np.ndarray], watchers: Sequence[Callable[[np.ndarray], None]]) -> Iterator[np.ndarray]:
    for chunk in chunks:
        for watch in watchers:
            watch(chunk)
        yield chunk
