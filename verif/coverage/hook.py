"""What a unit gives so that its coverage is measured."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from verif.coverage.points import Hits, Point
from verif.coverage.verilog import Waiver

__all__ = ["CoverageHook", "CoverageRun", "Measured", "Sampler"]


class Sampler(Protocol):
    """Watches the golden trace of one run."""

    def see(self, trace: np.ndarray) -> None:
        """The records of the next cycles: for ``simulate(observe=)``."""

    def hits(self) -> Hits:
        """What the run hit, once it is over."""


class _Simulated(Protocol):
    """What a simulation says, such as ``verif.simulation.simulate.UnitRun``."""

    compared_cycles: int
    coverage: Path | None

    def lines(self) -> list[str]:
        """What differs from the golden model."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one run came to.

    cycles : int
        Compared.
    failures : sequence of str
        What differs from the golden model. Of a run with any, neither hits nor counts are taken: the golden trace does
        not show what happened in the RTL.
    hits : Hits or None
    counts : Path or None
        Verilator's counts of lines and toggles, of the device in ``verilog``.
    """

    cycles: int = 0
    failures: Sequence[str] = ()
    hits: Hits | None = None
    counts: Path | None = None
    verilog: str = ""

    @classmethod
    def of(cls, run: _Simulated, sampler: Sampler | None = None, verilog: str = "") -> "Measured":
        """A simulation that a sampler watched, or that counted lines of this Verilog."""
        failures = run.lines()
        hits = sampler.hits() if sampler and not failures else None
        return cls(cycles=run.compared_cycles, failures=failures, hits=hits, counts=run.coverage, verilog=verilog)


@dataclass(frozen=True)
class CoverageRun:
    """One run of a measurement: its name, and what makes it."""

    name: str
    measure: Callable[[], Measured]


@dataclass(frozen=True, kw_only=True)
class CoverageHook:
    """A unit, as the coverage measurement sees it.

    Parameters
    ----------
    names : sequence of str
        Configurations, or whatever else has points of its own.
    plan : callable
        Of a name: the points, whose bins are all to be hit.
    runs : callable
        Of a name and a seed: the runs that are to hit them.
    waivers : sequence of Waiver
        Lines and branches that need not be reached.
    """

    names: Sequence[str]
    plan: Callable[[str], Sequence[Point]]
    runs: Callable[[str, int], Iterable[CoverageRun]]
    waivers: Sequence[Waiver] = ()
