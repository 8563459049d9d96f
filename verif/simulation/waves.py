"""Waveforms of a divergence: a numbered folder with the window as FST, and what GTKWave and Surfer need to show it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from arch.record import Field
from verif.simulation.fst import AVAILABLE, vcd_scopes, vcd_to_fst
from verif.simulation.harness import TOP, wave_name
from verif.simulation.window import Moment

__all__ = ["FOLDER", "Waves", "fresh_folder", "write_waves"]

FOLDER = Path("build") / "divergence"
#: Numbered folders that are kept.
KEPT = 50


@dataclass(frozen=True)
class Waves:
    """The files: waveform, save file for GTKWave, command file for Surfer; and the cycles they hold."""

    waves: Path
    gtkwave: Path
    surfer: Path
    first: int
    last: int

    def __str__(self) -> str:
        """For a report, a line each."""
        return (
            f"{_short(self.waves)}  (cycles {self.first}..{self.last})\n"
            f"gtkwave {_short(self.gtkwave)}\n"
            f"surfer --command-file {_short(self.surfer)}"
        )


def _short(path: Path) -> Path:
    """Relative to the working directory, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def fresh_folder(root: Path) -> Path:
    """A new folder with the next number; old ones beyond ``KEPT`` go."""
    root.mkdir(parents=True, exist_ok=True)
    taken = sorted(int(path.name) for path in root.iterdir() if path.name.isdigit())
    for number in taken[: max(0, len(taken) - KEPT + 1)]:
        shutil.rmtree(root / f"{number:04}", ignore_errors=True)
    number = taken[-1] + 1 if taken else 1
    while True:
        try:
            (root / f"{number:04}").mkdir()
            return root / f"{number:04}"
        except FileExistsError:  # another process was faster
            number += 1


def _heading(field: Field) -> str:
    """How the signals of a field's place are called together."""
    places = (("row", field.row), ("column", field.col))
    return ", ".join(f"{name} {at}" for name, at in places if at is not None) or "single signals"


def _related(at: Moment) -> Iterator[tuple[str, list[Field]]]:
    """What to look at beside a signal: groups of compared fields with a heading.

    Everything in its place, what that is made of, and what the unit gives out.
    """
    window, unit = at.window, at.window.unit
    compared = [f for f in unit.record.fields if not f.drive]
    here = [f for f in compared if (f.row, f.col) == (at.row, at.col) and unit.path(f) is not None]
    causes = dict.fromkeys(c.field for f in here for c in unit.probe(f).causes(Moment(window, f, at.cycle)))
    made_of = [f for f in causes if f in compared and f not in here]
    yield _heading(at.field), here
    yield "made of", made_of
    yield "outputs", [f for f in compared if unit.path(f) is None and f not in made_of]


def _groups(at: Moment) -> list[tuple[str, list[str]]]:
    """Headings and hierarchical names of the signals to show, what differs first."""
    groups = [("cycle", [f"{TOP}.harness_compared", f"{TOP}.clk"])]
    groups.append(("differs", [f"{TOP}.{side}{wave_name(at.field)}" for side in ("rtl.", "golden.expected_")]))
    groups += [(heading, [f"{TOP}.rtl.{wave_name(f)}" for f in fields]) for heading, fields in _related(at) if fields]
    groups.append(("inputs", [f"{TOP}.{f.name}" for f in at.window.unit.record.fields if f.drive]))
    return groups


def write_waves(vcd: Path, at: Moment, *, start: int, last: int, root: Path) -> Waves:
    """Put a run's waveforms, dumped from cycle ``start`` to ``last``, into a fresh folder below ``root``.

    What is shown is chosen for the signal that differs, and the cycle in which it does.
    """
    # The viewers may be started anywhere.
    folder = fresh_folder(root).absolute()
    names, time = vcd_scopes(vcd)
    # The file may have a scope of the simulator's above the harness.
    prefix = next(name for name in names if name.endswith(f"{TOP}.clk")).removesuffix(f"{TOP}.clk")
    waves = folder / ("waves.fst" if AVAILABLE else "waves.vcd")
    if AVAILABLE:
        vcd_to_fst(vcd, waves)
    else:
        shutil.copyfile(vcd, waves)
    marker = time + 2 * (at.cycle - start)
    groups = [
        (heading, [names[prefix + signal] for signal in signals if prefix + signal in names])
        for heading, signals in _groups(at)
    ]
    save, commands = folder / "waves.gtkw", folder / "waves.sucl"
    save.write_text(_gtkwave(waves, groups, time, marker), encoding="utf-8")
    commands.write_text(_surfer(waves, groups, marker), encoding="utf-8")
    return Waves(waves, save, commands, start, last)


def _gtkwave(waves: Path, groups: list[tuple[str, list[str]]], start: int, marker: int) -> str:
    """A save file: numbers in hexadecimal, single bits as such, the cycle in decimal."""
    lines = [
        f'[dumpfile] "{waves}"',
        f"[timestart] {max(start, marker - 30)}",
        "[size] 1600 900",
        f"*-2.5 {marker} -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1",
        "[sst_width] 200",
        "[signals_width] 320",
    ]
    for heading, signals in groups:
        lines += ["@200", f"-{heading}"]
        for signal in signals:
            flags = "@24" if heading == "cycle" and "[" in signal else "@22" if "[" in signal else "@28"
            lines += [flags, signal]
    return "\n".join([*lines, ""])


def _surfer(waves: Path, groups: list[tuple[str, list[str]]], marker: int) -> str:
    """A command file; names go without their range."""
    lines = [f"load_file {waves}"]
    for heading, signals in groups:
        lines += [f"divider_add {heading}", *(f"variable_add {signal.partition('[')[0]}" for signal in signals)]
    return "\n".join([*lines, f"cursor_set {marker}", "zoom_fit", ""])
