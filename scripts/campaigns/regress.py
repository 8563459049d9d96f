"""What ``systolith regress`` runs: random runs on many processes or machines, and files with their verdicts."""

import dataclasses
import functools
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from scripts.campaigns.farm import Died, check_address, run_on_dask, run_on_processes
from scripts.ground.errors import InputError
from scripts.ground.files import check_beside, check_writable, make_folder, save
from scripts.ground.progress import progress_bar
from scripts.ground.terminal import Terminal
from verif.registry.regress import AnyRun, draw_run, execute
from verif.simulation.simulator import require
from verif.simulation.verdicts import Verdict

__all__ = ["Regression", "choose_runs", "run_regression"]

DEFAULT_RUNS = 100
MAX_SEED = (1 << 32) - 1
#: Failing runs reported in full on the terminal; the files have all of them.
SHOWN = 5
#: Least seconds between two writings of the files while runs come in.
WRITE_EVERY = 2.0
#: Large files are written less often: a part of 1/20 of the time goes into that at most.
WRITE_SHARE = 20


def choose_runs(runs: int | None, seed: int | None, only: str | None, out: str | None) -> tuple[list[AnyRun], Path]:
    """The runs that the options mean, and where the JSON file goes."""
    if only is None:
        seed = int(np.random.default_rng().integers(1 << 31)) if seed is None else seed
        indices, name = range(DEFAULT_RUNS if runs is None else runs), f"{seed}"
    elif runs is not None or seed is not None:
        raise InputError("--only: names the seed and the one run itself; needs no --runs and no --seed")
    else:
        match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,7})", only)
        if not match or int(match[1]) > MAX_SEED:
            raise InputError(f"--only: {only!r} is not a run; needs SEED:INDEX, such as 7:12")
        seed, indices, name = int(match[1]), [int(match[2])], f"{match[1]}_{match[2]}"
    if out is None:
        make_folder("build/regress")
        out = f"build/regress/{name}.json"
    elif Path(out).suffix == ".xml":
        raise InputError(f"--out: {out} is where JUnit XML goes; needs a name that does not end in .xml")
    check_writable(out)
    check_writable(str(Path(out).with_suffix(".xml")))
    check_beside(out, '"seed":', [Path(out).with_suffix(".xml")])
    return [draw_run(seed, index) for index in indices], Path(out)


def _prepare(simulator: str | None, jobs: int | None, dask: str | None) -> tuple[str, int]:
    """The simulator and the number of processes, with the defaults filled in; InputError for what cannot be."""
    if dask is None:
        simulator = simulator or ("icarus" if shutil.which("iverilog") else "verilator")
        require(simulator)
        return simulator, jobs or len(os.sched_getaffinity(0))
    check_address(dask)
    if jobs is not None:
        raise InputError("--jobs: is for processes on this machine; with --dask the workers say how many")
    return simulator or "icarus", 0


@dataclass
class Regression:
    """The verdicts so far.

    planned : runs, all of them
    simulator : str
    verdicts : Verdict, by number of the run
    interrupted : not all of the runs have one, because somebody stopped it or the workers were lost
    """

    planned: Sequence[AnyRun]
    simulator: str
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def failed(self) -> list[Verdict]:
        return [verdict for _, verdict in sorted(self.verdicts.items()) if verdict.failed]

    @property
    def not_run(self) -> list[Verdict]:
        """The machine kept them from their end."""
        return [verdict for _, verdict in sorted(self.verdicts.items()) if verdict.not_run]

    def counts(self) -> str:
        """In words; those not run only where there are any."""
        failed, not_run = len(self.failed), len(self.not_run)
        text = f"{len(self.verdicts) - failed - not_run} passed, {failed} failed"
        return f"{text}, {not_run} not run" if not_run else text

    def reproduce(self, run: AnyRun) -> str:
        return f"reproduce: make regress ONLY={run.name} SIM={self.simulator}"

    def summary(self) -> str:
        """One line."""
        cycles = sum(verdict.cycles for verdict in self.verdicts.values())
        configs = len({verdict.run.config for verdict in self.verdicts.values()})
        counts = f"{len(self.verdicts)} of {len(self.planned)} runs: {self.counts()}"
        return f"{counts}; {configs} configurations, {cycles:,} cycles compared"

    def record(self) -> dict:
        """The head of the JSON file."""
        return {
            "seed": self.planned[0].seed,
            "simulator": self.simulator,
            "runs": len(self.planned),
            "passed": len(self.verdicts) - len(self.failed) - len(self.not_run),
            "failed": len(self.failed),
            "not_run": len(self.not_run),
            "interrupted": self.interrupted,
            "seconds": round(time.monotonic() - self.started, 3),
        }

    def _result(self, verdict: Verdict) -> dict:
        run = dataclasses.asdict(verdict.run)
        return {
            "run": verdict.run.name,
            "verdict": "passed" if verdict.passed else "failed" if verdict.failed else "not run",
            "report": list(verdict.report) or [verdict.not_run] * (not verdict.passed),
            "reproduce": self.reproduce(verdict.run).removeprefix("reproduce: "),
            "cycles": verdict.cycles,
            "signals": verdict.signals,
            "seconds": round(verdict.seconds, 3),
            **{name: value for name, value in run.items() if name not in ("seed", "index")},
        }

    def junit(self) -> str:
        """What the XML file holds: a test case a run."""
        suite = TestSuite(f"systolith regress, seed {self.planned[0].seed}")
        for _, verdict in sorted(self.verdicts.items()):
            case = TestCase(f"run {verdict.run.name}", f"regress.{self.simulator}", round(verdict.seconds, 3))
            text = [str(verdict.run), *verdict.report, self.reproduce(verdict.run)]
            if verdict.passed:
                case.system_out = str(verdict.run)
            elif verdict.failed:
                failure = Failure(_printable(verdict.report[0]), "divergence")
                failure.text = _printable("\n".join(text))
                case.result = [failure]
            else:
                case.result = [Error(_printable(verdict.not_run), "environment")]
            suite.add_testcase(case)
        document = JUnitXml()
        document.add_testsuite(suite)
        document.update_statistics()
        return document.tostring().decode()

    def write(self, out: Path) -> None:
        """Both files, each at once: whoever reads them sees the runs of one moment."""
        results = ",\n".join(json.dumps(self._result(verdict)) for _, verdict in sorted(self.verdicts.items()))
        head = json.dumps(self.record(), indent=1).removesuffix("\n}")
        save(out, f'{head},\n "results": [\n{results}\n]}}\n')  # a run a line
        save(out.with_suffix(".xml"), self.junit())


