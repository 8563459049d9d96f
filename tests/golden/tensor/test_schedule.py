"""The schedule of a GEMM: its passes, and its cycles in closed form against the cycle model."""

import time
from itertools import pairwise

import numpy as np
import pytest
from operands import bit_patterns

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from arch.tensor.presets import PRESETS
from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm
from golden.tensor.engine import TensorEngine
from golden.tensor.schedule import Pass, block_rows, gemm_cycles, gemm_passes, ideal_cycles, readout_cycles, utilization
from golden.tensor.stimulus import assemble, gemm_beats, gemm_stimulus

TINY = PRESETS["tiny"]


def config_of(rows, cols, psum_depth=1024, **parameters):
    parameters = {"formats": ("e4m3",), "accumulation": "exact"} | parameters
    return EngineConfig(rows=rows, cols=cols, psum_depth=psum_depth, **parameters)


def codes(m, k, n, value=0x38):
    return np.full((m, k), value, np.uint8), np.full((k, n), value, np.uint8)


def simulated(m, k, n, config, x=None, w=None, formats=("e4m3", "e4m3"), **modes):
    """The engine after a GEMM, cycles counted by the model, and cycles from the last store to the last result."""
    if x is None:
        x, w = codes(m, k, n, 0x38 if formats[0] == "e4m3" else 0x3C)
    engine = TensorEngine(config, registers=False)
    for beats in gemm_beats(x, w, config, x_format=formats[0], w_format=formats[1], **modes):
        engine.offer(*beats)
    while not engine.done:
        engine.run(10000, until_done=True)
    return engine, engine.last_store_cycle - engine.first_weight_cycle + 1, engine.cycle - 1 - engine.last_store_cycle


def test_a_schedule_by_hand():
    """Two rows, two K tiles, three N tiles: sums come back after 6 cycles, so two tiles of 4 cycles alternate."""
    passes = gemm_passes(2, 7, 9, TINY)
    rows = [(p.k0, p.tile_k, p.n0, p.tile_n, p.base, p.distance, p.first, p.last) for p in passes]
    assert rows == [
        (0, 4, 0, 4, 0, 4, True, False),
        (0, 4, 4, 4, 2, 4, True, False),
        (4, 3, 0, 4, 0, 4, False, True),
        (4, 3, 4, 4, 2, 4, False, True),
        (0, 4, 8, 1, 4, 2, True, False),
        (4, 3, 8, 1, 4, 2, False, True),
    ]
    assert {(p.m0, p.tile_m) for p in passes} == {(0, 2)}
    # Passes start at 4, 8, 11, 14 (3 weight rows each in the last step), 18, and 24: six cycles after 18. The last
    # row is taken a cycle later and its one column stored 6 cycles after that, 31; one tile before it nothing is
    # later. Cycle 0 takes the first weight row.
    assert gemm_cycles(2, 7, 9, TINY) == 32
    assert simulated(2, 7, 9, TINY)[1] == 32


def test_a_single_pass_by_hand():
    # 4 weight rows, 3 activation rows, and from the last of them 6 + 3 cycles to its last column's store.
    assert gemm_cycles(3, 4, 4, TINY) == 4 + 2 + 9 + 1
    # Read 11 cycles after it was taken, on the port 4 later.
    assert readout_cycles(3, 4, 4, TINY) == 11 + 4 - 9


