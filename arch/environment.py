"""Faults of the machine that all this runs on: a full disk, no file handles left, a folder that takes no files.

They say nothing of the design. Whoever counts what failed does not count them, and the command line has an exit code
of its own for them.
"""

import atexit
import errno
import functools
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["EXHAUSTED", "EnvironmentFault", "describe", "fault", "killed_by", "named", "system_reason", "usable_folder"]

#: Errors that no other file name would avoid.
EXHAUSTED = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
    }
)
#: Signals from outside: somebody's, a limit's, the system's when memory runs out or a file in memory finds no room.
_OUTSIDE = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGKILL,
    signal.SIGTERM,
    signal.SIGBUS,
    signal.SIGXCPU,
    signal.SIGXFSZ,
)
#: As programs print them that run with LC_ALL=C.
_TEXTS = [*map(os.strerror, sorted(EXHAUSTED | {errno.EROFS})), signal.strsignal(signal.SIGXFSZ), "std::bad_alloc"]
_REASONS = re.compile("|".join(map(re.escape, _TEXTS)))


class EnvironmentFault(OSError):
    """The machine is at fault, not the design and not the user's input. The message is one line."""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """An error of the system that names no file, as that of a write to a full disk, names this one."""
    try:
        yield
    except OSError as error:
        if error.strerror and error.filename is None:
            error.filename = str(path)
        raise


def describe(error: OSError) -> str:
    """An error of the system in one line: the reason, then the file where one is known."""
    if error.strerror is None:
        return str(error) or type(error).__name__
    return f"{error.strerror}: {os.fsdecode(error.filename)}" if error.filename else error.strerror


def fault(error: BaseException) -> str | None:
    """The machine's fault that an error tells of, in one line; None if it tells of none."""
    return describe(error) if isinstance(error, OSError) else system_reason(str(error))


def system_reason(text: str) -> str | None:
    """The system's reason that a program gave among its output; None if it gave none."""
    found = _REASONS.search(text)
    return found and found[0]


def killed_by(code: int | None) -> str | None:
    """The signal from outside that ended a process with this exit code; None for any other end."""
    return signal.Signals(-code).name if code is not None and -code in _OUTSIDE else None


@functools.cache
def usable_folder(folder: Path) -> Path:
    """A folder for a cache: this one if it takes files, else an empty one that goes when the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if error.errno in EXHAUSTED:
            # Elsewhere it would be no better.
            raise
        temporary = tempfile.mkdtemp(prefix="systolith-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return Path(temporary)
