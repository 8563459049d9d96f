"""Times the simulation: the bare RTL in a C++ loop, the same with every cycle compared, and how long builds take.

Seconds are the simulator's own processor time from the first cycle to the last, so that neither the golden model nor
Python's start enters.
"""

import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from golden.array import TensorEngine
from golden.formats import code_dtype
from golden.schedule import gemm_beats, gemm_cycles
from golden.spec.config import EngineConfig
from golden.spec.formats import FORMATS
from golden.spec.presets import PRESETS
from golden.spec.trace import Field, engine_fields
from hw.verilog import engine_verilog
from scripts.campaign import plain_table
from verif.engine import build_engine, simulate
from verif.replay import replay
from verif.simulator import BUILD_ROOT, Simulation, build_bare
from verif.stimulus import CHUNK, Gemm

__all__ = ["bare_main", "main"]

JSON = BUILD_ROOT.parent / "bench" / "sim.json"
#: Small enough to be simulated flat, with every register compared.
FLAT = {
    "e4m3 16x16": EngineConfig(rows=16, cols=16, formats=("e4m3",), accumulation="exact"),
    "fp8 16x16": PRESETS["fp8"],
    "bf16 8x8": PRESETS["bf16"],
}
LARGE = {
    "e4m3 32x32": EngineConfig(rows=32, cols=32, formats=("e4m3",), accumulation="exact"),
    "mxu 128x128": PRESETS["mxu"],
}
#: Rows of X in a bench's GEMM, in units of the array's rows: the array is full in almost every cycle.
M_TILES = 8
GEMM = (128, 256, 128)


def bare_main(fields: list[Field]) -> str:
    """The C++ of a loop that only drives the records of a file and evaluates the engine: nothing is looked at."""
    drives, words = [], 0
    for field in fields:
        if field.drive:
            # Verilator's own "__" separates levels of the hierarchy.
            name = field.name.replace("__", "___05F")
            source = [f"record[{words + i}]" for i in range(field.words)]
            if field.words <= 2:
                value = " | ".join(f"(uint64_t){word} << {32 * i}" for i, word in enumerate(source))
                drives.append(f"top.{name} = {value};")
            else:
                drives += [f"top.{name}[{i}] = {word};" for i, word in enumerate(source)]
        words += field.words
    body = "\n        ".join(drives)
    return f"""\
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>
#include "Vtop.h"

int main(int, char** arguments) {{
    VerilatedContext context;
    Vtop top(&context);
    std::FILE* file = std::fopen(arguments[1], "rb");
    std::fseek(file, 0, SEEK_END);
    std::vector<uint32_t> records(std::ftell(file) / 4);
    std::rewind(file);
    if (std::fread(records.data(), 4, records.size(), file) != records.size()) return 1;
    auto tick = [&] {{ top.clk = 0; top.eval(); top.clk = 1; top.eval(); }};
    top.rst = 1;
    tick();
    top.rst = 0;
    const std::clock_t start = std::clock();
    for (const uint32_t* record = records.data(); record != records.data() + records.size(); record += {words}) {{
        {body}
        tick();
    }}
    std::printf("%.6f\\n", double(std::clock() - start) / CLOCKS_PER_SEC);
    top.final();
}}
"""


