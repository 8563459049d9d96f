import numpy as np
import pytest

from golden.numerics import softmax
from golden.numerics.functions import exp
from golden.numerics.softmax import LOG_P_SCALE, softmax_numerator

NAN = 0x7FC00000
f32 = np.float32


def bits(values):
    return np.asarray(values, f32).view(np.uint32)


def numerator_scalar(scores, causal):
    """The specification read once more, with NumPy scalars."""
    queries, keys = scores.shape
    out = np.zeros_like(scores)
    for i in range(queries):
        seen = keys - queries + i + 1 if causal else keys
        bias = f32(float.fromhex("0x1.62e430p+2")) - max(scores[i, :seen])
        out[i, :seen] = [exp(f32(s + bias)) for s in scores[i, :seen]]
    return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 5), (3, 8)])
def test_numerator_has_the_specified_bits(shape, causal):
    print("seed 3")
    rng = np.random.default_rng(3)
    for spread in (1e-3, 1, 30):
        scores = rng.normal(0, spread, shape).astype(f32)
        actual = softmax_numerator(scores, causal=causal)
        np.testing.assert_array_equal(bits(actual), bits(numerator_scalar(scores, causal)))
        plain = np.empty_like(scores)
        reach = np.arange(shape[1] - shape[0] + 1, shape[1] + 1) if causal else np.full(shape[0], shape[1])
        softmax._numerator.py_func(scores, reach, plain)
        np.testing.assert_array_equal(bits(actual), bits(plain))


def test_the_largest_of_a_row_is_about_256():
    """Exactly where the row's maximum is 0; what its bias loses to rounding is a factor of the row."""
    assert exp(LOG_P_SCALE) == 256
    print("seed 4")
    largest = np.random.default_rng(4).uniform(-1, 1, 100_000) * 2.0 ** np.repeat([0, 4, 12, 23, 127], 20_000)
    numerators = softmax_numerator(np.repeat(largest.astype(f32)[:, None], 2, axis=1))
    np.testing.assert_array_equal(numerators[:, 0], numerators[:, 1])
    assert np.abs(numerators[largest < 4096] / 256 - 1).max() > 1e-3
    assert np.abs(numerators[np.abs(largest) < 4096] / 256 - 1).max() < 1e-3
    # e4m3 ends at 448: below 2**23 nothing saturates.
    assert numerators[np.abs(largest) < 2**23].max() < 448
    # LOG_P_SCALE is 8 where float32 numbers are 8 apart, and 0 beyond.
    worst = softmax_numerator(np.array([[2.0**26 + 8], [-(2.0**26) - 8], [2.0**40]], f32))
    assert (worst[:2] > 2980).all() and (worst[:2] < 2982).all() and worst[2] == 1


@pytest.mark.parametrize("masked", [3e38, np.inf, -np.inf, np.nan])
def test_masked_keys_are_excluded(masked):
    scores = np.array([[1, masked, masked], [2, 1, masked], [0, 0, 0]], f32)
    actual = softmax_numerator(scores, causal=True)
    first, once = (exp(f32(s + (LOG_P_SCALE - f32(top)))) for s, top in ((1, 1), (1, 2)))
    second = exp(f32(2 + (LOG_P_SCALE - f32(2))))
    np.testing.assert_array_equal(bits(actual), bits([[first, 0, 0], [second, once, 0], [256, 256, 256]]))


def test_numerator_of_special_scores():
    actual = softmax_numerator(np.array([[0, np.nan, 1], [np.inf, 0, 1], [-np.inf, 0, 0], [-np.inf] * 3], f32))
    assert bits(actual).tolist() == [[NAN] * 3, [NAN, 0, 0], [0, 0x43800000, 0x43800000], [NAN] * 3]


def test_numerator_errors():
    with pytest.raises(TypeError, match="scores must be a float32 array, not int64"):
        softmax_numerator(np.zeros((2, 2), np.int64))
    for shape in ((3,), (0, 3), (3, 0)):
        with pytest.raises(ValueError, match="scores must be queries by keys and not empty, not of shape"):
            softmax_numerator(np.zeros(shape, f32))
    with pytest.raises(ValueError, match="a causal mask needs as many keys as queries, not 2 for 3"):
        softmax_numerator(np.zeros((3, 2), f32), causal=True)
