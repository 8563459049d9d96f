"""What public functions do with integers of other types, masked arrays, arrays of no dimension and of their caller."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from arch.formats import E4M3, E5M2, FP32
from arch.layout import Layout
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.numerics import scalar
from golden.numerics.attention import attend, attention, attention_reference, error_report
from golden.numerics.conversions import decode, encode
from golden.numerics.functions import exp
from golden.numerics.gemm import gemm
from golden.numerics.hadamard import inverse_sqrt, rotate, rotation_signs
from golden.numerics.kv_cache import KVCache
from golden.numerics.quantize import Quantized, dequantize, quantize
from golden.numerics.softmax import softmax_numerator
from golden.tensor import arithmetic, efficiency, schedule, stimulus
from golden.tensor.engine import TensorEngine
from golden.tensor.jobs import Gemm

TINY, FP8, BF16 = PRESETS["tiny"], PRESETS["fp8"], PRESETS["bf16"]
CODES = np.arange(16, dtype=np.uint8).reshape(4, 4)
FLOATS = np.linspace(-2, 2, 16, dtype=np.float32).reshape(4, 4)
HEADS = FLOATS[None]
WORDS = np.ones((4, arithmetic.psum_words(TINY)), np.uint32)

# ---- integers -------------------------------------------------------------------------------------

SIZES = (65536, 4096, 50257)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64])
@pytest.mark.parametrize(
    "count",
    [
        schedule.gemm_cycles,
        schedule.readout_cycles,
        schedule.ideal_cycles,
        schedule.utilization,
        efficiency.losses,
        efficiency.scale_sim_cycles,
    ],
)
def test_sizes_of_any_integer_type_give_what_ints_give(count, dtype):
    assert count(*map(dtype, SIZES), FP8) == count(*SIZES, FP8)


def test_large_products_are_right():
    assert schedule.gemm_cycles(*SIZES, FP8) == 52_714_012_706
    assert schedule.utilization(*map(np.int32, (4096,) * 3), FP8) > 0.99
    assert schedule.ideal_cycles(*map(np.int32, (4096,) * 3), FP8) == 4096**3 // 256


def test_passes_of_narrow_integers_are_those_of_ints():
    sizes = (100, 40, 40)
    passes = schedule.gemm_passes(*map(np.uint8, sizes), FP8, base=np.uint8(200))
    assert passes == schedule.gemm_passes(*sizes, FP8, base=200)
    assert all(type(p.base) is int and type(p.tile_m) is int for p in passes)
    assert schedule.block_rows(np.uint8(200), TINY) == schedule.block_rows(200, TINY)


def test_a_configuration_of_any_integer_type_is_that_of_ints():
    config = EngineConfig(rows=np.uint8(200), cols=np.int32(4), formats=("e4m3",), accumulation="exact")
    assert config == EngineConfig(rows=200, cols=4, formats=("e4m3",), accumulation="exact")
    assert config.drain_latency == 207 and type(config.rows) is int
    assert config.load_cycles(np.uint8(3)) == 3


def test_a_layout_packs_integers_of_any_type():
    layout = Layout(low=40, high=20)
    assert layout.pack(low=np.uint8(3), high=np.int32(5)) == 5 << 40 | 3
    assert layout.unpack(np.uint64(5 << 40 | 3)) == {"low": 3, "high": 5}


def test_scalar_codes_of_any_integer_type_are_those_of_ints():
    for code in range(256):
        assert scalar.exact_value(np.uint8(code), E5M2) is scalar.exact_value(code, E5M2) or (
            repr(scalar.exact_value(np.uint8(code), E5M2)) == repr(scalar.exact_value(code, E5M2))
        )
    one = np.uint32(0x3F800000)
    assert scalar.fma(np.uint8(0x38), np.uint8(0x38), one, E4M3, E4M3) == 0x40000000
    assert scalar.dot(CODES[1], CODES[2], E4M3, E4M3) == scalar.dot(CODES[1].tolist(), CODES[2].tolist(), E4M3, E4M3)
    assert scalar.round_value(Fraction(2), FP32) == 0x40000000


def test_other_integers_of_any_type():
    assert rotation_signs(np.uint8(8)).tolist() == rotation_signs(8).tolist()
    assert inverse_sqrt(np.uint8(16)) == 0.25
    assert (gemm(CODES, CODES, threads=np.int64(1)) == gemm(CODES, CODES)).all()
    assert (quantize(FLOATS, recipe="per-block", block=np.uint8(2)).scale.shape) == (4, 2)
    assert (quantize(FLOATS, recipe="per-token", axis=np.int8(-2)).scale.shape) == (1, 4)
    rows = np.zeros((0, 4), np.uint32)
    assert stimulus.assemble(rows, np.uint8(200), np.uint8(0), np.uint8(200), TINY).shape == (200, 200)


@pytest.mark.parametrize(
    "call",
    [
        *(
            partial(count, 1.5, 2, 3, TINY)
            for count in (
                schedule.gemm_cycles,
                schedule.readout_cycles,
                schedule.ideal_cycles,
                schedule.utilization,
                schedule.gemm_passes,
                efficiency.losses,
                efficiency.scale_sim_cycles,
            )
        ),
        lambda: schedule.gemm_passes(2, 2, 2, TINY, base=1.5),
        lambda: list(stimulus.gemm_beats(CODES, CODES, TINY, x_format="e4m3", w_format="e4m3", base=1.5)),
        lambda: schedule.block_rows(1.5, TINY),
        lambda: stimulus.assemble(np.zeros((0, 4), np.uint32), 1.5, 0, 2, TINY),
        lambda: efficiency.scale_sim_cycles(1, 2, 3, TINY, add_latency=1.5),
        lambda: efficiency.losses(1, 2, 3, TINY) * 1.5,
        lambda: TINY.load_cycles(1.5),
        lambda: rotation_signs(1.5),
        lambda: inverse_sqrt(1.5),
        lambda: gemm(CODES, CODES, threads=1.5),
        lambda: gemm(CODES, CODES, threads=True),
        lambda: quantize(FLOATS, recipe="per-block", block=1.5),
        lambda: quantize(FLOATS, recipe="per-token", axis=0.5),
        lambda: Layout(low=3).pack(low=1.5),
        lambda: Layout(low=3).unpack(1.5),
        lambda: TensorEngine(TINY).run(1.5),
        lambda: TensorEngine(TINY).run(1, seed=1.5),
        lambda: scalar.exact_value(1.5, E4M3),
    ],
)
def test_what_is_no_integer_is_refused(call):
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedule.ideal_cycles(-1, 2, 3, TINY), "sizes of a GEMM must be 0 or more, not -1, 2, 3"),
        (lambda: efficiency.scale_sim_cycles(1, -2, 3, TINY), "sizes of a GEMM must be 0 or more, not 1, -2, 3"),
        (lambda: schedule.gemm_passes(1, 2, 3, TINY, base=1024), r"base must be in 0\.\.1023, not 1024"),
        (lambda: schedule.block_rows(0, TINY), "m must be at least 1, not 0"),
        (lambda: rotation_signs(0), r"dim must be at least 1, not 0"),
        (lambda: inverse_sqrt(0), r"dim must be in 1\.\.65536, not 0"),
        (lambda: TensorEngine(TINY).run(-1), "cycles must be at least 0, not -1"),
        (lambda: TensorEngine(TINY).run(1, seed=-1), r"seed must be in 0\.\.9223372036854775807, not -1"),
    ],
)
def test_integers_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- masked arrays --------------------------------------------------------------------------------


def masked(values):
    return np.ma.MaskedArray(values, np.arange(values.size).reshape(values.shape) % 2)


SCALE = np.ones(1, np.float32)
BEATS = {"x_format": "e4m3", "w_format": "e4m3"}


@pytest.mark.parametrize(
    ("call", "array"),
    [
        (lambda a: encode(a, "e4m3"), FLOATS),
        (lambda a: decode(a, "e4m3"), CODES),
        (lambda a: gemm(a, CODES), CODES),
        (lambda a: gemm(CODES, a), CODES),
        (lambda a: gemm(CODES, CODES, accumulation="fp32", initial=a), FLOATS),
        (quantize, FLOATS),
        (rotate, FLOATS),
        (softmax_numerator, FLOATS),
        (lambda a: attention(a, HEADS, HEADS), HEADS),
        (lambda a: attention(HEADS, a, HEADS), HEADS),
        (lambda a: attention(HEADS, HEADS, a), HEADS),
        (lambda a: attention(HEADS, HEADS, HEADS, q_scale=a), SCALE),
        (lambda a: attention(HEADS, HEADS, HEADS, k_scale=a), SCALE),
        (lambda a: KVCache(v_scale=a).append(HEADS, HEADS), np.ones((1, 4), np.float32)),
        (lambda a: attention_reference(a, HEADS, HEADS), HEADS),
        (lambda a: attention_reference(HEADS, a, HEADS), HEADS),
        (lambda a: attention_reference(HEADS, HEADS, a), HEADS),
        (lambda a: error_report(a, FLOATS), FLOATS),
        (lambda a: error_report(FLOATS, a), FLOATS),
        (lambda a: Quantized(a, np.ones((1, 1), np.float32), E4M3), CODES),
        (lambda a: Quantized(CODES, a, E4M3), np.ones((1, 1), np.float32)),
        (lambda a: arithmetic.decode_operands(a, "e4m3", TINY), CODES),
        (lambda a: arithmetic.multiply(a, a, TINY), CODES.astype(np.uint32)),
        (lambda a: arithmetic.add_products(WORDS, a, TINY), np.ones(4, np.uint64)),
        (lambda a: arithmetic.add_products(a, np.ones(4, np.uint64), TINY), WORDS),
        (lambda a: arithmetic.round_psums(a, TINY), WORDS),
        (lambda a: arithmetic.read_out(a, TINY, "e4m3"), WORDS),
        (lambda a: list(stimulus.gemm_beats(a, CODES, TINY, **BEATS)), CODES),
        (lambda a: stimulus.gemm_stimulus(CODES, a, TINY, **BEATS), CODES),
        (lambda a: stimulus.assemble(a, 4, 4, 4, TINY), np.ones((4, 4), np.uint32)),
        (lambda a: TensorEngine(TINY).offer(weights=a), CODES),
        (lambda a: TensorEngine(TINY).offer(activations=a), CODES),
        (lambda a: TensorEngine(TINY).offer(commands=a), np.array([1], np.uint64)),
        (lambda a: TensorEngine(TINY).run(4, out=a), TensorEngine(TINY).run(4)),
        (lambda a: Gemm(x=a, w=CODES, **BEATS), CODES),
        (lambda a: Gemm(x=CODES, w=a, **BEATS), CODES),
    ],
)
def test_a_masked_array_is_refused(call, array):
    with pytest.raises(TypeError, match="must be a plain array, not a masked one: its mask would be ignored"):
        call(masked(array))


# ---- arrays of no dimension -----------------------------------------------------------------------


def test_arrays_of_no_dimension_keep_their_shape():
    half, code = np.array(0.5, np.float32), np.array(0x38, np.uint8)
    assert encode(half, "e4m3").shape == decode(code, "e4m3").shape == ()
    assert exp(half).shape == ()
    assert exp(half) == exp(half[None])[0]
    operand = arithmetic.decode_operands(code, "e4m3", TINY)
    product = arithmetic.multiply(operand, operand, TINY)
    sums = arithmetic.add_products(np.zeros(WORDS.shape[1], np.uint32), product, TINY)
    assert arithmetic.read_out(sums, TINY, "fp32") == 0x3F800000
    assert np.shape(operand) == product.shape == arithmetic.read_out(sums, TINY, "fp32").shape == ()


@pytest.mark.parametrize("recipe", ["per-tensor", "per-token", "per-block"])
def test_a_number_alone_is_not_quantised(recipe):
    with pytest.raises(ValueError, match="values must have at least 1 dimension"):
        quantize(np.array(0.5, np.float32), recipe=recipe)


# ---- arrays of the caller -------------------------------------------------------------------------


def test_a_cache_keeps_its_own_scales():
    k_scale, v_scale = np.full(1, 0.5, np.float32), np.full((1, 4), 0.25, np.float32)
    cache = KVCache(k_scale=k_scale, v_scale=v_scale)
    cache.append(HEADS, HEADS)
    before = attend(HEADS, cache)
    k_scale *= 4
    v_scale *= 4
    assert (attend(HEADS, cache) == before).all()
    whole = KVCache(k_scale=k_scale / 4, v_scale=v_scale / 4)
    whole.append(np.concatenate([HEADS, -HEADS], 1), np.concatenate([HEADS, -HEADS], 1))
    cache.append(-HEADS, -HEADS)
    assert (attend(HEADS, cache) == attend(HEADS, whole)).all()


def test_a_cache_keeps_its_own_tokens():
    k, v = HEADS.copy(), HEADS.copy()
    cache = KVCache(w_format="bf16")
    cache.append(k, v)
    before = attend(HEADS, cache, accumulation="fp32")
    k *= 2
    v *= 2
    assert (attend(HEADS, cache, accumulation="fp32") == before).all()


def test_scales_of_stored_tokens_do_not_follow_the_lasting_one():
    cache = KVCache(k_scale=np.ones(1, np.float32))
    cache.append(HEADS, HEADS)
    assert not np.shares_memory(cache.k_scales, cache.k_scale)


def test_a_quantised_tensor_keeps_its_own_arrays():
    codes, scale = CODES.copy(), np.ones((1, 1), np.float32)
    quantized = Quantized(codes, scale, E4M3)
    before = dequantize(quantized)
    codes[:] = 0
    scale *= 2
    assert (dequantize(quantized) == before).all()


def test_a_job_keeps_its_own_operands():
    x, w = CODES.copy(), CODES.copy()
    job = Gemm(x=x, w=w, **BEATS)
    x[:], w[:] = 0, 0
    assert (job.x == CODES).all() and (job.w == CODES).all()


def test_beats_not_yet_made_do_not_follow_the_operands():
    x, w = np.full((4, 8), 0x38, np.uint8), np.full((8, 4), 0x38, np.uint8)
    beats = stimulus.gemm_beats(x, w, TINY, **BEATS)
    next(beats)
    x[:], w[:] = 0, 0
    _, weights, activations = next(beats)
    assert (weights == 0x38).all() and (activations == 0x38).all()


def test_an_engine_keeps_its_own_beats():
    commands, weights, activations = stimulus.gemm_stimulus(CODES, CODES, TINY, **BEATS)
    engines = [TensorEngine(TINY), TensorEngine(TINY)]
    for engine in engines:
        engine.offer(commands, weights, activations)
    weights[:], activations[:], commands[:] = 0, 0, 0
    out = np.empty((200, len(engines[0].run(1)[0])), np.uint32)
    engines[0].run(200, out=out)
    out[:] = 0
    engines[1].run(201)
    assert (engines[0].results == engines[1].results).all() and engines[0].results.any()
    assert (engines[0].take_cycles == engines[1].take_cycles).all()
