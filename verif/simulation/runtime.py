"""Objects of Verilator's own library: compiled once for all builds, which takes longer than most of what is built."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from arch.environment import usable_folder
from golden.caches import cache_folder

__all__ = ["with_shared_runtime"]

#: What of a build's objects is the library's: it knows nothing of what is simulated.
_OBJECTS = "verilated*.o"
#: Seconds that no build takes.
_AHEAD = 86400


def with_shared_runtime(obj: Path, key: object, build: Callable[[], None]) -> None:
    """Run ``build``, which compiles in the folder ``obj``, and take the library's objects from a build before it.

    ``key``: all that they depend on, as JSON takes it. The first build keeps its own for later ones. Raises what
    ``build`` raises.
    """
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:20]
    shelf = usable_folder(cache_folder("sim")).resolve() / f"runtime-{digest}"
    obj.mkdir(exist_ok=True)
    if lent := _copy(shelf, obj):
        # The build's makefile is newer than they are, and makes such objects again.
        later = time.time() + _AHEAD
        for path in lent:
            os.utime(path, (later, later))
        try:
            build()
            return
        except Exception:
            # They may be damaged: once more, with new ones.
            shutil.rmtree(shelf, ignore_errors=True)
            for path in obj.glob(_OBJECTS):
                path.unlink()
    build()
    _leave(obj, shelf)


def _copy(source: Path, target: Path) -> list[Path]:
    """Copy the library's objects, if there are any."""
    return [shutil.copyfile(path, target / path.name) for path in source.glob(_OBJECTS)]


def _leave(obj: Path, shelf: Path) -> None:
    """Put them where the next build finds them: all at once, or not at all where another build was quicker."""
    with tempfile.TemporaryDirectory(dir=shelf.parent, prefix="runtime-") as made:
        if _copy(obj, Path(made)):
            try:
                Path(made).rename(shelf)
            except OSError:
                return
            # What is removed at the end is no longer there.
            Path(made).mkdir()