def _codes(config: EngineConfig, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Random finite codes of the configuration's first format."""
    fmt = FORMATS[config.formats[0]]
    codes = np.random.default_rng(seed).integers(0, 1 << fmt.bits, shape, dtype=code_dtype(fmt.name))
    codes[(codes & (1 << fmt.bits - 1) - 1) > fmt.max_code] = 0
    return codes


def _job(config: EngineConfig, shape: tuple[int, int, int], seed: int) -> Gemm:
    m, k, n = shape
    formats = {"x_format": config.formats[0], "w_format": config.formats[0]}
    return Gemm(x=_codes(config, (m, k), seed), w=_codes(config, (k, n), seed + 1), **formats)


def _job_of(config: EngineConfig, cycles: int, seed: int) -> Gemm:
    """A GEMM of at least so many cycles."""
    tiles = -(-cycles // (M_TILES * config.rows))
    k_tiles = min(tiles, 64)
    return _job(config, (M_TILES * config.rows, k_tiles * config.rows, -(-tiles // k_tiles) * config.cols), seed)


def _records(config: EngineConfig, cycles: int, seed: int, *, registers: bool) -> Iterator[np.ndarray]:
    """The trace of so many cycles of a GEMM, a piece at a time, each valid until the next is asked for."""
    job = _job_of(config, cycles, seed)
    engine = TensorEngine(config, registers=registers)
    for beat in gemm_beats(job.x, job.w, config, x_format=job.x_format, w_format=job.w_format):
        engine.offer(*beat)
    words = sum(field.words for field in engine_fields(config, registers=registers))
    buffer = np.empty((CHUNK, words), np.uint32)
    while engine.cycle < cycles:
        yield engine.run(CHUNK, out=buffer)


def _checked_rate(simulation: Simulation, config: EngineConfig, cycles: int, seed: int, *, registers: bool) -> float:
    """Compared cycles per second."""
    outcome = replay(simulation, _records(config, cycles, seed, registers=registers))
    if not outcome.passed:
        raise click.ClickException(f"RTL and golden model differ: {outcome.failure}")
    return outcome.compared_cycles / outcome.cpu_seconds


def flat_rates(config: EngineConfig, cycles: int, seed: int, rounds: int) -> dict[str, list[float]]:
    """Cycles per second of each way to run the engine, ``rounds`` of each; they take turns."""
    ports = engine_fields(config, registers=False)
    program = build_bare(engine_verilog(config), "tensor_engine", bare_main(ports))
    checked = {name: build_engine(config, registers=name == "registers")[0] for name in ("ports", "registers")}
    rates: dict[str, list[float]] = {name: [] for name in ("bare", *checked)}
    with tempfile.TemporaryDirectory() as directory:
        stimulus = Path(directory) / "stimulus"
        with open(stimulus, "wb") as file:
            count = sum(len(piece) for piece in _records(config, cycles, seed, registers=False) if file.write(piece))
        for _ in range(rounds):
            done = subprocess.run([program, stimulus], check=True, capture_output=True, text=True)
            rates["bare"].append(count / float(done.stdout))
            for name, simulation in checked.items():
                rates[name].append(_checked_rate(simulation, config, cycles, seed, registers=name == "registers"))
    return rates


def whole_rate(config: EngineConfig, cycles: int, seed: int) -> float:
    """Checked cycles per second of a whole ``simulate``, golden model, start and read-back included, by the clock."""
    job = _job_of(config, cycles, seed)
    start = time.perf_counter()
    run = simulate(config, [job])
    if run.mismatches:
        raise click.ClickException("\n".join(run.lines()))
    return run.compared_cycles / (time.perf_counter() - start)


def cold_build(config: EngineConfig, directory: Path) -> tuple[float, Simulation]:
    """Seconds to emit an engine and to build its simulation, nothing cached, by the clock."""
    engine_verilog.cache_clear()
    start = time.perf_counter()
    simulation, _ = build_engine(config, root=directory)
    return time.perf_counter() - start, simulation


def check_gemm(config: EngineConfig, seed: int) -> tuple[int, float]:
    """Cycles of a GEMM on the RTL, which must be the golden model's in bits and cycles, and the seconds it took."""
    start = time.perf_counter()
    run = simulate(config, [_job(config, GEMM, seed)], seed=seed)
    if run.mismatches or run.cycles != [gemm_cycles(*GEMM, config)]:
        raise click.ClickException("\n".join(run.lines()))
    return run.cycles[0], time.perf_counter() - start


def _table(title: str, *columns: str) -> Table:
    table = plain_table(*columns, text=columns[:2])
    table.title, table.title_justify = title, "left"
    return table


def _flat_table(figures: dict, cycles: int, seed: int, rounds: int, status) -> Table:
    table = _table(
        "arrays with every register compared", "engine", "way", "k cycles/s", "spread", "x bare", "ns per PE"
    )
    for name, config in FLAT.items():
        status.update(f"{name}: bare, ports, registers")
        rates = flat_rates(config, cycles, seed, rounds)
        whole = whole_rate(config, cycles, seed)
        figures[name] = rates | {"simulate": whole}
        for way, values in rates.items():
            rate = median(values)
            spread = f"{min(values) / 1e3:,.0f}..{max(values) / 1e3:,.0f}"
            per_pe = 1e9 / rate / (config.rows * config.cols)
            # Of neighbours: a machine shared with others is not as fast in every minute.
            ratio = median(value / bare for value, bare in zip(values, rates["bare"], strict=True))
            table.add_row(name, way, f"{rate / 1e3:,.0f}", spread, f"{ratio:.2f}", f"{per_pe:.1f}")
        table.add_row(name, "simulate()", f"{whole / 1e3:,.0f}", "", "", "")
    return table


def _large_table(figures: dict, seed: int, status) -> Table:
    m, k, n = GEMM
    table = _table("arrays compared at their ports", "engine", f"GEMM {m}x{k}x{n}", "cold build, s", "k cycles/s")
    with tempfile.TemporaryDirectory() as directory:
        for name, config in LARGE.items():
            status.update(f"{name}: cold build")
            seconds, simulation = cold_build(config, Path(directory))
            status.update(f"{name}: replay")
            rate = _checked_rate(simulation, config, 400_000 // config.rows, seed, registers=False)
            taken, elapsed = check_gemm(config, seed)
            figures[name] = {"build": seconds, "rate": rate, "gemm cycles": taken, "gemm seconds": elapsed}
            table.add_row(name, f"bits equal, {taken:,} cycles equal", f"{seconds:.0f}", f"{rate / 1e3:,.1f}")
    return table


@click.command()
@click.option("--rounds", default=15, show_default=True, help="Timed runs of each, in turn; medians count.")
@click.option("--cycles", default=40_000, show_default=True, help="Length of a run.")
@click.option("--seed", default=1, show_default=True)
@click.option("--builds/--no-builds", default=True, show_default=True, help="Time cold builds of the large arrays.")
def main(rounds: int, cycles: int, seed: int, builds: bool) -> None:
    """Print how fast the RTL simulates, bare and checked, and how long the large arrays take to build."""
    console = Console()
    figures: dict = {"machine": f"{platform.machine()}, {platform.system()}", "rounds": rounds, "seed": seed}
    with console.status("") as status:
        console.print(_flat_table(figures, cycles, seed, rounds, status))
        if builds:
            console.print(_large_table(figures, seed, status))
    JSON.parent.mkdir(parents=True, exist_ok=True)
    JSON.write_text(json.dumps(figures, indent=1) + "\n")
    figure = JSON.relative_to(Path.cwd()) if JSON.is_relative_to(Path.cwd()) else JSON
    note = f"one thread, medians of {rounds} runs in turn, seed {seed}; x bare: of neighbouring runs"
    console.print(f"{note}\nall figures: {figure}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
