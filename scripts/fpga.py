"""What ``make fpga`` runs: one configuration on one device, and the report."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from scripts.configs import ChosenConfig
from scripts.fpga_build import Job, Routed, Synthesis, place_route, synthesise
from scripts.fpga_report import make_record, markdown, tables
from scripts.fpga_tools import Tools, find_device, versions
from scripts.tensors import InputError, make_folder, save

__all__ = ["build", "run_fpga", "steps"]

FOLDER = Path("build") / "fpga"


@contextmanager
def steps():
    """A function that shows the step something is at: a line each with the time, or lines where no bar shows."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
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


def build(job: Job, name: str, seeds: int, jobs: int, show: Callable[..., None]) -> tuple[Synthesis, list[Routed]]:
    """Synthesis, placement and routing of a job, with what it is at."""
    tools = Tools()
    title = f"{name} on {job.device.name}"
    synthesis = synthesise(job, tools, lambda step: show(f"{title}, synthesis", step))
    show(f"{title}, synthesis", "done")
    first = place_route(job, [1], tools, lambda seed, step: show(f"{title}, seed {seed}", step))
    if first[0].mhz is None:
        return synthesis, first
    rest = range(2, seeds + 1)
    return synthesis, first + place_route(
        job, rest, tools, lambda seed, step: show(f"{title}, seed {seed}", step), jobs=jobs
    )


def run_fpga(
    chosen: ChosenConfig, *, device: str, part: str, seeds: int, jobs: int, dsp: bool, frequency: int, command: str
) -> None:
    """Build it, print the report and write report.json and report.md. InputError where it does not fit."""
    found = find_device(device)
    versions(found.family)
    job = Job(config=chosen.config, part=part, device=found, dsp=dsp, frequency=frequency)
    name = chosen.name + ("" if part == "engine" else f"_{part}") + ("" if dsp else "_no_dsp")
    folder = FOLDER / f"{name}_{device}"
    make_folder(str(folder))
    with steps() as show:
        synthesis, routed = build(job, name, seeds, jobs, show)
    failed = [one for one in routed if one.mhz is None]
    if failed:
        raise InputError(f"{name} on {device}: {failed[0].error}")
    record = make_record(job, name, synthesis, routed, command)
    save(folder / "report.json", json.dumps(record, indent=1) + "\n")
    save(folder / "report.md", markdown(record))
    console = Console()
    for table in tables(record):
        console.print(table)
    console.print(f"wrote {folder}/report.json and report.md", highlight=False, soft_wrap=True)
