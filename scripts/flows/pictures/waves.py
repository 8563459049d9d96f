"""Draws a divergence's waveforms as a picture.

``python -m scripts.flows.pictures.waves build/divergence/0001 docs/waves.svg`` shows what GTKWave does: the signals of
the save file, some cycles around the marker.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from pylibfst import ffi, helpers, lib

#: Cycles before and after the marker.
BEFORE, AFTER = 6, 4
INK, RED, LINE, RULE = "#263238", "#c62828", "#3b6fb6", "#cfd8dc"


def _saved(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Headings, and signals with their heading, of a save file."""
    heading = ""
    for line in (folder / "waves.gtkw").read_text(encoding="utf-8").splitlines():
        if line.startswith("-"):
            heading = line[1:]
            yield heading, None
        elif line[0] not in "[*@":
            yield heading, line


def _values(context, handle: int, times: range) -> list[str]:
    """A signal's value at each time, in hexadecimal."""
    buffer = ffi.new("char[1024]")
    bits = [helpers.string(lib.fstReaderGetValueFromHandleAtTime(context, time, handle, buffer)) for time in times]
    return [f"{int(b, 2):0{-(-len(b) // 4)}X}" if set(b) <= {"0", "1"} else b.upper() for b in bits]


def _draw_bit(axis, y: float, values: list[str]) -> None:
    levels = [y + (0.6 if value == "1" else 0.0) for value in values]
    axis.step(range(len(values) + 1), [*levels, levels[-1]], where="post", color=LINE, linewidth=1)


def _draw_bus(axis, y: float, values: list[str], colour: str, *, decimal: bool) -> None:
    start = 0
    for at in range(1, len(values) + 1):
        if at == len(values) or values[at] != values[start]:
            ends = [start, start + 0.12, at - 0.12, at]
            for low, high in ((y, y + 0.3), (y + 0.6, y + 0.3)):
                axis.plot(ends, [high, low, low, high], color=colour, linewidth=1)
            text = str(int(values[start], 16)) if decimal else values[start]
            room = int(7.5 * (at - start)) - 1
            text = text if len(text) <= room else text[: max(room - 1, 1)] + "…"
            axis.text((start + at) / 2, y + 0.27, text, ha="center", va="center", fontsize=6.5, color=INK)
            start = at


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(folder: Path, out: Path) -> None:
    """Draw the waveforms in FOLDER to OUT, an SVG or PNG file."""
    context = lib.fstReaderOpen(str(folder / "waves.fst").encode())
    if context == ffi.NULL:
        click.echo(f"{folder}/waves.fst: not a waveform; needs a folder that a divergence left", err=True)
        sys.exit(2)
    _, signals = helpers.get_scopes_signals2(context)
    handles = {name.replace(" ", ""): signal.handle for name, signal in signals.by_name.items()}
    marker = int(re.search(r"^\*-[\d.]+ (\d+) ", (folder / "waves.gtkw").read_text(encoding="utf-8"), re.MULTILINE)[1])
    first = max(lib.fstReaderGetStartTime(context), marker - 2 * BEFORE)
    times = range(first, marker + 2 * AFTER + 1, 2)
    rows = [row for row in _saved(folder) if row[0] != "inputs" and not (row[1] or "").endswith("clk")]
    figure, axis = plt.subplots(figsize=(11, 0.24 * len(rows) + 0.3))
    for index, (heading, name) in enumerate(rows):
        y = -float(index)
        if name is None:
            axis.text(-0.15, y + 0.27, heading, ha="right", va="center", fontsize=8, color=RED)
            continue
        label = name.rpartition(".")[2]
        values = _values(context, handles[name], times)
        colour = RED if heading == "differs" else LINE
        axis.text(-0.15, y + 0.27, label, ha="right", va="center", fontsize=8, family="monospace", color=INK)
        if "[" in name:
            _draw_bus(axis, y, values, colour, decimal=heading == "cycle")
        else:
            _draw_bit(axis, y, values)
    for at in range(len(times) + 1):
        axis.axvline(at, color=RULE, linewidth=0.5, zorder=0)
    axis.axvline((marker - first) / 2, color=RED, linewidth=1)
    axis.set(xlim=(0, len(times)), ylim=(-len(rows) + 0.7, 1))
    axis.axis("off")
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None} if out.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
