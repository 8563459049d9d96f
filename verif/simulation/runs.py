"""A folder below a build for each run of a simulation."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from arch.environment import named

__all__ = ["run_folder"]

#: Folders of earlier runs left beside a build; waveforms may make them large.
KEPT_RUNS = 20
#: Locked while the run is under way. The lock of a process that was killed is free, whatever else it left behind.
LOCK = "lock"


@contextmanager
def run_folder(build: Path) -> Iterator[Path]:
    """A new folder for one run of the build in a directory; the oldest of those whose runs have ended go."""
    runs = build / "runs"
    runs.mkdir(exist_ok=True)
    _prune(runs)
    run = Path(tempfile.mkdtemp(prefix=f"{datetime.now():%Y%m%d-%H%M%S-%f}-", dir=runs))
    with named(run), open(run / LOCK, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield run


def _prune(runs: Path) -> None:
    for run in sorted(runs.iterdir(), reverse=True)[KEPT_RUNS:]:
        # Another process may be faster.
        with suppress(OSError), open(run / LOCK, "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(run, ignore_errors=True)
