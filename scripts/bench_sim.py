"""Times the simulation: the bare RTL in a C++ loop, the same with every cycle compared, and how long builds take.

The stimulus and the expected trace are made beforehand, so that the golden model's speed does not enter but where it is
named. Seconds are the simulator's own processor time, less that of a short run, which holds the start.
"""

import json
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from verif.engine import Gemm, build_engine, simulate
from verif.replay import replay
from verif.simulator import BUILD_ROOT, Simulation, build_bare

__all__ = ["bare_main", "main"]

JSON = BUILD_ROOT.parent / "bench" / "sim.json"
#: Cycles of the short run.
SHORT = 1000


def bare_main(fields: list[Field], words: int) -> str:
    """The C++ of a loop that only drives the records of a file and evaluates the engine: nothing is looked at."""
    drives, start = [], 0
    for field in fields:
        if field.drive:
            # Verilator's own "__" separates levels of the hierarchy.
            name = field.name.replace("__", "___05F")
            source = [f"record[{start + i}]" for i in range(field.words)]
            if field.words <= 2:
                value = " | ".join(f"(uint64_t){word} << {32 * i}" for i, word in enumerate(source))
                drives.append(f"top.{name} = {value};")
            else:
                drives += [f"top.{name}[{i}] = {word};" for i, word in enumerate(source)]
        start += field.words
    body = "\n        ".join(drives)
    return f"""\
#include <cstdint>
#include <cstdio>
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
    for (const uint32_t* record = records.data(); record != records.data() + records.size(); record += {words}) {{
        {body}
        tick();
    }}
    top.final();
}}
"""


