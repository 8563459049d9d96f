"""The executable specification: formats, arithmetic, matrix products, attention, cycles. NumPy and Numba only."""

import hashlib
import os
import sys
from pathlib import Path


def _cache_kernels_by_content() -> None:
    """Give Numba a cache folder for exactly these sources.

    Its own cache looks only at the file of the outermost kernel: after a change to an inner one it would go on running
    the old arithmetic. A NUMBA_CACHE_DIR that is set already stays, and that is then its owner's care.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    # Kernels have facts compiled into them.
    for path in sorted([*root.glob("arch/**/*.py"), *root.glob("golden/**/*.py")]):
        digest.update(path.read_bytes())
    folder = root / "build" / "numba" / digest.hexdigest()[:16]
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


_cache_kernels_by_content()
