"""Constrained-random regressions: what a run is, how it is drawn, and its verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from arch.formats import ACCUMULATIONS, OPERAND_FORMATS
from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm
from verif.simulation.verdicts import Verdict, judged
from verif.tensor.covering import VALUES
from verif.tensor.engine import simulate
from verif.tensor.passes import difference_lines, run_passes
from verif.tensor.unit import tensor_unit
from verif.tensor.workload.gemms import GemmSpec, draw_gemm
from verif.tensor.workload.session import Stretch

__all__ = ["RUNS_PER_CONFIG", "Run", "execute"]

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
#: Of the configurations, those that load any number of weight rows in a cycle, the others one; and those that are made
#: of a family's cells. Of those that can be, those with integer operands.
SEVERAL_ROWS, FOR_TARGET, INTEGERS = 1 / 2, 1 / 3, 1 / 2
#: GEMMs in a run; cycles of each beside those of the shortest one, which bounds the time of a run.
GEMMS, LONGEST = (1, 5), 400
#: A run in three is unhindered, and its cycles must be the schedule's. In the others each port has one of these.
UNHINDERED = 1 / 3
PACES = (0.0, 0.1, 0.5, 0.9)
#: Random passes that a reset cuts short follow the GEMMs: so many times, each after no more cycles than that.
RESETS, CUT = (0, 3), 200
#: Rows of these passes in PSUM at a time, at most.
MOST = 24


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a regression: all of it follows from ``seed`` and ``index``.

    idle : probability that a source stays quiet, of ``i_command``, ``i_weight`` and ``i_activation``
    stall : probability that ``o_result.ready`` is low
    resets : cycles after each of which a reset comes in random passes
    target : the family of whose cells the engine is made, or None
    """

    seed: int
    index: int
    config: EngineConfig
    target: str | None
    gemms: tuple[GemmSpec, ...]
    idle: tuple[float, float, float]
    stall: float
    resets: tuple[int, ...]

    @classmethod
    def draw(cls, seed: int, index: int) -> "Run":
        """The run of that number in the regressions of a seed."""
        config, target = draw_config(np.random.default_rng([seed, 0, index // RUNS_PER_CONFIG % CONFIGS]))
        rng = np.random.default_rng([seed, 1, index])
        gemms = tuple(draw_gemm(rng, config, longest=LONGEST) for _ in range(rng.integers(*GEMMS, endpoint=True)))
        hindered = rng.random() >= UNHINDERED
        *idle, stall = (float(rng.choice(PACES)) if hindered else 0.0 for _ in range(4))
        resets = tuple(int(cut) for cut in rng.integers(1, CUT, rng.integers(*RESETS, endpoint=True), endpoint=True))
        drawn = {"config": config, "target": target, "gemms": gemms, "resets": resets}
        return cls(seed=seed, index=index, idle=tuple(idle), stall=stall, **drawn)

    @property
    def name(self) -> str:
        """What ``--only`` takes."""
        return f"{self.seed}:{self.index}"

    def jobs(self) -> list[Gemm]:
        """The GEMMs with their operands."""
        rng = np.random.default_rng([self.seed, 2, self.index])
        return [spec.job(rng) for spec in self.gemms]

    def stretches(self) -> list[Stretch]:
        """Random passes cut short by each reset, and some that come to their end."""
        pace = {"idle": float(np.mean(self.idle)), "stall": self.stall, "most": MOST}
        cuts = [Stretch(groups=2, cut=cut, reset=1 + index, **pace) for index, cut in enumerate(self.resets)]
        return [*cuts, Stretch(groups=1, **pace)]

    def __str__(self) -> str:
        c = self.config
        sums = c.accumulation + (" of integers" if c.integer_operands else "")
        parts = [f"{c.rows}x{c.cols} {','.join(c.formats)} {sums}", f"psum_depth {c.psum_depth}"]
        parts += [f"k_max {c.k_max}"] if c.exact else []
        parts += [f"{c.rows_per_load_cycle} rows per load cycle"] if c.rows_per_load_cycle > 1 else []
        parts.append(f"product, add, readout latency {c.product_latency}, {c.add_latency}, {c.readout_latency}")
        parts += [f"for {self.target}"] if self.target else []
        pace = f"idle {'/'.join(f'{p:g}' for p in self.idle)}, stall {self.stall:g}"
        resets = f", resets after {', '.join(map(str, self.resets))} cycles" if self.resets else ""
        return f"{', '.join(parts)}; {pace}; {len(self.gemms)} GEMMs{resets}"


def draw_config(rng: np.random.Generator) -> tuple[EngineConfig, str | None]:
    """A configuration that ``EngineConfig`` accepts, and the family of whose cells it is made, if of one."""
    rows, cols = (int(rng.integers(*span, endpoint=True)) for span in ARRAYS[str(rng.choice(list(ARRAYS)))])
    accumulation = str(rng.choice(ACCUMULATIONS))
    formats = FORMAT_SETS[accumulation][rng.integers(len(FORMAT_SETS[accumulation]))]
    chosen = {"rows": rows, "cols": cols, "formats": formats, "accumulation": accumulation}
    if accumulation == "exact":
        chosen["product_latency"] = int(rng.choice(VALUES["product_latency"]))
        chosen["integer_operands"] = formats == ("e4m3",) and bool(rng.random() < INTEGERS)
        low, high = K_MAX
        chosen["k_max"] = min(high, int(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))
    else:
        chosen["add_latency"] = int(rng.choice(VALUES["add_latency"]))
    chosen["readout_latency"] = int(rng.choice(VALUES["readout_latency"]))
    # The rows in flight do not depend on the depth of the memory that holds them.
    least = 1 << (EngineConfig(**chosen).drain_latency + 1).bit_length()
    chosen["psum_depth"] = least * int(rng.choice(PSUM_MULTIPLES))
    if rng.random() < SEVERAL_ROWS:
        chosen["rows_per_load_cycle"] = int(rng.integers(1, rows, endpoint=True))
    targets = [target for target in VALUES["target"] if target]
    return EngineConfig(**chosen), str(rng.choice(targets)) if rng.random() < FOR_TARGET else None


# ---- running it ----------------------------------------------------------------------------------


def execute(run: Run, simulator: str, rewrite: Callable[[str], str] | None = None) -> Verdict:
    """Simulate a run and compare everything with the golden model.

    ``rewrite`` plants a bug in the emitted Verilog, as in ``verif.tensor.engine.simulate``.
    """

    def work() -> tuple[int, int, Sequence[str]]:
        jobs = run.jobs()
        hindered = any(run.idle) or run.stall
        pace = {"seed": run.index, "idle": run.idle if hindered else 0.0, "stall": run.stall}
        options = {"simulator": simulator, "rewrite": rewrite}
        outcome = simulate(run.config, jobs, target=run.target, **options, **pace)
        cycles, report = outcome.compared_cycles, outcome.lines()
        if not report and len(outcome.results) != len(jobs):
            report = [f"{len(outcome.results)} of {len(jobs)} GEMMs came through"]
        if not report and run.resets:
            unit = tensor_unit(run.config, target=run.target)
            passes = run_passes(unit, np.random.default_rng([run.seed, 3, run.index]), run.stretches(), **options)
            cycles, report = cycles + passes.compared_cycles, difference_lines(unit, passes)
        return cycles, outcome.compared_signals, report

    return judged(run, work)
