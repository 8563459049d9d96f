"""The machine fails: a full disk, no file handles, files cut short, a parent that is killed. It is never a verdict."""

import dataclasses
import errno
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from delay_line import DELAY, FIELDS, HARNESS, SIMULATORS, delay_trace, needs_icarus

import verif.simulation.feed
import verif.simulation.runs
from arch.environment import EnvironmentFault
from verif.simulation import simulator as simulators
from verif.simulation.feed import PipeFeed
from verif.simulation.fst import vcd_scopes
from verif.simulation.harness import Harness, Log
from verif.simulation.replay import replay
from verif.simulation.simulator import Simulation, build

#: Logs an entry in every cycle.
LOGGED = dataclasses.replace(HARNESS, log=Log(payload="{24'b0, o}", width=32, when="1'b1"))


@contextmanager
def limited(kind: int, most: int):
    """This process, and those that it starts, have only so much."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


@pytest.fixture(params=SIMULATORS)
def logged(request) -> Simulation:
    return build([DELAY], LOGGED, simulator=request.param, opt_level=0)


@needs_icarus
@pytest.mark.parametrize(
    "damage",
    [
        lambda build: (build / "sim.vvp").unlink(),
        lambda build: (build / "sim.vvp").write_bytes((build / "sim.vvp").read_bytes()[:-100]),
        lambda build: (build / "finished").write_bytes(b""),
        lambda build: (build / "finished").write_bytes(b"\xff"),
    ],
    ids=["no program", "program cut short", "empty marker", "garbage in the marker"],
)
def test_damaged_build_is_made_again(tmp_path, damage):
    options = {"simulator": "icarus", "root": tmp_path}
    damage(build([DELAY], HARNESS, **options).directory)
    assert replay(build([DELAY], HARNESS, **options), [delay_trace(20)]).passed


@needs_icarus
def test_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(simulators, "cache_folder", lambda name: tmp_path / "file" / name)
    simulation = build([DELAY], HARNESS, simulator="icarus")
    assert not simulation.directory.is_relative_to(tmp_path)
    assert replay(simulation, [delay_trace(20)]).passed


@needs_icarus
@pytest.mark.parametrize("size", [100, 5000], ids=["our own files", "the compiler's"])
def test_build_on_a_full_disk(tmp_path, size):
    with limited(resource.RLIMIT_FSIZE, size), pytest.raises(OSError, match=r"File (too large|size limit exceeded)"):
        build([DELAY], HARNESS, simulator="icarus", root=tmp_path)
    assert replay(build([DELAY], HARNESS, simulator="icarus", root=tmp_path), [delay_trace(20)]).passed


@needs_icarus
def test_build_whose_log_is_lost(tmp_path, monkeypatch):
    """The disk that is full is the one that the build's log goes to: it says nothing."""

    def probe(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", probe)
    monkeypatch.setattr(simulators, "usable_folder", lambda folder: folder)
    with pytest.raises(EnvironmentFault, match="build failed: No space left on device"):
        build([DELAY.replace("q <= d", "q <= ")], HARNESS, simulator="icarus", root=tmp_path)


def test_log_on_a_full_disk(logged, monkeypatch):
    """Entries that are missing would be results that the RTL did not give."""
    monkeypatch.setattr(verif.simulation.feed, "HALF_BYTES", 1024)
    assert len(replay(logged, [delay_trace(10_000)]).entries) == 10_000
    with limited(resource.RLIMIT_FSIZE, 20_000), pytest.raises(EnvironmentFault, match="log is cut short"):
        replay(logged, [delay_trace(10_000)])


def test_memory_on_a_full_disk():
    """Without room the write to shared memory would kill this process."""
    simulation = build([DELAY], LOGGED, opt_level=0)
    with limited(resource.RLIMIT_FSIZE, 20_000), pytest.raises(OSError, match="File too large"):
        replay(simulation, [delay_trace(20)])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("log", "the simulation's log is cut short"),
        ("report.json", "the simulator's report is cut short"),
        ("results.xml", "cocotb's verdict is missing or cut short"),
    ],
)
def test_file_cut_short(logged, monkeypatch, file, message):
    wait = PipeFeed.wait

    def wait_and_cut(self):
        wait(self)
        path = self.pipe.parent / file
        path.write_bytes(path.read_bytes()[:-5])

    monkeypatch.setattr(PipeFeed, "wait", wait_and_cut)
    with pytest.raises(EnvironmentFault, match=f"{message}: .*{file}"):
        replay(logged, [delay_trace(20)])


