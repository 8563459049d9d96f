"""What ``make fpga`` runs: one configuration on one device, and the report."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from scripts.flows.fpga.build import Job, Routed, Synthesis, capacity, place_route, synthesise
from scripts.flows.fpga.fit import does_not_fit, excess, expected, largest, limits, sample
from scripts.flows.fpga.report import make_record, markdown, tables
from scripts.flows.fpga.tools import Tools, find_device, versions
from scripts.ground.errors import InputError
from scripts.ground.files import make_folder, save
from scripts.ground.terminal import Terminal
from scripts.running.configs import ChosenConfig

__all__ = ["DoesNotFit", "build", "run_fpga", "steps"]

FOLDER = Path("build") / "fpga"
#: By how much an estimate may be over before the build itself is tried.
MARGIN = 1.15


@contextmanager
def steps():
    """A function that shows the step something is at: a line each with the time, or lines where no bar shows."""
    console = Terminal(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    tasks: dict[str, int] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        start = time.perf_counter()

        def show(what: str, step: str = "") -> None:
            text = f"{what}: {step}" if step else what
            if not console.is_terminal:
                # Passes of a tool would be a line each.
                if what not in tasks or step == "done":
                    print(f"{time.perf_counter() - start:6.0f} s  {text}", file=sys.stderr, flush=True)
            if what not in tasks:
                tasks[what] = progress.add_task(text, total=None)
            progress.update(tasks[what], description=text, visible=step != "done")

        yield show


class DoesNotFit(InputError):
    """A build is too large for its device; the message says what is over and what would fit."""


def build(
    job: Job, name: str, seeds: int, jobs: int, tools: Tools, show: Callable[..., None]
) -> tuple[Synthesis, list[Routed]]:
    """Synthesis, placement and routing of a job with seeds 1 up.

    DoesNotFit for a job too large for its device: a much too large one before it is synthesised.
    """
    title = f"{name} on {job.device.name}"
    if small := sample(job):
        part = synthesise(small, tools, lambda step: show(f"{title}, a small one first", step))
        used = capacity(small, tools, lambda step: show(f"{title}, a small one first", step))
        there = {kind: pair[1] for kind, pair in limits(used, job.device.family.resources).items()}
        need = expected(small, part, job.config.rows, job.config.cols)
        # One estimated to be a little over may fit.
        over = excess({kind: (round(need.get(kind, 0) / MARGIN), size) for kind, size in there.items()})
        if over:
            over = excess({kind: (round(need.get(kind, 0)), size) for kind, size in there.items()})
            raise DoesNotFit(does_not_fit(name, job, f"about {over}", largest(small, part, there, job.config)))
    synthesis = synthesise(job, tools, lambda step: show(f"{title}, synthesis", step))
    show(f"{title}, synthesis", "done")
    routed = place_route(
        job,
        sum(synthesis.cells.values()),
        range(1, seeds + 1),
        tools,
        lambda seed, step: show(f"{title}, seed {seed}", step),
        jobs=jobs,
    )
    for one in routed:
        if one.mhz is None:
            pairs = limits(one.used, job.device.family.resources)
            if over := excess(pairs):
                size = largest(job, synthesis, {kind: pair[1] for kind, pair in pairs.items()}, job.config)
                raise DoesNotFit(does_not_fit(name, job, over, size))
            raise DoesNotFit(f"{name} on {job.device.name}, seed {one.seed}: nextpnr gave up: {one.error}")
    return synthesis, routed


def _core(chosen: ChosenConfig) -> CoreConfig:
    """The preset's core, or one of the usual parameters, around the engine. InputError where no core has such a one."""
    try:
        if chosen.preset:
            return replace(CORES[chosen.preset], engine=chosen.config)
        return CoreConfig(engine=chosen.config)
    except ValueError as error:
        raise InputError(f"--part core: {error}") from None


def run_fpga(
    chosen: ChosenConfig, *, device: str, part: str, seeds: int, jobs: int, dsp: bool, frequency: int, command: str
) -> None:
    """Build it, print the report and write report.json and report.md. DoesNotFit where it does not."""
    found, core = find_device(device), _core(chosen) if part == "core" else None
    versions(found.family)
    job = Job(config=chosen.config, part=part, device=found, dsp=dsp, frequency=frequency, core=core)
    name = chosen.name + ("" if part == "engine" else f"_{part}") + ("" if dsp else "_no_dsp")
    folder = FOLDER / f"{name}_{device}"
    make_folder(str(folder))
    tools = Tools()
    with steps() as show:
        synthesis, routed = build(job, name, seeds, jobs, tools, show)
    record = make_record(job, name, synthesis, routed, command)
    save(folder / "report.json", json.dumps(record, indent=1) + "\n")
    save(folder / "report.md", markdown(record))
    terminal = Terminal()
    terminal.line(f"{name} on {device}")
    for table in tables(record):
        terminal.table(table)
    terminal.line(f"wrote {folder}/report.json and report.md")
