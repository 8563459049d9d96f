"""The command ``regress``: files, exit codes, reproduction, and killed workers in the middle of real runs."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import dask
import distributed
import psutil
import pytest
from junitparser import JUnitXml
from test_farm import dask_warnings, die

from scripts.campaigns import farm, regress
from scripts.campaigns.farm import Died, FarmError
from scripts.campaigns.regress import Regression, choose_runs, run_regression
from scripts.ground.errors import InputError
from verif.simulation.verdicts import Verdict
from verif.tensor import engine
from verif.tensor import regress as runs_of
from verif.tensor.regress import Run, execute

SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"
#: Its first runs are of an array of 2 x 3 PEs; in the first two, and not in the third, some K is no multiple of 2.
SEED = 3
PLANNED = [Run.draw(SEED, index) for index in range(4)]
THREE = ("--runs", "3", "--seed", f"{SEED}", "--out", "o.json")
SCRIPT = [sys.executable, "-c", "from scripts.cli import main; main()", "regress"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


@pytest.fixture
def run(run):
    """The command."""
    return partial(run, "regress")


# ---- real runs -----------------------------------------------------------------------------------


def execute_or_die(run: Run, simulator: str, folder: Path) -> Verdict:
    """Runs; in the first attempt at run 1 the process is killed while the simulator compares."""
    if run.index == 1 and not (folder / "died").exists():

        def kill(_cycles: int) -> None:
            (folder / "died").touch()
            die()

        runs_of.simulate = functools.partial(engine.simulate, progress=kill)
    return execute(run, simulator)


def check_all_passed(folder: Path, code: int, out: str) -> None:
    assert (folder / "died").exists(), "nothing was killed"
    record = json.loads((folder / "o.json").read_text(encoding="utf-8"))
    assert [result["run"] for result in record["results"]] == ["3:0", "3:1", "3:2"]
    assert {result["verdict"] for result in record["results"]} == {"passed"}
    assert all(result["cycles"] > 0 for result in record["results"])
    assert (code, record["passed"], record["failed"], record["interrupted"]) == (0, 3, 0, False)
    assert "3 of 3 runs: 3 passed, 0 failed; 1 configurations," in out


def test_a_process_killed_in_mid_run(run, folder, monkeypatch):
    monkeypatch.setattr(regress, "execute", functools.partial(execute_or_die, folder=folder))
    code, out, err = run(*THREE, "--jobs", "2")
    check_all_passed(folder, code, out)
    assert err.splitlines()[-1] == "3 of 3 runs: 3 passed, 0 failed"


@dask_warnings
@pytest.mark.slow
def test_a_dask_worker_killed_in_mid_run(run, folder, monkeypatch):
    monkeypatch.setattr(regress, "execute", functools.partial(execute_or_die, folder=folder))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 3}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        pids = {worker.process.pid for worker in cluster.workers.values()}
        address = cluster.scheduler_address
        code, out, _ = run(*THREE, "--dask", address, "--sim", SIMULATOR)
        assert {worker.process.pid for worker in cluster.workers.values()} != pids
    check_all_passed(folder, code, out)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the sources, for a bug to be planted in; not of the golden model, whose kernels are compiled here."""
    for name in ("hw", "scripts", "verif"):
        shutil.copytree(farm.REPOSITORY / name, tmp_path / name)
    return tmp_path


