"""Stimulus at the engine's limits: small rings, hazards, extreme sums, formats mixed back to back, reset midway."""

import os
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.numerics.conversions import code_dtype
from golden.tensor.efficiency import scale_sim_cycles
from golden.tensor.jobs import Gemm
from golden.tensor.schedule import gemm_cycles
from verif.simulation.replay import replay
from verif.tensor.engine import build_engine, simulate
from verif.tensor.workload.operands import random_codes
from verif.tensor.workload.session import Stretch, session
from verif.tensor.workload.traffic import traffic_trace

SEED = int(os.environ.get("SEED", 5))
#: For runs of a few thousand cycles Icarus, which builds in a second, is the faster one.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
#: Rings of few rows, so that they wrap and fill; sums of few products, so that the accumulator is used to its top.
WIDE = EngineConfig(rows=2, cols=5, formats=("e4m3", "e5m2"), accumulation="exact", k_max=9, psum_depth=16)
#: The same with pipelined products; and operands as integers.
PIPELINED = replace(WIDE, product_latency=2)
INTEGER = EngineConfig(
    rows=3, cols=4, formats=("e4m3",), accumulation="exact", k_max=10, psum_depth=16, integer_operands=True
)
TALL = EngineConfig(rows=5, cols=2, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32", psum_depth=16)
DEEP = replace(TALL, add_latency=3, readout_latency=6, psum_depth=32)
CONFIGS = {
    "wide": (WIDE, "verilator"),
    "tall": (TALL, "verilator"),
    "pipelined": (PIPELINED, SHORT),
    "integer": (INTEGER, SHORT),
    "pipelined_integer": (replace(INTEGER, product_latency=2), SHORT),
    "deep": (DEEP, SHORT),
    "slow_readout": (replace(WIDE, readout_latency=8), SHORT),
    "one": (EngineConfig(rows=1, cols=1, formats=("bf16",), accumulation="fp32", psum_depth=8), SHORT),
    "row": (EngineConfig(rows=1, cols=4, formats=("e5m2",), accumulation="exact", k_max=5, psum_depth=16), SHORT),
    "column": (EngineConfig(rows=4, cols=1, formats=("e4m3",), accumulation="exact", k_max=13, psum_depth=16), SHORT),
}
#: Of these the longer runs are slow tests.
LONG = ("wide", "tall", "pipelined", "pipelined_integer", "slow_readout", "deep", "column")
PACES = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.7), (0.4, 0.4)]


def generator(*key: int) -> np.random.Generator:
    print("seed", SEED, *key)
    return np.random.default_rng([SEED, *key])


def bit_patterns(rng, shape, fmt):
    return rng.integers(0, 1 << FORMATS[fmt].bits, shape, dtype=code_dtype(fmt))


def gemm(x, w, x_format, w_format=None, out_format="fp32", saturate=True) -> Gemm:
    w_format = w_format or x_format
    x, w = np.atleast_2d(x).astype(code_dtype(x_format)), np.atleast_2d(w).astype(code_dtype(w_format))
    return Gemm(x=x, w=w, x_format=x_format, w_format=w_format, out_format=out_format, saturate=saturate)


def limit_jobs(config: EngineConfig, rng: np.random.Generator) -> list[Gemm]:
    """Every ring and tile boundary in M, one to many K tiles, one to several N tiles, every way to read out."""
    top = config.k_max if config.exact else 4 * config.rows + 1
    sizes = {1, 2, config.tile_m - 1, config.tile_m, config.tile_m + 1, config.psum_depth, 2 * config.psum_depth + 1}
    depths = {1, config.rows, min(config.rows + 1, top), top}
    widths = {1, config.cols, config.cols + 1, 4 * config.cols}
    modes = list(product(FORMATS, (False, True)))
    jobs = []
    for m, k, n in product(sorted(sizes - {0}), sorted(depths), sorted(widths)):
        x_format, w_format = rng.choice(config.formats, 2)
        codes = bit_patterns(rng, (m, k), x_format), bit_patterns(rng, (k, n), w_format)
        jobs.append(gemm(*codes, x_format, w_format, *modes[len(jobs) % len(modes)]))
    return [jobs[index] for index in rng.permutation(len(jobs))]


