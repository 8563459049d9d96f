"""Files and folders that commands write: each at once or not at all, with one-line errors."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.ground.errors import InputError

__all__ = ["check_beside", "check_writable", "make_folder", "save"]

#: Bytes in which a file says who wrote it.
_HEAD = 200


def check_writable(path: str | None) -> None:
    """InputError if nothing could be written there, before any work is done."""
    if path is None:
        return
    target = Path(os.path.realpath(path))
    try:
        # Replacing a device or a pipe by a file would destroy it.
        if not os.path.basename(path) or (target.exists() and not target.is_file()):
            raise InputError(f"--out: {path!r} is not an ordinary file; needs a file name")
        if not target.parent.is_dir():
            raise InputError(f"--out: no folder {target.parent}; needs one that exists")
        if target.exists() and not os.access(target, os.W_OK):
            raise InputError(f"--out: {path} is write-protected; needs a file that may be replaced")
        # Permissions do not tell everything: some file systems take no file at all.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".systolith."):
            pass
    except OSError as error:
        raise _unwritable(path, error) from None


def check_beside(path: str | Path, mark: str, others: Iterable[str | Path]) -> None:
    """InputError if a file that is written beside the named one would replace somebody's own.

    It may replace one of an earlier run: then the named file is there, and has ``mark`` at its beginning.
    """
    try:
        with open(path, "rb") as file:
            if mark.encode() in file.read(_HEAD):
                return
    except OSError:
        pass
    for other in others:
        if os.path.lexists(other):
            raise InputError(f"--out: {other} would be replaced and is no file of an earlier run; needs another name")


def make_folder(path: str) -> None:
    """Make a folder and those above it, unless it is there."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make folder {path}: {error.strerror}; name the output with --out") from None


@dataclass(frozen=True)
class _Writer:
    write: Callable[[bytes], int]


def save(path: str | Path, data: np.ndarray | str) -> None:
    """Write a .npy file or a text at once: a reader sees the old file or the whole new one."""
    target = Path(os.path.realpath(path))
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".systolith.")
        with os.fdopen(handle, "wb") as file:
            if isinstance(data, str):
                file.write(data.encode("utf-8"))
            else:
                # Without the file's handle: numpy would write to that itself, and not say why it cannot.
                np.save(_Writer(file.write), data)
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except BaseException as error:
        if temporary is not None:
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those of a new one."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _unwritable(path: str | Path, error: OSError) -> InputError:
    return InputError(f"--out: cannot write {path}: {error.strerror}; needs a file in a folder that takes new files")
