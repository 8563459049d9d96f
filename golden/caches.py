"""Where caches live: beside the sources in a checkout, in the user's cache folder everywhere else."""

import os
from pathlib import Path

__all__ = ["cache_folder"]

_ROOT = Path(__file__).resolve().parent.parent


def cache_folder(name: str) -> Path:
    """The folder of the cache ``name``: ``build/<name>`` of a checkout, or ``systolith/<name>`` of the user's caches.

    It is not created, and nothing says that it can be: a cache that cannot be written is done without.
    """
    if _is_checkout(_ROOT):
        return _ROOT / "build" / name
    # Only an installed package needs it.
    from platformdirs import user_cache_path

    folder = user_cache_path("systolith", appauthor=False)
    # A user without a home has "~" for one, which is no folder to make wherever the process happens to be.
    return (folder if folder.is_absolute() else Path(os.devnull)) / name


def _is_checkout(folder: Path) -> bool:
    """True if this project's own pyproject.toml is there, and not that of somebody who carries a copy of it."""
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return 'name = "systolith"' in text.splitlines()
