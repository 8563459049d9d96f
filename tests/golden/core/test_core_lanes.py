"""Arithmetic of many elements against the reference's of one, on all pairs of numbers where an edge is."""

import numpy as np
import pytest
from core_reference import NAN, canonical, operate, reduced
from operands import rng

from arch.core.instructions import OPERATIONS
from golden.core import lanes

EDGES = [0, 1, 0x007FFFFF, 0x00800000, 0x33800000, 0x3F800000, 0x3F800001, 0x4B7FFFFF, 0x7F7FFFFF, 0x7F800000]
EDGES += [NAN, *(code | 1 << 31 for code in EDGES)]


def floats(codes):
    return np.array(codes, np.uint32).view(np.float32)


def codes(values):
    assert values.dtype == np.float32
    return values.view(np.uint32).tolist()


def patterns(generator, shape):
    """Random bits, with zeros of both signs, Inf and NaN among them."""
    bits = generator.integers(0, 1 << 32, shape, dtype=np.uint32)
    edges = generator.choice(np.array(EDGES, np.uint32), shape)
    bits = np.where(generator.random(shape) < 0.3, edges, bits)
    return lanes.canonical(bits.view(np.float32))


@pytest.mark.parametrize("name", OPERATIONS[1:])
def test_operations(name):
    generator = rng()
    others = [canonical(int(code)) for code in generator.integers(0, 1 << 32, 60)]
    numbers = floats([*EDGES, *others])
    x, a = np.meshgrid(numbers, numbers)
    result = codes(lanes.operate(name, x, a))
    due = [[operate(name, b, c) for b, c in zip(*pair, strict=True)] for pair in zip(codes(x), codes(a), strict=True)]
    assert result == due
    # A value of each lane.
    assert codes(lanes.operate(name, x, a[:, :1])) == codes(lanes.operate(name, x, np.repeat(a[:, :1], len(x), axis=1)))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 64, 100])
def test_reductions(count):
    generator = rng()
    wide = patterns(generator, (50, count))
    normal = generator.normal(0, 100, (20, count)).astype(np.float32)
    zeros = floats([[generator.choice([0, 1 << 31]) for _ in range(count)] for _ in range(20)])
    for values in (wide, normal, zeros, -np.abs(normal)):
        magnitudes = np.where(np.isnan(values), values, np.abs(values))
        for name, result in [
            ("add", codes(lanes.add_up(values))),
            ("max", codes(lanes.reduced_maximum(values))),
            ("absmax", codes(lanes.reduced_maximum(magnitudes))),
            ("argmax", lanes.maximum_index(values).tolist()),
        ]:
            assert result == [reduced(name, row) for row in codes(values)], name


def test_a_sum_is_of_eight_partial_sums():
    """In NumPy's order, or in one chain, the small numbers would be lost or come out otherwise."""
    values = np.full((1, 24), np.float32(2**-24))
    values[0, 0] = 1
    # Partial sum 0 stays 1, from which 2**-24 is half a unit; the seven others are 3 * 2**-24 each. 1 + 3 * 2**-24 is
    # rounded up to 1 + 4 * 2**-24, to which 6 and 12 units are added.
    assert lanes.add_up(values)[0] == np.float32(1 + 22 * 2**-24)
    assert values[0].cumsum(dtype=np.float32)[-1] == 1


def test_masks():
    y = np.arange(24, dtype=np.float32).reshape(2, 12) + 1
    for kind, rows in (
        ("at_most", ([1, 1, 0, 0], [1, 1, 1, 0])),
        ("at_least", ([0, 1, 1, 1], [0, 0, 1, 1])),
        ("equal", ([0, 1, 0, 0], [0, 0, 1, 0])),
    ):
        kept = lanes.keep(y, kind, np.array([1, 2]), 4, np.float32(-0.0))
        assert (kept == y * np.tile(rows, 3)).all()
        assert np.signbit(kept[kept == 0]).all()
    assert (lanes.keep(y, "at_least", np.array([-9, 4]), 4, np.float32(7))[1] == 7).all()
