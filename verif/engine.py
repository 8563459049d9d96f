"""Bench of the tensor engine: GEMMs through the simulated RTL, every cycle compared with the golden model."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from golden.array import Position, TensorEngine, explain
from golden.formats import encode
from golden.gemm import gemm
from golden.schedule import Pass, assemble, gemm_beats, gemm_cycles, gemm_passes, next_base
from golden.spec.config import EngineConfig
from golden.spec.trace import Field, engine_fields, record_words
from hw.verilog import engine_verilog
from verif.array_units import REGISTERS
from verif.harness import Harness, Log
from verif.replay import Mismatch, replay
from verif.report import Difference, Divergence
from verif.simulator import BUILD_ROOT, WAVES, Simulation, build

__all__ = ["EngineRun", "Gemm", "build_engine", "golden_result", "simulate"]

#: Cycles the golden model runs ahead in one go: bounds the memory of a run of any length.
CHUNK = 1024
#: Arrays up to this many PEs are simulated flat, with every register compared. Larger ones are built row by row, which
#: hides registers from the harness, and are compared at their ports.
FLAT_PES = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Gemm:
    """One matrix product.

    x : uint8 or uint16[M, K], codes of ``x_format``
    w : uint8 or uint16[K, N], codes of ``w_format``
    out_format, saturate : how the engine reads results out
    """

    x: np.ndarray
    w: np.ndarray
    x_format: str
    w_format: str
    out_format: str = "fp32"
    saturate: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, K, N."""
        return (*self.x.shape, self.w.shape[1])

    def __str__(self) -> str:
        m, k, n = self.shape
        return f"GEMM M={m} K={k} N={n}, {self.x_format} x {self.w_format} to {self.out_format}"


def golden_result(job: Gemm, config: EngineConfig) -> np.ndarray:
    """uint32[M, N]: the codes that ``golden.gemm`` says the engine reads out."""
    values = gemm(job.x, job.w, x_format=job.x_format, w_format=job.w_format, accumulation=config.accumulation)
    if job.out_format == "fp32":
        return values.view(np.uint32)
    return encode(values, job.out_format, saturate=job.saturate).astype(np.uint32)


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
        GEMMs whose result is not ``golden.gemm``'s, or whose cycle count is not ``golden.schedule``'s.
    divergence : Divergence or None
        The first cycle that differs from the golden cycle model; the run stops there.
    waves : Path or None
        Waveforms, where they were asked for.
    """

    compared_cycles: int = 0
    compared_signals: int = 0
    results: list[np.ndarray] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    wrong_results: list[str] = field(default_factory=list)
    wrong_cycles: list[str] = field(default_factory=list)
    divergence: Divergence | None = None
    waves: Path | None = None

    @property
    def mismatches(self) -> int:
        """0 if RTL and golden model agree in everything compared."""
        return int(self.divergence is not None) + len(self.wrong_results) + len(self.wrong_cycles)

    def lines(self) -> list[str]:
        """What went wrong, a line each."""
        return (self.divergence.lines() if self.divergence else []) + self.wrong_results + self.wrong_cycles


def _path(fld: Field) -> str | None:
    """Where a field of an engine's record is in the hierarchy; None for a port."""
    if fld.row is None:
        return None
    return REGISTERS[fld.name].format(pe=f"dut.grid.row_{fld.row}.pe_{fld.col}")


def _event_log(config: EngineConfig) -> Log:
    """Logs rows read out, and the cycles in which the RTL starts or stops to take weight rows and to store sums.

    Entry: the row's codes, a word per column; the cycle, two words; a word of flags: stores, takes a weight row, gives
    a result row.
    """
    store = " | ".join(f"dut.psum_{col}.store_en" for col in range(config.cols))
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


def _weight_rows(jobs: Sequence[Gemm], config: EngineConfig) -> list[int]:
    """Weight rows that each GEMM loads."""
    return [sum(p.tile_k for p in gemm_passes(*job.shape, config)) for job in jobs]


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
        counts = _weight_rows(jobs, config)
        starts = self.weights[np.cumsum([0, *counts[:-1]])]
        ends = self.stores[np.searchsorted(self.stores, [*starts[1:], self.stores[-1] + 1]) - 1]
        return [int(end - start + 1) for start, end in zip(starts, ends, strict=True)]


