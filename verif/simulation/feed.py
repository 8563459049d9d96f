"""How the records of a trace get from this process to the simulator that compares them."""

import errno
import fcntl
import os
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from verif.simulation.simulator import Simulation, crash, end

__all__ = ["make_feed"]

#: Bytes between the two processes: of the pipe, or of each half of the shared buffer.
PIPE_BYTES, HALF_BYTES = 1 << 20, 1 << 19


class PipeFeed:
    """The writing end of a pipe of records, and the process that reads it."""

    def __init__(self, simulation: Simulation, run: Path, stall_timeout: float) -> None:
        self.records = 0
        self.pipe = run / "trace"
        self._dtype = np.dtype(simulation.trace_dtype)
        self._words = simulation.harness.words
        self._run = run
        self._stall_timeout = stall_timeout
        self._process: subprocess.Popen | None = None
        self._fd: int | None = None
        os.mkfifo(self.pipe)

    def open(self, process: subprocess.Popen) -> None:
        """Wait until the simulator has opened the pipe, or has ended."""
        self._process = process
        deadline = time.monotonic() + self._stall_timeout
        while self._fd is None:
            try:
                # Without O_NONBLOCK this would wait for ever for a simulator that died before it opened the pipe.
                self._fd = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                if process.poll() is not None:
                    raise self._crashed("ended before it read the trace") from None
                if time.monotonic() > deadline:
                    raise self._crashed("did not open the trace") from None
                time.sleep(0.01)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def write(self, chunk: np.ndarray) -> bool:
        """Write records; False once the simulator reads no more."""
        if chunk.dtype != np.uint32 or chunk.ndim != 2 or chunk.shape[1] != self._words:
            raise ValueError(f"a piece of trace must be uint32[cycles, {self._words}], not {chunk.dtype}{chunk.shape}")
        if chunk.size and not self._send(chunk):
            # It stopped at a mismatch, or crashed: its report tells.
            return False
        self.records += len(chunk)
        return True

    def _send(self, chunk: np.ndarray) -> bool:
        return self._put(np.ascontiguousarray(chunk, dtype=self._dtype))

    def _put(self, words: np.ndarray) -> bool:
        """Write to the pipe; False if nobody reads it any more."""
        data = memoryview(words).cast("B")
        while data:
            if not select.select([], [self._fd], [], self._stall_timeout)[1]:
                raise self._stalled()
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return False
        return True

    def close(self, announced: int) -> None:
        """End the trace. The number of records is on disk before the simulator can see that end."""
        (self._run / "announced").write_text(str(announced), encoding="utf-8")
        os.close(self._fd)
        self._fd = None

    def wait(self) -> None:
        """Wait for the simulator to end; an error if it did not end by itself with a report."""
        try:
            code = self._process.wait(self._stall_timeout)
        except subprocess.TimeoutExpired:
            raise self._crashed(f"did not end within {self._stall_timeout:g} s of the trace's end") from None
        if code or not (self._run / "report.json").exists():
            raise self._crashed(f"ended with exit code {code} and no report" if not code else f"ended with code {code}")

    def stop(self) -> None:
        """Leave no process, no open file and no pipe behind."""
        if self._fd is not None:
            os.close(self._fd)
        if self._process is not None:
            end(self._process)
        self.pipe.unlink()

    def _stalled(self) -> Exception:
        return self._crashed(f"made no progress for {self._stall_timeout:g} s")

    def _crashed(self, how: str) -> Exception:
        return crash(self._process, how, self._run / "simulator.log")


class SharedFeed(PipeFeed):
    """Records through memory that both processes see: a pipe would copy each twice, and take a third of the time.

    Half of the memory is filled while the simulator reads the other. The pipe carries the number of words in the half
    that is ready; a second pipe, back, a byte for each half that may be filled again.
    """

    def __init__(self, simulation: Simulation, run: Path, stall_timeout: float) -> None:
        super().__init__(simulation, run, stall_timeout)
        self._rows = max(1, HALF_BYTES // (4 * self._words))
        # Beside the pipe, under names that the simulator derives from the pipe's.
        self._memory, self._returned = (self.pipe.with_suffix(suffix) for suffix in (".memory", ".returned"))
        shape = 2, self._rows * self._words
        # Written, not only made as long as that: a write to memory for which the disk has no room kills the process.
        self._memory.write_bytes(bytes(4 * shape[0] * shape[1]))
        self._halves = np.memmap(self._memory, np.uint32, "r+", shape=shape)
        os.mkfifo(self._returned)
        self._returns = os.open(self._returned, os.O_RDONLY | os.O_NONBLOCK)
        self._half, self._given = 0, 0

    def _send(self, chunk: np.ndarray) -> bool:
        for start in range(0, len(chunk), self._rows):
            part = chunk[start : start + self._rows]
            if self._given == 2 and not self._take_back():
                return False
            self._halves[self._half, : part.size] = part.reshape(-1)
            if not self._put(np.array([part.size], np.uint32)):
                return False
            self._half, self._given = 1 - self._half, self._given + 1
        return True

    def _take_back(self) -> bool:
        """Wait for a half to be read; False if the simulator reads no more."""
        if not select.select([self._returns], [], [], self._stall_timeout)[0]:
            raise self._stalled()
        returned = len(os.read(self._returns, 2))
        self._given -= returned
        return returned > 0

    def stop(self) -> None:
        """Leave nothing behind."""
        super().stop()
        os.close(self._returns)
        for path in (self._memory, self._returned):
            path.unlink()


def make_feed(simulation: Simulation, run: Path, stall_timeout: float) -> PipeFeed:
    """The way of a simulation's traces, files in directory ``run``; :meth:`PipeFeed.stop` ends it."""
    kind = SharedFeed if simulation.simulator == "verilator" else PipeFeed
    return kind(simulation, run, stall_timeout)
