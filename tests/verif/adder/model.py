"""The golden model of the adder, as ``golden`` has that of a unit."""

from collections import deque
from dataclasses import dataclass
from random import Random

import numpy as np

from .facts import AdderConfig, adder_record, pair_layout, pairs_layout, sums_layout

__all__ = ["AdderModel", "Sums", "beats"]


@dataclass(frozen=True, eq=False)
class Sums:
    """A job: int[n, lanes, 2], pairs to be added."""

    pairs: np.ndarray

    def __str__(self) -> str:
        return f"{len(self.pairs)} beats of sums"


def beats(jobs):
    """Each job in one piece."""
    return (iter([(job.pairs,)]) for job in jobs)


class AdderModel:
    """Two registers behind each other; both move while the second is empty or its sums are taken."""

    def __init__(self, config: AdderConfig) -> None:
        self.config, self.record, self.cycle = config, adder_record(config), 0
        self._queue: deque[list[list[int]]] = deque()
        self._offers = False
        self._zeros = [[0, 0]] * config.lanes
        self._pairs, self._waits = self._zeros, 0
        self._sums, self._valid = [0] * config.lanes, 0

    @property
    def done(self) -> bool:
        """Nothing waits anywhere."""
        return not (self._queue or self._waits or self._valid)

    def offer(self, pairs: np.ndarray) -> None:
        """Queue beats."""
        self._queue.extend(pairs.tolist())

    def run(self, cycles, *, until_done=False, out=None, seed=0, idle=0.0, stall=0.0) -> np.ndarray:
        """Simulate cycles, as ``UnitModel`` says."""
        records = np.empty((cycles, self.record.words), np.uint32) if out is None else out
        for count in range(cycles):
            if until_done and self.done:
                return records[:count]
            # Of seed and cycle alone: a run cut in two is the same.
            rng = Random(seed << 32 | self.cycle)
            self._offers = bool(self._queue) and (self._offers or rng.random() >= idle)
            records[count] = self._step(rng.random() >= stall)
        return records

    def _step(self, taken: bool) -> list[int]:
        """One cycle: its record."""
        config, new = self.config, self._queue[0] if self._offers else self._zeros
        moves = not self._valid or taken
        pairs = [pair_layout(config).pack(a=a, b=b) for a, b in self._pairs]
        payload = pairs_layout(config).pack(
            **{f"lane_{lane}": pair_layout(config).pack(a=a, b=b) for lane, (a, b) in enumerate(new)}
        )
        sums = sums_layout(config).pack(**{f"lane_{lane}": total for lane, total in enumerate(self._sums)})
        values = [self._offers, payload, taken, moves, self._valid, sums, *pairs, self._waits]
        if moves:
            if self._offers:
                self._queue.popleft()
            self._sums, self._valid = [a + b for a, b in self._pairs], self._waits
            self._pairs, self._waits, self._offers = new, int(self._offers), False
        self.cycle += 1
        return self.record.pack(map(int, values))
