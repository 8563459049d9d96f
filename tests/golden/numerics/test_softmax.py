import math

import numpy as np
import pytest

from golden.numerics import softmax
from golden.numerics.softmax import EXP_MAX_ULP, exp_fp32, softmax_numerator

NAN = 0x7FC00000
f32 = np.float32

# The constants once more, so that a changed digit in either place shows.
LOG2E = f32(1.44269502162933349609375)
LN2_HI = f32(0.693145751953125)
LN2_LO = f32(float.fromhex("0x1.7f7d1cp-20"))
C = [
    f32(float.fromhex(h)) for h in ("0x1.fffffap-2", "0x1.555492p-3", "0x1.5559fep-5", "0x1.12398p-7", "0x1.697bb8p-10")
]


def exp_scalar(x):
    """The specification read once more, with NumPy scalars; float64 holds ``p * 2**n`` exactly."""
    if np.isnan(x):
        return np.uint32(NAN).view(f32)
    if x < -104:
        return f32(0)
    n = int(np.rint(x * LOG2E))
    r = (x - f32(n) * LN2_HI) - f32(n) * LN2_LO
    h = C[4]
    for c in C[3::-1]:
        h = h * r + c
    p = ((r * r) * h + r) + f32(1)
    assert type(p) is f32
    return f32(math.ldexp(float(p), n))


def bits(values):
    return np.asarray(values, f32).view(np.uint32)


def directed():
    borders = [0.0, -0.0, -1.0, -87.0, -103.0, -104.0, float(-np.log(2)), -math.log(2) * 126, -math.log(2) * 149]
    # Where rint changes its mind, the result becomes subnormal, and the result becomes zero.
    borders += [-(n + 0.5) * math.log(2) for n in range(151)] + [-math.log(2) * 149.5, -math.log(2) * 150]
    near = []
    for value in borders:
        centre = f32(value)
        near += [centre, np.nextafter(centre, f32(0)), np.nextafter(centre, f32(-200))]
    near += [f32(-np.inf), f32(-3.4e38), f32(-1e-45), f32(-1.1754944e-38), f32(-(2.0**-24)), f32(-(2.0**-25))]
    near += list(np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32).view(f32))
    return np.array([x for x in near if not x > 0], f32)


