"""Draws which engine of a core works when, from the cycle model: ``python -m scripts.flows.pictures.program``."""

import inspect
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from kernels.library import attention as library
from kernels.library.attention import attention
from scripts.ground.pages import DOCS
from scripts.running.kernels import Result, run

__all__ = ["draw_program"]

HEADS, TOKENS, WIDTH = 2, 64, 64
#: What is done, the functions of the library that do it, and its colour.
PARTS: tuple[tuple[str, tuple[Callable, ...], str], ...] = (
    ("keys, values come", (library.load_keys, library.load_values), "#90a4ae"),
    ("scores and softmax", (library.numerators,), "#3b6fb6"),
    ("average of values", (library.average,), "#d9782d"),
)
OTHER = ("queries come, results go", "#c5b358")
INK, WAIT = "#263238", "#eceff1"
NAMES = {
    "tensor": "tensor engine",
    "vector": "vector engine",
    "scalar": "scalar engine",
    "dma0": "DMA 0",
    "dma1": "DMA 1",
}


def _ran() -> Result:
    rng = np.random.default_rng(1)
    heads = [(rng.standard_normal((HEADS, TOKENS, WIDTH)).astype(np.float32), "e4m3") for _ in "qkv"]
    return run(attention, heads, config="fp8", backend="cycles", scale=WIDTH**-0.5, causal=True)


def _lines(functions: tuple[Callable, ...]) -> set[int]:
    found = set()
    for function in functions:
        lines, first = inspect.getsourcelines(function)
        found |= set(range(first, first + len(lines)))
    return found


def draw_program(path: Path) -> None:
    """A bar for each instruction, from the cycle in which it begins to that in which it is complete."""
    result = _ran()
    parts = [(_lines(functions), colour) for _, functions, colour in PARTS]
    figure, axis = plt.subplots(figsize=(12, 3.4))
    for row, (queue, name) in enumerate(NAMES.items()):
        axis.barh(-row, result.cycles, 0.74, color=WAIT)
        for each in (each for each in result.instructions if each.queue == queue):
            colour = next((colour for lines, colour in parts if each.source.line in lines), OTHER[1])
            axis.barh(-row, each.end - each.start, 0.74, left=each.start, color=colour, edgecolor="white", lw=0.25)
        busy = result.engines[queue].spent.busy / result.cycles
        axis.text(result.cycles * 1.01, -row, f"{busy:.0%} busy", va="center", color=INK)
        axis.text(-result.cycles * 0.01, -row, name, va="center", ha="right", color=INK)
    axis.set_xlim(0, result.cycles)
    axis.set_yticks([])
    axis.set_xlabel("cycle")
    axis.spines[["left", "top", "right"]].set_visible(False)
    shown = [Patch(color=colour, label=label) for label, _, colour in PARTS] + [Patch(color=OTHER[1], label=OTHER[0])]
    axis.legend(handles=shown, loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=4, frameon=False)
    figure.subplots_adjust(left=0.11, right=0.91, top=0.87, bottom=0.15)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw(folder: Path) -> Path:
    """The picture's file. The same bytes every time."""
    path = folder / "program.svg"
    with plt.rc_context({"font.family": "DejaVu Sans", "svg.hashsalt": "systolith"}):
        draw_program(path)
    return path


if __name__ == "__main__":
    print(f"wrote {draw(DOCS)}")
