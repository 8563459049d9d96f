"""What ``make sim`` runs: random GEMMs of ragged shapes on every preset, then a real attention layer."""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from rich.text import Text

from arch.core.presets import CORES
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.tensor.jobs import Gemm
from scripts.ground.errors import InputError
from scripts.ground.pages import DOCS, around_table, put_table
from scripts.ground.progress import progress_bar
from scripts.ground.tables import plain_table
from scripts.ground.terminal import Terminal
from scripts.running.attention import run_attention
from scripts.running.backends import waves_folder
from scripts.running.failures import show_failures
from verif.core.unit import core_unit
from verif.core.workload import random_jobs
from verif.simulation.report import Section
from verif.simulation.simulate import simulate_unit
from verif.tensor.engine import EngineRun, simulate
from verif.tensor.unit import FLAT_PES
from verif.tensor.workload.gemms import ragged_gemms, random_gemms

__all__ = ["campaign_jobs", "run_campaign"]

#: The page with the output of a run, what makes it, and that run's seed.
PAGE, PAGE_COMMAND, PAGE_SEED = DOCS.parent / "README.md", "make sim SEED=1 PAGE=1", 1
#: Presets small enough to be simulated with every register compared.
SIMULATED = ("tiny", "fp8", "bf16")
EXAMPLE = Path(__file__).parents[2] / "golden" / "data" / "minilm_layer0.npz"
#: What the real layer runs on: a core takes a minute to build, so only one has its turn.
LAYERS = (("fp8", "e4m3", "per-token"), ("fp8", "e5m2", "per-tensor"), ("bf16", "bf16", "hadamard"))
#: GEMMs of random shape beside the ragged ones, for every preset and pace.
RANDOM_SHAPES = 75
#: GEMMs for an array too large to be simulated with its registers.
LARGE_SAMPLE = 4
#: The core that runs random programs, and how many at each pace: Icarus takes as long for a few.
CORE, PROGRAMS = "tiny", {"verilator": 30, "icarus": 2}
#: Idle and stall probabilities of the runs of a preset.
PACES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5))


def campaign_jobs(name: str, pace: int, seed: int) -> list[Gemm]:
    """The GEMMs of one run: the same for a seed whether one preset runs or all."""
    config = PRESETS[name]
    rng = np.random.default_rng([seed, list(PRESETS).index(name), pace])
    jobs = ragged_gemms(config, rng) + random_gemms(config, rng, RANDOM_SHAPES)
    # A large array takes thousands of cycles for each: a sample.
    return jobs if config.rows * config.cols <= FLAT_PES else jobs[:LARGE_SAMPLE]


def run_campaign(preset: str | None, *, seed: int, simulator: str, waves: bool, page: bool = False) -> bool:
    """Run it, print what was checked, put that into README.md if asked to, and say whether anything went wrong."""
    if page:
        if preset or simulator != "verilator" or seed != PAGE_SEED:
            raise InputError(f"--page: is of a whole run with --seed {PAGE_SEED}; needs that, no --config and no --sim")
        around_table(PAGE, PAGE_COMMAND)
    terminal = Terminal(record=page)
    terminal.line(f"seed {seed}, {simulator}")
    table = plain_table("config", "array", "idle", "stall", "GEMMs", "cycles", "signals", "verdict")
    cycles = counted = 0
    failures: list[Section] = []
    for name, idle, stall, run in _runs(preset, seed, simulator, waves):
        table.add_row(*_row(name, PRESETS[name], idle, stall, run))
        cycles += run.compared_cycles
        counted += len(run.cycles) if (idle, stall) == (0, 0) else 0
        if run.mismatches:
            failures, again = run.sections(), f"make sim CONFIG={name} SEED={seed} SIM={simulator}"
            break
    terminal.table(table)
    if not failures:
        terminal.line(f"{counted} unhindered GEMMs took the cycles that golden.tensor.schedule says")
        again = f"make sim{f' CONFIG={preset}' if preset else ''} SEED={seed} SIM={simulator}"
        if preset is None and simulator == "verilator":
            more, failures = _real_layer(terminal)
            cycles += more
    if not failures and preset in (None, CORE):
        more, failures = _programs(terminal, seed, simulator)
        cycles += more
    if failures:
        show_failures(terminal, failures, again)
        return True
    terminal.line(f"RTL and golden model agree in all {cycles:,} cycles", "green")
    if page:
        lines = "\n".join(line.rstrip() for line in terminal.export_text().splitlines())
        put_table(PAGE, PAGE_COMMAND, f"\n```\n{lines}\n```\n\n")
    return False


