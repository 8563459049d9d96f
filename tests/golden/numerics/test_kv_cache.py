import numpy as np
import pytest

from golden.numerics.conversions import decode, encode
from golden.numerics.kv_cache import ATTENTION_RECIPES, KVCache

f32 = np.float32


def tensors(seed, heads=2, tokens=6, channels=64):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1, (heads, tokens, channels)).astype(f32) for _ in range(2)]


@pytest.mark.parametrize("w_format", ["e4m3", "e5m2", "bf16"])
@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_tokens_are_stored_the_same_one_by_one(recipe, w_format):
    k, v = tensors(5)
    whole = KVCache(recipe=recipe, w_format=w_format)
    whole.append(k, v)
    lasting = {"v_scale": whole.v_scale, "k_scale": whole.k_scale}
    assert (whole.k_scale is not None) == (ATTENTION_RECIPES[recipe].rows == "per-tensor")
    single = KVCache(recipe=recipe, w_format=w_format, **lasting)
    for token in range(6):
        single.append(k[:, token : token + 1], v[:, token : token + 1])
        assert single.tokens == token + 1
    np.testing.assert_array_equal(single.k_codes, whole.k_codes)
    np.testing.assert_array_equal(single.k_scales, whole.k_scales)
    np.testing.assert_array_equal(single.v_codes, whole.v_codes)


@pytest.mark.parametrize("recipe", ATTENTION_RECIPES)
def test_codes_stand_for_the_tensors(recipe):
    k, v = tensors(6)
    cache = KVCache(recipe=recipe)
    cache.append(k, v)
    blocks = cache.k_scales.shape[2]
    assert cache.k_scales.shape == (2, 6, 2 if recipe == "per-block" else 1)
    keys = decode(cache.k_codes, "e4m3").reshape(2, 6, blocks, -1) * cache.k_scales[..., None]
    if not ATTENTION_RECIPES[recipe].rotated:
        np.testing.assert_allclose(keys.reshape(k.shape), k, rtol=2**-4, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(keys), np.linalg.norm(k), rtol=0.01)
    np.testing.assert_allclose(decode(cache.v_codes, "e4m3") * cache.v_scale[:, None], v, rtol=2**-4, atol=1e-4)
    # Scales are the largest magnitude that they cover times one over 448.
    assert cache.v_scale.shape == (2, 64)
    axes = (1,) if ATTENTION_RECIPES[recipe].values == "per-channel" else (1, 2)
    expected = np.abs(v).max(axis=axes, keepdims=True)[:, 0] * f32(1 / 448)
    np.testing.assert_array_equal(cache.v_scale, np.broadcast_to(expected, (2, 64)))


def test_bf16_has_no_scale():
    k, v = tensors(7)
    for recipe in ATTENTION_RECIPES:
        cache = KVCache(recipe=recipe, w_format="bf16")
        cache.append(k, v)
        assert cache.k_scales.shape == (2, 6, 1)
        assert (cache.k_scales == 1).all()
        assert (cache.v_scale == 1).all()
        np.testing.assert_array_equal(cache.v_codes, encode(v, "bf16"))


def test_first_append_sets_the_lasting_scales_and_later_numbers_saturate():
    k, v = tensors(8)
    cache = KVCache(recipe="per-tensor")
    cache.append(k, v)
    k_scale, v_scale = cache.k_scale.copy(), cache.v_scale.copy()
    cache.append(k * f32(1e30), v * f32(-1e38))
    np.testing.assert_array_equal(cache.k_scale, k_scale)
    np.testing.assert_array_equal(cache.v_scale, v_scale)
    assert set(np.abs(decode(cache.k_codes[:, 6:], "e4m3")).ravel().tolist()) == {448.0}
    assert set(np.abs(decode(cache.v_codes[:, 6:], "e4m3")).ravel().tolist()) == {448.0}


def test_errors():
    k, v = tensors(9)
    with pytest.raises(ValueError, match=r"recipe must be one of per-tensor, per-token, .*, not 'int4'"):
        KVCache(recipe="int4")
    with pytest.raises(ValueError, match="w_format must be one of e4m3, e5m2, bf16, not 'fp32'"):
        KVCache(w_format="fp32")
    cache = KVCache()
    for bad in (k.astype(np.float64), k.tolist()):
        with pytest.raises(TypeError, match=r"k must be a float32 array, not (float64|list)"):
            cache.append(bad, v)
    for bad in (v[0], v[:, :0], v[:0], v[:, :, :0]):
        with pytest.raises(ValueError, match=r"v must be \[heads, tokens, channels\] and not empty, not \["):
            cache.append(k, bad)
    for value in (np.nan, np.inf, -np.inf):
        bad = k.copy()
        bad[1, 2, 3] = value
        with pytest.raises(ValueError, match=f"k must be finite, not {value}: its scale is undefined"):
            cache.append(bad, v)
    with pytest.raises(ValueError, match=r"k and v must have one shape, not \[2, 6, 64\] and \[2, 5, 64\]"):
        cache.append(k, v[:, :5])
    with pytest.raises(ValueError, match="k is too large: its rotation overflows float32"):
        KVCache(recipe="hadamard").append(np.full((1, 1, 2), 3e38, f32), np.ones((1, 1, 2), f32))
    with pytest.raises(ValueError, match="needs a power of two up to 65536 as its last axis, not 6"):
        KVCache(recipe="hadamard").append(np.ones((1, 1, 6), f32), np.ones((1, 1, 6), f32))
    assert cache.tokens == 0
    cache.append(k, v)
    with pytest.raises(ValueError, match="the cache holds 2 heads of 64 channels, not 1 heads of 64 channels"):
        cache.append(k[:1], v[:1])
    assert cache.tokens == 6


def test_scale_errors():
    k, v = tensors(10)
    with pytest.raises(TypeError, match="k_scale must be a float32 array, not float"):
        KVCache(k_scale=0.5).append(k, v)
    with pytest.raises(ValueError, match=r"k_scale must be \[2\], not \[3\]"):
        KVCache(k_scale=np.ones(3, f32)).append(k, v)
    with pytest.raises(ValueError, match=r"v_scale must be \[2, 64\], not \[2\]"):
        KVCache(v_scale=np.ones(2, f32)).append(k, v)
    for value in (0, -1, 1e-40, np.inf, np.nan):
        with pytest.raises(ValueError, match="k_scale must be positive, normal and finite, not "):
            KVCache(k_scale=np.array([1, value], f32)).append(k, v)