@pytest.mark.parametrize(
    "m, k, n, config",
    [
        (1100, 40, 20, TINY),
        (50, 33, 70, PRESETS["fp8"]),
        (300, 5, 9, config_of(3, 2, 16)),
        (40, 64, 1, config_of(1, 7, 32)),
    ],
)
def test_passes_cover_the_product_once(m, k, n, config):
    passes = gemm_passes(m, k, n, config)
    terms = np.zeros((m, k, n), np.uint8)
    next_base, bases, takes = 0, {}, []
    for p in passes:
        terms[p.m0 : p.m0 + p.tile_m, p.k0 : p.k0 + p.tile_k, p.n0 : p.n0 + p.tile_n] += 1
        assert p.tile_m <= config.tile_m and p.tile_k <= config.rows and p.tile_n <= config.cols
        assert p.first == (p.k0 == 0) and p.last == (p.k0 + p.tile_k == k)
        assert p.distance <= config.store_latency
        if p.first:
            # Ring order.
            assert p.base == next_base
            next_base = (p.base + p.tile_m) % config.psum_depth
            bases[p.m0, p.n0] = (p.base, len(takes))
        else:
            base, start = bases[p.m0, p.n0]
            # K ascends, on the same PSUM rows, and the row added to is the one ``distance`` earlier, or long past.
            assert p.base == base
            gap = len(takes) - start
            assert gap == p.distance or (p.distance == config.store_latency and gap > p.distance)
            bases[p.m0, p.n0] = (base, len(takes))
        takes += [p] * p.tile_m
    assert (terms == 1).all()
    finished = [(p.m0, p.n0) for p in passes if p.last]
    assert finished == sorted(finished)


def test_cycles_equal_the_model_on_random_engines():
    """Closed form against the cycle model, and its data against the product: shapes, sizes and formats at random."""
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    kinds = [
        (("e4m3",), "exact"),
        (("e4m3", "e5m2"), "exact"),
        (("e5m2",), "fp32"),
        (("e4m3", "bf16"), "fp32"),
    ]
    for _ in range(250):
        formats, accumulation = kinds[generator.integers(len(kinds))]
        rows, cols = (int(v) for v in generator.integers(1, 10, 2))
        depth = 1 << int(generator.integers((rows + cols + 6).bit_length(), 9))
        together = int(generator.choice([1, rows, generator.integers(1, rows + 1)]))
        config = config_of(rows, cols, depth, formats=formats, accumulation=accumulation, rows_per_load_cycle=together)
        m, k, n = (int(v) for v in generator.integers(1, 1 + generator.choice([3, 12, 40], 3)))
        pair = tuple(str(f) for f in generator.choice(formats, 2))
        out = str(generator.choice(["fp32", "bf16", "e5m2"]))
        x, w = bit_patterns(generator, (m, k), pair[0]), bit_patterns(generator, (k, n), pair[1], finite=True)
        engine, cycles, readout = simulated(m, k, n, config, x, w, pair, out_format=out)
        case = (config, m, k, n)
        assert (cycles, readout) == (gemm_cycles(m, k, n, config), readout_cycles(m, k, n, config)), case
        values = gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation=accumulation)
        assert (assemble(engine.results, m, k, n, config) == encode(values, out)).all(), case


def test_cycles_equal_the_model_where_columns_outlast_passes():
    """Wide arrays of few rows and short passes: the last store is often not the last pass's."""
    for rows, cols in ((1, 9), (1, 40), (2, 17), (3, 30)):
        config = config_of(rows, cols, 128)
        for m in (1, 2, 5):
            for k in (1, rows, rows + 1, 3 * rows, 3 * rows + 2):
                for n in (1, cols - 1, cols + 1, 2 * cols, 2 * cols + 1, 5 * cols + 2):
                    _, cycles, readout = simulated(m, k, n, config)
                    assert cycles == gemm_cycles(m, k, n, config), (config, m, k, n)
                    assert readout == readout_cycles(m, k, n, config), (config, m, k, n)


def test_cycles_equal_the_model_with_several_rows_in_a_load_cycle():
    """Every pass is one of few cycles: sums, ends of groups and last stores are all that is left."""
    for rows, cols in ((3, 9), (4, 4), (7, 2)):
        for together in range(2, rows + 1):
            config = config_of(rows, cols, 64, rows_per_load_cycle=together)
            for m in (1, 2, 4):
                for k in (1, together, together + 1, rows, rows + 1, 3 * rows, 3 * rows + 2):
                    for n in (1, cols, cols + 1, 4 * cols + 2):
                        _, cycles, readout = simulated(m, k, n, config)
                        assert cycles == gemm_cycles(m, k, n, config), (config, m, k, n)
                        assert readout == readout_cycles(m, k, n, config), (config, m, k, n)


