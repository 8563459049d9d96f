"""Bench of the tensor engine: GEMMs through the simulated RTL, every cycle compared with the golden model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_fields
from golden.tensor.jobs import Gemm, golden_result
from golden.tensor.schedule import assemble, gemm_cycles, gemm_passes
from hw.arithmetic.rounder import Rounder
from hw.lib.emission import name_of
from hw.tensor.pe import ProcessingElement
from hw.tensor.row import Row
from hw.tensor.verilog import engine_verilog
from verif.simulation.harness import Harness, Log
from verif.simulation.replay import replay
from verif.simulation.simulator import BUILD_ROOT, COVERAGE, WAVES, Simulation, build
from verif.tensor.probes import column_stores, expression
from verif.tensor.report import Divergence
from verif.tensor.rerun import Case, explain

__all__ = ["EngineRun", "build_engine", "simulate"]

#: Arrays up to this many PEs are simulated flat, with every register compared. Larger ones are built row by row, which
#: hides registers from the harness, and are compared at their ports.
FLAT_PES = 256
#: Rows and columns of an array of the same parts on which a GEMM that went wrong on a large one is looked at closely.
CLOSE_LOOK = 16


@dataclass
class EngineRun:
    """What a simulation showed, measured on the RTL.

    compared_cycles, compared_signals : int
        Cycles, and signals in each of them, that were compared.
    results : list of uint32[M, N]
        Codes read out, a matrix per GEMM that came through.
    cycles : list of int
        First weight row taken to last partial sum stored, per GEMM.
    wrong_results, wrong_cycles : list of str
        GEMMs whose result is not ``golden.gemm``'s, or whose cycle count is not ``golden.tensor.schedule``'s.
    divergence : Divergence or None
        The first cycle that differs from the golden cycle model; the run stops there.
    waves, coverage : Path or None
        Waveforms, and Verilator's coverage counts, where they were asked for.
    """

    compared_cycles: int = 0
    compared_signals: int = 0
    results: list[np.ndarray] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    wrong_results: list[str] = field(default_factory=list)
    wrong_cycles: list[str] = field(default_factory=list)
    divergence: Divergence | None = None
    waves: Path | None = None
    coverage: Path | None = None

    @property
    def mismatches(self) -> int:
        """0 if RTL and golden model agree in everything compared."""
        return int(self.divergence is not None) + len(self.wrong_results) + len(self.wrong_cycles)

    def lines(self) -> list[str]:
        """What went wrong, a line each."""
        return (self.divergence.lines() if self.divergence else []) + self.wrong_results + self.wrong_cycles


#: Where waveforms are dumped: whether the record before this one differed, at each change.
DIFFERENCE_LOG = Log(payload="harness_compared", width=64, state="harness_difference !== 0")


def _event_log(config: EngineConfig) -> Log:
    """Logs rows read out, and the cycles in which the RTL starts or stops to take weight rows and to store sums.

    Entry: the row's codes, a word per column; the cycle, two words; a word of flags: stores, takes a weight row, gives
    a result row.
    """
    store = " | ".join(column_stores(config, col) for col in range(config.cols))
    weight = "i_weight__valid & i_weight__ready"
    result = "o_result__valid & o_result__ready"
    codes = 32 * config.cols
    return Log(
        payload=f"{{{result}, {weight}, {store}, harness_compared, o_result__payload[{codes - 1}:0]}}",
        width=codes + 64 + 3,
        when=result,
        state=f"{{{weight}, {store}}}",
        state_width=2,
    )


def _weight_beats(jobs: Sequence[Gemm], config: EngineConfig) -> list[int]:
    """Beats of weights that each GEMM takes."""
    return [sum(config.load_cycles(p.tile_k) for p in gemm_passes(*job.shape, config)) for job in jobs]


def _runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Every integer of every run: ``start``, ``start + 1``, ... ``length`` of them."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


@dataclass(frozen=True)
class _Events:
    """The log of a run: cycles of weight rows and of stores, and the rows read out, uint32[n, C]."""

    weights: np.ndarray
    stores: np.ndarray
    rows: np.ndarray

    @classmethod
    def parse(cls, entries: np.ndarray, cycles: int) -> "_Events":
        """From what ``_event_log`` wrote in a run of so many cycles."""
        starts = entries[:, -3].astype(np.int64) | entries[:, -2].astype(np.int64) << 32
        lengths = np.diff(starts, append=cycles)
        stores, weights, results = (entries[:, -1] >> bit & 1 for bit in range(3))
        return cls(
            *(_runs(starts[high != 0], lengths[high != 0]) for high in (weights, stores)), entries[results != 0, :-3]
        )

    def gemm_cycles(self, jobs: Sequence[Gemm], config: EngineConfig) -> list[int]:
        """First weight row taken to last partial sum stored, for each GEMM."""
        counts = _weight_beats(jobs, config)
        starts = self.weights[np.cumsum([0, *counts[:-1]])]
        ends = self.stores[np.searchsorted(self.stores, [*starts[1:], self.stores[-1] + 1]) - 1]
        return [int(end - start + 1) for start, end in zip(starts, ends, strict=True)]


def build_engine(
    config: EngineConfig,
    *,
    simulator: str = "verilator",
    registers: bool = True,
    waves: bool = False,
    window: bool = False,
    coverage: bool = False,
    rewrite: Callable[[str], str] | None = None,
    root: Path = BUILD_ROOT,
) -> tuple[Simulation, Sequence[Field]]:
    """The compiled simulation of a configuration and the fields of its trace.

    ``registers``: compare PE registers, where the array is small enough. ``window``: for waveforms around a difference
    (see ``Harness``). ``rewrite`` changes the emitted Verilog first: a bench of the bench plants its bugs with it.
    """
    flat = config.rows * config.cols <= FLAT_PES
    fields = engine_fields(config, registers=flat and registers)
    text = engine_verilog(config)
    if rewrite is not None:
        text = rewrite(text)
    harness = Harness(
        dut="tensor_engine",
        fields=fields,
        path=partial(expression, config),
        log=DIFFERENCE_LOG if window else _event_log(config),
        window=window,
    )
    apart = () if flat else (Row,)
    # Large arrays and waveforms: most of the time is spent compiling.
    opt_level = 3 if flat and not window else 1
    if coverage:
        # Counters make a module's code ten times as long: it is compiled once, and in no time.
        apart, opt_level = (ProcessingElement, Rounder), 0
    simulation = build(
        [text],
        harness,
        simulator=simulator,
        waves=waves or window,
        coverage=coverage,
        hier_blocks=[name_of(block, config) for block in apart],
        opt_level=opt_level,
        root=root,
    )
    return simulation, fields


def simulate(
    config: EngineConfig,
    jobs: Sequence[Gemm],
    *,
    simulator: str = "verilator",
    seed: int = 0,
    idle: float | Sequence[float] = 0.0,
    stall: float = 0.0,
    waves: bool = False,
    coverage: bool = False,
    observe: Callable[[np.ndarray], None] | None = None,
    progress: Callable[[int], None] | None = None,
    waves_folder: Callable[[], Path] | None = None,
    rewrite: Callable[[str], str] | None = None,
) -> EngineRun:
    """Run GEMMs through the RTL, one after another, and compare everything with the golden model.

    Every port and, up to ``FLAT_PES`` PEs, every PE register in every cycle with ``golden.tensor.engine``; results with
    ``golden.gemm``; cycle counts, where nothing idles or stalls, with ``golden.tensor.schedule``.

    Parameters
    ----------
    jobs : sequence of Gemm
        None with an empty dimension.
    seed, idle, stall
        As for ``golden.tensor.engine.TensorEngine.run``.
    coverage : bool
        Count lines and toggles of the RTL, and compare ports only: Verilator compiles and counts every instance apart
        into which the harness looks.
    observe : callable
        Shown each piece of the golden trace before the simulator compares it; the array is used again. What it saw
        happened in the RTL only if the run has no mismatches.
    progress : callable
        Told the number of cycles handed to the simulator.
    waves_folder : callable
        Asked at a divergence, before the RTL is built and run once more for waveforms of the cycles around it, where
        they go: each time to a numbered folder below. Without it there are none.

    Raises
    ------
    SimulatorError
        If there is no simulator, or the build or the simulation fails.
    """
    simulation, fields = build_engine(
        config, simulator=simulator, registers=not coverage, waves=waves, coverage=coverage, rewrite=rewrite
    )
    flat = any(f.row is not None for f in fields)
    case = Case(config=config, jobs=jobs, registers=flat, pace={"seed": seed, "idle": idle, "stall": stall})
    outcome = replay(simulation, _shown(case.stimulus().chunks(), observe), progress=progress)
    run = EngineRun(compared_cycles=outcome.compared_cycles, compared_signals=sum(not f.drive for f in fields))
    if waves:
        run.waves = outcome.log.parent / WAVES
    if coverage:
        run.coverage = outcome.log.parent / COVERAGE
    if outcome.mismatches:
        with_waves = partial(build_engine, config, simulator=simulator, window=True, rewrite=rewrite)
        # Registers of a large array are hidden, in waveforms too.
        shown = waves_folder if flat else None
        run.divergence = explain(case, outcome.mismatches[0], build=with_waves, waves_folder=shown)
        if not flat:
            smaller = replace(config, rows=min(config.rows, CLOSE_LOOK), cols=min(config.cols, CLOSE_LOOK))
            job = jobs[run.divergence.job]
            closer = simulate(smaller, [job], simulator=simulator, waves_folder=waves_folder, rewrite=rewrite)
            run.divergence = replace(run.divergence, close_look=_close_look(smaller, closer))
    elif not outcome.passed:
        run.wrong_results.append(outcome.failure)
    else:
        events = _Events.parse(outcome.entries, outcome.compared_cycles)
        _check_results(run, events.rows, jobs, config)
        _check_cycles(run, events, jobs, config, unhindered=not idle and not stall)
    return run


def _close_look(config: EngineConfig, run: EngineRun) -> list[str]:
    """What the same GEMM on a smaller array shows."""
    size = f"the same GEMM on a {config.rows}x{config.cols} array of the same parts"
    return [f"{size}:", *run.lines()] if run.mismatches else [f"{size} agrees"]


def _shown(chunks: Iterator[np.ndarray], observe: Callable[[np.ndarray], None] | None) -> Iterator[np.ndarray]:
    for chunk in chunks:
        if observe:
            observe(chunk)
        yield chunk


def _check_results(run: EngineRun, rows: np.ndarray, jobs: Sequence[Gemm], config: EngineConfig) -> None:
    """The matrices the RTL read out against ``golden.gemm``."""
    counts = [job.shape[0] * -(-job.shape[2] // config.cols) for job in jobs]
    if sum(counts) != len(rows):
        run.wrong_results.append(f"the RTL gave {len(rows)} result rows, {sum(counts)} were due")
        return
    at = 0
    for index, (job, count) in enumerate(zip(jobs, counts, strict=True)):
        m, k, n = job.shape
        result = assemble(rows[at : at + count], m, k, n, config)
        at += count
        run.results.append(result)
        expected = golden_result(job, config)
        wrong = np.argwhere(result != expected)
        if len(wrong):
            i, j = wrong[0]
            run.wrong_results.append(
                f"{job} (number {index}): {len(wrong)} results differ from golden.gemm, first at m = {i}, n = {j}: "
                f"expected 0x{expected[i, j]:x}, RTL 0x{result[i, j]:x}"
            )


def _check_cycles(
    run: EngineRun, events: _Events, jobs: Sequence[Gemm], config: EngineConfig, *, unhindered: bool
) -> None:
    """The RTL's cycle counts against ``golden.tensor.schedule``, where nothing idled or stalled."""
    due = sum(_weight_beats(jobs, config))
    if len(events.weights) != due or not len(events.stores):
        run.wrong_cycles.append(f"the RTL took {len(events.weights)} weight beats, {due} were due")
        return
    run.cycles = events.gemm_cycles(jobs, config)
    for index, (job, cycles) in enumerate(zip(jobs, run.cycles, strict=True)):
        due = gemm_cycles(*job.shape, config)
        if unhindered and cycles != due:
            run.wrong_cycles.append(f"{job} (number {index}): took {cycles} cycles, golden.tensor.schedule says {due}")
