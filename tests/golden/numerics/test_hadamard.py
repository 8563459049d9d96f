import math
from fractions import Fraction

import numpy as np
import pytest

from golden.numerics import hadamard
from golden.numerics.hadamard import SIGN_SEED, inverse_sqrt, rotate, rotation_signs

f32 = np.float32


def test_signs_follow_the_recurrence():
    # The register's output is its seed, bit 0 first, continued by the recurrence of its taps.
    stream = [SIGN_SEED >> i & 1 for i in range(16)]
    while len(stream) < 65536:
        stream.append(stream[-16] ^ stream[-14] ^ stream[-13] ^ stream[-11])
    signs = rotation_signs(65536)
    assert signs.dtype == f32
    assert (signs == [-1 if bit else 1 for bit in stream]).all()
    # The period is 65,535, and a short prefix holds both signs.
    assert (signs < 0).sum() == 32768 + (stream[0] == 1)
    assert set(rotation_signs(8).tolist()) == {-1.0, 1.0}


def test_inverse_sqrt_is_the_nearest_float32():
    for dim in range(1, 65537):
        value = inverse_sqrt(dim)
        assert value.dtype == f32
        if dim & (dim - 1) == 0 and math.isqrt(dim) ** 2 == dim:
            assert Fraction(float(value)) == Fraction(1, math.isqrt(dim))
            continue
        # Scaled to integers below 2**25: twice the significand is even, the midpoints are its odd neighbours.
        mantissa, exponent = math.frexp(float(value))
        doubled, lsb = int(mantissa * 2**25), exponent - 25
        assert doubled != 1 << 24, "a power of two has a closer midpoint below"
        below, above = (doubled - 1) ** 2 * dim, (doubled + 1) ** 2 * dim
        assert below < 1 << -2 * lsb < above


def rotate_with_arrays(values):
    """The same order of operations, whole strides at a time."""
    dim = values.shape[-1]
    x = values * rotation_signs(dim)
    stride = 1
    while stride < dim:
        pairs = x.reshape(-1, dim // (2 * stride), 2, stride)
        x = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        stride *= 2
    return x.reshape(values.shape) * inverse_sqrt(dim)


@pytest.mark.parametrize("dim", [1, 2, 8, 32, 128])
def test_rotate_has_the_specified_bits(dim):
    print("seed 4")
    rng = np.random.default_rng(4)
    # Random bit patterns between 2**-40 and 2**40: sums that round and cancel.
    patterns = rng.integers(0, 1 << 23, (7, 3, dim)) | rng.integers(87, 168, (7, 3, dim)) << 23
    values = (patterns | rng.integers(0, 2, (7, 3, dim)) << 31).astype(np.uint32).view(f32)
    before = values.copy()
    actual = rotate(values)
    np.testing.assert_array_equal(actual.view(np.uint32), rotate_with_arrays(values).view(np.uint32))
    np.testing.assert_array_equal(values, before)
    rows = values.reshape(-1, dim).copy()
    hadamard._butterflies.py_func(rows, rotation_signs(dim), inverse_sqrt(dim))
    np.testing.assert_array_equal(actual.reshape(-1, dim).view(np.uint32), rows.view(np.uint32))


@pytest.mark.parametrize("dim", [2, 32, 128])
def test_rotate_is_the_matrix(dim):
    matrix = np.ones((1, 1))
    while len(matrix) < dim:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    matrix = np.diag(rotation_signs(dim)) @ matrix / math.sqrt(dim)
    np.testing.assert_allclose(rotate(np.eye(dim, dtype=f32)), matrix, atol=1e-7)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dim), atol=1e-12)


def test_rotate_spreads_an_outlier_and_overflows_to_infinity():
    values = np.zeros((1, 64), f32)
    values[0, 5] = 80
    assert (np.abs(rotate(values)) == 10).all()
    assert np.isinf(rotate(np.full((1, 4), 3e38, f32) * rotation_signs(4))).any()


def test_rotate_errors():
    with pytest.raises(TypeError, match="values must be a float32 array, not float64"):
        rotate(np.zeros((2, 4)))
    for dim in (0, 3, 96, 131072):
        with pytest.raises(ValueError, match=f"needs a power of two up to 65536 as its last axis, not {dim}"):
            rotate(np.zeros((1, dim), f32))
    with pytest.raises(ValueError, match="as its last axis, not 0"):
        rotate(np.array(1, f32))
