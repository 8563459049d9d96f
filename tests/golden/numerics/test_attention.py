import itertools
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from operands import ENGINES, case, draw

from golden.numerics.attention import _scores, attend, attention
from golden.numerics.functions import exp, reciprocal
from golden.numerics.gemm import gemm
from golden.numerics.hadamard import inverse_sqrt, rotate
from golden.numerics.kv_cache import ATTENTION_RECIPES, KVCache

f32 = np.float32
DTYPES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "bf16": ml_dtypes.bfloat16}
INVERSE_MAXIMA = {"e4m3": f32(float.fromhex("0x1.24924ap-9")), "e5m2": f32(float.fromhex("0x1.24924ap-16"))}
LN_256 = f32(float.fromhex("0x1.62e430p+2"))


def bits(values):
    return np.asarray(values, f32).view(np.uint32)


# ---- an independent reading of the specification: scalars, Fractions and ml_dtypes ------------------


def rounded(value):
    """The float32 nearest to a Fraction, ties to even; zero is +0. None of the tests' numbers overflows."""
    if value == 0:
        return f32(0)
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    lsb = Fraction(2) ** (max(exponent, -126) - 23)
    return f32(float(round(value / lsb) * lsb))


def scalar_dot(x, w, accumulation):
    x, w = [Fraction(float(a)) for a in x], [Fraction(float(a)) for a in w]
    if accumulation == "exact":
        return rounded(sum((a * b for a, b in zip(x, w, strict=True)), Fraction(0)))
    total = f32(0)
    for a, b in zip(x, w, strict=True):
        total = rounded(a * b + Fraction(float(total)))
    return total


def scalar_quantize(values, fmt, groups):
    """Values of the codes and the scale of every element; ``groups[i]`` names element i's scale."""
    scales = {}
    for value, group in zip(values, groups, strict=True):
        scales[group] = max(scales.get(group, f32(0)), abs(value))
    for group, amax in scales.items():
        scales[group] = f32(1) if fmt == "bf16" or amax == 0 else f32(amax * INVERSE_MAXIMA[fmt])
    scale = [scales[group] for group in groups]
    codes = [f32(f32(v * reciprocal(s)).astype(DTYPES[fmt])) for v, s in zip(values, scale, strict=True)]
    return codes, scale


def quantize_matrix(matrix, fmt, group):
    """float32 values of codes, and scales, of matrix[i, j] with scale group ``group(i, j)``."""
    index = list(np.ndindex(matrix.shape))
    codes, scale = scalar_quantize(matrix.ravel(), fmt, [group(i, j) for i, j in index])
    return np.array(codes, f32).reshape(matrix.shape), np.array(scale, f32).reshape(matrix.shape)


