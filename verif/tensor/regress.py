"""Constrained-random regressions: what a run is, how it is drawn, and its verdict."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from arch.environment import describe
from arch.formats import ACCUMULATIONS, OPERAND_FORMATS
from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm
from verif.simulation.simulator import SimulatorError
from verif.tensor.engine import simulate
from verif.tensor.workload.gemms import GemmSpec, draw_gemm

__all__ = ["Run", "Verdict", "execute"]

# ---- what a run is drawn from --------------------------------------------------------------------

#: So many neighbouring runs share a configuration, and so many configurations belong to a seed: a new one has to be
#: compiled, which takes longer than a run. N runs compile N / 4 of them, 64 at most.
RUNS_PER_CONFIG, CONFIGS = 4, 64
#: Shapes of the array, each as likely: least and most rows, least and most columns.
ARRAYS = {
    "row": ((1, 1), (1, 16)),
    "column": ((1, 16), (1, 1)),
    "small": ((2, 4), (2, 4)),
    "medium": ((2, 8), (2, 8)),
}
#: Sets of formats, each as likely, for either accumulation, each as likely. Exact sums take no bf16.
FORMAT_SETS = {
    accumulation: [
        names
        for count in (1, 2, 3)
        for names in combinations(OPERAND_FORMATS, count)
        if accumulation == "fp32" or "bf16" not in names
    ]
    for accumulation in ACCUMULATIONS
}
#: PSUM rows, in multiples of the least power of two that the configuration allows: small rings wrap and fill.
PSUM_MULTIPLES = (1, 2, 8)
#: Longest contraction of an exact sum: short ones leave few guard bits, and are used to the last.
K_MAX = (1, 128)
#: One configuration in so many loads any number of weight rows in a cycle; the others one.
SEVERAL_ROWS = 1 / 3
#: GEMMs in a run; cycles of each beside those of the shortest one, which bounds the time of a run.
GEMMS, LONGEST = (1, 5), 400
#: A run in three is unhindered, and its cycles must be the schedule's. In the others each port has one of these.
UNHINDERED = 1 / 3
PACES = (0.0, 0.1, 0.5, 0.9)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a regression: all of it follows from ``seed`` and ``index``.

    idle : probability that a source stays quiet, of ``i_command``, ``i_weight`` and ``i_activation``
    stall : probability that ``o_result.ready`` is low
    """

    seed: int
    index: int
    config: EngineConfig
    gemms: tuple[GemmSpec, ...]
    idle: tuple[float, float, float]
    stall: float

    @classmethod
    def draw(cls, seed: int, index: int) -> "Run":
        """The run of that number in the regressions of a seed."""
        config = draw_config(np.random.default_rng([seed, 0, index // RUNS_PER_CONFIG % CONFIGS]))
        rng = np.random.default_rng([seed, 1, index])
        gemms = tuple(draw_gemm(rng, config, longest=LONGEST) for _ in range(rng.integers(*GEMMS, endpoint=True)))
        hindered = rng.random() >= UNHINDERED
        *idle, stall = (float(rng.choice(PACES)) if hindered else 0.0 for _ in range(4))
        return cls(seed=seed, index=index, config=config, gemms=gemms, idle=tuple(idle), stall=stall)

    @property
    def name(self) -> str:
        """What ``--only`` takes."""
        return f"{self.seed}:{self.index}"

    def jobs(self) -> list[Gemm]:
        """The GEMMs with their operands."""
        rng = np.random.default_rng([self.seed, 2, self.index])
        return [spec.job(rng) for spec in self.gemms]

    def __str__(self) -> str:
        c = self.config
        depths = f"psum_depth {c.psum_depth}" + (f", k_max {c.k_max}" if c.exact else "")
        depths += f", {c.rows_per_load_cycle} rows per load cycle" if c.rows_per_load_cycle > 1 else ""
        pace = f"idle {'/'.join(f'{p:g}' for p in self.idle)}, stall {self.stall:g}"
        return f"{c.rows}x{c.cols} {','.join(c.formats)} {c.accumulation}, {depths}; {pace}; {len(self.gemms)} GEMMs"


def draw_config(rng: np.random.Generator) -> EngineConfig:
    """A configuration that ``EngineConfig`` accepts."""
    rows, cols = (int(rng.integers(*span, endpoint=True)) for span in ARRAYS[str(rng.choice(list(ARRAYS)))])
    accumulation = str(rng.choice(ACCUMULATIONS))
    formats = FORMAT_SETS[accumulation][rng.integers(len(FORMAT_SETS[accumulation]))]
    chosen = {"rows": rows, "cols": cols, "formats": formats, "accumulation": accumulation}
    if accumulation == "exact":
        low, high = K_MAX
        chosen["k_max"] = min(high, int(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))
    # The rows in flight do not depend on the depth of the memory that holds them.
    least = 1 << (EngineConfig(**chosen).drain_latency + 1).bit_length()
    chosen["psum_depth"] = least * int(rng.choice(PSUM_MULTIPLES))
    if rng.random() < SEVERAL_ROWS:
        chosen["rows_per_load_cycle"] = int(rng.integers(1, rows, endpoint=True))
    return EngineConfig(**chosen)


# ---- running it ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a run.

    report : why it failed, a line each; empty if it passed
    not_run : why the machine could not run it to its end, in a line; it is then neither passed nor failed
    cycles, signals : compared, and signals in each cycle
    """

    run: Run
    report: tuple[str, ...] = ()
    not_run: str = ""
    cycles: int = 0
    signals: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.report and not self.not_run

    @property
    def failed(self) -> bool:
        return bool(self.report)


def execute(run: Run, simulator: str, rewrite: Callable[[str], str] | None = None) -> Verdict:
    """Simulate a run and compare everything with the golden model. Whatever goes wrong is the run's verdict.

    An error of the system says nothing of the design: such a run was not run.

    ``rewrite`` plants a bug in the emitted Verilog, as in ``verif.tensor.engine.simulate``.
    """
    started = time.monotonic()
    report: Sequence[str] = ()
    not_run = ""
    cycles = signals = 0
    try:
        jobs = run.jobs()
        hindered = any(run.idle) or run.stall
        pace = {"seed": run.index, "idle": run.idle if hindered else 0.0, "stall": run.stall}
        outcome = simulate(run.config, jobs, simulator=simulator, rewrite=rewrite, **pace)
        cycles, signals, report = outcome.compared_cycles, outcome.compared_signals, outcome.lines()
        if not report and len(outcome.results) != len(jobs):
            report = [f"{len(outcome.results)} of {len(jobs)} GEMMs came through"]
    except OSError as error:
        not_run = describe(error)
    except MemoryError:
        not_run = "not enough memory"
    except SimulatorError as error:
        report = str(error).splitlines()
    except Exception:
        # A golden model that raises is a finding like any other, and no reason to stop the other runs.
        report = traceback.format_exc().splitlines()
    seconds = time.monotonic() - started
    return Verdict(run=run, report=tuple(report), not_run=not_run, cycles=cycles, signals=signals, seconds=seconds)
