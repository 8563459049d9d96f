"""What AXI4 asks of a core's memory port, and of the memory at it: checked on every trace that the RTL is held to."""

from collections import deque

import numpy as np

from arch.core.config import CoreConfig
from arch.core.layouts import burst_layout, read_beat_layout, write_beat_layout
from arch.core.signals import core_record

__all__ = ["AxiRules"]

#: Bursts stay within so many bytes.
_BOUNDARY = 4096
#: Those of memory; the channels, in the order in which a cycle's transfers count: data goes with earlier addresses.
_CHANNELS = ("i_r", "o_w", "i_b", "o_ar", "o_aw")


class AxiRules:
    """Watches a run from reset on: give it every record, a piece at a time.

    Of every channel: what is offered stays, unchanged, until it is taken. Of bursts: whole beats at a multiple of
    their bytes, within 4 KiB. Of data, read or written: none beyond the bursts whose addresses were taken in earlier
    cycles, and ``last`` with the last beat of each, and no other. Of answers: none before a burst's last beat. Of data
    that is written: bytes without a strobe are 0.

    Members
    -------
    broken : list of str
        The rule that was broken first, and when; behind that nothing is watched.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config, self.record = config, core_record(config)
        self.broken: list[str] = []
        self.transfers = dict.fromkeys(_CHANNELS, 0)
        #: Beats left of each burst that is read, and of each that is written; written bursts without an answer.
        self._left = {"i_r": deque(), "o_w": deque()}
        self._unanswered = 0
        #: The last record before this piece.
        self._before = np.zeros((1, self.record.words), np.uint32)
        self._cycle = 0

    def see(self, chunk: np.ndarray) -> None:
        """The next records, uint32[cycles, words]."""
        if self.broken or not len(chunk):
            return
        try:
            self._held(chunk)
            self._follow(chunk)
        except _Broken as rule:
            self.broken.append(str(rule))
        self._before, self._cycle = chunk[-1:].copy(), self._cycle + len(chunk)

    def _flags(self, chunk: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        valid, ready = (chunk[:, self.record.at(f"{name}__{end}").start] != 0 for end in ("valid", "ready"))
        return valid, ready

    def _held(self, chunk: np.ndarray) -> None:
        both = np.concatenate([self._before, chunk])
        for name in (*_CHANNELS, "i_program"):
            valid, ready = self._flags(both, name)
            payload = both[:, self.record.at(f"{name}__payload")]
            stalled = valid[:-1] & ~ready[:-1]
            same = valid[1:] & (payload[1:] == payload[:-1]).all(axis=1)
            for at in np.flatnonzero(stalled & ~same)[:1]:
                raise _Broken(f"cycle {self._cycle + at}: {name} changed before it was taken")

    def _follow(self, chunk: np.ndarray) -> None:
        """Bursts, and the beats and answers that belong to them."""
        flags = {name: self._flags(chunk, name) for name in _CHANNELS}
        # Data that is offered must have an address, whether it is taken or not.
        matters = np.zeros(len(chunk), bool)
        for valid, _ in flags.values():
            matters |= valid
        for at in np.flatnonzero(matters):
            for name in _CHANNELS:
                valid, ready = (bool(flag[at]) for flag in flags[name])
                if valid:
                    words = chunk[at, self.record.at(f"{name}__payload")]
                    self._see(self._cycle + int(at), name, int.from_bytes(words.tobytes(), "little"), ready)

    def _see(self, cycle: int, name: str, payload: int, taken: bool) -> None:
        self.transfers[name] += taken
        if name in ("o_ar", "o_aw"):
            self._burst(cycle, name, payload, taken)
        elif name == "i_b":
            if not self._unanswered:
                raise _Broken(f"cycle {cycle}: an answer to no burst")
            self._unanswered -= taken
        else:
            self._beat(cycle, name, payload, taken)

    def _burst(self, cycle: int, name: str, payload: int, taken: bool) -> None:
        burst, size = burst_layout(self.config).unpack(payload), self.config.beat_bytes
        address, beats = burst["address"], burst["beats"] + 1
        if address % size:
            raise _Broken(f"cycle {cycle}: {name} begins within a beat, at {address:#x}")
        if address // _BOUNDARY != (address + beats * size - 1) // _BOUNDARY:
            raise _Broken(f"cycle {cycle}: {name} crosses {_BOUNDARY} bytes, from {address:#x} for {beats} beats")
        if taken:
            self._left["i_r" if name == "o_ar" else "o_w"].append(beats)

    def _beat(self, cycle: int, name: str, payload: int, taken: bool) -> None:
        left = self._left[name]
        layout = read_beat_layout(self.config) if name == "i_r" else write_beat_layout(self.config)
        beat = layout.unpack(payload)
        if not left:
            raise _Broken(f"cycle {cycle}: {name} has a beat of no burst")
        if beat["last"] != (left[0] == 1):
            raise _Broken(f"cycle {cycle}: {name} has last {beat['last']} with {left[0]} beats left")
        if name == "o_w" and beat["data"] & ~_bytes(beat["strobes"]):
            raise _Broken(f"cycle {cycle}: {name} has data without a strobe")
        if taken:
            left[0] -= 1
            if not left[0]:
                left.popleft()
                self._unanswered += name == "o_w"


class _Broken(Exception):
    """A rule is."""


def _bytes(strobes: int) -> int:
    """All bits of the bytes with a strobe."""
    return int("".join("ff" if bit == "1" else "00" for bit in f"{strobes:b}"), 16)