def command(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run([*SCRIPT, *arguments], cwd=checkout, env=environment, capture_output=True, encoding="utf-8")


def test_a_planted_bug_is_named_and_reproduced(checkout):
    """Lanes beyond K are not masked: runs 0 and 1 fail, and the line printed for one of them makes it fail again.

    Run 2 of this seed has no lanes but those in use, and no reset.
    """
    edges = checkout / "hw" / "tensor" / "edges.py"
    text = edges.read_text(encoding="utf-8")
    assert text.count("(tile_k > lane)") == 1
    edges.write_text(text.replace("(tile_k > lane)", "1"), encoding="utf-8")
    done = command(checkout, "--runs", "3", "--seed", "612", "--out", "o.json", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "3 of 3 runs: 1 passed, 2 failed" in done.stdout
    record = json.loads((checkout / "o.json").read_text(encoding="utf-8"))
    assert [result["verdict"] for result in record["results"]] == ["failed", "failed", "passed"]
    for result in record["results"][:2]:
        assert f"run {result['run']}: 2x3 e4m3 exact" in done.stdout
        for line in result["report"]:
            assert line in done.stdout
        assert any("west edge, lane 1" in line for line in result["report"])
    reproduce = f"reproduce: make regress ONLY=612:1 SIM={SIMULATOR}"
    assert reproduce in done.stdout
    cases = list(ElementTree.parse(checkout / "o.xml").iter("testcase"))
    assert [len(case.findall("failure")) for case in cases] == [1, 1, 0]
    assert cases[1].find("failure").text.splitlines()[-1] == reproduce

    again = command(checkout, "--only", "612:1", "--sim", SIMULATOR, "--out", "again.json")
    assert again.returncode == 1
    (result,) = json.loads((checkout / "again.json").read_text(encoding="utf-8"))["results"]
    same = ("run", "report", "cycles", "config", "target", "gemms", "idle", "stall", "resets")
    assert {name: result[name] for name in same} == {name: record["results"][1][name] for name in same}


def test_make_passes_its_variables_on():
    makefile = ["make", "-n", "--no-print-directory", "-C", str(farm.REPOSITORY), "regress"]
    shown = subprocess.run([*makefile, "ONLY=3:1", "SIM=icarus"], capture_output=True, encoding="utf-8").stdout
    assert shown.split()[-4:] == ["--only", "3:1", "--sim", "icarus"]
    shown = subprocess.run([*makefile, "RUNS=7", "SEED=2", "JOBS=3"], capture_output=True, encoding="utf-8").stdout
    assert shown.split()[-6:] == ["--seed", "2", "--runs", "7", "--jobs", "3"]


def test_interrupted(folder):
    """Ctrl-C after the first verdicts: the files have those, the summary counts them, and no process is left."""
    arguments = [*SCRIPT, "--runs", "20", "--seed", f"{SEED}", "--jobs", "2", "--out", "o.json"]
    environment = os.environ | {"PYTHONPATH": str(farm.REPOSITORY)}
    # A shell's background jobs, and what they start, ignore Ctrl-C.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with psutil.Popen(arguments, stdout=-1, stderr=-1, encoding="utf-8", env=environment, **heed) as process:
        assert process.stderr.readline() == "2 of 20 runs: 2 passed, 0 failed\n"
        workers = process.children(recursive=True)
        assert workers
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    record = json.loads((folder / "o.json").read_text(encoding="utf-8"))
    done = len(record["results"])
    assert 2 <= done < 20 and record["interrupted"] and record["runs"] == 20
    assert f"{done} of 20 runs: {done} passed, 0 failed" in out
    assert len(list(ElementTree.parse(folder / "o.xml").iter("testcase"))) == done
    assert not psutil.wait_procs(workers, timeout=60)[1]


# ---- files and counts ----------------------------------------------------------------------------


def regression(*verdicts: Verdict) -> Regression:
    return Regression(PLANNED, "icarus", {verdict.run.index: verdict for verdict in verdicts})


def test_junit_is_what_ci_systems_read(folder):
    red = Verdict(run=PLANNED[2], report=("first \x1b[31mred <line>", "second"), cycles=5, seconds=1.25)
    regression(red, Verdict(run=PLANNED[0], cycles=7, seconds=2.0)).write(folder / "o.json")
    (suite,) = JUnitXml.fromfile("o.xml")
    assert (suite.name, suite.tests, suite.failures, suite.errors) == ("systolith regress, seed 3", 2, 1, 0)
    green, failing = suite
    assert (green.name, green.classname, green.time, green.result) == ("run 3:0", "regress.icarus", 2.0, [])
    (failure,) = failing.result
    assert failure.message == "first ?[31mred <line>"
    assert failure.text.splitlines() == [
        str(PLANNED[2]),
        "first ?[31mred <line>",
        "second",
        "reproduce: make regress ONLY=3:2 SIM=icarus",
    ]


def pretended(monkeypatch, outcomes) -> None:
    """Processes that give these verdicts, and raise what is an exception among them."""

    def pairs(work, items, *, jobs):
        for run, outcome in zip(items, outcomes, strict=False):
            if isinstance(outcome, BaseException):
                raise outcome
            yield run, outcome

    monkeypatch.setattr(regress, "run_on_processes", pairs)


def test_what_kills_its_worker_fails_with_that_reason(run, monkeypatch):
    green = [Verdict(run=each, cycles=1) for each in PLANNED]
    pretended(monkeypatch, [green[0], Died("its process died, 3 times out of 3"), *green[2:]])
    code, out, err = run("--runs", "4", "--seed", f"{SEED}", "--out", "o.json")
    assert code == 1
    assert "its process died, 3 times out of 3\nreproduce: make regress ONLY=3:1" in out
    assert "4 of 4 runs: 3 passed, 1 failed" in out
    assert err.splitlines()[1] == "2 of 4 runs: 1 passed, 1 failed"


def test_only_the_first_failures_are_shown_in_full(run, monkeypatch):
    planned = [Run.draw(SEED, index) for index in range(8)]
    pretended(monkeypatch, [Verdict(run=each, report=(f"because {each.index}",)) for each in planned])
    code, out, _ = run("--runs", "8", "--seed", f"{SEED}", "--out", "o.json")
    assert code == 1
    assert [f"because {index}" in out for index in range(8)] == [True] * 5 + [False] * 3
    assert "and 3 more: 3:5 3:6 3:7" in out
    assert "because 7" in Path("o.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", [FarmError("the workers are lost"), KeyboardInterrupt()])
def test_an_early_end_keeps_the_verdicts(run, monkeypatch, ending):
    pretended(monkeypatch, [Verdict(run=PLANNED[0], cycles=1), ending])
    code, out, err = run("--runs", "4", "--seed", f"{SEED}", "--out", "o.json")
    record = json.loads(Path("o.json").read_text(encoding="utf-8"))
    assert [result["run"] for result in record["results"]] == ["3:0"]
    assert record["interrupted"]
    assert "1 of 4 runs: 1 passed, 0 failed" in out
    if isinstance(ending, FarmError):
        assert code == 2 and err.splitlines()[-1] == "systolith: the workers are lost"
    else:
        assert code == 130


def test_files_are_there_before_the_end(monkeypatch, folder):
    """Written while runs come in: a regression that is killed leaves what it had."""
    monkeypatch.setattr(regress, "WRITE_EVERY", 0)
    seen = []

    def pairs(work, items, *, jobs):
        for each in items:
            seen.append(
                len(json.loads(Path("o.json").read_text(encoding="utf-8"))["results"]) if Path("o.json").exists() else 0
            )
            yield each, Verdict(run=each)

    monkeypatch.setattr(regress, "run_on_processes", pairs)
    # The cost of writing must not hold the next writing back here.
    monkeypatch.setattr(regress, "WRITE_SHARE", 0)
    run_regression(PLANNED, simulator=None, jobs=1, dask=None, out=folder / "o.json")
    assert seen == [0, 1, 2, 3]


def test_the_same_run_whatever_the_options(folder):
    (one,), _ = choose_runs(None, None, "3:2", "o.json")
    four, _ = choose_runs(4, 3, None, "o.json")
    many, _ = choose_runs(60, 3, None, "o.json")
    assert one == four[2] == many[2]
    assert len(choose_runs(None, None, None, "o.json")[0]) == 100


def test_where_the_files_go(folder):
    assert choose_runs(1, 7, None, None)[1] == Path("build/regress/7.json")
    assert choose_runs(None, None, "7:3", None)[1] == Path("build/regress/7_3.json")


def test_two_regressions_agree_but_for_their_time():
    one, other = regression(Verdict(run=PLANNED[0])), regression(replace(Verdict(run=PLANNED[0]), seconds=2.0))
    assert one.junit() != other.junit()
    assert one.summary() == other.summary()


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--runs", "0"), r"Invalid value for '--runs': 0 is not in the range 1<=x<=1000000\."),
        (("--runs", "many"), r"Invalid value for '--runs': 'many' is not a valid integer range\."),
        (("--jobs", "0"), r"Invalid value for '--jobs': 0 is not in the range 1<=x<=1024\."),
        (("--seed", "-1"), r"Invalid value for '--seed': -1 is not in the range 0<=x<=4294967295\."),
        (("--sim", "other"), r"Invalid value for '--sim': 'other' is not one of 'icarus', 'verilator'\."),
        (("--only", "7"), r"--only: '7' is not a run; needs SEED:INDEX, such as 7:12"),
        (("--only", "7:-1"), r"--only: '7:-1' is not a run; needs SEED:INDEX, such as 7:12"),
        (("--only", "4294967296:1"), r"--only: '4294967296:1' is not a run; needs SEED:INDEX"),
        (("--only", "7:1", "--runs", "3"), r"--only: names the seed and the one run itself; needs no --runs and no"),
        (("--only", "7:1", "--seed", "7"), r"--only: names the seed and the one run itself; needs no --runs and no"),
        (("--out", "no/such/o.json"), r"--out: no folder \S+/no/such; needs one that exists"),
        (("--out", "o.xml"), r"--out: o.xml is where JUnit XML goes; needs a name that does not end in \.xml"),
        (("--out", "."), r"--out: '.' is not an ordinary file; needs a file name"),
        (("--dask", "host"), r"--dask: 'host' is not a scheduler's address; needs tcp://HOST:PORT or tls://HOST:PORT"),
        (("--dask", "tcp://a:1", "--jobs", "2"), r"--jobs: is for processes on this machine; with --dask the workers"),
    ],
)
def test_bad_input(run, arguments, message, folder):
    code, out, err = run("--out", "o.json", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("systolith: ") and err.count("\n") == 1
    assert re.search(message, err)
    assert not list(folder.iterdir())


def test_an_xml_file_of_ones_own_is_not_replaced(folder):
    Path("o.xml").write_text("my own", encoding="utf-8")
    with pytest.raises(InputError, match=r"^--out: o\.xml would be replaced and is no file of an earlier run"):
        choose_runs(3, 1, None, "o.json")
    regression = Regression([Run.draw(1, 0)], "icarus")
    regression.write(folder / "o.json")
    choose_runs(3, 1, None, "o.json")


@dask_warnings
@pytest.mark.parametrize("missing", [True, False])
def test_dask_cannot_be_used(run, monkeypatch, missing):
    monkeypatch.setattr(farm, "CONNECT_TIMEOUT", 1)
    if missing:
        monkeypatch.setitem(sys.modules, "distributed", None)
    code, out, err = run("--dask", "tcp://127.0.0.1:9", "--seed", "1", "--out", "o.json")
    wanted = "needs dask.distributed" if missing else "no Dask scheduler answers at tcp://127.0.0.1:9"
    assert (code, out) == (2, "")
    assert err.startswith(f"systolith: --dask: {wanted}" if not missing else f"systolith: --dask {wanted}")
    assert err.count("\n") == 1
    assert not Path("o.json").exists()


def test_no_simulator(run, monkeypatch, folder):
    monkeypatch.setenv("PATH", str(folder))
    code, _, err = run("--sim", "icarus", "--runs", "1")
    assert (code, err) == (2, "systolith: iverilog not found: apt-get install iverilog, or use verilator\n")