def _runs(preset: str | None, seed: int, simulator: str, waves: bool) -> Iterator[tuple[str, float, float, EngineRun]]:
    """Every run as it ends: its preset, idle, stall, and what it showed."""
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
            if run.waves:
                progress.console.line(f"{label}: {run.waves}")
            yield name, idle, stall, run


def _row(name: str, config: EngineConfig, idle: float, stall: float, run: EngineRun) -> list[str | Text]:
    return [
        name,
        f"{config.rows}x{config.cols}",
        f"{idle:.0%}",
        f"{stall:.0%}",
        str(len(run.results)),
        f"{run.compared_cycles:,}",
        f"{run.compared_signals:,}",
        _verdict(run.mismatches),
    ]


def _verdict(mismatches: int) -> Text:
    return Text("differs", "red") if mismatches else Text("equal", "green")


def _programs(terminal: Terminal, seed: int, simulator: str) -> tuple[int, list[Section]]:
    """Random programs on a core, its memory near and at once, then far and hesitant: cycles compared, what differs."""
    config = CORES[CORE]
    unit, compared = core_unit(config), 0
    table = plain_table("core", "lanes", "memory", "programs", "instructions", "cycles", "signals", "verdict")
    print(f"building and simulating the core {CORE}", file=sys.stderr, flush=True)
    for memory, pace in (("near", {"latency": 1}), ("far, hesitant", {"latency": 60, "idle": 0.4, "stall": 0.4})):
        jobs = random_jobs(config, np.random.default_rng([seed, len(memory)]), PROGRAMS[simulator])
        run = simulate_unit(unit, jobs, simulator=simulator, pace=pace | {"seed": seed}, waves_folder=waves_folder)
        compared += run.compared_cycles
        table.add_row(
            CORE,
            str(config.lanes),
            memory,
            str(len(jobs)),
            f"{sum(len(job.program) for job in jobs):,}",
            f"{run.compared_cycles:,}",
            f"{run.compared_signals:,}",
            _verdict(run.mismatches),
        )
        if run.mismatches:
            break
    terminal.line("\nRandom programs on the core, every port of every block compared.")
    terminal.table(table)
    return compared, run.sections()


def _real_layer(terminal: Terminal) -> tuple[int, list[Section]]:
    """Every head of a real attention layer through the RTL: cycles compared, and what differs."""
    example = np.load(EXAMPLE)
    q, k, v = example["q"], example["k"], example["v"]
    table = plain_table("config", "recipe", "RTL runs", "cycles", "busy", "cosine", "rel. L1", "RMSE", "verdict")
    compared, failed = 0, []
    for preset, fmt, recipe in LAYERS:
        print(f"building and simulating attention, {preset}, {recipe}", file=sys.stderr, flush=True)
        summary = run_attention(
            q, k, v, PRESETS[preset], recipe=recipe, x_format=fmt, w_format=fmt, causal=False, backend="rtl"
        )
        record = summary.record()
        table.add_row(
            f"{preset}, {fmt}",
            recipe,
            "products" if summary.memory_bytes is None else "all of it",
            f"{summary.cycles:,}",
            f"{record['utilization']:.1%}",
            *(f"{record[name]:.4f}" for name in ("cosine", "relative_l1", "rmse")),
            _verdict(summary.mismatches),
        )
        compared += summary.compared_cycles
        failed += summary.failures
    heads, queries, channels = q.shape
    terminal.line(
        f"\nall-MiniLM-L6-v2, layer 0: {heads} heads, {queries} tokens, {channels} channels, errors against float64.\n"
        "All of it: a program on the core, from float32 in memory, its scales found there. Products: on the tensor\n"
        "engine, with softmax and quantisation in the golden model."
    )
    terminal.table(table)
    return compared, failed