def extreme_jobs(config: EngineConfig) -> list[Gemm]:
    """k_max products of the largest magnitude, of either sign and in turns; then one of them less."""
    jobs = []
    for x_format, w_format in product(config.formats, repeat=2):
        x, w = FORMATS[x_format], FORMATS[w_format]
        for sign, k in product((0, 1), (config.k_max, config.k_max - 1)):
            for out_format, saturate in product(FORMATS, (False, True)):
                column = np.full((k, 1), w.max_code | sign << w.bits - 1)
                turns = np.where(np.arange(k) % 2, w.max_code, w.max_code | 1 << w.bits - 1)[:, None]
                weights = np.concatenate([column, turns, column], axis=1)
                jobs.append(gemm(np.full((2, k), x.max_code), weights, x_format, w_format, out_format, saturate))
    return jobs


def check(config: EngineConfig, jobs: list[Gemm], **options):
    run = simulate(config, jobs, **options)
    assert not run.mismatches, "\n".join(run.lines())
    assert len(run.results) == len(run.cycles) == len(jobs)
    return run


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in CONFIGS]
)
def test_ring_and_tile_boundaries(name):
    config, simulator = CONFIGS[name]
    for index, (idle, stall) in enumerate(PACES):
        jobs = limit_jobs(config, generator(index))
        if simulator != "verilator":
            jobs = jobs[: len(jobs) // 6]
        check(config, jobs, simulator=simulator, seed=index, idle=idle, stall=stall)


def test_engine_of_an_ecp5s_cells():
    """The Verilog that ``systolith fpga`` builds for an ECP5, with what its cells do."""
    config, simulator = CONFIGS["pipelined"]
    jobs = limit_jobs(config, generator(9))[:20]
    options = {"simulator": simulator, "target": "ecp5", "seed": 9, "idle": 0.3, "stall": 0.5}
    check(config, jobs, **options)

    def stuck(text):
        assert "DCCA advance_buffer" in text
        return text.replace("assign CLKO = CLKI & CE;", "assign CLKO = CE;")

    run = simulate(config, jobs, rewrite=stuck, **options)
    assert run.mismatches and "o_result" in "\n".join(run.lines())


@pytest.mark.slow
def test_largest_exact_sums():
    jobs = extreme_jobs(WIDE)
    run = check(WIDE, jobs)
    for job, result in zip(jobs, run.results, strict=True):
        if job.out_format == "fp32":
            k = job.shape[1]
            largest = FORMATS[job.x_format].max_value * FORMATS[job.w_format].max_value
            sign = -1 if job.w[0, 0] >> FORMATS[job.w_format].bits - 1 else 1
            expected = np.float32([sign * k * largest, -largest if k % 2 else 0, sign * k * largest])
            assert (result == expected.view(np.uint32)).all()


def test_fp32_chains_at_the_ends_of_the_range():
    one, tiny, huge, inf, minus = 0x3F80, 0x0001, 0x7F7F, 0x7F80, 0x8000
    cases = {
        # Two subnormals underflow to nothing, and the zero keeps the sign.
        0x80000000: ([tiny], [tiny | minus]),
        # The smallest bf16 subnormal is 2**-133: 2**16 fp32 ones.
        0x00010000: ([tiny, tiny], [one, 0]),
        # 2**-66 * 2**-83 is the smallest fp32 subnormal, and half of it is a tie that goes to zero.
        0x00000001: ([0x1E80], [0x1600]),
        0x00000000: ([0x1E80], [0x1580]),
        # One and a half of the smallest goes to two of it.
        0x00000002: ([0x1E80], [0x1640]),
        0x7F800000: ([huge], [huge]),
        0xFF800000: ([huge, one], [huge | minus, one]),
        # Overflow is final: what comes after cannot undo it.
        0x7FC00000: ([huge, inf], [huge, one | minus]),
    }
    jobs = [gemm([x], np.array([w]).T, "bf16") for x, w in cases.values()]
    run = check(TALL, jobs)
    assert [int(result[0, 0]) for result in run.results] == list(cases)
    for out_format, saturate in product(("bf16", "e4m3", "e5m2"), (False, True)):
        check(TALL, [gemm([x], np.array([w]).T, "bf16", None, out_format, saturate) for x, w in cases.values()])


def test_cycle_counts_of_random_shapes():
    config, rng = PRESETS["tiny"], generator()
    shapes = [tuple(int(size) for size in np.exp(rng.uniform(0, np.log(60), 3))) for _ in range(200)]
    # One row through many K tiles, each waiting for the one before; more than one M block; more than one ring.
    shapes += [(1, 400, 1), (1, 400, 9), (3, 201, 6), (513, 5, 5), (1030, 9, 3), (2100, 1, 1)]
    jobs = [gemm(bit_patterns(rng, (m, k), "e4m3"), bit_patterns(rng, (k, n), "e4m3"), "e4m3") for m, k, n in shapes]
    check(config, jobs)


@pytest.mark.slow
def test_fp32_results_do_not_depend_on_the_array():
    rng = generator()
    formats = ("e4m3", "e5m2", "bf16")
    jobs = []
    for x_format, w_format in product(formats, repeat=2):
        m, k, n = (int(size) for size in rng.integers(1, 70, 3))
        # Medium exponents: sums that stay finite, so that every rounding shows.
        x, w = random_codes(rng, (m, k), x_format, "medium"), random_codes(rng, (k, n), w_format, "medium")
        jobs.append(gemm(x, w, x_format, w_format))
    # Of one shape in sixteen rows and few columns, whose simulation takes a fifth of the time to build.
    sizes = [EngineConfig(rows=r, cols=c, formats=formats, accumulation="fp32") for r, c in ((4, 4), (16, 3))]
    small, large = (check(config, jobs) for config in sizes)
    for one, other in zip(small.results, large.results, strict=True):
        assert (one == other).all()
    codes = np.concatenate([result.ravel() for result in small.results])
    assert np.isfinite(codes.view(np.float32)).mean() > 0.75


@pytest.mark.parametrize("name", ["tiny", "row"])
def test_every_small_shape_takes_its_cycles(name):
    """Every shape up to two tiles and a bit, on the RTL: golden.tensor.schedule's, and fewer than SCALE-Sim's."""
    config = EngineConfig(rows=1, cols=7, formats=("e4m3",), accumulation="exact", k_max=8, psum_depth=32)
    config = config if name == "row" else PRESETS[name]
    rng = generator()
    shapes = list(product((1, 2, 5), range(1, 2 * config.rows + 2), range(1, 2 * config.cols + 2)))
    jobs = [gemm(bit_patterns(rng, (m, k), "e4m3"), bit_patterns(rng, (k, n), "e4m3"), "e4m3") for m, k, n in shapes]
    run = check(config, jobs, simulator=SHORT)
    for shape, cycles in zip(shapes, run.cycles, strict=True):
        assert cycles == gemm_cycles(*shape, config)
        _, k, n = shape
        several = k > config.rows or n > config.cols
        assert cycles - scale_sim_cycles(*shape, config) <= (-1 if several else 4), shape


# ---- tiles of any kind, back to back ------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in CONFIGS]
)
def test_mixed_passes_back_to_back(name):
    config, simulator = CONFIGS[name]
    simulation, _ = build_engine(config, simulator=simulator)
    for index, (idle, stall) in enumerate(PACES):
        groups = 150 if simulator == "verilator" else 15
        trace = traffic_trace(config, generator(index), groups, idle=idle, stall=stall, seed=index)
        outcome = replay(simulation, [trace])
        assert outcome.passed, str(outcome.mismatches[0])
        assert outcome.compared_cycles == len(trace)


