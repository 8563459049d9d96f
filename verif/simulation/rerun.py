"""What is done at a divergence: the golden model runs again up to it, and so does the RTL, for its waveforms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from arch.record import Field
from verif.simulation.hints import hint
from verif.simulation.replay import Mismatch, replay
from verif.simulation.report import Difference, Divergence
from verif.simulation.simulator import WAVES, Simulation, SimulatorError
from verif.simulation.stimulus import Stimulus
from verif.simulation.unit import Unit
from verif.simulation.waves import Waves, write_waves
from verif.simulation.window import Input, Moment, Window, event_name

__all__ = ["Case", "differences", "investigate"]

#: Cycles of waveform before and after the one that differs.
BEFORE, AFTER = 50, 10


@dataclass(frozen=True, kw_only=True)
class Case:
    """A simulation that can be repeated: ``pace`` is how sources idle and sinks stall, as the unit's model takes it."""

    unit: Unit
    jobs: Sequence
    pace: Mapping = field(default_factory=dict)

    def stimulus(self) -> Stimulus:
        """The same stimulus again."""
        return Stimulus(self.unit, self.jobs, **self.pace)

    def up_to(self, cycle: int) -> Iterator[np.ndarray]:
        """Its records, that of ``cycle`` the last."""
        left = cycle + 1
        for chunk in self.stimulus().chunks():
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


def _events(unit: Unit) -> dict[str, tuple[int, ...]]:
    """Words of a record whose lowest bits together say that something happens: a stream's transfer, a mark."""
    record = unit.record
    streams = [*record.streams(inputs=True), *record.streams(inputs=False)]
    words = {name: tuple(record.at(f"{name}__{part}").start for part in ("valid", "ready")) for name in streams}
    marks = (f for f in record.fields if f.name in unit.marks)
    return words | {event_name(f.name, f.row): (record.at(f.name, f.row, f.col).start,) for f in marks}


def _window(case: Case, cycle: int) -> Window:
    """The golden model around a cycle."""
    unit = case.unit
    start = max(0, cycle - BEFORE - unit.lookback)
    stimulus, words = case.stimulus(), _events(unit)
    events: dict[str, list[np.ndarray]] = {name: [] for name in words}
    records, at = [], 0
    for chunk in stimulus.chunks():
        for name, bits in words.items():
            events[name].append(at + np.flatnonzero(np.bitwise_and.reduce(chunk[:, bits], axis=1) & 1))
        records.append(chunk[max(0, start - at) : cycle + AFTER + 1 - at].copy())
        at += len(chunk)
        if at > cycle + AFTER:
            break
    return Window(
        unit=unit,
        records=np.concatenate(records),
        start=start,
        jobs=case.jobs[: len(stimulus.starts)],
        job=stimulus.job(cycle),
        events={name: np.concatenate(cycles) for name, cycles in events.items()},
    )


def differences(unit: Unit, fields: Sequence[tuple[Field, int, int | str]]) -> list[Difference]:
    """What a mismatch found, cause before effect."""
    found = [Difference(*values, place=unit.place(values[0])) for values in fields]
    return sorted(found, key=lambda difference: unit.order(difference.field))


def _inputs(at: Moment) -> Iterator[Input]:
    """What the value was made of, as far as the window shows it."""
    for cause in at.probe.causes(at):
        if isinstance(cause, Input):
            yield cause
        elif cause.known:
            yield cause.input()


def investigate(
    case: Case,
    mismatch: Mismatch,
    *,
    build: Callable[[], Simulation],
    waves_folder: Callable[[], Path] | None = None,
) -> Divergence:
    """The divergence at which a replay of ``case`` stopped.

    ``build`` makes the simulation that dumps waveforms, which is done where ``waves_folder`` says where they go.
    """
    found = differences(case.unit, mismatch.fields)
    first, window = found[0], _window(case, mismatch.cycle)
    at = Moment(window, first.field, mismatch.cycle, first.actual)
    waves = ""
    if waves_folder is not None:
        folder = waves_folder()
        try:
            waves = str(_waves(case, at, build(), folder))
        except (SimulatorError, OSError) as error:
            # The report counts more than the picture of it.
            waves = f"none: {str(error).partition(chr(10))[0]}"
    return describe(at, found, waves)


def describe(at: Moment, found: Sequence[Difference], waves: str = "") -> Divergence:
    """The report on a moment, the first of what was found in its cycle."""
    window, probe = at.window, at.probe
    unit = window.unit
    files = probe.files(at) if callable(probe.files) else probe.files
    return Divergence(
        cycle=at.cycle,
        differences=found,
        stage=f"{probe.stage}: {files}",
        expected=at.shown(found[0].expected),
        actual=at.shown(found[0].actual),
        job=(unit.job, f"{window.jobs[window.job]} (number {window.job})"),
        number=window.job,
        term=probe.term(at),
        inputs=[*_inputs(at)],
        hint=hint(at),
        note=unit.note,
        waves=waves,
    )


def _waves(case: Case, at: Moment, simulation: Simulation, folder: Path) -> Waves:
    """Run the RTL once more, up to some cycles behind the one that differs, and keep the waveforms around it."""
    cycle = at.cycle
    start = max(0, cycle - BEFORE)
    outcome = replay(simulation, case.up_to(cycle + AFTER), plusargs=[f"+first={start}"])
    # The log shows a difference in the cycle behind it, which a trace that ends there does not have.
    if outcome.compared_cycles > cycle + 1 and [*outcome.entries[:1, 0]] != [cycle + 1]:
        raise SimulatorError(f"the RTL differed in cycle {cycle}, but not when it ran again: it is not deterministic")
    vcd, last = outcome.log.parent / WAVES, outcome.compared_cycles - 1
    return write_waves(vcd, at, start=start, last=last, root=folder)
