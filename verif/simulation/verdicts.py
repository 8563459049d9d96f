"""What became of a run of a regression."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from arch.environment import describe
from verif.simulation.simulator import SimulatorError

__all__ = ["Verdict", "judged"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a run.

    report : why it failed, a line each; empty if it passed
    not_run : why the machine could not run it to its end, in a line; it is then neither passed nor failed
    cycles, signals : compared, and signals in each cycle
    """

    run: Any
    report: tuple[str, ...] = ()
    not_run: str = ""
    cycles: int = 0
    signals: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.report and not self.not_run

    @property
    def failed(self) -> bool:
        return bool(self.report)


def judged(run: Any, work: Callable[[], tuple[int, int, Sequence[str]]]) -> Verdict:
    """The verdict on a run: ``work`` returns cycles, signals, and what is wrong. Whatever goes wrong is the run's.

    An error of the system says nothing of the design: such a run was not run.
    """
    started = time.monotonic()
    report: Sequence[str] = ()
    not_run = ""
    cycles = signals = 0
    try:
        cycles, signals, report = work()
    except OSError as error:
        not_run = describe(error)
    except MemoryError:
        not_run = "not enough memory"
    except SimulatorError as error:
        report = str(error).splitlines()
    except Exception:
        # A golden model that raises is a finding like any other, and no reason to stop the other runs.
        report = traceback.format_exc().splitlines()
    seconds = time.monotonic() - started
    return Verdict(run=run, report=tuple(report), not_run=not_run, cycles=cycles, signals=signals, seconds=seconds)
