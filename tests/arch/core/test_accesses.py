"""Accesses against sets of bytes: their bounds, whether elements lie apart, and whether two share a byte."""

import random
from itertools import product

from arch.core.accesses import Access, accesses, overlap
from arch.core.instructions import Instruction
from arch.core.presets import CORES

SEED = 3


def bytes_of(access):
    """(lane, byte) of every element's bytes, some more than once."""
    lanes = range(access.lane, access.lane + access.lanes) if access.space == "sbuf" else [0]
    found = []
    for index in product(*(range(count) for count, _ in access.dims)):
        first = access.address + sum(i * stride for i, (_, stride) in zip(index, access.dims, strict=True))
        found += [(lane, first + byte) for lane in lanes for byte in range(access.size)]
    return found


def draw(generator):
    size = generator.choice((1, 2, 4))
    # Few values, so that all that can happen does.
    dims = [(generator.randint(1, 4), size * generator.randint(-5, 5)) for _ in range(generator.randint(0, 3))]
    lanes = {"lane": generator.randint(0, 2), "lanes": generator.randint(1, 2)}
    address = size * generator.randint(0, 12)
    space = generator.choice(("sbuf", "memory"))
    return Access(operand="x", space=space, address=address, size=size, dims=tuple(dims), **lanes)


def test_random_accesses():
    print(f"seed {SEED}")
    generator = random.Random(SEED)
    seen = set()
    for _ in range(3000):
        a, b = draw(generator), draw(generator)
        places = bytes_of(a)
        assert (a.first, a.last) == (min(places)[1], max(byte for _, byte in places))
        assert a.is_apart == (len(places) == len(set(places)))
        due = a.space == b.space and bool(set(places) & set(bytes_of(b)))
        assert overlap(a, b) == overlap(b, a) == due
        boxes = a.space == b.space and a.first <= b.last and b.first <= a.last
        seen.add((a.is_apart, boxes, due))
    assert len(seen) == 6


def test_same_place_ignores_what_does_not_count():
    a = Access(operand="x", space="sbuf", address=8, size=4, dims=((1, 4), (3, 8)), lanes=2)
    assert a.same_place(
        Access(operand="y", space="sbuf", address=8, size=4, dims=((1, 9), (3, 8)), lanes=2, writes=True)
    )
    for change in ({"address": 4}, {"size": 2}, {"dims": ((3, 4),)}, {"lane": 1}, {"lanes": 1}, {"space": "memory"}):
        values = {"space": "sbuf", "address": 8, "size": 4, "dims": ((3, 8),), "lane": 0, "lanes": 2} | change
        assert not a.same_place(Access(operand="x", **values))


def test_accesses_too_large_to_look_at_each_place():
    """Of gigabytes between each other it is said that they overlap; not if they lie apart as wholes."""
    a = Access(operand="x", space="memory", address=0, size=1, dims=((2, 1 << 35), (1 << 20, 2)))
    assert overlap(a, Access(operand="y", space="memory", address=1, size=1, dims=a.dims))
    assert not overlap(a, Access(operand="y", space="memory", address=1 << 36, size=1, dims=a.dims))
    assert a.is_apart
    tangled = Access(operand="x", space="memory", address=0, size=1, dims=((3, 1 << 35), (1 << 10, (1 << 34) + 1)))
    assert not tangled.is_apart


def test_an_operand_of_a_matmul_is_its_full_tiles_and_the_rest():
    values = dict(
        depth=10, w_stride=1, w_tile_stride=16, x_tile_stride=32, x_stride0=1, x_stride1=-8, count0=3, count1=2
    )
    w, x, w_rest, x_rest = accesses(Instruction("matmul", lanes=3, x_address=8, **values), CORES["tiny"])
    assert (w.dims, w.lanes, w_rest.address, w_rest.dims, w_rest.lanes) == (
        ((2, 16), (4, 1)),
        3,
        32,
        ((1, 0), (2, 1)),
        3,
    )
    assert (x.dims, x.lanes) == (((2, 32), (2, -8), (3, 1)), 4)
    assert (x_rest.address, x_rest.dims, x_rest.lanes) == (72, ((1, 0), (2, -8), (3, 1)), 2)


def test_an_indirect_side_is_every_row_that_an_index_may_name():
    values = dict(lanes=2, size="4", count0=2, sink_space="sbuf", indirect="source", source_pitch=8, index_address=12)
    index, source, sink = accesses(Instruction("dma", index_limit=5, **values), CORES["tiny"])
    assert (index.operand, index.address, index.size, index.lanes) == ("index", 12, 4, 2)
    assert (source.first, source.last, sink.lanes) == (0, 39, 2)
