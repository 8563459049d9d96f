"""Tensors in .npy files: read, checked and written, with one-line errors."""

import os
import tempfile
from pathlib import Path

import numpy as np

from golden.formats import code_dtype, encode

__all__ = ["InputError", "check_writable", "load", "save", "to_codes"]


class InputError(Exception):
    """The user's input is at fault; the message is one line and says what is accepted."""


def load(path: str, name: str, dims: tuple[int, ...]) -> np.ndarray:
    """The array in a .npy file, of one of the numbers of dimensions given; InputError for anything else."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{name}: no file {path}; needs a .npy file") from None
    except (OSError, ValueError, EOFError):
        raise InputError(f"{name}: {path} is not a readable .npy file of numbers") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: {path} is an archive of arrays; needs a .npy file with one")
    if array.ndim not in dims:
        wanted = " or ".join(str(n) for n in dims)
        raise InputError(f"{name}: {path} has shape {array.shape}; needs {wanted} dimensions")
    if not array.size:
        raise InputError(f"{name}: {path} is empty, shape {array.shape}; every dimension must be at least 1")
    return array


def to_codes(array: np.ndarray, name: str, fmt: str) -> np.ndarray:
    """Codes of ``fmt``: float32 is converted (scale 1, saturating), codes of the format's own dtype are kept."""
    if array.dtype == np.float32:
        return encode(array, fmt)
    if array.dtype == code_dtype(fmt):
        return array
    raise InputError(f"{name}: dtype {array.dtype}; needs float32 values or {code_dtype(fmt)} codes of {fmt}")


def check_writable(path: str | None) -> None:
    """InputError if nothing could be written there, before any work is done."""
    if path is None:
        return
    folder = Path(path).parent
    if not folder.is_dir():
        raise InputError(f"--out: no folder {folder}; needs one that exists")
    if Path(path).is_dir():
        raise InputError(f"--out: {path} is a folder; needs a file name")
    if not os.access(folder, os.W_OK):
        raise InputError(f"--out: cannot write to {folder}; needs a folder with write permission")


def save(path: str | Path, data: np.ndarray | str) -> None:
    """Write a .npy file or a text at once: a reader sees the old file or the whole new one."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if isinstance(data, str):
                file.write(data.encode())
            else:
                np.save(file, data)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
