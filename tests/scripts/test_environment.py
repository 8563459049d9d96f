"""The machine fails under a command: one line and an exit code of its own, never that of RTL and golden that differ."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from given import GEMM

from arch.environment import EnvironmentFault, describe, fault, named, usable_folder
from hw.lib import yosys
from scripts.campaigns import regress
from scripts.ground import files
from scripts.ground.exits import ENVIRONMENT
from scripts.ground.files import save
from verif.simulation.verdicts import Verdict

ROOT = Path(__file__).parents[2]
SYSTOLITH = [sys.executable, "-c", "from scripts.cli import main; main()"]
FULL = Path("/dev/full")


def systolith(*arguments: str, limit: tuple[int, int] | None = None, **options) -> subprocess.CompletedProcess:
    """The command in a process of its own, under a limit of its own."""
    return subprocess.run(
        [*SYSTOLITH, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=(lambda: resource.setrlimit(limit[0], (limit[1], limit[1]))) if limit else None,
        encoding="utf-8",
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
    )


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", [["--help"], ["cycles", "--json"], ["cycles"]], ids=" ".join)
def test_output_that_nothing_takes(command):
    with FULL.open("wb") as full:
        done = systolith(*command, stdout=full)
        assert (done.returncode, done.stderr) == (3, "systolith: the machine fails: No space left on device\n")
        assert systolith(*command, stdout=full, stderr=full).returncode == 3


@pytest.mark.parametrize("most", [6, 8, 12])
@pytest.mark.parametrize("command", [GEMM, ("verilog", "--config", "tiny")], ids=lambda command: command[0])
def test_few_file_handles(tensors, command, most):
    """It works with what there is, or says what there is too little of."""
    done = systolith(*command, limit=(resource.RLIMIT_NOFILE, most))
    if done.returncode:
        assert done.returncode == ENVIRONMENT
        assert done.stderr.count("\n") == 1 and "Too many open files" in done.stderr


@pytest.mark.parametrize("arguments", [("cycles",), ("verilog", "--config", "tiny"), GEMM])
def test_working_directory_that_is_gone(tmp_path, arguments):
    (tmp_path / "gone").mkdir()

    def leave():
        os.chdir(tmp_path / "gone")
        os.rmdir(tmp_path / "gone")

    command = [*SYSTOLITH, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, preexec_fn=leave, capture_output=True, encoding="utf-8")
    if arguments == ("cycles",):  # needs none
        assert done.returncode == 0
    else:
        assert done.returncode == ENVIRONMENT
        assert done.stderr.startswith("systolith: ") and done.stderr.count("\n") == 1


def test_full_disk_under_the_result(tensors, run, monkeypatch):
    """The reason is named, and there is no half of a file."""
    before = sorted(os.listdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        with pytest.raises(files.InputError, match=r"cannot write o\.npy: File too large"):
            save("o.npy", np.zeros(1000))
        code, out, err = run(*GEMM, "--out", "o.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (ENVIRONMENT, "")
    assert err.startswith("systolith: --out: cannot write o.npy: File too large") and err.count("\n") == 1
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "the machine fails: No space left on device: a/b"),
        (EnvironmentFault("the simulation's log is cut short: x/log"), "the simulation's log is cut short: x/log"),
        (ImportError("libz.so: cannot open shared object file: Too many open files"), "Too many open files"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_stray_errors_of_the_system(run, monkeypatch, error, message):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("scripts.running.cycles.run_cycles", fail)
    code, out, err = run("cycles")
    assert (code, out) == (ENVIRONMENT, "")
    assert message in err and err.count("\n") == 1


def test_fault_of_ours_is_none_of_the_machine(run, monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("scripts.running.cycles.run_cycles", fail)
    monkeypatch.setattr(sys, "argv", ["systolith", "cycles"])
    with pytest.raises(ZeroDivisionError):
        run("cycles")


def test_runs_that_the_machine_stopped_have_not_failed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def on_processes(work, runs, jobs):
        yield runs[0], Verdict(run=runs[0], cycles=1, signals=1)
        yield runs[1], Verdict(run=runs[1], not_run="No space left on device")
        if len(runs) > 2:
            yield runs[2], Verdict(run=runs[2], report=("RTL and golden model differ",))

    monkeypatch.setattr(regress, "run_on_processes", on_processes)
    monkeypatch.setattr(regress, "require", lambda simulator: None)
    code, out, _ = run("regress", "--runs", "2", "--seed", "1", "--out", "o.json")
    assert code == ENVIRONMENT
    assert "2 of 2 runs: 1 passed, 0 failed, 1 not run" in out
    assert "run 1:1 was not run: No space left on device" in out
    text = Path("o.json").read_text(encoding="utf-8")
    assert '"failed": 0' in text and '"not_run": 1' in text and '"verdict": "not run"' in text
    xml = Path("o.xml").read_text(encoding="utf-8")
    assert 'failures="0"' in xml and 'errors="1"' in xml
    code, out, _ = run("regress", "--runs", "3", "--seed", "1", "--out", "o.json")
    assert code == 1 and "1 passed, 1 failed, 1 not run" in out


# ---- caches --------------------------------------------------------------------------------------


def test_usable_folder_is_the_one_that_was_asked_for(tmp_path):
    assert usable_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"


def test_temporary_folder_in_the_place_of_one_that_cannot_be():
    script = """
