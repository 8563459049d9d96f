"""What ``make coverage`` runs: what reaches every bin of each unit's plan, with the reports on what it did."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from scripts.ground.files import check_beside, make_folder, save
from scripts.ground.progress import progress_bar
from scripts.ground.terminal import Terminal
from verif.coverage.hook import CoverageHook
from verif.coverage.measure import measure
from verif.coverage.page import page
from verif.coverage.report import Coverage
from verif.registry.units import UNITS

__all__ = ["run_coverage"]

JSON, PAGE = "coverage.json", "index.html"


def run_coverage(hooks: Iterable[CoverageHook] | None = None, *, seed: int, folder: Path) -> bool:
    """Run everything, print the summary and the holes, write the reports, and say whether a bar was missed."""
    make_folder(str(folder))
    check_beside(folder / JSON, '"seed":', [folder / PAGE])
    hooks = [unit.coverage for unit in UNITS.values()] if hooks is None else hooks
    with progress_bar() as progress:
        task = progress.add_task("", total=None)
        coverage = measure(hooks, seed=seed, announce=partial(_announce, progress, task))
    return _report(coverage, folder)


def _announce(progress: Progress, task: TaskID, label: str) -> None:
    progress.update(task, description=label)
    if not progress.console.is_terminal:
        progress.console.line(label)


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
