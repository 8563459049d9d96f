"""What ``make sim`` runs: random GEMMs of ragged shapes on every preset, then a real attention layer."""

from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from golden.formats import code_dtype
from golden.schedule import ideal_cycles
from golden.spec.config import EngineConfig
from golden.spec.formats import FORMATS
from golden.spec.presets import PRESETS
from scripts.products import progress_bar, run_attention
from verif.engine import EngineRun, Gemm, simulate

__all__ = ["ragged_jobs", "random_codes", "run_campaign"]

#: Presets small enough to be simulated with every register compared.
SIMULATED = ("tiny", "fp8", "bf16")
EXAMPLE = Path(__file__).parents[1] / "golden" / "data" / "minilm_layer0.npz"
#: Idle and stall probabilities of the runs of a preset.
PACES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5))


def random_codes(rng: np.random.Generator, shape: tuple[int, int], fmt: str, *, finite: bool) -> np.ndarray:
    """Uniformly random bit patterns; with ``finite`` NaN and Inf become the largest finite number of their sign."""
    facts = FORMATS[fmt]
    codes = rng.integers(0, 1 << facts.bits, shape, dtype=code_dtype(fmt))
    if finite:
        magnitude = codes & ((1 << facts.bits - 1) - 1)
        codes = codes - np.maximum(magnitude, facts.max_code) + facts.max_code
    return codes.astype(code_dtype(fmt))


def ragged_jobs(config: EngineConfig, rng: np.random.Generator) -> list[Gemm]:
    """GEMMs with M, N and K each 1, R - 1, R, R + 1 and 3R + 7 (C for N), on random bit patterns.

    Format pairs and result formats take turns; every other GEMM has NaN and Inf among its operands.
    """
    rows, cols = config.rows, config.cols
    sizes, widths = ([1, max(1, n - 1), n, n + 1, 3 * n + 7] for n in (rows, cols))
    modes = list(product(config.formats, config.formats))
    jobs = []
    for index, (m, k, n) in enumerate(product(sizes, sizes, widths)):
        x_format, w_format = modes[index % len(modes)]
        finite = rng.random() < 0.5
        jobs.append(
            Gemm(
                x=random_codes(rng, (m, k), x_format, finite=finite),
                w=random_codes(rng, (k, n), w_format, finite=finite),
                x_format=x_format,
                w_format=w_format,
                out_format=str(rng.choice(list(FORMATS))),
                saturate=bool(rng.random() < 0.5),
            )
        )
    return [jobs[index] for index in rng.permutation(len(jobs))]


def run_campaign(preset: str | None, *, seed: int, simulator: str, waves: bool) -> bool:
    """Run it, print what was checked, and say whether anything went wrong."""
    console = Console()
    names = [preset] if preset else list(SIMULATED)
    console.print(f"seed {seed}, {simulator}", highlight=False)
    table = Table("config", "array", "idle/stall", "GEMMs", "cycles compared", "signals each", "utilization", "verdict")
    runs = []
    with progress_bar() as progress:
        for name in names:
            config = PRESETS[name]
            for idle, stall in PACES:
                task = progress.add_task(f"{name}, idle {idle}, stall {stall}: building", total=None)
                jobs = ragged_jobs(config, np.random.default_rng([seed, len(runs)]))

                def advance(cycles: int, task=task, name=name, idle=idle, stall=stall) -> None:
                    progress.update(task, description=f"{name}, idle {idle}, stall {stall}", completed=cycles)

                run = simulate(
                    config,
                    jobs,
                    simulator=simulator,
                    seed=seed,
                    idle=idle,
                    stall=stall,
                    waves=waves,
                    progress=advance,
                )
                progress.remove_task(task)
                runs.append(run)
                table.add_row(*_row(name, config, idle, stall, jobs, run))
                if run.mismatches:
                    break
            if runs[-1].mismatches:
                break
    console.print(table)
    failed = bool(runs[-1].mismatches)
    for line in runs[-1].lines():
        console.print(line, style="red", markup=False, highlight=False)
    if failed:
        console.print(f"reproduce: make sim CONFIG={name} SEED={seed} SIM={simulator}", markup=False, highlight=False)
    elif preset is None:
        failed = _real_layer(console)
    if not failed:
        total = sum(run.compared_cycles for run in runs)
        console.print(f"RTL and golden model agree in all {total:,} cycles", style="green", highlight=False)
    return failed


def _row(name: str, config: EngineConfig, idle: float, stall: float, jobs: list[Gemm], run: EngineRun) -> list[str]:
    ideal = sum(ideal_cycles(*job.shape, config) for job in jobs)
    verdict = "[red]differs[/]" if run.mismatches else "[green]equal[/]"
    return [
        name,
        f"{config.rows}x{config.cols}",
        f"{idle}/{stall}",
        str(len(run.results)),
        f"{run.compared_cycles:,}",
        f"{run.compared_signals:,}",
        f"{ideal / sum(run.cycles):.0%}" if run.cycles else "-",
        verdict,
    ]


def _real_layer(console: Console) -> bool:
    """Every head of a real attention layer through the RTL; True if it differs from the golden model."""
    example = np.load(EXAMPLE)
    q, k, v = example["q"], example["k"], example["v"]
    table = Table(
        "config", "formats", "recipe", "cycles", "utilization", "compared", "cosine", "relative L1", "RMSE", "verdict"
    )
    failed = []
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
            preset,
            f"{fmt} x {fmt}",
            recipe,
            f"{summary.cycles:,}",
            f"{record['utilization']:.1%}",
            f"{summary.compared_cycles:,}",
            *(f"{record[name]:.5f}" for name in ("cosine", "relative_l1", "rmse")),
            "[red]differs[/]" if summary.mismatches else "[green]bit-equal[/]",
        )
        failed += summary.failures
    heads, queries, channels = q.shape
    console.print(
        f"\nall-MiniLM-L6-v2, layer 0: {heads} heads, {queries} tokens, {channels} channels, errors against float64.\n"
        "Matrix products and row sums on the RTL; softmax and quantisation in the golden model.",
        highlight=False,
    )
    console.print(table)
    for line in failed:
        console.print(line, style="red", markup=False, highlight=False)
    return bool(failed)
