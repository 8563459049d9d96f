"""Kernels that Numba compiles, and the files that keep the machine code from one process to the next."""

import hashlib
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from uuid import uuid4

import numba
import numpy
from numba import njit
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from golden.caches import cache_folder

__all__ = ["borrowing_kernel", "kernel"]

_DIGEST_BYTES = hashlib.sha256().digest_size


def kernel(function: Callable | None = None, **options) -> Callable:
    """Compile a function for Numba's ``nopython`` mode when it is first called, or take what an earlier process made.

    Used as ``@kernel`` or, with options of ``numba.njit``, as ``@kernel(nogil=True)``.
    """
    if function is None:
        return partial(kernel, **options)
    compiled = njit(**options)(function)
    # What njit(cache=True) does, with a cache of our own.
    compiled._cache = _KernelCache(function)
    return compiled


def borrowing_kernel(function: Callable) -> Callable:
    """A kernel that makes no array and keeps none: it does without counting the references to its arguments.

    It is called by kernels alone. Counting was two fifths of the time of the core's cycle model.
    """
    return kernel(function, _nrt=False)


class _KernelCache(NullCache):
    """The machine code of one function, a file for each signature.

    It takes the place of Numba's own, which looks at no file but the outermost function's, so that it would go on
    running the old arithmetic after a change to an inner one; which raises where it cannot write, or where a file is
    cut short; and in which two processes that compile the same function can exchange their signatures' code.

    Here a folder belongs to exactly these sources. A file carries a digest of its contents and, in them, what it was
    compiled for: what is not whole or not the right one counts as missing, and is made again. What cannot be written
    is done without.
    """

    def __init__(self, function: Callable) -> None:
        constants = [repr(cell.cell_contents) for cell in function.__closure__ or ()]
        self._name = function.__name__
        self._function = (function.__module__, function.__qualname__, *constants)

    def load_overload(self, sig, target_context):
        """The compiled function, or None."""
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        try:
            contents = self._path(key).read_bytes()
        except OSError:
            return None
        digest, body = contents[:_DIGEST_BYTES], contents[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            return None
        stored, parts = pickle.loads(body)
        return CompileResult._rebuild(target_context, *parts) if stored == key else None

    def save_overload(self, sig, data):
        """Keep a compiled function for the next process."""
        if data.library.has_dynamic_globals:
            return  # It holds addresses of this process.
        key = self._key(sig, data.codegen)
        body = dumps((key, data._reduce()))
        path = self._path(key)
        part = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(hashlib.sha256(body).digest() + body)
            part.replace(path)
        except OSError:
            pass
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _key(self, sig, codegen) -> tuple:
        return self._function, sig, codegen.magic_tuple()

    def _path(self, key: tuple) -> Path:
        return _folder() / f"{self._name}-{hashlib.sha256(str(key).encode()).hexdigest()[:32]}"


@cache
def _folder() -> Path:
    """The folder of these sources, this compiler and its settings, in NUMBA_CACHE_DIR where that is set."""
    versions = numba.__version__, numpy.__version__, sys.implementation.cache_tag, numba.config.BOUNDSCHECK
    digest = hashlib.sha256(repr(versions).encode())
    packages = Path(__file__).parents[1]
    # Kernels have facts compiled into them.
    for path in sorted([*packages.glob("arch/**/*.py"), *packages.glob("golden/**/*.py")]):
        digest.update(path.read_bytes())
    root = Path(numba.config.CACHE_DIR) if numba.config.CACHE_DIR else cache_folder("numba")
    return root / digest.hexdigest()[:16]
