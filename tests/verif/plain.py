"""Runs a bench in plain Verilog as a user does who has no Python."""

import os
import shutil
import subprocess
from pathlib import Path


def run_plain(command: str, folder: Path) -> tuple[int, str]:
    """The exit code of a command, and what it prints."""
    # Nothing of Python's is on the path: a simulator is all it takes.
    environment = {"PATH": os.defpath + os.pathsep + str(Path(shutil.which("iverilog")).parent)}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr
