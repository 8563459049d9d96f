"""Sources, sinks and monitors of the engine's streams, for interactive cocotb benches.

All of them live in the same two moments of a clock cycle. At the falling edge inputs are driven; in the ReadOnly phase
of the same instant everything has settled, and what is read there holds until the rising edge that ends the cycle.
"""

from collections import deque
from collections.abc import Callable, Iterable
from random import Random

import cocotb
from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge, ReadOnly

__all__ = ["PERIOD", "Monitor", "Port", "Sink", "Source", "cycle"]

#: Nanoseconds of a clock cycle.
PERIOD = 2


def cycle() -> int:
    """The number of the clock cycle at hand: the same for everyone who asks in ReadOnly after one falling edge."""
    return int(get_sim_time("ns")) // PERIOD


class Port:
    """The signals of one stream of a device, and its clock and reset."""

    def __init__(self, dut, name: str) -> None:
        self.name = name
        self.clk, self.rst = dut.clk, dut.rst
        self.valid, self.ready, self.payload = (
            getattr(dut, f"{name}__{part}") for part in ("valid", "ready", "payload")
        )

    @property
    def transfer(self) -> bool:
        """A payload is taken in this cycle. In reset nothing is."""
        return not int(self.rst.value) and bool(int(self.valid.value) and int(self.ready.value))


class Source:
    """Offers queued payloads in order, after a random number of idle cycles each.

    An offered payload stays until it is taken. Whether it is offered never depends on ``ready``. In idle cycles the
    payload is random.

    Parameters
    ----------
    idle : float
        Probability of not offering a waiting payload in a cycle; may be changed at any time.
    """

    def __init__(self, port: Port, rng: Random, idle: float = 0.0) -> None:
        self.port, self.rng, self.idle = port, rng, idle
        self._queue: deque[int] = deque()
        self._offered: int | None = None

    def send(self, payloads: Iterable[int]) -> None:
        """Queue payloads."""
        self._queue.extend(payloads)

    @property
    def empty(self) -> bool:
        """Everything sent was taken."""
        return not self._queue and self._offered is None

    def clear(self) -> None:
        """Forget what is queued and withdraw what is offered: allowed in reset only."""
        self._queue.clear()
        self._offered = None

    def start(self) -> None:
        """Drive the port from now on."""
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            await FallingEdge(self.port.clk)
            if self._offered is None:
                if self._queue and self.rng.random() >= self.idle:
                    self._offered = self._queue.popleft()
                idle = self._offered is None
                self.port.valid.value = int(not idle)
                self.port.payload.value = self.rng.getrandbits(len(self.port.payload)) if idle else self._offered
            await ReadOnly()
            if self.port.transfer:
                self._offered = None


class Sink:
    """Takes payloads in random cycles, whether one is offered or not.

    Parameters
    ----------
    stall : float
        Probability of not being ready in a cycle; may be changed at any time, 1 blocks the stream.
    """

    def __init__(self, port: Port, rng: Random, stall: float = 0.0) -> None:
        self.port, self.rng, self.stall = port, rng, stall

    def start(self) -> None:
        """Drive the port from now on."""
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            await FallingEdge(self.port.clk)
            self.port.ready.value = int(self.rng.random() >= self.stall)


class Monitor:
    """Reports the transfers of a stream and enforces its protocol.

    A payload that is offered and not taken is offered, unchanged, in the next cycle, unless reset comes between. An
    undefined bit of ``valid``, ``ready`` or of an offered payload is a ValueError.

    Parameters
    ----------
    on_transfer : callable
        Told every payload that is taken, in the cycle in which it is.
    """

    def __init__(self, port: Port, on_transfer: Callable[[int], None]) -> None:
        self.port, self.on_transfer = port, on_transfer
        self.transfers = 0

    def start(self) -> None:
        """Watch from now on."""
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        held: int | None = None
        while True:
            await FallingEdge(self.port.clk)
            await ReadOnly()
            if int(self.port.rst.value):
                held = None
                continue
            offered = int(self.port.payload.value) if int(self.port.valid.value) else None
            if held is not None:
                assert offered is not None, f"{self.port.name}: valid dropped in cycle {cycle()}, payload not taken"
                assert offered == held, (
                    f"{self.port.name}: payload changed in cycle {cycle()} while stalled, {held:#x} to {offered:#x}"
                )
            held = offered
            if self.port.transfer:
                held = None
                self.transfers += 1
                self.on_transfer(offered)