def test_difference_counts_more_than_the_log(logged, monkeypatch):
    wait = PipeFeed.wait

    def wait_and_cut(self):
        wait(self)
        (self.pipe.parent / "log").write_bytes(b"")

    monkeypatch.setattr(PipeFeed, "wait", wait_and_cut)
    trace = delay_trace(20)
    trace[10, 1] ^= 1
    assert replay(logged, [trace]).mismatches[0].cycle == 10


def test_few_file_handles(logged):
    """Whatever is refused, it is an error of the system's or none."""
    passed = 0
    held = len(list(Path("/dev/fd").iterdir())) if Path("/dev/fd").exists() else 8
    for most in range(held, held + 12, 2):
        with limited(resource.RLIMIT_NOFILE, most):
            try:
                outcome = replay(logged, [delay_trace(20)])
            except OSError as error:
                assert isinstance(error, EnvironmentFault) or error.errno == errno.EMFILE
            else:
                assert outcome.passed
                passed += 1
    assert passed > 0


def test_foreign_variables_change_nothing(logged, monkeypatch):
    """Without assertions cocotb's test would pass; a plugin that is not there would end it."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    monkeypatch.setenv("COCOTB_TEST_FILTER", "none")
    assert replay(logged, [delay_trace(20)]).passed
    trace = delay_trace(20)
    trace[10, 1] ^= 1
    assert replay(logged, [trace]).failure == f"cycle 10: o is {trace[10, 1] ^ 1:#x}, expected {trace[10, 1]:#x}"
    results = max((logged.directory / "runs").iterdir()) / "results.xml"
    assert "<failure" in results.read_text(encoding="utf-8")


#: Starts a replay as ``replay`` does, and is killed by a signal as soon as the simulator runs.
VICTIM = """
import os, sys
sys.path.insert(0, {tests!r})
from delay_line import DELAY, delay_trace
from test_machine_faults import LOGGED
from verif.simulation.replay import replay
from verif.simulation.simulator import Simulation
from pathlib import Path

start = Simulation.start

def start_and_die(*args):
    process = start(*args)
    print(process.pid, flush=True)
    os.kill(os.getpid(), {signal})

Simulation.start = start_and_die
replay(Simulation(Path({directory!r}), {simulator!r}, LOGGED), [delay_trace(10)])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=str)
def test_killed_parent_leaves_nothing(logged, monkeypatch, tmp_path, number):
    shutil.copytree(logged.directory, tmp_path / "build", ignore=shutil.ignore_patterns("runs"))
    script = VICTIM.format(
        tests=str(Path(__file__).parent),
        signal=int(number),
        directory=str(tmp_path / "build"),
        simulator=logged.simulator,
    )
    parent = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.returncode == -number
    child = int(parent.stdout)
    try:
        psutil.Process(child).wait(timeout=60)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        status = psutil.Process(child).status()
        psutil.Process(child).kill()
        assert status == psutil.STATUS_ZOMBIE, f"the simulator waits for ever: {status}"

    runs = tmp_path / "build" / "runs"
    (left,) = runs.iterdir()
    monkeypatch.setattr(verif.simulation.runs, "KEPT_RUNS", 0)
    assert replay(dataclasses.replace(logged, directory=tmp_path / "build"), [delay_trace(10)]).passed
    assert not left.exists()


def test_run_under_way_is_kept(logged, monkeypatch, tmp_path):
    shutil.copytree(logged.directory, tmp_path / "build", ignore=shutil.ignore_patterns("runs"))
    own = dataclasses.replace(logged, directory=tmp_path / "build")
    monkeypatch.setattr(verif.simulation.runs, "KEPT_RUNS", 0)

    def pieces():
        yield delay_trace(10)
        assert replay(own, [delay_trace(10)]).passed

    assert replay(own, pieces()).passed


def test_harness_without_a_log_needs_none():
    simulation = build([DELAY], Harness(dut="delay", fields=FIELDS), opt_level=0)
    assert replay(simulation, [delay_trace(20)]).entries.shape == (0, 0)


VCD = """\
$timescale 1ns $end
$scope module harness $end
$var wire 1 ! clk $end
$upscope $end
$enddefinitions $end
#5
1!
"""


def test_waveforms_cut_short(tmp_path):
    path = tmp_path / "waves.vcd"
    path.write_text(VCD, encoding="utf-8")
    assert vcd_scopes(path) == ({"harness.clk": "harness.clk"}, 5)
    for kept in (0, VCD.index("$upscope"), VCD.index("#5"), len(VCD) - 1):
        path.write_text(VCD[:kept], encoding="utf-8")
        with pytest.raises(EnvironmentFault, match=r"the waveforms are cut short: .*waves\.vcd"):
            vcd_scopes(path)