def test_beats_of_several_rows():
    """Five weight rows, two to a beat: three beats, the last one half empty."""
    config = config_of(5, 2, rows_per_load_cycle=2)
    x, w = codes(1, 5, 3)
    w[:] = np.arange(1, 16, dtype=np.uint8).reshape(5, 3)
    _, weights, _ = gemm_stimulus(x, w, config, x_format="e4m3", w_format="e4m3")
    assert weights.tolist() == [
        [1, 2, 4, 5],
        [7, 8, 10, 11],
        [13, 14, 0, 0],
        [3, 0, 6, 0],
        [9, 0, 12, 0],
        [15, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    "name, shape",
    [
        ("tiny", (1, 1, 1)),
        ("tiny", (513, 9, 7)),
        ("tiny", (1030, 5, 9)),
        ("fp8", (64, 64, 64)),
        ("fp8", (1, 200, 130)),
        ("fp8", (5, 100, 100)),
        ("fp8", (515, 17, 33)),
        ("bf16", (17, 33, 65)),
        ("bf16", (1000, 8, 8)),
        ("mxu", (3, 300, 200)),
    ],
)
def test_cycles_of_presets(name, shape):
    _, cycles, readout = simulated(*shape, PRESETS[name])
    assert cycles == gemm_cycles(*shape, PRESETS[name])
    assert readout == readout_cycles(*shape, PRESETS[name])


def test_cycles_do_not_depend_on_the_size_to_compute():
    start = time.perf_counter()
    cycles = gemm_cycles(10**9, 16384, 10**9, PRESETS["mxu"])
    assert time.perf_counter() - start < 0.1
    ideal = ideal_cycles(10**9, 16384, 10**9, PRESETS["mxu"])
    assert 1 <= cycles / ideal < 1.001
    assert utilization(10**9, 16384, 10**9, PRESETS["mxu"]) == pytest.approx(ideal / cycles)


def test_a_long_product_uses_the_array_fully():
    m, k, n = 512, 512, 512
    # Sixteen cycles of loading at the start; at the end 18 to the first column's store, 15 more to the last's.
    assert gemm_cycles(m, k, n, PRESETS["fp8"]) == ideal_cycles(m, k, n, PRESETS["fp8"]) + 16 + 18 + 15
    assert utilization(m, k, n, PRESETS["fp8"]) > 0.99


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty_products(shape):
    assert gemm_passes(*shape, TINY) == []
    assert gemm_cycles(*shape, TINY) == readout_cycles(*shape, TINY) == ideal_cycles(*shape, TINY) == 0
    assert utilization(*shape, TINY) == 0
    commands, weights, activations = gemm_stimulus(*codes(*shape), TINY, x_format="e4m3", w_format="e4m3")
    assert commands.shape == (0,) and weights.shape == (0, 4) and activations.shape == (0, 4)
    assert assemble(np.zeros((0, 4), np.uint32), *shape, TINY).tolist() == np.zeros((shape[0], shape[2])).tolist()


def test_stimulus_is_the_passes_beats():
    config = PRESETS["bf16"]
    x, w = np.arange(30, dtype=np.uint8).reshape(2, 15), np.arange(45, dtype=np.uint16).reshape(15, 3)
    modes = {"x_format": "e5m2", "w_format": "bf16", "out_format": "e4m3", "saturate": False}
    commands, weights, activations = gemm_stimulus(x, w, config, **modes)
    assert commands.dtype == np.uint64 and weights.dtype == activations.dtype == np.uint16
    passes = gemm_passes(2, 15, 3, config)
    assert passes[0] == Pass(0, 2, 0, 8, 0, 3, 0, 2, True, False)
    for command, p in zip(commands.tolist(), passes, strict=True):
        fields = command_layout(config).unpack(command)
        assert fields.pop("x_format") == 3 and fields.pop("w_format") == 1
        assert fields.pop("out_format") == 2 and fields.pop("saturate") == 0
        assert all(value == getattr(p, name) for name, value in fields.items())
    assert (weights[:, :3] == w).all() and not weights[:, 3:].any()
    assert (activations[:2] == x[:, :8]).all() and (activations[2:, :7] == x[:, 8:]).all()
    assert not activations[2:, 7:].any()
    parts = [np.concatenate(part) for part in zip(*gemm_beats(x, w, config, **modes), strict=True)]
    for part, whole in zip(parts, (commands, weights, activations), strict=True):
        assert (part == whole).all()


def test_assemble_puts_rows_where_they_belong():
    """Blocks of 5 and 4 rows, two tiles of 3 columns, each row of results numbered."""
    config = config_of(2, 3, 16)
    assert config.tile_m == 16 - config.drain_latency - 1 == 7 and block_rows(9, config) == 5
    # On three rows two blocks of 4 would both be shorter than the 5 cycles in which a sum comes back.
    assert config.store_latency == 4 and block_rows(8, config) == 4 and block_rows(8, config_of(3, 3, 16)) == 6
    rows = np.arange(3 * 18, dtype=np.uint32).reshape(18, 3)
    y = assemble(rows, 9, 5, 5, config)
    # Rows 0..4 of tile 0, rows 0..4 of tile 1, then the block of 4.
    assert y[0].tolist() == [0, 1, 2, 15, 16]
    assert y[4].tolist() == [12, 13, 14, 27, 28]
    assert y[8].tolist() == [39, 40, 41, 51, 52]
    with pytest.raises(ValueError, match=r"result_rows must have shape \(18, 3\), not \(17, 3\)"):
        assemble(rows[:-1], 9, 5, 5, config)


@pytest.mark.parametrize("name", PRESETS)
def test_blocks_of_rows_are_few_and_alike(name):
    config = PRESETS[name]
    for m in (1, 511, 512, 513, 700, 1024, 1025, 12544, 10**9):
        block = block_rows(m, config)
        blocks = -(-m // block)
        assert blocks == -(-m // config.tile_m) and block <= config.tile_m
        assert block - ((m - 1) % block + 1) < blocks
    # A block of one row would wait for all its weights.
    rows = 513
    assert gemm_cycles(rows, 2048, 2048, config) <= rows / 512 * 1.001 * gemm_cycles(512, 2048, 2048, config)


def test_more_rows_never_take_fewer_cycles():
    for shapes in ([(m, 30, 30) for m in range(1, 60)], [(20, 30, n) for n in range(1, 60)]):
        cycles = [gemm_cycles(*shape, TINY) for shape in shapes]
        assert all(a <= b for a, b in pairwise(cycles))


def test_refusals():
    short = config_of(2, 2, k_max=8)
    assert gemm_passes(1, 8, 1, short)
    for call in (gemm_passes, gemm_cycles, readout_cycles):
        with pytest.raises(ValueError, match="K must be at most k_max = 8 under exact accumulation, not 9"):
            call(1, 9, 1, short)
        with pytest.raises(ValueError, match="the sizes of a GEMM must be 0 or more, not 1, -1, 1"):
            call(1, -1, 1, short)
    # A chain of fused multiply-adds has no such bound.
    assert gemm_passes(1, 9, 1, config_of(2, 2, k_max=8, accumulation="fp32"))
    e4m3 = {"x_format": "e4m3", "w_format": "e4m3"}
    x, w = codes(2, 3, 4)
    with pytest.raises(ValueError, match="w_format must be one of e4m3, not 'e5m2'"):
        gemm_beats(x, w, TINY, x_format="e4m3", w_format="e5m2")
    with pytest.raises(TypeError, match="x_codes must be uint8 codes of e4m3, not float32"):
        gemm_beats(x.astype(np.float32), w, TINY, **e4m3)
    with pytest.raises(ValueError, match=r"w_codes must be a matrix, not of shape \(12,\)"):
        gemm_beats(x, w.reshape(-1), TINY, **e4m3)
    with pytest.raises(ValueError, match=r"x_codes and w_codes must agree in K, not \(2, 3\) and \(4, 3\)"):
        gemm_beats(x, w.T, TINY, **e4m3)
    with pytest.raises(ValueError, match="format must be one of"):
        gemm_beats(x, w, TINY, **e4m3, out_format="fp16")
