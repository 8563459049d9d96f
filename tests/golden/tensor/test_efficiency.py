"""Where cycles go, against the cycle model's own takes and stores; the bars that the schedule keeps to."""

import time
from dataclasses import fields
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.tensor.efficiency import Losses, losses, scale_sim_cycles
from golden.tensor.engine import TensorEngine
from golden.tensor.schedule import gemm_cycles, gemm_passes, ideal_cycles, utilization
from golden.tensor.stimulus import gemm_beats


def config_of(rows, cols, psum_depth=1024, **parameters):
    parameters = {"formats": ("e4m3",), "accumulation": "exact"} | parameters
    return EngineConfig(rows=rows, cols=cols, psum_depth=psum_depth, **parameters)


def generator():
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def measured(m, k, n, config):
    """The same parts, counted cycle by cycle and pass by pass on the cycle model."""
    engine = TensorEngine(config, registers=False)
    fmt = config.formats[0]
    dtype = np.uint16 if fmt == "bf16" else np.uint8
    for beats in gemm_beats(np.zeros((m, k), dtype), np.zeros((k, n), dtype), config, x_format=fmt, w_format=fmt):
        engine.offer(*beats)
    while not engine.done:
        engine.run(10000, until_done=True)
    passes, takes, pes = gemm_passes(m, k, n, config), engine.take_cycles, config.rows * config.cols
    starts = np.cumsum([0, *(p.tile_m for p in passes)])
    load_bound = hazard = ragged_k = ragged_n = useful = 0
    for index, p in enumerate(passes):
        rows = takes[starts[index] : starts[index + 1]]
        # Rows of a pass follow each other, as the definition supposes.
        assert (np.diff(rows) == 1).all()
        for _, lane, column in product(rows, range(config.rows), range(config.cols)):
            ragged_k += lane >= p.tile_k
            ragged_n += lane < p.tile_k and column >= p.tile_n
            useful += lane < p.tile_k and column < p.tile_n
        if index:
            waited = int(rows[0] - takes[starts[index] - 1]) - 1
            loading = min(waited, max(0, config.load_cycles(p.tile_k) - passes[index - 1].tile_m))
            load_bound += loading
            hazard += waited - loading
    return Losses(
        useful=useful,
        ragged_k=ragged_k,
        ragged_n=ragged_n,
        first_load=int(takes[0] - engine.first_weight_cycle) * pes,
        load_bound=load_bound * pes,
        hazard=hazard * pes,
        drain=int(engine.last_store_cycle - takes[-1]) * pes,
    )


def test_parts_are_those_of_the_cycle_model():
    rng = generator()
    for _ in range(120):
        rows, cols = (int(v) for v in rng.integers(1, 7, 2))
        depth = 1 << int(rng.integers((rows + cols + 6).bit_length(), 9))
        config = config_of(rows, cols, depth, rows_per_load_cycle=int(rng.choice([1, rng.integers(1, rows + 1)])))
        shape = tuple(int(v) for v in rng.integers(1, 1 + rng.choice([3, 12, 25], 3)))
        assert losses(*shape, config) == measured(*shape, config), (config, shape)


def test_parts_add_up():
    rng = generator()
    presets = list(PRESETS.values())
    for index in range(3000):
        config = presets[index % len(presets)]
        if index % 2:
            rows, cols = (int(v) for v in np.exp(rng.uniform(0, np.log(256), 2)))
            together = int(rng.integers(1, rows + 1))
            chain = {"accumulation": "fp32", "add_latency": int(rng.integers(1, 6)), "psum_depth": 4096}
            other = {"psum_depth": int(rng.choice([1024, 4096])), "k_max": 65536, "rows_per_load_cycle": together}
            config = config_of(rows, cols, **(other if index % 4 == 1 else chain))
        m, k, n = (int(v) for v in np.exp(rng.uniform(0, np.log(16384), 3)))
        parts = losses(m, k, n, config)
        cycles, pes = gemm_cycles(m, k, n, config), config.rows * config.cols
        assert all(getattr(parts, f.name) >= 0 for f in fields(parts)), (config, m, k, n)
        assert parts.total == cycles * pes, (config, m, k, n)
        lost = sum(getattr(parts, f.name) for f in fields(parts) if f.name != "useful")
        assert Fraction(lost, pes) == cycles - Fraction(m * k * n, pes)
        shares = parts.shares()
        assert sum(shares.values()) == 1
        assert float(shares["useful"]) == pytest.approx(utilization(m, k, n, config))


def test_parts_by_hand():
    """One row of seven lanes on 4 x 4: tiles of 4 and 3 lanes; columns 4 and 1."""
    parts = losses(1, 7, 5, PRESETS["tiny"])
    assert parts.useful == 35
    # Two passes of 4 columns have 1 lane idle in each of them; seven lanes lack 3 columns.
    assert parts.ragged_k == 2 * 4 and parts.ragged_n == 7 * 3
    assert parts.first_load == 4 * 16
    # Passes load for 4, 3 and 3 cycles, beside one row each. The first K tile's sums are back by then.
    assert parts.load_bound == (3 + 2 + 2) * 16 and parts.hazard == 0
    # Six cycles to the store of the only column of the last tile.
    assert parts.drain == 6 * 16
    # Two K tiles of one output tile: 3 cycles of loading, 2 more until the sum is back.
    parts = losses(1, 8, 4, PRESETS["tiny"])
    assert (parts.load_bound, parts.hazard) == (3 * 16, 2 * 16)


def test_sums_and_multiples():
    parts = [losses(*shape, PRESETS["tiny"]) for shape in ((1, 7, 5), (9, 4, 4))]
    both = parts[0] + parts[1] * 3
    assert both.total == 16 * (gemm_cycles(1, 7, 5, PRESETS["tiny"]) + 3 * gemm_cycles(9, 4, 4, PRESETS["tiny"]))
    assert both.useful == 35 + 3 * 144


