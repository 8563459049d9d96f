"""Builds a harness and its device with Verilator or Icarus Verilog, once per content, and starts the simulation."""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config
import find_libpython

from arch.environment import EnvironmentFault, killed_by, named, usable_folder
from golden.caches import cache_folder
from verif.simulation import toolchain
from verif.simulation.harness import TOP, Harness
from verif.simulation.toolchain import WAIVED, Icarus, SimulatorError, Verilator, clean_environment, failure, require

__all__ = [
    "COVERAGE",
    "WAVES",
    "Simulation",
    "SimulatorError",
    "build",
    "build_bare",
    "crash",
    "end",
    "require",
]

#: Where the packages are: the simulator's own Python imports them too.
PACKAGES = Path(__file__).resolve().parents[2]
WAVES = "waves.vcd"
COVERAGE = "coverage.dat"
#: Names the highest ``opt_level`` that anything is built at: for runs of so few cycles that the build takes longer.
MAX_OPT_LEVEL = "SYSTOLITH_MAX_OPT_LEVEL"
#: Written last: a build that was interrupted has no such file. It holds the size of the program.
FINISHED = "finished"

#: Functions that the harness calls under Verilator: records in, log entries out.
TRACE_FILES = Path(__file__).with_name("trace_files.cpp")


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
        """Start cocotb's ``test_module`` in directory ``run``; the output goes to ``simulator.log`` there.

        The simulator ends when its standard input does (see ``verif.simulation.leash``).
        """
        if self.simulator == "verilator":
            command = [str(self.directory / Verilator.PRODUCT)]
            if self.waves and not self.harness.window:
                command += ["--trace", "--trace-file", str(run / WAVES)]
        else:
            library = cocotb_tools.config.lib_entry("vpi", "icarus")
            # -n: $stop ends it instead of asking what next.
            command = ["vvp", "-n", "-m", library, str(self.directory / Icarus.PRODUCT)]
        if self.waves and (self.simulator == "icarus" or self.harness.window):
            plusargs = [*plusargs, f"+waves={run / WAVES}"]
        with open(run / "simulator.log", "wb") as log:
            return subprocess.Popen(
                [*command, *plusargs],
                cwd=run,
                env=_cocotb_environment(test_module, run),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def crash(process: subprocess.Popen, how: str, log: Path) -> Exception:
    """The error to raise for a simulator that did not end as it should: EnvironmentFault where it is not to blame."""
    if name := killed_by(process.poll()):
        return EnvironmentFault(f"the simulator was killed by {name} ({log})")
    return failure(f"the simulator {how}", log)


def end(process: subprocess.Popen) -> None:
    """End a simulator if it has not ended by itself."""
    process.kill()
    # Closes its standard input and waits.
    with process:
        pass


def build(
    sources: Sequence[str | Path],
    harness: Harness,
    *,
    simulator: str = "verilator",
    hier_blocks: Sequence[str] = (),
    opt_level: int = 2,
    waves: bool = False,
    coverage: bool = False,
    root: Path | None = None,
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
    root : Path or None
        Directory of builds; this one goes to ``root/<hash>``. None: the cache, or a temporary one where that cannot be
        written.

    Raises
    ------
    SimulatorError
        The simulator is missing or too old, or the build fails.
    EnvironmentFault, OSError
        The build fails, and the machine is the reason.
    """
    if opt_level not in range(4):
        raise ValueError(f"opt_level must be 0..3, not {opt_level!r}")
    if coverage and simulator != "verilator":
        raise ValueError(f"coverage must be off with {simulator}: only Verilator counts it")
    tool = require(simulator)
    files = {f"source_{i}.v": s if isinstance(s, str) else s.read_text(encoding="utf-8") for i, s in enumerate(sources)}
    files["harness.sv"] = harness.text()
    if simulator == "verilator":
        files["control.vlt"] = _control_file(hier_blocks, coverage)
        files[TRACE_FILES.name] = TRACE_FILES.read_text(encoding="utf-8")
    opt_level = min(opt_level, int(os.environ.get(MAX_OPT_LEVEL, opt_level)))
    options = {"hier_blocks": list(hier_blocks), "opt_level": opt_level, "waves": waves, "coverage": coverage}
    content = {
        "files": files,
        "options": options,
        "simulator": tool.version,
        "environment": {name: os.environ.get(name) for name in ("CXX", "AR")},
        "cocotb": importlib.metadata.version("cocotb"),
        "python": [sys.version, sys.prefix],
        "builder": _builder(),
    }
    directory = _directory(root, json.dumps(content, sort_keys=True))
    if simulator == "verilator" and " " in str(directory):
        raise SimulatorError(
            f"Verilator's make cannot build in {directory}, for the space in its name: move the checkout or the cache, "
            "or simulate with icarus"
        )
    _make_once(directory, files, directory / tool.PRODUCT, lambda: tool.build(directory, list(files), options))
    return Simulation(directory, simulator, harness, waves)


def build_bare(source: str, top: str, main: str, *, opt_level: int = 3, root: Path | None = None) -> Path:
    """Compile Verilog and a C++ ``main`` of one's own, which sees it as the class ``Vtop``: the program's path.

    For comparison with a harness: nothing but the device runs. Raises as :func:`build` does.
    """
    tool = Verilator.find()
    files = {"source.v": source, "main.cpp": main, "control.vlt": _control_file((), False)}
    directory = _directory(root, json.dumps([files, top, opt_level, tool.version, _builder()]))
    program = directory / "obj" / top
    paths = [str(directory / name) for name in sorted(files)]
    _make_once(directory, files, program, lambda: tool.compile(directory, top, paths, opt_level))
    return program


def _builder() -> list[str]:
    """What makes builds: a change in it makes all of them anew."""
    return [Path(path).read_text(encoding="utf-8") for path in (__file__, toolchain.__file__)]


def _directory(root: Path | None, content: str) -> Path:
    """Where the build of some content goes."""
    digest = hashlib.sha256(content.encode()).hexdigest()[:20]
    return usable_folder(cache_folder("sim") if root is None else root).resolve() / digest


def _make_once(directory: Path, files: Mapping[str, str], program: Path, make: Callable[[], None]) -> None:
    """Write files and make a program of them, unless it is there, whole."""
    if _whole(directory, program):
        return
    with named(directory), _locked(directory):
        if not _whole(directory, program):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            for name, text in files.items():
                (directory / name).write_text(text, encoding="utf-8")
            make()
            (directory / FINISHED).write_text(f"{program.stat().st_size}\n", encoding="utf-8")


def _whole(directory: Path, program: Path) -> bool:
    """A build that came to its end, and whose program has the size that it had then."""
    try:
        return program.stat().st_size == int((directory / FINISHED).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes from building the same content."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_suffix(".lock"), "wb") as lock:
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


def _cocotb_environment(test_module: str, run: Path) -> dict[str, str]:
    """What cocotb's libraries read when a simulator loads them."""
    libpython = find_libpython.find_libpython()
    if libpython is None:
        raise SimulatorError(f"cocotb needs Python's shared library, and {sys.executable} has none")
    environment = clean_environment() | {
        "COCOTB_TOPLEVEL": TOP,
        "COCOTB_TEST_MODULES": test_module,
        "COCOTB_RESULTS_FILE": str(run / "results.xml"),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "TOPLEVEL_LANG": "verilog",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(PACKAGES), *filter(None, sys.path)]),
    }
    if hasattr(cocotb_tools.config, "pygpi_entry_point"):
        environment["GPI_USERS"] = f"{libpython};{cocotb_tools.config.pygpi_entry_point()}"
    else:  # cocotb 2.0
        environment["LIBPYTHON_LOC"] = libpython
    return environment