def build_engine(
    config: EngineConfig,
    *,
    simulator: str = "verilator",
    registers: bool = True,
    waves: bool = False,
    rewrite: Callable[[str], str] | None = None,
    root: Path = BUILD_ROOT,
) -> tuple[Simulation, Sequence[Field]]:
    """The compiled simulation of a configuration and the fields of its trace.

    ``registers``: compare PE registers, where the array is small enough. ``rewrite`` changes the emitted Verilog first:
    a bench of the bench plants its bugs with it.
    """
    flat = config.rows * config.cols <= FLAT_PES
    fields = engine_fields(config, registers=flat and registers)
    text = engine_verilog(config)
    if rewrite is not None:
        text = rewrite(text)
    harness = Harness(
        dut="tensor_engine",
        fields=fields,
        path=_path,
        log=_event_log(config),
    )
    hier_blocks = () if flat else ("row",)
    # Large arrays: most of the time is spent compiling.
    opt_level = 3 if flat else 1
    simulation = build(
        [text], harness, simulator=simulator, waves=waves, hier_blocks=hier_blocks, opt_level=opt_level, root=root
    )
    return simulation, fields


class _Stimulus:
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

    def explain(self, mismatch: Mismatch) -> Divergence:
        """The divergence at which a replay stopped."""
        differences = [Difference(*difference) for difference in mismatch.fields]
        divergence = Divergence(self.config, mismatch.cycle, differences)
        index = bisect_right(self.starts, mismatch.cycle) - 1
        job = self.jobs[index]
        return replace(
            divergence,
            position=self._position(divergence.first.field, mismatch.cycle),
            pass_offset=self.first_passes[index],
            gemm=f"{job} (number {index})",
            out_format=job.out_format,
        )

    def _position(self, first: Field, cycle: int) -> Position | None:
        """The term a PE's register belongs to; None for ports, and where no activation row passes."""
        if first.row is None:
            return None
        # A weight belongs to the term of the activation it meets.
        register = first.name if first.name in ("product", "psum") else "beat"
        return explain(self.config, self.passes, self.model.take_cycles, cycle, first.row, first.col, register=register)


def simulate(
    config: EngineConfig,
    jobs: Sequence[Gemm],
    *,
    simulator: str = "verilator",
    seed: int = 0,
    idle: float | Sequence[float] = 0.0,
    stall: float = 0.0,
    waves: bool = False,
    progress: Callable[[int], None] | None = None,
    rewrite: Callable[[str], str] | None = None,
) -> EngineRun:
    """Run GEMMs through the RTL, one after another, and compare everything with the golden model.

    Every port and, up to ``FLAT_PES`` PEs, every PE register in every cycle with ``golden.array``; results with
    ``golden.gemm``; cycle counts, where nothing idles or stalls, with ``golden.schedule``.

    Parameters
    ----------
    jobs : sequence of Gemm
        None with an empty dimension.
    seed, idle, stall
        As for ``golden.array.TensorEngine.run``.
    progress : callable
        Told the number of cycles handed to the simulator.

    Raises
    ------
    SimulatorError
        If there is no simulator, or the build or the simulation fails.
    """
    simulation, fields = build_engine(config, simulator=simulator, waves=waves, rewrite=rewrite)
    flat = any(f.row is not None for f in fields)
    stimulus = _Stimulus(config, jobs, registers=flat, seed=seed, idle=idle, stall=stall)
    outcome = replay(simulation, stimulus.chunks(), progress=progress)
    run = EngineRun(compared_cycles=outcome.compared_cycles, compared_signals=sum(not f.drive for f in fields))
    if waves:
        run.waves = outcome.log.parent / WAVES
    if outcome.mismatches:
        run.divergence = stimulus.explain(outcome.mismatches[0])
    elif not outcome.passed:
        run.wrong_results.append(outcome.failure)
    else:
        events = _Events.parse(outcome.entries, outcome.compared_cycles)
        _check_results(run, events.rows, jobs, config)
        _check_cycles(run, events, jobs, config, unhindered=not idle and not stall)
    return run


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
    """The RTL's cycle counts against ``golden.schedule``, where nothing idled or stalled."""
    due = sum(_weight_rows(jobs, config))
    if len(events.weights) != due or not len(events.stores):
        run.wrong_cycles.append(f"the RTL took {len(events.weights)} weight rows, {due} were due")
        return
    run.cycles = events.gemm_cycles(jobs, config)
    for index, (job, cycles) in enumerate(zip(jobs, run.cycles, strict=True)):
        due = gemm_cycles(*job.shape, config)
        if unhindered and cycles != due:
            run.wrong_cycles.append(f"{job} (number {index}): took {cycles} cycles, golden.schedule says {due}")
