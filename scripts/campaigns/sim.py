"""What ``make sim`` runs: random GEMMs of ragged shapes on every preset, then a real attention layer."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.tensor.jobs import Gemm
from scripts.ground.failures import show_failures
from scripts.ground.progress import progress_bar
from scripts.ground.tables import plain_table
from scripts.running.attention import run_attention
from scripts.running.backends import waves_folder
from verif.tensor.engine import FLAT_PES, EngineRun, simulate
from verif.tensor.operands import random_codes

__all__ = ["campaign_jobs", "ragged_jobs", "run_campaign"]

#: Presets small enough to be simulated with every register compared.
SIMULATED = ("tiny", "fp8", "bf16")
EXAMPLE = Path(__file__).parents[2] / "golden" / "data" / "minilm_layer0.npz"
#: Operands of random GEMMs, see ``verif.tensor.operands.random_codes``.
KINDS = ("bits", "finite", "medium")
#: GEMMs of random shape beside the ragged ones, for every preset and pace.
RANDOM_SHAPES = 75
#: GEMMs for an array too large to be simulated with its registers.
LARGE_SAMPLE = 4
#: Idle and stall probabilities of the runs of a preset.
PACES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5))


def ragged_jobs(config: EngineConfig, rng: np.random.Generator) -> list[Gemm]:
    """GEMMs with M, N and K each 1, R - 1, R, R + 1 and 3R + 7 (C for N), on random bit patterns.

    Format pairs take turns; result formats and the kind of operands are random.
    """
    rows, cols = config.rows, config.cols
    sizes, widths = ([1, max(1, n - 1), n, n + 1, 3 * n + 7] for n in (rows, cols))
    modes = list(product(config.formats, config.formats))
    jobs = []
    for index, (m, k, n) in enumerate(product(sizes, sizes, widths)):
        x_format, w_format = modes[index % len(modes)]
        jobs.append(_random_job(config, rng, m, k, n, x_format, w_format))
    return [jobs[index] for index in rng.permutation(len(jobs))]


def random_jobs(config: EngineConfig, rng: np.random.Generator) -> list[Gemm]:
    """GEMMs of random shapes, small and ragged, on random bit patterns."""
    jobs = []
    for _ in range(RANDOM_SHAPES):
        # Log-uniform: as many small shapes as large ones.
        m, k, n = (int(size) for size in np.exp(rng.uniform(0, np.log(6 * config.rows), 3)))
        jobs.append(_random_job(config, rng, m, k, n, str(rng.choice(config.formats)), str(rng.choice(config.formats))))
    return jobs


def _random_job(config: EngineConfig, rng: np.random.Generator, m, k, n, x_format: str, w_format: str) -> Gemm:
    kind = str(rng.choice(KINDS))
    return Gemm(
        x=random_codes(rng, (m, k), x_format, kind),
        w=random_codes(rng, (k, n), w_format, kind),
        x_format=x_format,
        w_format=w_format,
        out_format=str(rng.choice(list(FORMATS))),
        saturate=bool(rng.random() < 0.5),
    )


def campaign_jobs(name: str, pace: int, seed: int) -> list[Gemm]:
    """The GEMMs of one run: the same for a seed whether one preset runs or all."""
    config = PRESETS[name]
    rng = np.random.default_rng([seed, list(PRESETS).index(name), pace])
    jobs = ragged_jobs(config, rng) + random_jobs(config, rng)
    # A large array takes thousands of cycles for each: a sample.
    return jobs if config.rows * config.cols <= FLAT_PES else jobs[:LARGE_SAMPLE]


def run_campaign(preset: str | None, *, seed: int, simulator: str, waves: bool) -> bool:
    """Run it, print what was checked, and say whether anything went wrong."""
    console = Console()
    console.print(f"seed {seed}, {simulator}", highlight=False)
    table = plain_table("config", "array", "idle", "stall", "GEMMs", "cycles", "signals", "verdict")
    cycles = counted = 0
    failed: EngineRun | None = None
    with progress_bar() as progress:
        for name, (pace, (idle, stall)) in product([preset] if preset else SIMULATED, enumerate(PACES)):
            label = f"{name}, idle {idle:.0%}, stall {stall:.0%}"
            task = progress.add_task(f"{label}: building", total=None)
            if pace == 0 and not progress.console.is_terminal:
                # Where no bar shows: the first run of a preset compiles for up to a minute.
                print(f"building and simulating {name}", file=sys.stderr, flush=True)

            def advance(done: int, task=task, label=label) -> None:
                progress.update(task, description=label, completed=done)

            run = simulate(
                PRESETS[name],
                campaign_jobs(name, pace, seed),
                simulator=simulator,
                seed=seed,
                idle=idle,
                stall=stall,
                waves=waves,
                progress=advance,
                waves_folder=waves_folder,
            )
            progress.remove_task(task)
            table.add_row(*_row(name, PRESETS[name], idle, stall, run))
            cycles += run.compared_cycles
            counted += len(run.cycles) if (idle, stall) == (0, 0) else 0
            if run.waves:
                progress.console.print(f"{label}: {run.waves}", markup=False, highlight=False, soft_wrap=True)
            if run.mismatches:
                failed = run
                break
    console.print(table)
    if failed:
        lines = [*failed.lines(), f"  reproduce make sim CONFIG={name} SEED={seed} SIM={simulator}"]
    else:
        console.print(f"{counted} unhindered GEMMs took the cycles that golden.tensor.schedule says", highlight=False)
        more, lines = _real_layer(console) if preset is None and simulator == "verilator" else (0, [])
        cycles += more
        lines += [f"  reproduce make sim SEED={seed}"] if lines else []
    show_failures(console, lines)
    if not lines:
        console.print(f"RTL and golden model agree in all {cycles:,} cycles", style="green", highlight=False)
    return bool(lines)


def _row(name: str, config: EngineConfig, idle: float, stall: float, run: EngineRun) -> list[str]:
    verdict = "[red]differs[/]" if run.mismatches else "[green]equal[/]"
    return [
        name,
        f"{config.rows}x{config.cols}",
        f"{idle:.0%}",
        f"{stall:.0%}",
        str(len(run.results)),
        f"{run.compared_cycles:,}",
        f"{run.compared_signals:,}",
        verdict,
    ]


def _real_layer(console: Console) -> tuple[int, list[str]]:
    """Every head of a real attention layer through the RTL: cycles compared, and what differs, a line each."""
    example = np.load(EXAMPLE)
    q, k, v = example["q"], example["k"], example["v"]
    table = plain_table("config", "recipe", "cycles", "busy", "cosine", "rel. L1", "RMSE", "verdict")
    compared, failed = 0, []
    for preset, fmt, recipe in (
        ("fp8", "e4m3", "per-token"),
        ("fp8", "e5m2", "per-token"),
        ("bf16", "bf16", "per-tensor"),
    ):
        summary = run_attention(
            q, k, v, PRESETS[preset], recipe=recipe, x_format=fmt, w_format=fmt, causal=False, backend="rtl"
        )
        record = summary.record()
        table.add_row(
            f"{preset}, {fmt}",
            recipe,
            f"{summary.cycles:,}",
            f"{record['utilization']:.1%}",
            *(f"{record[name]:.4f}" for name in ("cosine", "relative_l1", "rmse")),
            "[red]differs[/]" if summary.mismatches else "[green]equal[/]",
        )
        compared += summary.compared_cycles
        failed += summary.failures
    heads, queries, channels = q.shape
    console.print(
        f"\nall-MiniLM-L6-v2, layer 0: {heads} heads, {queries} tokens, {channels} channels, errors against float64.\n"
        "Matrix products and row sums on the RTL; softmax and quantisation in the golden model.",
        highlight=False,
        soft_wrap=True,
    )
    console.print(table)
    return compared, failed
