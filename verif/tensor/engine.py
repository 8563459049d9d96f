"""Bench of the tensor engine: GEMMs through the simulated RTL, every cycle compared with the golden model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path

import numpy as np

from arch.record import Field
from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm, golden_result
from golden.tensor.schedule import gemm_cycles, gemm_passes
from golden.tensor.stimulus import assemble
from verif.simulation.report import CLOSE_LOOK, Section
from verif.simulation.simulate import UnitRun, build_unit, simulate_unit
from verif.simulation.simulator import Simulation, SimulatorError
from verif.tensor.unit import tensor_unit

__all__ = ["EngineRun", "build_engine", "simulate"]

#: Rows and columns of an array of the same parts on which a GEMM that went wrong on a large one is looked at closely.
SMALL = 16


@dataclass(kw_only=True)
class EngineRun(UnitRun):
    """What a simulation of GEMMs showed, measured on the RTL.

    ``failures`` are GEMMs whose result is not ``golden.gemm``'s, or whose cycles are not ``golden.tensor.schedule``'s.

    results : list of uint32[M, N]
        Codes read out, a matrix per GEMM that came through.
    cycles : list of int
        First weight row taken to last partial sum stored, per GEMM.
    """

    results: list[np.ndarray] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)


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
    config: EngineConfig, *, registers: bool = True, target: str | None = None, **options
) -> tuple[Simulation, Sequence[Field]]:
    """The compiled simulation of a configuration and the fields of its trace.

    ``registers``: compare PE registers, where the array is small enough. ``target``: made of that family's cells.
    ``options`` as for ``build_unit``.
    """
    unit = tensor_unit(config, registers=registers, target=target)
    return build_unit(unit, **options), unit.record.fields


def simulate(
    config: EngineConfig,
    jobs: Sequence[Gemm],
    *,
    seed: int = 0,
    idle: float | Sequence[float] = 0.0,
    stall: float = 0.0,
    coverage: bool = False,
    target: str | None = None,
    waves_folder: Callable[[], Path] | None = None,
    **options,
) -> EngineRun:
    """Run GEMMs through the RTL, one after another, and compare everything with the golden model.

    Every port and, up to ``verif.tensor.unit.FLAT_PES`` PEs, every PE register in every cycle with
    ``golden.tensor.engine``; results with ``golden.gemm``; cycle counts, where nothing idles or stalls, with
    ``golden.tensor.schedule``.

    Parameters
    ----------
    jobs : sequence of Gemm
        At least one, none with an empty dimension.
    seed, idle, stall
        As for ``golden.tensor.engine.TensorEngine.run``, and each probability below 1: the run ends with the last GEMM.
    coverage : bool
        Count lines and toggles of the RTL, and compare ports only.
    target : str or None
        Simulate the Verilog for that family, with what its cells do.
    waves_folder, options
        As for ``verif.simulation.simulate.simulate_unit``.

    Raises
    ------
    ValueError
        For no GEMM, and for what is no probability below 1.
    SimulatorError
        If there is no simulator, or the build or the simulation fails.
    EnvironmentFault, OSError
        If the machine is the reason.
    """
    if not jobs:
        raise ValueError(f"jobs must hold at least one GEMM, not {jobs!r}")
    idle, stall = _pace(idle, stall)
    unit = tensor_unit(config, registers=not coverage, target=target)
    seen = simulate_unit(
        unit,
        jobs,
        pace={"seed": seed, "idle": idle, "stall": stall},
        coverage=coverage,
        # Registers of a large array are hidden, in waveforms too.
        waves_folder=None if unit.note else waves_folder,
        **options,
    )
    run = EngineRun(**vars(seen))
    if run.divergence and unit.note:
        job = jobs[run.divergence.number]
        run.divergence = replace(
            run.divergence, close_look=_close_look(config, job, waves_folder, options | {"target": target})
        )
    elif not run.mismatches:
        events = _Events.parse(run.entries, run.compared_cycles)
        _check_results(run, events.rows, jobs, config)
        _check_cycles(run, events, jobs, config, unhindered=not any((*idle, stall)))
    return run


def _pace(idle: float | Sequence[float], stall: float) -> tuple[list[float], float]:
    """The probabilities that each source idles and that the sink stalls; ValueError for one that lets no run end."""
    sources = [idle] * 3 if isinstance(idle, Real) else list(idle)
    if len(sources) != 3:
        raise ValueError(f"idle must be one probability or three, not {idle!r}")
    for name, given in (("idle", sources), ("stall", [stall])):
        for probability in given:
            # The golden model draws with 16 bits: what rounds to 1 is 1.
            if not isinstance(probability, Real) or not 0 <= probability < 1 - 2**-17:
                raise ValueError(f"{name} must be a probability, at least 0 and below 1, not {probability!r}")
    return [float(probability) for probability in sources], float(stall)


def _close_look(config: EngineConfig, job: Gemm, waves_folder, options: dict) -> list[Section]:
    """What the same GEMM on a smaller array shows."""
    smaller = replace(config, rows=min(config.rows, SMALL), cols=min(config.cols, SMALL))
    size = f"the same GEMM on a {smaller.rows}x{smaller.cols} array of the same parts"
    shared = {name: value for name, value in options.items() if name in ("simulator", "rewrite", "target")}
    try:
        run = simulate(smaller, [job], waves_folder=waves_folder, **shared)
    except (SimulatorError, OSError) as error:
        # What the large array showed counts more.
        return [(CLOSE_LOOK, f"{size}: not run: {str(error).partition(chr(10))[0]}")]
    return [(CLOSE_LOOK, f"{size}:"), *run.sections()] if run.mismatches else [(CLOSE_LOOK, f"{size} agrees")]


def _check_results(run: EngineRun, rows: np.ndarray, jobs: Sequence[Gemm], config: EngineConfig) -> None:
    """The matrices the RTL read out against ``golden.gemm``."""
    counts = [job.shape[0] * -(-job.shape[2] // config.cols) for job in jobs]
    if sum(counts) != len(rows):
        run.failures.append(f"the RTL gave {len(rows)} result rows, {sum(counts)} were due")
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
            run.failures.append(
                f"{job} (number {index}): {len(wrong)} results differ from golden.gemm, first at m = {i}, n = {j}: "
                f"expected 0x{expected[i, j]:x}, RTL 0x{result[i, j]:x}"
            )


def _check_cycles(
    run: EngineRun, events: _Events, jobs: Sequence[Gemm], config: EngineConfig, *, unhindered: bool
) -> None:
    """The RTL's cycle counts against ``golden.tensor.schedule``, where nothing idled or stalled."""
    due = sum(_weight_beats(jobs, config))
    if len(events.weights) != due or not len(events.stores):
        run.failures.append(f"the RTL took {len(events.weights)} weight beats, {due} were due")
        return
    run.cycles = events.gemm_cycles(jobs, config)
    for index, (job, cycles) in enumerate(zip(jobs, run.cycles, strict=True)):
        due = gemm_cycles(*job.shape, config)
        if unhindered and cycles != due:
            run.failures.append(f"{job} (number {index}): took {cycles} cycles, golden.tensor.schedule says {due}")
