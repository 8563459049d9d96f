"""Times workloads in turn.

In the manner of asv: a benchmark is a function that is called a number of times, here in turn with what it is compared
with, so that a slow spell of the machine meets both. Nothing is asserted: no test depends on the time of day.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

__all__ = ["Figure", "Workload", "growth", "measure", "ratio"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table.

    group, name : what was measured.
    unit : of ``values``: a rate (``"GMAC/s"``), seconds, or an exponent.
    values : one of each round.
    ratios : medians over rounds of this rate over a neighbour's, by the neighbour's name.
    """

    group: str
    name: str
    unit: str
    values: list[float]
    ratios: dict[str, float] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """As the table shows it."""
        low, high = min(self.values), max(self.values)
        spread = f"{_short(low)}..{_short(high)}" if len(self.values) > 1 else ""
        ratios = ", ".join(f"{ratio:.2f} {name}" for name, ratio in self.ratios.items())
        return [self.group, self.name, _short(median(self.values)), spread, self.unit, ratios]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Something to time.

    name, unit : as in :class:`Figure`; the unit is ``amount``'s, per second.
    amount : how many units one call of ``run`` does.
    beside : names of the workloads of the same measurement it is compared with.
    """

    name: str
    unit: str
    amount: float
    run: Callable[[], object]
    beside: dict[str, str] = field(default_factory=dict)


def measure(group: str, workloads: Sequence[Workload], rounds: int, settle: float = 0.0) -> list[Figure]:
    """Rates of workloads that take turns, ``rounds`` times, after one call of each that does not count.

    settle : seconds for which a workload is called untimed, at least once, before each timed call. The threads of a
        BLAS spin for a while after its product, on processors that the next one needs; and processors that slept are
        slow to wake.
    """
    rates: dict[str, list[float]] = {workload.name: [] for workload in workloads}
    for workload in workloads:
        workload.run()  # compiles, or loads what was compiled
    for _ in range(rounds):
        for workload in workloads:
            if settle:
                settled = time.perf_counter() + settle
                workload.run()
                while time.perf_counter() < settled:
                    workload.run()
            start = time.perf_counter()
            workload.run()
            rates[workload.name].append(workload.amount / (time.perf_counter() - start))
    return [
        Figure(
            group=group,
            name=workload.name,
            unit=workload.unit,
            values=rates[workload.name],
            ratios={short: ratio(rates[workload.name], rates[other]) for short, other in workload.beside.items()},
        )
        for workload in workloads
    ]


def ratio(rates: Sequence[float], others: Sequence[float]) -> float:
    """The median of quotients of neighbours: a machine shared with others is not as fast in every minute."""
    return median(ours / theirs for ours, theirs in zip(rates, others, strict=True))


def growth(group: str, name: str, sizes: Sequence[float], seconds: Sequence[float]) -> Figure:
    """The exponent e of ``seconds ~ sizes**e``, by least squares of logarithms."""
    exponent = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return Figure(group=group, name=name, unit="exponent of PEs", values=[exponent])


def _short(value: float) -> str:
    """Three digits, as far as they say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
