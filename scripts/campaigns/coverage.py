"""What ``make coverage`` runs: GEMMs that reach every bin of the coverage plan, with the reports on what they did."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.tensor.jobs import Gemm
from hw.tensor.verilog import engine_verilog
from scripts.campaigns.sim import SIMULATED, campaign_jobs
from scripts.ground.files import check_beside, make_folder, save
from scripts.ground.progress import progress_bar
from scripts.ground.terminal import Terminal
from verif.coverage.page import page
from verif.coverage.points import Hits
from verif.coverage.report import Coverage
from verif.tensor.coverage.directed import busy_jobs, directed_jobs, ring_jobs
from verif.tensor.coverage.plan import WAIVERS, plan
from verif.tensor.coverage.sampling import Sampler
from verif.tensor.engine import EngineRun, simulate
from verif.tensor.interactive import run_interactive
from verif.tensor.resets import RESET_POINTS, sample_resets
from verif.tensor.workload.gemms import ragged_gemms

__all__ = ["run_coverage"]

JSON, PAGE = "coverage.json", "index.html"
#: Interactive benches take their time: of the smallest preset only.
INTERACTIVE = "tiny"
#: Rows and columns of the arrays whose lines are counted. The modules are those of the preset but for the number of
#: lanes, and a build that counts what happens in 256 PEs takes minutes.
LINE_ARRAY = 4


@dataclass(frozen=True)
class _Run:
    """GEMMs at one pace."""

    name: str
    jobs: Sequence[Gemm]
    idle: float = 0.0
    stall: float = 0.0


def _runs(name: str, config: EngineConfig, seed: int) -> Iterator[_Run]:
    directed, ring = directed_jobs(config), ring_jobs(config)
    yield _Run("directed", directed)
    # A stall this long fills PSUM.
    yield _Run("PSUM ring", ring, stall=0.9)
    yield _Run("random", campaign_jobs(name, 0, seed)[:100], idle=0.5, stall=0.5)
    # So many that the rarest of their bins, about one in a hundred passes, is hit some twenty times.
    yield _Run("busy", 4 * busy_jobs(config), idle=0.5, stall=0.5)
    yield _Run("slow", [*campaign_jobs(name, 1, seed)[:20], *busy_jobs(config)], idle=0.9, stall=0.9)


def _line_run(config: EngineConfig, seed: int) -> _Run:
    """For lines: the ring goes round, and GEMMs of all sizes, formats and kinds of operands."""
    rng = np.random.default_rng([seed, config.rows])
    return _Run("lines", [*ring_jobs(config)[2:-1], *ragged_gemms(config, rng)], idle=0.3, stall=0.3)


def run_coverage(presets: Sequence[str] | None = None, *, seed: int, folder: Path) -> bool:
    """Run everything, print the summary and the holes, write the reports, and say whether a bar was missed."""
    started = time.monotonic()
    make_folder(str(folder))
    check_beside(folder / JSON, '"seed":', [folder / PAGE])
    coverage = Coverage(seed, waivers=WAIVERS)
    with progress_bar() as progress:
        task = progress.add_task("", total=None)
        for preset in presets or SIMULATED:
            config = PRESETS[preset]
            coverage.hits[preset] = Hits(plan(config))
            for run in _runs(preset, config, seed):
                _announce(progress, task, f"{preset}: {run.name}")
                _simulate(coverage, preset, config, run, seed)
            _announce(progress, task, f"{preset}: lines and toggles")
            _count_lines(coverage, preset, replace(config, rows=LINE_ARRAY, cols=LINE_ARRAY), seed)
        _announce(progress, task, "resets")
        _resets(coverage, seed)
    coverage.seconds = time.monotonic() - started
    return _report(coverage, folder)


def _announce(progress: Progress, task: TaskID, label: str) -> None:
    progress.update(task, description=label)
    if not progress.console.is_terminal:
        progress.console.line(label)


def _simulate(coverage: Coverage, preset: str, config: EngineConfig, run: _Run, seed: int) -> None:
    """One run; its hits count if the RTL agreed with the golden model in all of it."""
    sampler = Sampler(config)
    outcome = simulate(config, run.jobs, seed=seed, idle=run.idle, stall=run.stall, observe=sampler.see)
    if _agreed(coverage, outcome, f"{preset}, {run.name}"):
        coverage.hits[preset].merge(sampler.hits())


def _count_lines(coverage: Coverage, preset: str, config: EngineConfig, seed: int) -> None:
    """One run on a build that counts lines and toggles."""
    run = _line_run(config, seed)
    outcome = simulate(config, run.jobs, seed=seed, idle=run.idle, stall=run.stall, coverage=True)
    if _agreed(coverage, outcome, f"{preset}, lines"):
        coverage.code.add(outcome.coverage, engine_verilog(config))


def _agreed(coverage: Coverage, outcome: EngineRun, label: str) -> bool:
    coverage.cycles += outcome.compared_cycles
    coverage.failures += [f"{label}: {line}" for line in outcome.lines()]
    return not outcome.mismatches


def _resets(coverage: Coverage, seed: int) -> None:
    """The interactive benches: what golden traces do not hold."""
    # Its lines go where the progress goes.
    with redirect_stdout(sys.stderr):
        run = run_interactive(PRESETS[INTERACTIVE], seed=seed)
    hits = coverage.hits["interactive"] = Hits(RESET_POINTS)
    if run.passed:
        sample_resets(run.resets, hits)
    else:
        coverage.failures += [f"interactive: {name}: {run.failures[name]}" for name in run.failed]


def _report(coverage: Coverage, folder: Path) -> bool:
    """Write the reports, print the summary, and say whether a bar was missed."""
    save(folder / JSON, json.dumps(coverage.record()) + "\n")
    save(folder / PAGE, page(coverage))
    terminal = Terminal()
    terminal.table(_table(coverage))
    reached, total, waived = coverage.lines
    hit, due = coverage.bins
    shown = [
        f"seed {coverage.seed}, {coverage.cycles:,} cycles compared, {coverage.seconds:.0f} s",
        f"functional bins: {hit:,} of {due:,}",
        f"lines and branches: {reached:,} of {total - waived:,} ({_percent(reached, total - waived)}), {waived} waived",
        "toggles: {:,} of {:,} ({})".format(*coverage.toggles, _percent(*coverage.toggles)),
        f"wrote {folder / PAGE}",
    ]
    for line in shown:
        terminal.line(line)
    complaints = coverage.complaints()
    for line in complaints:
        terminal.line(line, "red")
    return bool(complaints)


def _percent(part: int, whole: int) -> str:
    # Never 100 % with something missing.
    return f"{int(1000 * part / whole) / 10:.1f} %" if whole else "none"


def _table(coverage: Coverage) -> Table:
    """Bins hit and declared, of each point in each preset."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("point")
    for preset in coverage.hits:
        table.add_column(preset, justify="right")
    for name in dict.fromkeys(name for hits in coverage.hits.values() for name in hits.points):
        cells = []
        for hits in coverage.hits.values():
            hit, due = hits.covered(name) if name in hits.points else (0, 0)
            cells.append(Text(f"{hit}/{due}", "green" if hit == due else "red") if due else "")
        table.add_row(name, *cells)
    return table
