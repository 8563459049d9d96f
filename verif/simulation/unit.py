"""What a unit is to the machinery that verifies it: its record, its golden model, and a probe for each signal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from arch.record import Field, Record
from verif.simulation.harness import Log

__all__ = ["Probe", "Rules", "Unit", "UnitModel"]


class UnitModel(Protocol):
    """The golden cycle model of a unit. It starts in the first cycle after reset: for a reset, another one is made.

    Members
    -------
    cycle : int
        Cycles simulated so far.
    done : bool
        Everything offered has been consumed, and everything due has left.
    """

    cycle: int
    done: bool

    def offer(self, *beats: np.ndarray) -> None:
        """Queue beats behind those that wait: an array for each input stream, in the record's order."""

    def run(self, cycles: int, *, until_done: bool = False, out: np.ndarray | None = None, **pace: Any) -> np.ndarray:
        """Simulate so many cycles, or fewer where it is done: uint32[cycles, words], a record each.

        ``out``: where to write them. ``pace`` says how sources idle and sinks stall, the same way in every run.
        """


class Rules(Protocol):
    """Watches the records of one run, from reset on.

    Members
    -------
    broken : list of str
        What was not as it must be, and when.
    """

    broken: list[str]

    def see(self, chunk: np.ndarray) -> None:
        """The next records: uint32[cycles, words]."""


def _nothing(_: Any) -> tuple:
    return ()


def _no_term(_: Any) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What verification knows of one entry of a record. Places in texts are ``{name}``, ``{row}`` and ``{col}``.

    Functions of a moment are asked about a signal in a cycle (``verif.simulation.window.Moment``).

    Parameters
    ----------
    place : str
        How the signal is called in a report.
    stage : str
        The step of the pipeline that gives its value.
    files : str or callable
        The files with that step's logic; of a moment, where they depend on what differs.
    path : str, callable or None
        The Verilog expression of its value over the unit's instance ``{dut}``; of configuration, field and instance,
        where it depends on them; None for a port.
    rank : int
        Cause before effect: of signals that differ in one cycle the one of the lowest rank is named. Registers are
        all of one rank, for they were loaded from a state in which nothing differed.
    causes : callable
        Of a moment: the moments, or inputs in words of their own, that its value was made of.
    term : callable
        Of a moment: the part of the job that it works on; empty where it works on none.
    hints : sequence of callable
        Of a moment: what the wrong value is, where that is certain, else empty. The first that knows is heard.
    contents : callable or None
        Of configuration and bits: the value in words. None: the parts of its layout.
    shown : callable or None
        Of a moment that differs and bits: all that a report says of a value, where digits and contents do not serve.
    """

    place: str
    stage: str
    files: str | Callable[[Any], str]
    path: str | Callable[[Any, Field, str], str] | None = None
    rank: int = 0
    causes: Callable[[Any], Iterable] = _nothing
    term: Callable[[Any], str] = _no_term
    hints: Sequence[Callable[[Any], str]] = ()
    contents: Callable[[Any, int], str] | None = None
    shown: Callable[[Any, int], str] | None = None


#: Of what the simulation drives.
_STIMULUS = Probe(place="port {name}", stage="stimulus", files="")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit in one configuration, as builds, replays and reports need it.

    Parameters
    ----------
    name : str
        What it is called.
    config : object
        Its configuration, handed to the functions of its probes.
    top : str
        Its module, as the harness instantiates it.
    verilog : callable
        Emits it.
    record : Record
        What is driven and compared.
    probes : mapping of str to Probe
        One for every compared entry of the record.
    model : callable
        Makes its golden model.
    beats : callable
        Of a sequence of jobs: for each job in turn, its beats in pieces, as ``UnitModel.offer`` takes them.
    drain : int
        Cycles after the last job in which nothing more may come out.
    lookback : int
        Cycles that a value may take from the inputs to the place that shows it.
    skew : (int, int)
        Cycles that a wavefront takes from a row to the next, and from a column to the next.
    marks : sequence of str
        Entries whose bit 0 marks an event: its cycles are known to terms and causes, as those of transfers are.
    log : Log or None
        What a run writes down of the RTL.
    rules : callable or None
        Makes what watches a run for rules that its trace must keep, whatever the model says.
    job : str
        What one job is called.
    note : str
        What a reader of every report must know.
    hier_blocks, coverage_blocks : sequence of str
        Modules that Verilator compiles once for all their instances; and those, where it counts coverage.
    opt_level : int
        C++ optimisation of a simulation without waveforms.
    """

    name: str
    config: Any
    top: str
    verilog: Callable[[], str]
    record: Record
    probes: Mapping[str, Probe]
    model: Callable[[], UnitModel]
    beats: Callable[[Sequence], Iterator[Iterator[tuple[np.ndarray, ...]]]]
    drain: int
    lookback: int = 0
    skew: tuple[int, int] = (0, 0)
    marks: Sequence[str] = ()
    log: Log | None = None
    rules: Callable[[], Rules] | None = None
    job: str = "job"
    note: str = ""
    hier_blocks: Sequence[str] = ()
    coverage_blocks: Sequence[str] = ()
    opt_level: int = 3

    def __post_init__(self) -> None:
        blind = {f.name for f in self.record.fields if not f.drive} - set(self.probes)
        if blind:
            raise ValueError(f"every compared entry of {self.name} must have a probe, and {min(blind)} has none")

    def probe(self, field: Field) -> Probe:
        """What is known of a field."""
        return self.probes.get(field.name, _STIMULUS)

    def path(self, field: Field, dut: str = "dut") -> str | None:
        """The Verilog expression of a field over the unit's instance; None for a port."""
        path = self.probe(field).path
        if path is None or callable(path):
            return path and path(self.config, field, dut)
        return path.format(dut=dut, name=field.name, row=field.row, col=field.col)

    def place(self, field: Field) -> str:
        """Where a field is, in words."""
        return self.probe(field).place.format(name=field.name, row=field.row, col=field.col)

    def order(self, field: Field) -> tuple[int, int, int]:
        """A key that sorts cause before effect; of one rank, what is nearest to where wavefronts start comes first."""
        return self.probe(field).rank, (field.row or 0) + (field.col or 0), self.record.index(field)
