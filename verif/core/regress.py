"""Constrained-random regressions of cores: what a run is, how it is drawn, and its verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from arch.core.config import CoreConfig
from arch.tensor.config import EngineConfig
from verif.core.programs import RandomProgram
from verif.core.runs import run_programs
from verif.core.workload import random_programs
from verif.simulation.verdicts import Verdict, judged

__all__ = ["CoreRun", "execute"]

#: Lanes: four as often again, for it takes a fraction of the time.
LANES = (4, 4, 8)
#: Formats of the engine, each as likely, for either accumulation.
FORMATS = {
    "exact": (("e4m3",), ("e5m2",), ("e4m3", "e5m2")),
    "fp32": (("bf16",), ("e4m3", "bf16"), ("e4m3", "e5m2", "bf16")),
}
PSUM_DEPTHS = (64, 256)
#: Least and most, of powers of two by their exponent.
LANE_BYTES, BANKS, BEAT_BYTES, READS_IN_FLIGHT = (10, 14), (1, 4), (2, 8), (0, 6)
DMA_QUEUES, QUEUE_DEPTH = (1, 4), (2, 8)
#: A run in three is unhindered. In the others each stream has one of these.
UNHINDERED = 1 / 3
PACES = (0.0, 0.1, 0.5, 0.9)
LATENCIES = (1, 2, 5, 20, 50)
#: Programs of a run, instructions of each, bytes of a lane that they work on.
PROGRAMS, LENGTH, WORK = (1, 3), 15, (64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class CoreRun:
    """One run of a regression: all of it follows from ``seed`` and ``index``.

    programs : how many; work : bytes of a lane that they work on
    latency : cycles that memory takes to answer
    idle : probability that memory stays quiet, of ``i_program``, ``i_r`` and ``i_b``
    stall : probability that ``ready`` is low, of ``o_ar``, ``o_aw`` and ``o_w``
    """

    seed: int
    index: int
    config: CoreConfig
    programs: int
    work: int
    latency: int
    idle: tuple[float, float, float]
    stall: tuple[float, float, float]

    @classmethod
    def draw(cls, seed: int, index: int, number: int) -> "CoreRun":
        """The run ``index`` of the regressions of a seed, on their configuration of that number."""
        config = draw_config(np.random.default_rng([seed, 4, number]))
        rng = np.random.default_rng([seed, 5, index])
        hindered = rng.random() >= UNHINDERED
        paces = tuple(float(rng.choice(PACES)) if hindered else 0.0 for _ in range(6))
        return cls(
            seed=seed,
            index=index,
            config=config,
            programs=int(rng.integers(*PROGRAMS, endpoint=True)),
            work=int(rng.choice(WORK)),
            latency=int(rng.choice(LATENCIES)),
            idle=paces[:3],
            stall=paces[3:],
        )

    @property
    def name(self) -> str:
        """What ``--only`` takes."""
        return f"{self.seed}:{self.index}"

    def drawn(self) -> list[RandomProgram]:
        """The programs."""
        rng = np.random.default_rng([self.seed, 6, self.index])
        return random_programs(self.config, rng, self.programs, length=LENGTH, work=self.work)

    def __str__(self) -> str:
        c = self.config
        parts = [f"core of {c.lanes} lanes, {','.join(c.engine.formats)} {c.engine.accumulation}"]
        parts += [f"psum_depth {c.engine.psum_depth}", f"{c.lane_bytes} bytes a lane in {c.banks} banks"]
        parts += [f"beats of {c.beat_bytes} bytes, {c.reads_in_flight} reads in flight"]
        parts += [f"{c.dma_queues} DMA queues, {c.queue_depth} instructions each"]
        idle, stall = ("/".join(f"{p:g}" for p in paces) for paces in (self.idle, self.stall))
        return f"{', '.join(parts)}; latency {self.latency}, idle {idle}, stall {stall}; {self.programs} programs"


def draw_config(rng: np.random.Generator) -> CoreConfig:
    """A configuration that ``CoreConfig`` accepts."""

    def within(span: tuple[int, int]) -> int:
        return int(rng.integers(*span, endpoint=True))

    lanes, accumulation = int(rng.choice(LANES)), str(rng.choice(list(FORMATS)))
    formats = FORMATS[accumulation][rng.integers(len(FORMATS[accumulation]))]
    depth = int(rng.choice(PSUM_DEPTHS))
    return CoreConfig(
        engine=EngineConfig(rows=lanes, cols=lanes, formats=formats, accumulation=accumulation, psum_depth=depth),
        lane_bytes=1 << within(LANE_BYTES),
        banks=1 << within(BANKS),
        beat_bytes=1 << within(BEAT_BYTES),
        dma_queues=within(DMA_QUEUES),
        queue_depth=within(QUEUE_DEPTH),
        reads_in_flight=1 << within(READS_IN_FLIGHT),
    )


def execute(run: CoreRun, simulator: str, rewrite: Callable[[str], str] | None = None) -> Verdict:
    """Simulate a run and compare everything with the golden model, and memory with the executor's."""

    def work() -> tuple[int, int, Sequence[str]]:
        pace = {"seed": run.index, "latency": run.latency, "idle": run.idle, "stall": run.stall}
        outcome = run_programs(run.config, run.drawn(), simulator=simulator, pace=pace, rewrite=rewrite)
        return outcome.compared_cycles, outcome.compared_signals, outcome.lines()

    return judged(run, work)