def _printable(text: str) -> str:
    """Without the control characters of a simulator's log: XML has no way to write them."""
    return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd]", "?", text)


def run_regression(
    runs: Sequence[AnyRun], *, simulator: str | None, jobs: int | None, dask: str | None, out: Path
) -> Regression:
    """Run them all, write the files as verdicts come in, and print what failed.

    Interrupted by Ctrl-C, or by an error of the workers, which it raises again, it leaves files with what has run.
    """
    simulator, jobs = _prepare(simulator, jobs, dask)
    regression = Regression(runs, simulator)
    work = functools.partial(execute, simulator=simulator)
    if dask:
        pairs = run_on_dask(work, runs, address=dask, needs=functools.partial(require, simulator))
    else:
        pairs = run_on_processes(work, runs, jobs=jobs)
    written, cost = time.monotonic(), 0.0
    try:
        for _ in _showing_progress(regression, pairs):
            if time.monotonic() - written > max(WRITE_EVERY, WRITE_SHARE * cost):
                started = time.monotonic()
                regression.write(out)
                written = time.monotonic()
                cost = written - started
    except KeyboardInterrupt:
        regression.interrupted = True
    except BaseException:
        regression.interrupted = True
        if regression.verdicts:
            regression.write(out)
            _print_summary(regression, out)
        raise
    finally:
        pairs.close()
    regression.write(out)
    _print_summary(regression, out)
    return regression


def _showing_progress(regression: Regression, pairs: Iterator[tuple[AnyRun, Verdict | Died]]) -> Iterator[None]:
    """Takes the verdicts in, one a step, and shows how many there are."""
    total = len(regression.planned)
    with progress_bar() as progress:
        task = progress.add_task("0 passed, 0 failed", total=total)
        for run, verdict in pairs:
            if isinstance(verdict, Died):
                verdict = Verdict(run=run, report=(verdict.reason,))
            regression.verdicts[run.index] = verdict
            done, text = len(regression.verdicts), regression.counts()
            progress.update(task, description=text, completed=done)
            # Where no bar shows: ten lines, and one for every failure.
            if not progress.console.is_terminal and (
                not verdict.passed or done * 10 // total > (done - 1) * 10 // total
            ):
                print(f"{done} of {total} runs: {text}", file=sys.stderr, flush=True)
            yield


def _print_summary(regression: Regression, out: Path) -> None:
    terminal = Terminal()
    failed = regression.failed
    for verdict in failed[:SHOWN]:
        lines = [f"run {verdict.run.name}: {verdict.run}", *verdict.report, regression.reproduce(verdict.run), ""]
        for line in lines:
            terminal.line(line, "red")
    if len(failed) > SHOWN:
        terminal.line(f"and {len(failed) - SHOWN} more: {' '.join(v.run.name for v in failed[SHOWN:])}")
    for verdict in regression.not_run[:SHOWN]:
        terminal.line(f"run {verdict.run.name} was not run: {verdict.not_run}", "yellow")
    style = "red" if failed else "yellow" if regression.interrupted or regression.not_run else "green"
    terminal.line(regression.summary(), style)
    terminal.line(f"wrote {out} and {out.with_suffix('.xml')}")