def test_reset_midway():
    """Reset in full traffic, at several moments: what follows is what follows the first reset."""
    simulation, _ = build_engine(WIDE, simulator=SHORT, resets=True)
    rng = generator(7)
    stretches = [
        Stretch(groups=4, idle=0.2, stall=0.2, cut=int(cut), reset=1 + index % 3)
        for index, cut in enumerate(rng.integers(1, 150, 12))
    ]
    outcome = replay(simulation, session(WIDE, rng, [*stretches, Stretch(groups=4)]))
    assert outcome.passed, str(outcome.mismatches[0])


@pytest.mark.slow
@pytest.mark.parametrize("group", range(4))
def test_every_flipped_bit_of_a_trace_is_caught_and_named(group):
    """25 of 100 traces with one wrong bit: any cycle, any port or PE register, any bit of it."""
    rng = generator(100, group)
    simulation, fields = build_engine(WIDE)
    clean = traffic_trace(WIDE, rng, 20, idle=0.2, stall=0.2)
    starts = np.cumsum([0, *(f.words for f in fields)])
    compared = [index for index, f in enumerate(fields) if not f.drive]
    for _ in range(25):
        index, cycle = int(rng.choice(compared)), int(rng.integers(len(clean)))
        bit = int(rng.integers(fields[index].width))
        trace = clean.copy()
        trace[cycle, starts[index] + bit // 32] ^= np.uint32(1 << bit % 32)
        outcome = replay(simulation, [trace])
        (mismatch,) = outcome.mismatches
        assert not outcome.passed
        assert mismatch.cycle == cycle
        ((found, expected, actual),) = mismatch.fields
        assert (found, expected ^ actual) == (fields[index], 1 << bit)
