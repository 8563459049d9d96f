"""Benchmarks of the RTL: simulation, bare and checked, emission of Verilog and builds of simulators by size.

Rates are of the simulator's own processor time from the first cycle to the last, so that neither the golden model nor
Python's start enters; seconds are by the clock.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from arch.tensor.signals import engine_fields, engine_record
from golden.tensor.engine import TensorEngine
from golden.tensor.jobs import Gemm
from golden.tensor.stimulus import gemm_beats
from hw.tensor.verilog import engine_verilog
from scripts.flows.bench.measure import Figure, growth, ratio
from verif.simulation.replay import replay
from verif.simulation.simulator import Simulation, SimulatorError, build_bare
from verif.simulation.stimulus import CHUNK
from verif.tensor.engine import build_engine, simulate
from verif.tensor.unit import FLAT_PES
from verif.tensor.workload.operands import random_codes

__all__ = ["GROUPS", "bare_main", "builds", "emission", "flat_rates", "simulation", "whole_rate"]


def _square(size: int) -> EngineConfig:
    return EngineConfig(rows=size, cols=size, formats=("e4m3",), accumulation="exact")


#: Small enough to be simulated flat, with every register compared.
FLAT = {"e4m3 16x16": _square(16), "fp8 16x16": PRESETS["fp8"], "bf16 8x8": PRESETS["bf16"]}
#: Compared at their ports; rows of the largest preset among them.
SIZES = (4, 8, 16, 32, 64, 128)
#: Rows of X in a bench's GEMM, in units of the array's rows: the array is full in almost every cycle.
M_TILES = 8


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


def _job(config: EngineConfig, shape: tuple[int, int, int], seed: int) -> Gemm:
    m, k, n = shape
    fmt, rng = config.formats[0], np.random.default_rng(seed)
    x, w = random_codes(rng, (m, k), fmt, "finite"), random_codes(rng, (k, n), fmt, "finite")
    return Gemm(x=x, w=w, x_format=fmt, w_format=fmt)


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
    words = engine_record(config, registers=registers).words
    buffer = np.empty((CHUNK, words), np.uint32)
    while engine.cycle < cycles:
        yield engine.run(CHUNK, out=buffer)


def _checked_rate(simulation: Simulation, config: EngineConfig, cycles: int, seed: int, *, registers: bool) -> float:
    """Compared cycles per second."""
    outcome = replay(simulation, _records(config, cycles, seed, registers=registers))
    if not outcome.passed:
        raise SimulatorError(f"RTL and golden model differ: {outcome.failure}")
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
            done = subprocess.run([program, stimulus], check=True, capture_output=True, encoding="utf-8")
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
        raise SimulatorError("\n".join(run.lines()))
    return run.compared_cycles / (time.perf_counter() - start)


def simulation(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Cycles per second of each way to run an engine: bare, ports compared, all registers compared, ``simulate()``."""
    configs = {"tiny 4x4": PRESETS["tiny"]} if quick else FLAT
    for name, config in configs.items():
        say(f"sim: {name}, building where it is not built")
        rates = flat_rates(config, 4_000 if quick else 40_000, seed, 2 if quick else 11)
        for way, values in rates.items():
            yield Figure(
                group="sim",
                name=f"{name}, {way}",
                unit="k cycles/s",
                values=[value / 1e3 for value in values],
                ratios={} if way == "bare" else {"bare": ratio(values, rates["bare"])},
            )
        say(f"sim: {name}, a whole simulate()")
        whole = [whole_rate(config, 4_000 if quick else 40_000, seed) / 1e3 for _ in range(1 if quick else 3)]
        yield Figure(group="sim", name=f"{name}, simulate()", unit="k cycles/s", values=whole)


def emission(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Seconds from a configuration to its Verilog; ``seed`` changes nothing."""
    yield from _by_size("verilog", "emit", SIZES[:2] if quick else SIZES, 1 if quick else 3, say, _emit)


def builds(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Seconds from Verilog to a simulator that compares ports, nothing cached; of the large ones, how fast they are."""
    rates: dict[int, float] = {}

    def build(config: EngineConfig) -> float:
        engine_verilog(config)  # emission is not what is timed
        with tempfile.TemporaryDirectory() as directory:
            start = time.perf_counter()
            simulation, _ = build_engine(config, registers=False, root=Path(directory))
            seconds = time.perf_counter() - start
            if config.rows * config.cols > FLAT_PES:
                cycles = 400_000 // config.rows
                rates[config.rows] = _checked_rate(simulation, config, cycles, seed, registers=False)
        return seconds

    yield from _by_size("build", "build", SIZES[:1] if quick else SIZES, 1, say, build)
    for size, rate in rates.items():
        yield Figure(group="build", name=f"{size}x{size}, ports", unit="k cycles/s", values=[rate / 1e3])


def _emit(config: EngineConfig) -> float:
    engine_verilog.cache_clear()
    start = time.perf_counter()
    engine_verilog(config)
    return time.perf_counter() - start


def _by_size(group, verb, sizes, rounds, say, seconds_of) -> Iterator[Figure]:
    """Seconds for exact e4m3 arrays of several sizes, and how they grow."""
    least = []
    for size in sizes:
        say(f"{group}: {size}x{size}")
        values = [seconds_of(_square(size)) for _ in range(rounds)]
        least.append(min(values))
        yield Figure(group=group, name=f"{verb} e4m3 {size}x{size}", unit="s", values=values)
    if len(sizes) > 1:
        name = f"{verb}, growth from {sizes[0]}x{sizes[0]} to {sizes[-1]}x{sizes[-1]}"
        yield growth(group, name, [size * size for size in sizes], least)


GROUPS = {"sim": simulation, "verilog": emission, "build": builds}
