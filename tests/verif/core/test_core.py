"""The core's RTL and its golden model, on random programs at many paces of memory: every signal in every cycle."""

import os
import shutil

import numpy as np
import pytest

from arch.core.presets import CORES
from verif.core.programs import random_program
from verif.core.runs import run_programs

SEED = int(os.environ.get("SEED", 5))
#: Cycles of the long runs, in all; and programs of each simulation in them.
CYCLES, BATCH = int(os.environ.get("CYCLES", 90_000)), 40
#: Icarus builds in a second, and these runs are short.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
TINY = CORES["tiny"]
PACES = (
    {},
    {"latency": 50},
    {"latency": 12, "idle": (0.5, 0.3, 0.6)},
    {"latency": 5, "stall": (0.5, 0.8, 0.3)},
    {"latency": 2, "idle": 0.6, "stall": 0.6},
)


def check_agrees(config, simulator, seeds, length=20, **pace):
    """Programs through both, one after another; the memory that the last leaves is the executor's."""
    print(f"seeds {seeds}, {pace}")
    programs = [random_program(config, seed, length=length) for seed in seeds]
    run = run_programs(config, programs, simulator=simulator, pace=pace)
    assert not run.mismatches, "\n".join(run.lines())
    assert run.compared_cycles > 100 * len(programs)


@pytest.mark.parametrize("number", [1, 4])
def test_random_programs(number):
    check_agrees(TINY, SHORT, [10 * SEED + number], seed=SEED, length=15, **PACES[number])


@pytest.mark.slow
@pytest.mark.parametrize(("simulator", "count"), [("icarus", 1), ("verilator", 20)])
@pytest.mark.parametrize("number", range(len(PACES)))
def test_many_random_programs(number, simulator, count):
    rng = np.random.default_rng([SEED, number])
    check_agrees(TINY, simulator, rng.integers(1 << 31, size=count).tolist(), seed=SEED, **PACES[number])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fp8", "bf16"])
def test_random_programs_on_a_larger_core(name):
    check_agrees(CORES[name], "icarus", [SEED], length=8, seed=SEED, latency=9, idle=0.2, stall=0.2)


LONG = [name for name in CORES if name != "mxu"]


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_long_run(name):
    """Simulations one after another, each of other programs at another pace, until there are cycles enough."""
    rng, cycles, batch = np.random.default_rng([SEED, LONG.index(name)]), 0, 0
    while cycles < CYCLES // len(LONG):
        seeds, pace = rng.integers(1 << 31, size=BATCH).tolist(), PACES[batch % len(PACES)]
        programs = [random_program(CORES[name], seed) for seed in seeds]
        run = run_programs(CORES[name], programs, simulator="verilator", pace={"seed": batch} | pace)
        assert not run.mismatches, "\n".join([f"seed {SEED}, batch {batch}", *run.lines()])
        cycles, batch = cycles + run.compared_cycles, batch + 1
        print(f"seed {SEED}, {name}: {cycles:,} cycles, {batch * BATCH} programs", flush=True)
