"""Tensors in .npy files: read and checked, with one-line errors."""

import numpy as np

from arch.environment import EXHAUSTED
from scripts.ground.errors import InputError

__all__ = ["load"]

#: numpy.save gives this type of ml_dtypes a name that numpy.load does not know.
E5M2_HINT = "; was it saved from ml_dtypes.float8_e5m2? Then save the array's .view(numpy.uint8)"


def load(path: str, name: str, dims: tuple[int, ...]) -> np.ndarray:
    """The array in a .npy file, of one of the numbers of dimensions given; InputError for anything else.

    Of either byte order on disk, native in memory. A file in the machine's own order is mapped, not read.
    """
    try:
        # Copy on write, because a read-only array would have every compiled kernel compiled once more.
        array = np.load(path, allow_pickle=False, mmap_mode="c")
    except FileNotFoundError:
        raise InputError(f"{name}: no file {path}; needs a .npy file") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            raise
        # A damaged header can end in almost any exception.
        hint = E5M2_HINT if "'<f1'" in str(error) else ""
        raise InputError(f"{name}: {path} is not a readable .npy file of numbers{hint}") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: {path} is an archive of arrays; needs a .npy file with one")
    if array.ndim not in dims:
        wanted = " or ".join(str(n) for n in dims)
        raise InputError(f"{name}: {path} has shape {array.shape}; needs {wanted} dimensions")
    if not array.size:
        raise InputError(f"{name}: {path} is empty, shape {array.shape}; every dimension must be at least 1")
    return np.require(array, array.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"])
