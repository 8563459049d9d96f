"""External memory behind AXI4, cycle by cycle, with random latencies and stalls; it refuses what breaks a rule."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from arch.core.config import CoreConfig
from arch.core.layouts import burst_layout, read_beat_layout, write_beat_layout
from arch.core.timing import WRITES_IN_FLIGHT

__all__ = ["MemoryModel"]

_ASKS, _BEATS = ("o_ar", "o_aw"), ("i_r", "i_b")


@dataclass
class MemoryModel:
    """Memory at the port.

    Each cycle: :meth:`drive` gives the inputs, then :meth:`see` takes what the port has in that cycle.

    Parameters
    ----------
    config : CoreConfig
    rng : Generator
    contents : dict of int to uint8 array
        What lies where.
    idle : float
        The share of cycles without ready or beat; 0: always, and one cycle of latency.
    """

    config: CoreConfig
    rng: np.random.Generator
    contents: dict[int, np.ndarray]
    idle: float
    cycle: int = 0
    #: Bytes that may be read and written, by address.
    readable: set = field(default_factory=set)
    writable: set = field(default_factory=set)
    #: Beats and answers to come: the first cycle for them, and what.
    reads: deque = field(default_factory=deque)
    answers: deque = field(default_factory=deque)
    #: Of each burst written, the address of the next beat, and beats that are left.
    bursts: deque = field(default_factory=deque)
    held: dict = field(default_factory=dict)
    offered: dict = field(default_factory=dict)
    beats_read: list = field(default_factory=list)
    #: The contents, by address, in which beats may have nothing that is written.
    skips: set = field(default_factory=set)

    def _rarely(self) -> bool:
        return self.rng.random() < self.idle

    def _later(self) -> int:
        return self.cycle + 1 + (int(self.rng.integers(12)) if self.idle else 0)

    def drive(self) -> dict[str, dict[str, int]]:
        """``valid`` and ``payload`` of ``i_r`` and ``i_b``, and ``ready`` of ``o_ar``, ``o_aw`` and ``o_w``."""
        for name, queue in (("i_r", self.reads), ("i_b", self.answers)):
            if not self.offered.get(name) and queue and queue[0][0] <= self.cycle and not self._rarely():
                self.offered[name] = queue[0][1]
        layout = read_beat_layout(self.config)
        noise = int.from_bytes(self.rng.bytes(self.config.beat_bytes), "little")
        beat = self.offered.get("i_r")
        data, last = (noise, 1) if beat is None else beat
        return {
            "i_r": {"valid": int(beat is not None), "payload": layout.pack(data=data, last=last)},
            "i_b": {"valid": int(self.offered.get("i_b") is not None), "payload": 0},
            **{name: {"ready": int(not self._rarely())} for name in (*_ASKS, "o_w")},
        }

    def see(self, port: dict[str, tuple[int, int, int]]) -> None:
        """``valid``, ``ready`` and payload of every stream in this cycle."""
        for name in (*_ASKS, "o_w"):
            self._rules(name, *port[name])
        # A beat goes with an address of an earlier cycle.
        if all(port["o_w"][:2]):
            self._write(write_beat_layout(self.config).unpack(port["o_w"][2]))
        for name, take in zip(_ASKS, (self._read, self._address), strict=True):
            if all(port[name][:2]):
                burst = burst_layout(self.config).unpack(port[name][2])
                take(burst["address"], burst["beats"] + 1)
        for name, queue in (("i_r", self.reads), ("i_b", self.answers)):
            if all(port[name][:2]):
                queue.popleft()
                self.offered[name] = None
                if name == "i_r":
                    self.beats_read.append(self.cycle)
        self.cycle += 1

    def _rules(self, name: str, valid: int, ready: int, payload: int) -> None:
        """Valid stays, with its payload, until ready; a payload is 0 while it is not valid."""
        assert valid or not payload, (name, hex(payload))
        assert self.held.get(name) in (None, payload if valid else None), (name, self.held[name], payload)
        self.held[name] = payload if valid and not ready else None

    def _span(self, address: int, beats: int) -> None:
        size = self.config.beat_bytes
        assert address % size == 0 and beats * size <= max(64, size), (hex(address), beats)
        assert address // 4096 == (address + beats * size - 1) // 4096, (hex(address), beats)

    def _read(self, address: int, beats: int) -> None:
        self._span(address, beats)
        size, ready = self.config.beat_bytes, self._later()
        for beat in range(beats):
            span = range(address + beat * size, address + (beat + 1) * size)
            # A beat of which nothing is wanted is not asked for.
            assert self.readable.intersection(span), hex(address)
            data = bytes(self._byte(byte) for byte in span)
            self.reads.append((ready, (int.from_bytes(data, "little"), int(beat == beats - 1))))
        bursts = sum(last for _, (_, last) in self.reads)
        assert bursts <= self.config.reads_in_flight, bursts

    def _base(self, address: int) -> int | None:
        """Where the contents begin in which this address is."""
        return next((base for base, array in self.contents.items() if 0 <= address - base < len(array)), None)

    def _byte(self, address: int) -> int:
        base = self._base(address)
        return int(self.rng.integers(256) if base is None else self.contents[base][address - base])

    def _address(self, address: int, beats: int) -> None:
        self._span(address, beats)
        self.bursts.append((address, beats))

    def _write(self, beat: dict[str, int]) -> None:
        assert self.bursts, "a beat without an address"
        address, left = self.bursts.popleft()
        assert beat["last"] == (left == 1), (beat["last"], left)
        base = self._base(address)
        assert beat["strobes"] or base in self.skips, "a beat of nothing"
        for byte in range(self.config.beat_bytes):
            value = beat["data"] >> 8 * byte & 255
            if not beat["strobes"] >> byte & 1:
                assert value == 0, byte
                continue
            # Each byte once.
            self.writable.remove(address + byte)
            self.contents[base][address + byte - base] = value
        if left > 1:
            self.bursts.appendleft((address + self.config.beat_bytes, left - 1))
        else:
            self.answers.append((self._later(), 0))
            assert len(self.answers) + len(self.bursts) <= WRITES_IN_FLIGHT
