"""Work on other processes and on a Dask cluster, whose workers are killed in the middle of it."""

import functools
import os
import signal
import socket
import sys
from pathlib import Path

import dask
import distributed
import psutil
import pytest

from scripts.campaigns import farm
from scripts.campaigns.farm import DEATHS, Died, FarmError, check_address, run_on_dask, run_on_processes
from scripts.ground.errors import InputError

ITEMS = list(range(7))


def square(item: int) -> int:
    return item * item


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def square_or_die(item: int, folder: Path, victims: dict[int, int]) -> int:
    """Kills its process as many times as ``victims`` says; a file a time remembers it."""
    deaths = len(list(folder.glob(f"{item}.*")))
    if deaths < victims.get(item, 0):
        (folder / f"{item}.{deaths}").touch()
        die()
    return square(item)


def outcomes(pairs) -> dict:
    found = list(pairs)
    assert len(found) == len(dict(found)), "an item came twice"
    return dict(found)


@pytest.fixture
def deadly(tmp_path):
    """The work, given the items that kill their process and how often; and how often each did."""

    def make(**victims):
        return functools.partial(square_or_die, folder=tmp_path, victims={int(k[1:]): v for k, v in victims.items()})

    make.deaths = lambda item: len(list(tmp_path.glob(f"{item}.*")))
    return make


class TestProcesses:
    @pytest.mark.parametrize("jobs", [1, 2, 20])
    def test_every_result(self, jobs):
        assert outcomes(run_on_processes(square, ITEMS[:3], jobs=jobs)) == {item: item * item for item in ITEMS[:3]}

    def test_a_killed_process_loses_nothing(self, deadly):
        work = deadly(i0=1, i3=DEATHS - 1)
        assert outcomes(run_on_processes(work, ITEMS, jobs=2)) == {item: item * item for item in ITEMS}
        assert (deadly.deaths(0), deadly.deaths(3)) == (1, DEATHS - 1)

    def test_what_always_kills_is_given_up_alone(self, deadly):
        found = outcomes(run_on_processes(deadly(i2=99), ITEMS, jobs=2))
        assert found.pop(2) == Died("its process died, 3 times out of 3")
        assert found == {item: item * item for item in ITEMS if item != 2}
        assert deadly.deaths(2) == DEATHS

    def test_a_process_that_dies_between_items(self):
        process = farm._Process()
        try:
            with pytest.raises(farm.BrokenProcessPool):
                process.submit(exit_hard, 0).result()
            with pytest.raises(farm.BrokenProcessPool):
                process.submit(square, 2).result()
        finally:
            process.stop()

    def test_closing_kills_processes_and_their_children(self):
        pairs = run_on_processes(parent_and_child, [0], jobs=1)
        _, (worker, child) = next(pairs)
        processes = [psutil.Process(worker), psutil.Process(child)]
        pairs.close()
        gone, alive = psutil.wait_procs(processes, timeout=60)
        assert len(gone) == 2 and not alive

    def test_processes_do_not_outlive_the_parent(self):
        program = (
            "import test_farm, os; from scripts.campaigns.farm import run_on_processes\n"
            "if __name__ == '__main__':\n"
            "    print(*next(run_on_processes(test_farm.parent_and_child, [0], jobs=1))[1], flush=True)\n"
            "    test_farm.die()\n"
        )
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        with psutil.Popen([sys.executable, "-c", program], stdout=-1, cwd=farm.REPOSITORY, env=environment) as parent:
            orphans = [int(pid) for pid in parent.stdout.readline().split()]
        processes = [psutil.Process(pid) for pid in orphans if psutil.pid_exists(pid)]
        assert not psutil.wait_procs(processes, timeout=60)[1]


def exit_hard(_) -> None:
    os._exit(1)


def parent_and_child(_) -> tuple[int, int]:
    """Starts a process that would run for ever, and gives both numbers."""
    return os.getpid(), psutil.Popen(["cat"], stdin=-1).pid


# ---- Dask ----------------------------------------------------------------------------------------