@dataclass(frozen=True)
class Trace:
    """A GEMM's records with every register, and with the ports alone: uint32[cycles, words]."""

    config: EngineConfig
    registers: np.ndarray
    ports: np.ndarray

    @classmethod
    def make(cls, config: EngineConfig, cycles: int, seed: int) -> "Trace":
        """Square tiles, random finite codes, array full in every cycle."""
        rows = config.rows
        k = rows * max(1, cycles // (8 * rows))
        x, w = (_codes(config, shape, seed) for shape in ((8 * rows, k), (k, config.cols)))
        engine = TensorEngine(config)
        engine.offer(*_beats(x, w, config))
        trace = engine.run(cycles)
        words = sum(field.words for field in engine_fields(config, registers=False))
        return cls(config, trace, np.ascontiguousarray(trace[:, :words]))


def _codes(config: EngineConfig, shape: tuple[int, int], seed: int) -> np.ndarray:
    fmt = FORMATS[config.formats[0]]
    codes = np.random.default_rng(seed).integers(0, 1 << fmt.bits, shape, dtype=code_dtype(fmt.name))
    codes[(codes & (1 << fmt.bits - 1) - 1) > fmt.max_code] = 0
    return codes


def _beats(x: np.ndarray, w: np.ndarray, config: EngineConfig) -> tuple[np.ndarray, ...]:
    formats = {"x_format": config.formats[0], "w_format": config.formats[0]}
    parts = list(gemm_beats(x, w, config, **formats))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _child_seconds(run: Callable[[], object]) -> float:
    """Processor time of the processes that ``run`` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _replay(simulation: Simulation, trace: np.ndarray) -> None:
    outcome = replay(simulation, [trace])
    if not outcome.passed:
        raise click.ClickException(f"RTL and golden model differ: {outcome.failure}")


def _bare(program: Path, trace: np.ndarray, directory: Path) -> None:
    stimulus = directory / "stimulus"
    trace.tofile(stimulus)
    subprocess.run([program, stimulus], check=True)


def engine_rates(trace: Trace, rounds: int, directory: Path) -> dict[str, list[float]]:
    """Cycles per second of each way to run the engine, ``rounds`` of each; they take turns."""
    config = trace.config
    ports = engine_fields(config, registers=False)
    words = trace.ports.shape[1]
    program = build_bare(engine_verilog(config), "tensor_engine", bare_main(ports, words), opt_level=3)
    ways = {
        "bare": (lambda records: _bare(program, records, directory), trace.ports),
        "ports": (lambda records: _replay(build_engine(config, registers=False)[0], records), trace.ports),
        "registers": (lambda records: _replay(build_engine(config)[0], records), trace.registers),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (run, records) in ways.items():
            start = _child_seconds(lambda run=run, records=records: run(records[:SHORT]))
            whole = _child_seconds(lambda run=run, records=records: run(records))
            rates[name].append((len(records) - SHORT) / (whole - start))
    return rates


def cold_build(config: EngineConfig, directory: Path) -> tuple[float, Simulation]:
    """Seconds to emit an engine and to build its simulation, nothing cached."""
    engine_verilog.cache_clear()
    start = time.perf_counter()
    simulation, _ = build_engine(config, root=directory)
    return time.perf_counter() - start, simulation


def large_rate(config: EngineConfig, simulation: Simulation, cycles: int, seed: int) -> float:
    """Checked cycles per second at the ports of an array too large to compare its registers."""
    records = Trace.make(config, cycles, seed).ports
    start = _child_seconds(lambda: _replay(simulation, records[:SHORT]))
    return (cycles - SHORT) / (_child_seconds(lambda: _replay(simulation, records)) - start)


def check_gemm(config: EngineConfig, shape: tuple[int, int, int], seed: int) -> tuple[int, float]:
    """Cycles of a GEMM on the RTL, which must be the golden model's in bits and cycles, and the seconds it took."""
    m, k, n = shape
    job = Gemm(
        x=_codes(config, (m, k), seed),
        w=_codes(config, (k, n), seed + 1),
        x_format=config.formats[0],
        w_format=config.formats[0],
    )
    start = time.perf_counter()
    run = simulate(config, [job], seed=seed)
    if run.mismatches or run.cycles != [gemm_cycles(m, k, n, config)]:
        raise click.ClickException("\n".join(run.lines()))
    return run.cycles[0], time.perf_counter() - start


def simulate_rate(config: EngineConfig, cycles: int, seed: int) -> float:
    """Checked cycles per second of a whole ``simulate``, golden model and read-back included."""
    k = config.rows * max(1, cycles // (8 * config.rows))
    job = Gemm(
        x=_codes(config, (8 * config.rows, k), seed),
        w=_codes(config, (k, config.cols), seed + 1),
        x_format=config.formats[0],
        w_format=config.formats[0],
    )
    start = time.perf_counter()
    run = simulate(config, [job])
    if run.mismatches:
        raise click.ClickException("\n".join(run.lines()))
    return run.compared_cycles / (time.perf_counter() - start)


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Timed runs of each, of which the median counts.")
@click.option("--cycles", default=16_000, show_default=True, help="Length of a run.")
@click.option("--seed", default=1, show_default=True)
@click.option("--builds/--no-builds", default=True, show_default=True, help="Time cold builds of the large arrays.")
def main(rounds: int, cycles: int, seed: int, builds: bool) -> None:
    """Print how fast the RTL simulates, bare and checked, and how long the large arrays take to build."""
    console = Console()
    figures: dict[str, object] = {"machine": f"{platform.machine()}, {platform.system()}", "rounds": rounds}
    table = Table(title=f"simulation, one thread, medians of {rounds} (lowest and highest), seed {seed}")
    for heading in ("engine", "way", "k cycles/s", "spread", "x bare", "ns per PE and cycle"):
        table.add_column(heading, justify="left" if heading in ("engine", "way") else "right")
    with tempfile.TemporaryDirectory() as name, console.status("") as status:
        directory = Path(name)
        for preset in ("fp8", "bf16"):
            status.update(f"{preset}: bare, ports, registers")
            config = PRESETS[preset]
            rates = engine_rates(Trace.make(config, cycles, seed), rounds, directory)
            figures[preset] = rates
            bare = median(rates["bare"])
            for way, values in rates.items():
                rate = median(values)
                pes = config.rows * config.cols
                table.add_row(
                    f"{preset} {config.rows}x{config.cols}",
                    way,
                    f"{rate / 1e3:,.1f}",
                    f"{min(values) / 1e3:,.1f}..{max(values) / 1e3:,.1f}",
                    f"{rate / bare:.2f}",
                    f"{1e9 / rate / pes:.1f}",
                )
            rate = simulate_rate(config, cycles, seed)
            figures[f"{preset} simulate"] = rate
            table.add_row(f"{preset} {config.rows}x{config.cols}", "simulate()", f"{rate / 1e3:,.1f}", "", "", "")
        console.print(table)
        if builds:
            large = Table(
                "array", "cold build, s", "k checked cycles/s", "GEMM", title="arrays compared at their ports"
            )
            sizes = {
                "32x32 e4m3": EngineConfig(rows=32, cols=32, formats=("e4m3",), accumulation="exact"),
                "mxu 128x128": PRESETS["mxu"],
            }
            for label, config in sizes.items():
                status.update(f"{label}: cold build")
                seconds, simulation = cold_build(config, directory)
                status.update(f"{label}: replay")
                rate = large_rate(config, simulation, 6_000 if config.rows < 128 else SHORT + 500, seed)
                taken, elapsed = check_gemm(config, (128, 256, 128), seed)
                figures[label] = {"build": seconds, "rate": rate, "gemm cycles": taken, "gemm seconds": elapsed}
                gemm = f"128x256x128: bits equal, {taken:,} cycles equal, {elapsed:.1f} s"
                large.add_row(label, f"{seconds:.1f}", f"{rate / 1e3:,.1f}", gemm)
            console.print(large)
    JSON.parent.mkdir(parents=True, exist_ok=True)
    JSON.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(f"figures: {JSON}", highlight=False)


if __name__ == "__main__":
    main()
