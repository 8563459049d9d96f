"""Feeds jobs to a unit's golden model and hands its trace on, piece by piece."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from verif.simulation.unit import Unit

__all__ = ["CHUNK", "Stimulus"]

#: Cycles the golden model runs ahead in one go: bounds the memory of a run of any length.
CHUNK = 1024


class Stimulus:
    """The records of a unit that works on jobs, in bounded pieces. ``pace`` goes to the model.

    A job is offered when the one before has left the unit, so that its cycles can be told apart.
    """

    def __init__(self, unit: Unit, jobs: Sequence, **pace) -> None:
        self.unit, self.jobs, self.pace = unit, jobs, pace
        self.model = unit.model()
        #: Of each job offered so far: the cycle in which it was.
        self.starts: list[int] = []

    def chunks(self) -> Iterator[np.ndarray]:
        """Every record, from reset on; a piece is valid until the next is asked for."""
        for beats in self.unit.beats(self.jobs):
            self.starts.append(self.model.cycle)
            yield from self._run(beats)
        yield self.model.run(self.unit.drain, **self.pace)

    def _run(self, beats: Iterator[tuple[np.ndarray, ...]]) -> Iterator[np.ndarray]:
        record = self.unit.record
        streams = record.streams(inputs=True)
        handshakes = [(record.at(f"{name}__valid").start, record.at(f"{name}__ready").start) for name in streams]
        # A cycle takes at most one beat of each stream: so many waiting never let a source run dry.
        waiting = np.zeros(len(streams), np.int64)
        # One buffer for every piece: a new one each time would cost more in page faults than the model does.
        buffer = np.empty((CHUNK, record.words), np.uint32)
        more = True
        while more or not self.model.done:
            while more and waiting.min() < CHUNK:
                beat = next(beats, None)
                more = beat is not None
                if more:
                    self.model.offer(*beat)
                    waiting += [len(part) for part in beat]
            trace = self.model.run(CHUNK, until_done=not more, out=buffer, **self.pace)
            waiting -= [np.count_nonzero(trace[:, valid] & trace[:, ready]) for valid, ready in handshakes]
            yield trace

    def job(self, cycle: int) -> int:
        """The number of the job in hand in a cycle."""
        return bisect_right(self.starts, cycle) - 1
