"""The stimulus and expected trace of an engine that computes GEMMs."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from arch.record import record_words
from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_fields
from golden.tensor.engine import TensorEngine
from golden.tensor.jobs import Gemm
from golden.tensor.schedule import Pass, gemm_beats, gemm_passes, next_base

__all__ = ["Stimulus"]

#: Cycles the golden model runs ahead in one go: bounds the memory of a run of any length.
CHUNK = 1024


class Stimulus:
    """Feeds GEMMs to the golden cycle model and hands its trace on, a bounded piece at a time.

    A GEMM is offered when the one before has left the engine, so that its cycles can be told apart.
    """

    def __init__(self, config: EngineConfig, jobs: Sequence[Gemm], *, registers: bool, **pace):
        self.model = TensorEngine(config, registers=registers)
        self.config, self.jobs, self.pace = config, jobs, pace
        self.record_words = record_words(engine_fields(config, registers=registers))
        names = [f.name for f in engine_fields(config, registers=False) for _ in range(f.words)]
        self.handshakes = [
            (names.index(f"{port}__valid"), names.index(f"{port}__ready"))
            for port in ("i_command", "i_weight", "i_activation")
        ]
        #: Of all jobs offered so far.
        self.passes: list[Pass] = []
        #: Of each job: the cycle in which it was offered, and its first pass.
        self.starts: list[int] = []
        self.first_passes: list[int] = []

    def chunks(self) -> Iterator[np.ndarray]:
        base = 0
        for job in self.jobs:
            passes = gemm_passes(*job.shape, self.config, base=base)
            self.starts.append(self.model.cycle)
            self.first_passes.append(len(self.passes))
            self.passes += passes
            formats = {"x_format": job.x_format, "w_format": job.w_format, "out_format": job.out_format}
            yield from self._run(gemm_beats(job.x, job.w, self.config, saturate=job.saturate, base=base, **formats))
            base = next_base(passes, self.config)
        # Nothing more may come out.
        yield self.model.run(2 * self.config.drain_latency, **self.pace)

    def _run(self, beats: Iterator[tuple[np.ndarray, ...]]) -> Iterator[np.ndarray]:
        # A cycle takes at most one beat of each stream: so many waiting never let a source run dry.
        waiting = np.zeros(3, np.int64)
        # One buffer for every piece: a new one each time would cost more in page faults than the model does.
        buffer = np.empty((CHUNK, self.record_words), np.uint32)
        more = True
        while more or not self.model.done:
            while more and waiting.min() < CHUNK:
                beat = next(beats, None)
                more = beat is not None
                if more:
                    self.model.offer(*beat)
                    waiting += [len(part) for part in beat]
            trace = self.model.run(CHUNK, until_done=not more, out=buffer, **self.pace)
            waiting -= [np.count_nonzero(trace[:, valid] & trace[:, ready]) for valid, ready in self.handshakes]
            yield trace

    def job(self, cycle: int) -> int:
        """The number of the GEMM in hand in a cycle."""
        return bisect_right(self.starts, cycle) - 1