# Distributed closes some sockets late.
dask_warnings = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each with a nanny that starts it anew; an item may kill one of them."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        yield cluster


@pytest.fixture
def address(cluster):
    """The scheduler's, once both workers are there (again)."""
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2)
    return cluster.scheduler_address


@dask_warnings
class TestDask:
    def test_killed_workers_lose_nothing(self, address, deadly):
        work = deadly(i1=1)
        assert outcomes(run_on_dask(work, ITEMS, address=address)) == {item: item * item for item in ITEMS}
        assert deadly.deaths(1) == 1

    def test_what_always_kills_is_given_up_alone(self, address, deadly):
        found = outcomes(run_on_dask(deadly(i2=99), ITEMS, address=address))
        assert found.pop(2) == Died("its workers died, with nothing beside it too")
        assert found == {item: item * item for item in ITEMS if item != 2}
        # Twice among the others and twice alone; of two deaths at once the scheduler may have seen one.
        assert deadly.deaths(2) in (3, 4)

    def test_other_sources_on_a_worker(self, address, monkeypatch, tmp_path):
        monkeypatch.setattr(farm, "REPOSITORY", tmp_path)
        farm.fingerprint.cache_clear()
        try:
            with pytest.raises(FarmError, match=r"worker tcp://\S+ has sources \w+, here it is \w+; needs the same"):
                list(run_on_dask(square, ITEMS, address=address))
        finally:
            farm.fingerprint.cache_clear()

    def test_what_a_worker_lacks(self, address):
        with pytest.raises(FarmError, match=r"--dask: a worker lacks something: FileNotFoundError .*no/such/program"):
            list(run_on_dask(square, ITEMS, address=address, needs=functools.partial(os.stat, "no/such/program")))

    def test_no_workers(self):
        with (
            distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty,
            pytest.raises(FarmError, match="the scheduler has no workers; start some with: dask worker"),
        ):
            list(run_on_dask(square, ITEMS, address=empty.scheduler_address))

    @pytest.mark.slow
    def test_a_lost_scheduler(self, monkeypatch):
        with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as own:
            pairs = run_on_dask(square, ITEMS, address=own.scheduler_address)
            next(pairs)
            own.close()
            monkeypatch.setattr(farm, "CONNECT_TIMEOUT", 1)
            with pytest.raises(FarmError, match=r"lost the Dask scheduler at tcp://"):
                list(pairs)


def test_a_worker_that_joins_late_is_checked_too():
    with pytest.raises(FarmError, match=r"worker on \S+ has python 3\.\d+, here it is 2\.7"):
        farm._checked(square, farm.fingerprint() | {"python": "2.7"}, 1)
    assert farm._checked(square, farm.fingerprint(), 3) == 9


@dask_warnings
@pytest.mark.parametrize("silent", [True, False])
def test_no_scheduler(monkeypatch, silent):
    monkeypatch.setattr(farm, "CONNECT_TIMEOUT", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not silent:
            server.close()
        with pytest.raises(FarmError, match=rf"no Dask scheduler answers at tcp://127.0.0.1:{port} \([^\n]+\)$"):
            list(run_on_dask(square, ITEMS, address=f"tcp://127.0.0.1:{port}"))


def test_no_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(FarmError, match=r"--dask needs dask.distributed: \.venv/bin/pip install"):
        list(run_on_dask(square, ITEMS, address="tcp://127.0.0.1:8786"))


@pytest.mark.parametrize("address", ["", "localhost:8786", "tcp://localhost", "tcp://:8786", "http://a:1", "tcp://a:b"])
def test_what_is_no_address(address):
    with pytest.raises(InputError, match=r"--dask: '.*' is not a scheduler's address; needs tcp://HOST:PORT or tls://"):
        check_address(address)
    check_address("tcp://10.0.0.1:8786")
    check_address("tls://farm.example:8786")


def test_every_package_is_in_the_digest():
    packages = {path.parent.name for path in farm.REPOSITORY.glob("*/__init__.py")} - {"tests"}
    assert set(farm.SOURCES) == packages
