"""Waveforms of a divergence: a numbered folder with the window as FST, and what GTKWave and Surfer need to show it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_fields
from verif.simulation.fst import AVAILABLE, vcd_scopes, vcd_to_fst
from verif.simulation.harness import TOP, wave_name

__all__ = ["FOLDER", "Waves", "fresh_folder", "write_waves"]

FOLDER = Path(__file__).resolve().parents[2] / "build" / "divergence"
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

    def lines(self) -> list[str]:
        """For a report."""
        cycles = f"cycles {self.first}..{self.last}"
        return [
            f"waves     {_short(self.waves)}  ({cycles})",
            f"          gtkwave {_short(self.gtkwave)}",
            f"          surfer --command-file {_short(self.surfer)}",
        ]


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


def _related(config: EngineConfig, field: Field) -> list[tuple[str, list[Field]]]:
    """What to look at beside a field: groups of fields with a heading."""
    fields = {(f.name, f.row, f.col): f for f in engine_fields(config)}

    def pick(*keys) -> list[Field]:
        return [fields[key] for key in keys if key in fields]

    row, col = field.row, field.col
    if row is not None and col is not None:
        names = ("weight", "shadow", "active", "beat", "product", "psum")
        west = [("beat", row, col - 1)] if col else [("west", row, None)]
        north = (
            [("weight", row - 1, col), ("psum", row - 1, col)] if row else [("north", None, col), ("seed", None, col)]
        )
        return [(f"PE({row}, {col})", pick(*((n, row, col) for n in names))), ("its inputs", pick(*west, *north))]
    if field.name == "west":
        return [
            ("around", pick(("i_activation__ready", None, None), ("beat", row, 0), ("west", max(row - 1, 0), None)))
        ]
    if field.name == "north":
        return [("around", pick(("i_weight__ready", None, None), ("weight", 0, col), ("north", None, max(col - 1, 0))))]
    bank = ("seed_request", "seed", "store", "stored", "read")
    groups = []
    if col is not None:
        bottom = ("psum", config.rows - 1, col)
        groups.append((f"PSUM column {col}", pick(*((n, None, col) for n in bank), bottom)))
    readout = ("finish", "read_request", "finishing", "o_result__valid", "o_result__payload")
    ready = ("i_command__ready", "i_weight__ready", "i_activation__ready")
    return [
        *groups,
        ("read-out", pick(*((n, None, None) for n in readout))),
        ("handshakes", pick(*((n, None, None) for n in ready))),
    ]


def _groups(config: EngineConfig, field: Field) -> list[tuple[str, list[str]]]:
    """Headings and hierarchical names of the signals to show, what differs first."""
    groups = [("cycle", [f"{TOP}.harness_compared", f"{TOP}.clk"])]
    groups.append(("differs", [f"{TOP}.{side}{wave_name(field)}" for side in ("rtl.", "golden.expected_")]))
    inputs = [f.name for f in engine_fields(config, registers=False) if f.drive]
    for heading, fields in _related(config, field):
        groups.append((heading, [f"{TOP}.rtl.{wave_name(f)}" for f in fields]))
    groups.append(("inputs", [f"{TOP}.{name}" for name in inputs]))
    return groups


def write_waves(
    vcd: Path, config: EngineConfig, field: Field, cycle: int, *, start: int, last: int, root: Path
) -> Waves:
    """Put a run's waveforms, dumped from cycle ``start`` to ``last``, into a fresh folder below ``root``.

    What is shown is chosen for a difference of ``field`` in ``cycle``.
    """
    folder = fresh_folder(root)
    names, time = vcd_scopes(vcd)
    # The file may have a scope of the simulator's above the harness.
    prefix = next(name for name in names if name.endswith(f"{TOP}.clk")).removesuffix(f"{TOP}.clk")
    waves = folder / ("waves.fst" if AVAILABLE else "waves.vcd")
    if AVAILABLE:
        vcd_to_fst(vcd, waves)
    else:
        shutil.copyfile(vcd, waves)
    marker = time + 2 * (cycle - start)
    groups = [
        (heading, [names[prefix + signal] for signal in signals if prefix + signal in names])
        for heading, signals in _groups(config, field)
    ]
    save, commands = folder / "waves.gtkw", folder / "waves.sucl"
    save.write_text(_gtkwave(waves, groups, time, marker))
    commands.write_text(_surfer(waves, groups, marker))
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
