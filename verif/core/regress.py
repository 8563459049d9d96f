"""Constrained-random regressions of cores: what a run is, how it is drawn, and its verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from arch.core.config import CoreConfig
from arch.formats import ACCUMULATIONS
from arch.tensor.config import EngineConfig
from golden.core.jobs import Job
from verif.core.covering import VALUES
from verif.core.faults import FAULTS, faulty_job
from verif.core.programs import RandomProgram
from verif.core.runs import run_interrupted, run_programs
from verif.core.workload import random_programs
from verif.simulation.verdicts import Verdict, judged
from verif.tensor.covering import least_depth

__all__ = ["CoreRun", "execute"]

#: Lanes: few as often again, for they take a fraction of the time.
LANES = (4, 4, 4, 8, 8, 16)
#: PSUM rows, in multiples of the least power of two that the engine allows.
PSUM_MULTIPLES = (1, 2, 8)
#: Of the engines that can be, those with integer operands.
INTEGERS = 1 / 2
#: Least and most, of powers of two by their exponent.
LANE_BYTES, BANKS, BEAT_BYTES, READS_IN_FLIGHT = (10, 18), (1, 4), (2, 8), (0, 6)
DMA_QUEUES, QUEUE_DEPTH = (1, 4), (2, 8)
#: A run in three is unhindered. In the others each stream has one of these.
UNHINDERED = 1 / 3
PACES = (0.0, 0.1, 0.5, 0.9)
LATENCIES = (1, 2, 5, 20, 50)
#: Programs of a run, instructions of each, bytes of a lane that they work on.
PROGRAMS, LENGTH, WORK = (1, 3), 15, (64, 128, 256)
#: Half of the runs go on with programs that a reset cuts short, so many, each after no more cycles than that, and with
#: so many faulty ones.
INTERRUPTED, RESETS, CUT, FAULTY = 1 / 2, (1, 2), 1000, (1, 3)


@dataclass(frozen=True, kw_only=True)
class CoreRun:
    """One run of a regression: all of it follows from ``seed`` and ``index``.

    programs : how many; work : bytes of a lane that they work on
    resets : cycles after each of which a reset comes in a program, which then begins anew; faults : of faulty programs
    latency : cycles that memory takes to answer
    idle : probability that memory stays quiet, of ``i_program``, ``i_r`` and ``i_b``
    stall : probability that ``ready`` is low, of ``o_ar``, ``o_aw`` and ``o_w``
    """

    seed: int
    index: int
    config: CoreConfig
    programs: int
    work: int
    resets: tuple[int, ...]
    faults: tuple[str, ...]
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
        resets, faults = (
            (rng.integers(*RESETS, endpoint=True), rng.integers(*FAULTY, endpoint=True))
            if rng.random() < INTERRUPTED
            else (0, 0)
        )
        return cls(
            seed=seed,
            index=index,
            config=config,
            programs=int(rng.integers(*PROGRAMS, endpoint=True)),
            work=int(rng.choice(WORK)),
            resets=tuple(int(cut) for cut in rng.integers(1, CUT, resets, endpoint=True)),
            faults=tuple(str(fault) for fault in rng.choice(FAULTS, faults)),
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

    def interrupted(self) -> tuple[list[RandomProgram], list[Job]]:
        """The programs that resets cut short, and the faulty ones."""
        rng = np.random.default_rng([self.seed, 7, self.index])
        programs = random_programs(self.config, rng, len(self.resets), length=LENGTH, work=self.work)
        return programs, [faulty_job(self.config, rng, fault) for fault in self.faults]

    def __str__(self) -> str:
        c, e = self.config, self.config.engine
        sums = e.accumulation + (" of integers" if e.integer_operands else "")
        parts = [f"core of {c.lanes} lanes, {','.join(e.formats)} {sums}", f"psum_depth {e.psum_depth}"]
        parts += [f"k_max {e.k_max}"] if e.exact else []
        parts += [f"product, add, readout latency {e.product_latency}, {e.add_latency}, {e.readout_latency}"]
        parts += [f"{c.lane_bytes} bytes a lane in {c.banks} banks"]
        parts += [f"beats of {c.beat_bytes} bytes, {c.reads_in_flight} reads in flight"]
        parts += [f"{c.dma_queues} DMA queues, {c.queue_depth} instructions each"]
        idle, stall = ("/".join(f"{p:g}" for p in paces) for paces in (self.idle, self.stall))
        text = f"{', '.join(parts)}; latency {self.latency}, idle {idle}, stall {stall}; {self.programs} programs"
        if not self.resets:
            return text
        return f"{text}, resets after {', '.join(map(str, self.resets))} cycles, faults: {', '.join(self.faults)}"


def draw_config(rng: np.random.Generator) -> CoreConfig:
    """A configuration that ``CoreConfig`` accepts."""

    def within(span: tuple[int, int]) -> int:
        return int(rng.integers(*span, endpoint=True))

    lanes, accumulation = int(rng.choice(LANES)), str(rng.choice(ACCUMULATIONS))
    sets = [names for names in VALUES["formats"] if accumulation == "fp32" or "bf16" not in names]
    engine = {"rows": lanes, "cols": lanes, "accumulation": accumulation, "formats": sets[rng.integers(len(sets))]}
    if accumulation == "exact":
        engine["product_latency"] = int(rng.choice(VALUES["product_latency"]))
        engine["integer_operands"] = engine["formats"] == ("e4m3",) and bool(rng.random() < INTEGERS)
        engine["k_max"] = int(rng.choice(VALUES["k_max"]))
    else:
        engine["add_latency"] = int(rng.choice(VALUES["add_latency"]))
    engine["readout_latency"] = int(rng.choice(VALUES["readout_latency"]))
    engine["psum_depth"] = least_depth(**engine) * int(rng.choice(PSUM_MULTIPLES))
    return CoreConfig(
        engine=EngineConfig(**engine),
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
        options = {"simulator": simulator, "pace": pace, "rewrite": rewrite}
        outcome = run_programs(run.config, run.drawn(), **options)
        cycles, report = outcome.compared_cycles, outcome.lines()
        if not report and run.resets:
            programs, faulty = run.interrupted()
            again = run_interrupted(run.config, programs, run.resets, faulty, **options)
            cycles, report = cycles + again.compared_cycles, again.lines()
        return cycles, outcome.compared_signals, report

    return judged(run, work)