def random_patterns(seed, count):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    # Half of them from the exponents whose result is neither 1 nor 0.
    low, high = int(bits(f32(-(2.0**-26)))), int(bits(f32(-105)))
    some = rng.integers(low, high, count // 2, dtype=np.uint32)
    any_negative = rng.integers(1 << 31, 1 << 32, count - count // 2, dtype=np.uint32)
    return np.concatenate([some, any_negative]).view(f32)


def test_exp_has_the_specified_bits():
    x = np.concatenate([directed(), random_patterns(1, 20_000)])
    np.testing.assert_array_equal(bits(exp_fp32(x)), bits([exp_scalar(v) for v in x]))


def test_exp_python_and_compiled_agree():
    x = np.concatenate([directed(), random_patterns(2, 2_000)])
    plain = [softmax._exp.py_func(v) for v in x]
    np.testing.assert_array_equal(bits(exp_fp32(x)), bits(plain))
    p = np.linspace(0.6, 1.9, 101, dtype=f32)
    for n in (-151, -150, -149, -127, -126, -1, 0):
        scaled = [softmax._scale.py_func(v, np.int64(n)) for v in p]
        np.testing.assert_array_equal(bits(scaled), bits([f32(math.ldexp(float(v), n)) for v in p]))
        np.testing.assert_array_equal(bits(scaled), bits([softmax._scale(v, np.int64(n)) for v in p]))


def test_exp_special_values():
    assert bits(exp_fp32(np.array([0, -0.0, -np.inf, -104.01], f32))).tolist() == [0x3F800000, 0x3F800000, 0, 0]
    nans = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32).view(f32)
    assert bits(exp_fp32(nans)).tolist() == [NAN] * 4
    assert exp_fp32(np.zeros((0, 3), f32)).shape == (0, 3)
    assert exp_fp32(np.zeros((2, 3, 4), f32)[:, ::2]).shape == (2, 2, 4)


def worst_ulp(x):
    """Largest error in ulp of the exact result; float64's exp is exact enough to say."""
    y, exact = exp_fp32(x).astype(np.float64), np.exp(x.astype(np.float64))
    assert y.max() <= 1.0
    _, exponent = np.frexp(exact)
    return (np.abs(y - exact) / np.ldexp(1.0, np.maximum(exponent, -125) - 24)).max()


FIRST, LAST = int(bits(f32(-(2.0**-26)))), int(bits(f32(-104)))


def test_exp_error():
    # A prime step reaches every low bit.
    assert worst_ulp(np.arange(FIRST, LAST + 1, 97, dtype=np.uint32).view(f32)) < EXP_MAX_ULP


@pytest.mark.slow
def test_exp_error_of_every_argument():
    step = 1 << 22
    worst = max(
        worst_ulp(np.arange(at, min(at + step, LAST + 1), dtype=np.uint32).view(f32))
        for at in range(FIRST, LAST + 1, step)
    )
    print(f"{worst:.4f} ulp")
    assert 0.98 < worst < EXP_MAX_ULP
    # Closer to zero, every result is 1.
    assert exp_fp32(np.array([-(2.0**-26)], f32))[0] == 1


def test_exp_errors():
    with pytest.raises(TypeError, match="x must be a float32 array, not float64"):
        exp_fp32(np.zeros(3))
    with pytest.raises(TypeError, match="x must be a float32 array, not float"):
        exp_fp32(-1.0)
    with pytest.raises(ValueError, match=r"exp_fp32 takes numbers that are not positive, not 0\.5"):
        exp_fp32(np.array([-1, 0.5], f32))


def numerator_scalar(scores, causal):
    queries, keys = scores.shape
    out = np.zeros_like(scores)
    for i in range(queries):
        seen = keys - queries + i + 1 if causal else keys
        top = max(scores[i, :seen])
        out[i, :seen] = [exp_scalar(s - top) for s in scores[i, :seen]]
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
        assert (actual.max(axis=1) == 1).all()
        plain = np.empty_like(scores)
        reach = np.arange(shape[1] - shape[0] + 1, shape[1] + 1) if causal else np.full(shape[0], shape[1])
        softmax._numerator.py_func(scores, reach, plain)
        np.testing.assert_array_equal(bits(actual), bits(plain))


@pytest.mark.parametrize("masked", [3e38, np.inf, -np.inf, np.nan])
def test_masked_keys_are_excluded(masked):
    scores = np.array([[1, masked, masked], [2, 1, masked], [0, 0, 0]], f32)
    actual = softmax_numerator(scores, causal=True)
    once = exp_fp32(np.array([-1], f32))[0]
    np.testing.assert_array_equal(bits(actual), bits([[1, 0, 0], [1, once, 0], [1, 1, 1]]))


def test_numerator_of_special_scores():
    with np.errstate(invalid="ignore"):
        actual = softmax_numerator(np.array([[0, np.nan, 1], [np.inf, 0, 1], [-np.inf, 0, 0]], f32))
    assert bits(actual).tolist() == [[NAN] * 3, [NAN, 0, 0], [0, 0x3F800000, 0x3F800000]]


def test_numerator_errors():
    with pytest.raises(TypeError, match="scores must be a float32 array, not int64"):
        softmax_numerator(np.zeros((2, 2), np.int64))
    for shape in ((3,), (0, 3), (3, 0)):
        with pytest.raises(ValueError, match="scores must be queries by keys and not empty, not of shape"):
            softmax_numerator(np.zeros(shape, f32))
    with pytest.raises(ValueError, match="a causal mask needs as many keys as queries, not 2 for 3"):
        softmax_numerator(np.zeros((3, 2), f32), causal=True)