ROW_GROUPS = {"per-tensor": lambda i, j: 0, "per-token": lambda i, j: i, "per-block": lambda i, j: (i, j // 32)}


def scalar_head(q, k, v, recipe, x_format, w_format, accumulation, causal):
    if recipe.startswith("hadamard"):
        q, k = rotate(q), rotate(k)
        recipe = {"hadamard": "per-tensor", "hadamard-per-token": "per-token"}[recipe]
    (queries, channels), keys = q.shape, len(k)
    q, q_scale = quantize_matrix(q, x_format, ROW_GROUPS[recipe])
    k, k_scale = quantize_matrix(k, w_format, ROW_GROUPS[recipe])
    v, v_scale = quantize_matrix(v, w_format, (lambda i, j: 0) if recipe == "per-tensor" else (lambda i, j: j))
    blocks = [slice(0, channels)]
    if recipe == "per-block" and (x_format, w_format) != ("bf16", "bf16"):
        blocks = [slice(start, start + 32) for start in range(0, channels, 32)]
    out = np.empty((queries, channels), f32)
    for i in range(queries):
        seen = keys - queries + i + 1 if causal else keys
        scores = []
        for j in range(seen):
            score = None
            for block in blocks:
                dot = scalar_dot(q[i, block], k[j, block], accumulation)
                term = dot * (q_scale[i, block.start] * inverse_sqrt(channels)) * k_scale[j, block.start]
                score = term if score is None else score + term
            scores.append(score)
        bias = LN_256 - max(scores)
        p = [f32(exp(f32(s + bias)).astype(DTYPES[x_format])) for s in scores]
        p += [f32(0)] * (keys - seen)
        total = scalar_dot(p, [1] * keys, accumulation)
        for d in range(channels):
            out[i, d] = scalar_dot(p, v[:, d], accumulation) * reciprocal(total) * v_scale[0, d]
    return out


@pytest.mark.parametrize("kind", ["patterns", "gaussian", "wide"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("engine", ENGINES, ids="-".join)
@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_attention_has_the_specified_bits(recipe, engine, causal, kind):
    print("seed 11")
    rng = np.random.default_rng(11)
    x_format, w_format, accumulation = engine
    channels = 40 if recipe == "per-block" else 8
    q = draw(rng, (2, 3, channels), kind)
    k, v = draw(rng, (1, 5, channels), kind), draw(rng, (1, 5, channels), kind)
    options = {"x_format": x_format, "w_format": w_format, "accumulation": accumulation, "causal": causal}
    actual = attention(q, k, v, recipe=recipe, **options)
    expected = [scalar_head(head, k[0], v[0], recipe, *engine, causal) for head in q]
    np.testing.assert_array_equal(bits(actual), bits(expected))


def test_scores_round_in_the_specified_order():
    # The quantised numerators hide most differences of an ulp; here they show.
    print("seed 21")
    rng = np.random.default_rng(21)
    # 1 / sqrt(82) rounds far off: dividing by sqrt(82) would show too.
    channels = 82
    q = rng.normal(0, 30, (5, channels)).astype(DTYPES["e4m3"])
    k = rng.normal(0, 30, (7, channels)).astype(DTYPES["e4m3"])
    for q_blocks, k_blocks in ((1, 1), (3, 3), (1, 3), (3, 1)):
        q_scales = rng.uniform(0.01, 0.1, (5, q_blocks)).astype(f32)
        k_scales = rng.uniform(0.01, 0.1, (7, k_blocks)).astype(f32)
        actual = _scores(gemm, q.view(np.uint8), q_scales, k.view(np.uint8), k_scales)
        cuts = [0, 32, 64, 82] if max(q_blocks, k_blocks) == 3 else [0, 82]
        for i, j in np.ndindex(5, 7):
            score = None
            for block, (start, stop) in enumerate(itertools.pairwise(cuts)):
                dot = scalar_dot(q[i, start:stop], k[j, start:stop], "exact")
                factor = q_scales[i, min(block, q_blocks - 1)] * inverse_sqrt(channels)
                term = f32(f32(dot * factor) * k_scales[j, min(block, k_blocks - 1)])
                score = term if score is None else f32(score + term)
            assert bits(actual[i, j]) == bits(score)


# ---- what holds for any recipe ----------------------------------------------------------------------


def lasting_scales(recipe, w_format, q, k, v):
    """The scales that a sequence must share with its prefixes for equal bits."""
    cache = KVCache(recipe=recipe, w_format=w_format)
    cache.append(k, v)
    if cache.k_scale is None:
        return {"v_scale": cache.v_scale}
    return {"v_scale": cache.v_scale, "k_scale": cache.k_scale, "q_scale": np.full(len(q), 0.125, f32)}


@pytest.mark.parametrize("engine", [ENGINES[0], ENGINES[1], ENGINES[4], ENGINES[5]], ids="-".join)
@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_decoding_token_by_token_has_the_bits_of_the_whole(recipe, engine):
    x_format, w_format, accumulation = engine
    q, k, v = case(12)
    scales = {} if w_format == x_format == "bf16" else lasting_scales(recipe, w_format, q, k, v)
    options = {"x_format": x_format, "accumulation": accumulation}
    whole = attention(q, k, v, recipe=recipe, w_format=w_format, causal=True, **options, **scales)
    q_scale = scales.pop("q_scale", None)
    cache = KVCache(recipe=recipe, w_format=w_format, **scales)
    for token in range(6):
        now = slice(token, token + 1)
        cache.append(k[:, now], v[:, now])
        out = attend(q[:, now], cache, q_scale=q_scale, **options)
        np.testing.assert_array_equal(bits(out), bits(whole[:, now]))


@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_a_prompt_sets_the_scales_of_what_follows(recipe):
    q, k, v = case(13)
    cache = KVCache(recipe=recipe)
    cache.append(k[:, :4], v[:, :4])
    for token in (4, 5):
        cache.append(k[:, token : token + 1], v[:, token : token + 1])
    whole = attention(q, k, v, recipe=recipe, causal=True, k_scale=cache.k_scale, v_scale=cache.v_scale)
    np.testing.assert_array_equal(bits(attend(q, cache, causal=True)), bits(whole))


@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
@pytest.mark.parametrize("w_format", ["e4m3", "bf16"])
def test_the_future_does_not_change_the_past(recipe, w_format):
    engine = {"w_format": w_format, "accumulation": "exact" if w_format == "e4m3" else "fp32"}
    q, k, v = case(14)
    scales = lasting_scales(recipe, w_format, q, k, v)
    before = attention(q, k, v, recipe=recipe, causal=True, **engine, **scales)
    q[:, 4:], k[:, 4:], v[:, 4:] = q[:, 4:] * f32(-3), k[:, 4:] * f32(100), f32(-2) * v[:, 4:]
    after = attention(q, k, v, recipe=recipe, causal=True, **engine, **scales)
    np.testing.assert_array_equal(bits(after[:, :4]), bits(before[:, :4]))
    assert (after[:, 4:] != before[:, 4:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_grouped_heads_are_repeated_heads(recipe):
    q, k, v = case(15, tokens=9)
    grouped = attention(q, k, v, recipe=recipe)
    repeated = attention(q, np.repeat(k, 2, axis=0), np.repeat(v, 2, axis=0), recipe=recipe)
    np.testing.assert_array_equal(bits(grouped), bits(repeated))
    alone = [attention(q[h : h + 1], k[h // 2 :][:1], v[h // 2 :][:1], recipe=recipe)[0] for h in range(4)]
    np.testing.assert_array_equal(bits(grouped), bits(alone))


@pytest.mark.parametrize("w_format", ["e4m3", "e5m2", "bf16"])
@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_one_token_gets_its_own_value(recipe, w_format):
    q, k, v = case(16, queries=1, tokens=1)
    engine = {"w_format": w_format, "accumulation": "fp32"}
    actual = attention(q, k, v, recipe=recipe, **engine, causal=True)
    cache = KVCache(recipe=recipe, w_format=w_format)
    cache.append(k, v)
    codes = cache.v_codes.view(DTYPES[w_format]).astype(f32) * cache.v_scale[:, None]
    # A sum that starts from +0 never ends at -0.
    np.testing.assert_array_equal(bits(actual), bits(np.repeat(codes, 2, axis=0) + f32(0)))


def test_equal_keys_weigh_equally():
    _, _, v = case(17, kv_heads=1, tokens=4)
    v = np.round(v * 4)
    v[:, 0] = 448
    actual = attention(np.ones((1, 2, 64), f32), np.ones((1, 4, 64), f32), v, v_scale=np.ones((1, 64), f32))
    encoded = v.astype(DTYPES["e4m3"]).astype(np.float64)
    np.testing.assert_array_equal(actual[0, 0], encoded[0].mean(axis=0).astype(f32))


def test_the_products_go_through_matmul():
    q, k, v = case(18, tokens=9)
    calls = []

    def matmul(x, w, *, x_format, w_format):
        calls.append((x.shape, w.shape, x.dtype, w.dtype, x_format, w_format))
        return gemm(x, w, x_format=x_format, w_format=w_format, accumulation="fp32")

    options = {"recipe": "per-block", "x_format": "bf16", "w_format": "e5m2", "causal": True}
    actual = attention(q, k, v, matmul=matmul, **options)
    np.testing.assert_array_equal(bits(actual), bits(attention(q, k, v, accumulation="fp32", **options)))
    tail = (np.uint16, np.uint8, "bf16", "e5m2")
    # Two blocks of channels; then the values and a column of ones.
    head = [((6, 32), (32, 9), *tail), ((6, 32), (32, 9), *tail), ((6, 9), (9, 65), *tail)]
    assert calls == head * 4
    with pytest.raises(TypeError, match=r"matmul must return float32\[6, 9\], not float64\[6, 9\]"):
        attention(q, k, v, matmul=lambda x, w, **_: np.zeros((6, 9)))
    with pytest.raises(TypeError, match=r"matmul must return float32\[6, 9\], not NoneType"):
        attention(q, k, v, matmul=lambda x, w, **_: None)


def test_overflow_is_the_canonical_nan():
    q = np.full((1, 2, 4), 3e38, f32)
    q[0, 1] = 0
    out = attention(q, q.copy(), np.ones_like(q), x_format="bf16", w_format="bf16", accumulation="fp32")
    np.testing.assert_array_equal(bits(out), [[[0x7FC00000] * 4, [0x3F800000] * 4]])


def test_a_strange_nan_becomes_the_canonical_one():
    def matmul(x, w, **formats):
        return gemm(x, w, **formats) if w.shape[1] == 9 else np.full((6, 65), 0xFFC01234, np.uint32).view(f32)

    np.testing.assert_array_equal(bits(attention(*case(22, tokens=9), matmul=matmul)), 0x7FC00000)


def test_values_that_overflow_the_sum_give_infinity():
    one, large = np.ones((1, 1, 4), f32), np.full((1, 1, 4), 2.0**120, f32)
    options = {"x_format": "bf16", "w_format": "bf16", "accumulation": "fp32"}
    assert np.isinf(attention(one, one, large, **options)).all()
    np.testing.assert_array_equal(attention(one, one, large / 2, **options), large / 2)


def test_all_zero_and_tiny_inputs_are_fine():
    zero = np.zeros((1, 3, 8), f32)
    for recipe in ATTENTION_RECIPES:
        np.testing.assert_array_equal(bits(attention(zero, zero, zero, recipe=recipe)), 0)
        tiny = np.full_like(zero, 1e-44)
        assert np.isfinite(attention(tiny, tiny, tiny, recipe=recipe)).all()


def test_sums_of_bf16_overflow_near_the_bound_over_the_number_of_tokens():
    """256 T max|v|, the largest sum there can be, is 2**128 first where T max|v| is 2**120."""
    for tokens in (1, 4, 16):
        q = k = np.zeros((1, tokens, 2), f32)
        for exponent, finite in ((119, True), (120, False)):
            v = np.full((1, tokens, 2), 2.0**exponent / tokens, f32)
            out = attention(q, k, v, x_format="bf16", w_format="bf16", accumulation="fp32")
            assert (out == (v if finite else np.inf)).all()
