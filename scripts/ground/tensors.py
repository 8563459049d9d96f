"""Tensors in .npy files: read and checked, with one-line errors."""

import numpy as np

from scripts.ground.errors import InputError

__all__ = ["load"]


def load(path: str, name: str, dims: tuple[int, ...]) -> np.ndarray:
    """The array in a .npy file, of one of the numbers of dimensions given; InputError for anything else.

    Of either byte order on disk, native in memory. A file in the machine's own order is mapped, not read.
    """
    try:
        # Copy on write, because a read-only array would have every compiled kernel compiled once more.
        array = np.load(path, allow_pickle=False, mmap_mode="c")
    except FileNotFoundError:
        raise InputError(f"{name}: no file {path}; needs a .npy file") from None
    except Exception:
        # A damaged header can end in almost any exception.
        raise InputError(f"{name}: {path} is not a readable .npy file of numbers") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: {path} is an archive of arrays; needs a .npy file with one")
    if array.ndim not in dims:
        wanted = " or ".join(str(n) for n in dims)
        raise InputError(f"{name}: {path} has shape {array.shape}; needs {wanted} dimensions")
    if not array.size:
        raise InputError(f"{name}: {path} is empty, shape {array.shape}; every dimension must be at least 1")
    return np.require(array, array.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"])