def test_empty_products():
    for shape in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        parts = losses(*shape, PRESETS["tiny"])
        assert parts.total == 0 and set(parts.shares().values()) == {0}
        assert scale_sim_cycles(*shape, PRESETS["tiny"]) == 0


def test_refusals():
    with pytest.raises(ValueError, match="K must be at most k_max = 16384 under exact accumulation, not 16385"):
        losses(1, 16385, 1, PRESETS["tiny"])
    with pytest.raises(ValueError, match="the sizes of a GEMM must be 0 or more, not 1, -1, 1"):
        losses(1, -1, 1, PRESETS["tiny"])


def test_parts_of_a_huge_product():
    parts = losses(10**9, 16384, 10**9, PRESETS["mxu"])
    assert parts.total == 16384 * gemm_cycles(10**9, 16384, 10**9, PRESETS["mxu"])
    assert parts.shares()["useful"] > 0.999


# ---- bars -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("tiles", [16, 17, 25, 64])
def test_large_square_products_use_99_percent(name, tiles):
    config = PRESETS[name]
    size = tiles * config.rows
    assert utilization(size, size, size, config) >= 0.99
    assert ideal_cycles(size, size, size, config) >= 0.99 * gemm_cycles(size, size, size, config)


def grid(config, full=9):
    """Sizes around every boundary: all, for an array up to ``full`` lanes, else those next to the multiples."""

    def sizes(lanes):
        if lanes <= full:
            return range(1, 3 * lanes + 2)
        near = {1, 2, 3, lanes // 2, 5 * lanes + 3, *(i * lanes + j for i in (1, 2) for j in (-1, 0, 1))}
        return sorted(near)

    rows = sorted({*range(1, 8), *sizes(config.rows), config.store_latency, config.tile_m, config.tile_m + 1})
    return product(rows, sizes(config.rows), sizes(config.cols))


def excess(m, k, n, config):
    """Cycles above SCALE-Sim's at the same add latency, and whether it takes more than one tile."""
    several = k > config.rows or n > config.cols
    theirs = scale_sim_cycles(m, k, n, config, add_latency=config.add_latency)
    return gemm_cycles(m, k, n, config) - theirs, several


#: Arrays, thin ones too, and what their pipelines and weight streams are.
SIZES = [(1, 9), (1, 40), (1, 256), (9, 1), (40, 1), (256, 1), (4, 6), (2, 9), (9, 2), (5, 12), (256, 256)]
PIPELINES = [
    {},
    {"product_latency": 2},
    {"accumulation": "fp32", "add_latency": 2, "psum_depth": 2048},
    {"accumulation": "fp32", "add_latency": 4, "psum_depth": 2048},
    {"accumulation": "fp32", "add_latency": 5, "psum_depth": 2048},
    {"rows_per_load_cycle": 2},
    {"rows_per_load_cycle": 256},
]


def pipeline(config):
    """Registers that SCALE-Sim's PE does not have: operand, product, PSUM's own; and the cycle it counts from 0."""
    return config.product_latency + 3


def check_against_scale_sim(config):
    rng = generator()
    several = [tuple(int(v) for v in np.exp(rng.uniform(0, np.log(8000), 3))) for _ in range(1000)]
    for shape in [*grid(config), *several]:
        more, many = excess(*shape, config)
        assert more < 0 if many else more <= pipeline(config), (config, shape, more)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_take_fewer_cycles_than_scale_sim(name):
    check_against_scale_sim(PRESETS[name])


def cases():
    """Every array with every pipeline."""
    for (rows, cols), parameters in product(SIZES, PIPELINES):
        together = min(rows, parameters.get("rows_per_load_cycle", 1))
        config = config_of(rows, cols, **parameters | {"rows_per_load_cycle": together})
        # Where sums take longer to come back than the longest blocks of M have rows, blocks wait for their own sums.
        if config.store_latency <= 2 * config.tile_m - 2:
            yield pytest.param(config, id=f"{rows}x{cols}-{parameters}")


@pytest.mark.parametrize("config", list(cases()))
def test_fewer_cycles_than_scale_sim(config):
    check_against_scale_sim(config)


def test_a_single_tile_takes_the_pipelines_more():
    for parameters in PIPELINES[:4]:
        config = config_of(8, 8, **parameters)
        assert excess(5, 8, 8, config) == (pipeline(config), False)


@pytest.mark.parametrize("parameters", PIPELINES[:4], ids=str)
def test_which_arrays_are_too_small_for_that(parameters):
    """Of R + C <= 5 + 2 product_latency lanes, some products of few tiles take longer: nothing makes up for the PE."""
    for rows, cols in product(range(1, 8), repeat=2):
        config = config_of(rows, cols, **parameters)
        shapes = product((1, 2, 3), range(1, 3 * rows + 1), range(1, 3 * cols + 1))
        worse = any(many and more >= 0 for more, many in (excess(*shape, config) for shape in shapes))
        assert worse == (rows + cols <= 5 + 2 * config.product_latency), config


def test_sums_that_take_longer_from_row_to_row():
    """Beside SCALE-Sim's own single cycle, short products of few tiles take longer: the chain itself does."""
    config = config_of(16, 16, accumulation="fp32", add_latency=3)
    assert gemm_cycles(1, 32, 16, config) > 2 * 3 * 16 > scale_sim_cycles(1, 32, 16, config)
    # Many tiles side by side wait for nothing.
    assert gemm_cycles(1, 32, 160, config) < scale_sim_cycles(1, 32, 160, config)
