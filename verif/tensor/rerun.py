"""What is done at a divergence: the golden model runs again up to it, and so does the RTL, for its waveforms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_fields
from golden.tensor.jobs import Gemm
from verif.simulation.replay import Mismatch, replay
from verif.simulation.simulator import WAVES, Simulation, SimulatorError
from verif.tensor.causes import inputs
from verif.tensor.hints import hint
from verif.tensor.report import Difference, Divergence
from verif.tensor.stimulus import Stimulus
from verif.tensor.terms import term
from verif.tensor.waves import Waves, write_waves
from verif.tensor.window import Window

__all__ = ["Case", "explain"]

#: Cycles of waveform before and after the one that differs.
BEFORE, AFTER = 50, 10


@dataclass(frozen=True, kw_only=True)
class Case:
    """A simulation that can be repeated.

    pace : dict
        Seed, idle and stall.
    registers : bool
        PE registers are compared.
    """

    config: EngineConfig
    jobs: Sequence[Gemm]
    registers: bool
    pace: dict

    def stimulus(self) -> Stimulus:
        """The same stimulus again."""
        return Stimulus(self.config, self.jobs, registers=self.registers, **self.pace)

    def up_to(self, cycle: int) -> Iterator[np.ndarray]:
        """Its records, that of ``cycle`` the last."""
        left = cycle + 1
        for chunk in self.stimulus().chunks():
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


def _window(case: Case, cycle: int) -> tuple[Window, int, int]:
    """The golden model around a cycle, the number of the GEMM in hand, and that of its first pass."""
    # A sum takes so long from the array to the port.
    start = max(0, cycle - BEFORE - case.config.drain_latency - case.config.readout_latency)
    stimulus = case.stimulus()
    names = [f.name for f in engine_fields(case.config, registers=case.registers) for _ in range(f.words)]
    seen: dict[str, list[np.ndarray]] = {"i_weight": [], "o_result": [], "read_request": []}
    records, at = [], 0
    for chunk in stimulus.chunks():
        for name, cycles in seen.items():
            if name == "read_request":
                taken = chunk[:, names.index(name)] & 1 if case.registers else np.zeros(0, np.uint32)
            else:
                taken = chunk[:, names.index(f"{name}__valid")] & chunk[:, names.index(f"{name}__ready")]
            cycles.append(at + np.flatnonzero(taken))
        records.append(chunk[max(0, start - at) : cycle + AFTER + 1 - at].copy())
        at += len(chunk)
        if at > cycle + AFTER:
            break
    number = stimulus.job(cycle)
    weights, results, reads = (np.concatenate(cycles) for cycles in seen.values())
    window = Window(
        config=case.config,
        registers=case.registers,
        records=np.concatenate(records),
        start=start,
        passes=stimulus.passes,
        rows=stimulus.model.take_cycles,
        weights=weights,
        results=results,
        reads=reads,
        x_format=case.jobs[number].x_format,
        w_format=case.jobs[number].w_format,
    )
    return window, number, stimulus.first_passes[number]


def explain(
    case: Case,
    mismatch: Mismatch,
    *,
    build: Callable[[], tuple[Simulation, Sequence[Field]]],
    waves_folder: Callable[[], Path] | None = None,
) -> Divergence:
    """The divergence at which a replay of ``case`` stopped.

    ``build`` makes the simulation that dumps waveforms, which is done where ``waves_folder`` says where they go.
    """
    differences = [Difference(*difference) for difference in mismatch.fields]
    divergence = Divergence(config=case.config, cycle=mismatch.cycle, differences=differences)
    first = divergence.first
    window, number, first_pass = _window(case, mismatch.cycle)
    job = case.jobs[number]
    files: list[str] = []
    if waves_folder is not None:
        folder = waves_folder()
        try:
            files = _waves(case, first, mismatch.cycle, build()[0], folder).lines()
        except SimulatorError as error:
            # The report counts more than the picture of it.
            files = [f"waves     none: {str(error).partition(chr(10))[0]}"]
    return Divergence(
        config=case.config,
        cycle=mismatch.cycle,
        differences=differences,
        gemm=f"{job} (number {number})",
        job=number,
        term=term(window, first.field, mismatch.cycle, first_pass),
        out_format=job.out_format,
        inputs=inputs(window, first.field, mismatch.cycle, divergence.columns),
        hint=hint(window, first.field, mismatch.cycle, first.expected, first.actual),
        ports_only=not case.registers,
        files=files,
    )


def _waves(case: Case, first: Difference, cycle: int, simulation: Simulation, folder: Path) -> Waves:
    """Run the RTL once more, up to some cycles behind the one that differs, and keep the waveforms around it."""
    start = max(0, cycle - BEFORE)
    outcome = replay(simulation, case.up_to(cycle + AFTER), plusargs=[f"+first={start}"])
    # The log shows a difference in the cycle behind it, which a trace that ends there does not have.
    if outcome.compared_cycles > cycle + 1 and [*outcome.entries[:1, 0]] != [cycle + 1]:
        raise SimulatorError(f"the RTL differed in cycle {cycle}, but not when it ran again: it is not deterministic")
    vcd, last = outcome.log.parent / WAVES, outcome.compared_cycles - 1
    return write_waves(vcd, case.config, first.field, cycle, start=start, last=last, root=folder)
