"""Draws the pictures of docs/ from the golden cycle model: ``python -m scripts.flows.pictures.array``."""

from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np

from arch.tensor.presets import PRESETS
from arch.tensor.signals import engine_record
from golden.numerics.conversions import decode
from golden.tensor.engine import TensorEngine
from golden.tensor.positions import position_at
from golden.tensor.schedule import gemm_passes
from golden.tensor.stimulus import gemm_stimulus
from scripts.ground.pages import DOCS

CONFIG = PRESETS["tiny"]
SHAPE = (6, 8, 4)
#: One hue for each pass; idle.
PASSES, IDLE = ("#3b6fb6", "#d9782d"), "#eceff1"
INK = "#263238"


def _run() -> tuple[np.ndarray, TensorEngine, np.ndarray]:
    """A GEMM of two K tiles on the 4 x 4 array: its trace, the engine, and the activations' codes."""
    m, k, n = SHAPE
    rng = np.random.default_rng(7)
    x = rng.integers(0x28, 0x48, (m, k), dtype=np.uint8)
    w = rng.integers(0x28, 0x48, (k, n), dtype=np.uint8)
    engine = TensorEngine(CONFIG)
    engine.offer(*gemm_stimulus(x, w, CONFIG, x_format="e4m3", w_format="e4m3"))
    return engine.run(1000, until_done=True), engine, decode(w, "e4m3")


def _column(name: str) -> int:
    """Word of a port in a record."""
    return engine_record(CONFIG).at(name).start


def draw_array(path: Path) -> None:
    """Three moments of the array: which term each PE has just multiplied."""
    _, engine, weights = _run()
    passes = gemm_passes(*SHAPE, CONFIG)
    takes = engine.take_cycles
    moments = [int(takes[0]) + 4, int(takes[SHAPE[0]]) + 3, int(takes[-1]) + 5]
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.6))
    for axis, cycle in zip(axes, moments, strict=True):
        for row in range(CONFIG.rows):
            for col in range(CONFIG.cols):
                at = position_at(CONFIG, passes, takes, cycle, row, col, register="product")
                colour = IDLE if at is None else PASSES[at.index]
                shade = 1.0 if at is None else 0.45 + 0.55 * (at.m + 1) / SHAPE[0]
                axis.add_patch(
                    plt.Rectangle((col, -row), 0.9, -0.9, facecolor=colour, alpha=shade, edgecolor=INK, lw=0.6)
                )
                if at is not None:
                    axis.text(col + 0.45, -row - 0.36, f"x[{at.m},{at.k}]", ha="center", va="center", fontsize=8)
                    weight = f"\N{MULTIPLICATION SIGN} {weights[at.k, at.n]:g}"
                    axis.text(col + 0.45, -row - 0.62, weight, ha="center", va="center", fontsize=7)
        axis.annotate("", (-0.1, -2), (-0.7, -2), arrowprops={"arrowstyle": "->", "color": INK})
        axis.text(-0.75, -1.8, "activations", rotation=90, ha="right", va="center", fontsize=8, color=INK)
        axis.annotate("", (2, -4.6), (2, -4.05), arrowprops={"arrowstyle": "->", "color": INK})
        axis.text(2.1, -4.45, "partial sums to PSUM", fontsize=8, color=INK)
        axis.annotate("", (2, 0.05), (2, 0.6), arrowprops={"arrowstyle": "->", "color": INK})
        axis.text(2.1, 0.3, "weights, seeds from PSUM", fontsize=8, color=INK)
        axis.set(xlim=(-1.2, 4.3), ylim=(-4.8, 0.9), aspect="equal", title=f"cycle {cycle}")
        axis.axis("off")
    figure.suptitle(
        f"A 4 x 4 array computing Y[{SHAPE[0]},{SHAPE[2]}] = X[{SHAPE[0]},{SHAPE[1]}] @ W[{SHAPE[1]},{SHAPE[2]}] in two"
        " passes (blue: k < 4, orange: k >= 4)",
        fontsize=11,
    )
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_timing(path: Path) -> None:
    """What moves in which cycle of the same GEMM."""
    trace, engine, _ = _run()
    m, _, _ = SHAPE
    first = engine.first_weight_cycle
    taken = {
        port: np.flatnonzero(trace[:, _column(f"{port}__valid")] & trace[:, _column(f"{port}__ready")])
        for port in ("i_weight", "i_activation", "o_result")
    }
    takes = taken["i_activation"]
    products = takes + 1 + CONFIG.product_latency
    last_row = products + CONFIG.rows * CONFIG.add_latency
    lanes = {
        "weight row taken": (taken["i_weight"], CONFIG.rows),
        "activation row taken": (takes, m),
        "product in PE(0,0)": (products, m),
        "sum leaves PE(3,0), stored": (last_row, m),
        "sum leaves PE(3,3), stored": (last_row + CONFIG.cols - 1, m),
        "result row out": (taken["o_result"], m),
    }
    figure, axis = plt.subplots(figsize=(11, 3.4))
    for index, (cycles, per_pass) in enumerate(lanes.values()):
        for number, cycle in enumerate(cycles):
            hue = PASSES[1] if index == len(lanes) - 1 else PASSES[min(1, number // per_pass)]
            axis.add_patch(plt.Rectangle((cycle - first + 0.05, -index + 0.12), 0.9, 0.76, facecolor=hue, alpha=0.85))
            label = str(number % per_pass)
            axis.text(cycle - first + 0.5, -index + 0.5, label, ha="center", va="center", fontsize=8, color="white")
    end = int(engine.last_store_cycle) - first
    axis.axvline(end + 1, color=INK, lw=1, ls=":")
    axis.text(end + 1.1, 1.05, f"GEMM done: {end + 1} cycles", fontsize=8, va="bottom", ha="right")
    axis.set(
        xlim=(0, int(taken["o_result"][-1]) - first + 2),
        ylim=(-len(lanes) + 0.9, 1.6),
        yticks=[0.5 - i for i in range(len(lanes))],
        yticklabels=list(lanes),
        xlabel="clock cycles after the first weight row",
    )
    axis.xaxis.set_major_locator(plt.MultipleLocator(2))
    axis.grid(axis="x", lw=0.3)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw(folder: Path) -> list[Path]:
    """Both pictures; the files. The same bytes every time."""
    paths = [folder / "array.svg", folder / "timing.svg"]
    with plt.rc_context({"font.family": "DejaVu Sans", "svg.hashsalt": "systolith"}):
        draw_array(paths[0])
        draw_timing(paths[1])
    return paths


if __name__ == "__main__":
    print(f"wrote {' and '.join(map(str, draw(DOCS)))}")