from pathlib import Path
from arch.environment import usable_folder
folder = usable_folder(Path("/dev/null/cache"))
(folder / "file").touch()
assert usable_folder(Path("/dev/null/cache")) == folder
print(folder)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, encoding="utf-8"
    )
    assert not Path(done.stdout.strip()).exists(), "it goes with the process"


def test_full_disk_has_no_better_place(tmp_path, monkeypatch):
    def full(**options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(OSError, match="No space left"):
        usable_folder(tmp_path / "full")


class Yosys:
    """Stands for Amaranth's; ``says`` is what it ends with, or None."""

    says: str | None = None

    def run(self, args, script, ignore_warnings):
        if self.says:
            raise yosys.YosysError(self.says)
        return os.environ["XDG_CACHE_HOME"]


def test_yosys_without_a_home_has_a_cache_of_its_own(tmp_path, monkeypatch):
    """Wasmtime would end where it cannot make its folder."""
    monkeypatch.setattr(yosys, "find_yosys", lambda wanted: Yosys())
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    assert Path(yosys.run_yosys("")).is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert yosys.run_yosys("") == str(tmp_path)


def test_yosys_on_a_full_disk(monkeypatch):
    monkeypatch.setattr(yosys, "find_yosys", lambda wanted: Yosys())
    monkeypatch.setattr(Yosys, "says", "Traceback\nOSError: [Errno 28] No space left on device: 'x'")
    with pytest.raises(EnvironmentFault, match="yosys failed: No space left on device"):
        yosys.run_yosys("")
    monkeypatch.setattr(Yosys, "says", "ERROR: syntax error")
    with pytest.raises(yosys.YosysError, match="syntax error"):
        yosys.run_yosys("")


@pytest.mark.slow
def test_commands_without_a_home(tensors):
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    done = subprocess.run(
        [*SYSTOLITH, "verilog", "--config", "tiny"],
        env=environment | {"PYTHONPATH": str(ROOT), "HOME": "/dev/null"},
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_an_error_says(tmp_path):
    with pytest.raises(OSError) as raised, named(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert describe(raised.value) == f"No space left on device: {tmp_path}"
    with pytest.raises(EnvironmentFault) as raised, named(tmp_path):
        raise EnvironmentFault("cut short: log")
    assert describe(raised.value) == "cut short: log"
    assert describe(OSError(errno.EMFILE, "Too many open files")) == "Too many open files"
    assert describe(OSError("3 requested and 0 written")) == "3 requested and 0 written"
    assert describe(TimeoutError()) == "TimeoutError"
    assert fault(ValueError("of another kind")) is None
