"""Tiles in use at once lie apart, bytes rest before they are used again, what does not fit is refused with a map."""

import os
import re

import numpy as np
import pytest

from arch.core.presets import CORES
from kernels import kernel
from kernels import language as nl
from kernels.language.errors import Source
from kernels.language.placing import place
from kernels.language.tiles import Buffer

SEED = int(os.environ.get("SEED", 5))
TINY = CORES["tiny"]


def buffers(rng: np.random.Generator, count: int, most: int) -> list[Buffer]:
    made = []
    for number in range(count):
        size = 4 * int(rng.integers(1, most // 4))
        buffer = Buffer(number, size, (4, size // 4), "fp32", Source("x.py", number))
        buffer.first = int(rng.integers(2 * count))
        buffer.last = buffer.first + int(rng.integers(1, 12))
        buffer.reads, buffer.writes = {str(rng.choice(["vector_x", "dma"]))}, {str(rng.choice(["vector", "dma"]))}
        if rng.random() < 0.05:
            buffer.by_hand, buffer.address = True, 4 * int(rng.integers((TINY.lane_bytes - size) // 4))
        made.append(buffer)
    return made


def overlapping(made: list[Buffer]) -> list[tuple[Buffer, Buffer]]:
    return [
        (a, b)
        for number, a in enumerate(made)
        for b in made[:number]
        if a.first <= b.last
        and b.first <= a.last
        and a.address < b.address + b.bytes
        and b.address < a.address + a.bytes
    ]


def test_tiles_in_use_at_once_lie_apart():
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    placed = refused = 0
    for _ in range(150):
        made = buffers(rng, int(rng.integers(1, 60)), int(rng.choice([64, 600, 1600])))
        try:
            place(made, TINY)
        except nl.KernelError:
            refused += 1
            continue
        placed += 1
        assert overlapping(made) == []
        assert all(b.address % 4 == 0 and 0 <= b.address <= TINY.lane_bytes - b.bytes for b in made)
    assert placed > 50 and refused > 5, (placed, refused)


def test_bytes_rest_where_there_is_room():
    """Tiles of a loop go round: none lies where the one before it did."""

    @kernel
    def double(x):
        out = nl.output(x.shape)
        for rows in nl.blocks(x.shape[0]):
            nl.store(out[rows], nl.tensor_scalar(nl.load(x[rows]), "multiply", 2.0))

    program = double.build(TINY, [((80, 8), "fp32")])
    loaded = [tile.address for tile in program.tiles[::2]]
    assert len(loaded) == 20
    assert all(len(set(loaded[at : at + 10])) == 10 for at in range(len(loaded) - 10)), loaded


def test_operands_of_an_instruction_are_in_different_banks():
    @kernel
    def add(x, y):
        out = nl.output(x.shape)
        nl.store(out, nl.tensor_tensor(nl.load(x), nl.load(y), "add"))

    x, y, _ = add.build(TINY, [((4, 9), "fp32")] * 2).tiles
    assert x.address // 1024 != y.address // 1024


def test_operands_of_an_instruction_are_apart_even_where_all_banks_are_in_use():
    def buffer(number, reads, bank=None):
        made = Buffer(number, 64, (4, 16), "fp32", Source("x.py", number), first=0, last=9, reads={reads})
        if bank is not None:
            made.by_hand, made.address = True, 1024 * bank + 64 * number
        return made

    x, t = buffer(0, "vector_x", 0), buffer(1, "vector_t")
    others = [buffer(2 + number, "scalar_x", 1 + number % 3) for number in range(9)]
    for partners, banks in (({0}, {1, 2, 3}), (set(), {0})):
        t.partners, t.address = partners, None
        place([x, t, *others], TINY)
        assert t.address // 1024 in banks


def test_loads_and_results_of_a_loop_are_in_different_banks():
    """What comes for the next turn does not hold up what this one writes."""

    @kernel
    def softmax(x):
        out = nl.output(x.shape)
        for rows in nl.blocks(x.shape[0]):
            values = nl.load(x[rows])
            shifted = nl.tensor_scalar(values, "subtract", nl.tensor_reduce("max", values))
            numerators = nl.activation("exp", shifted)
            inverse = nl.activation("reciprocal", nl.tensor_reduce("add", numerators))
            nl.store(out[rows], nl.tensor_scalar(numerators, "multiply", inverse))

    config = CORES["fp8"]
    program = softmax.build(config, [((128, 300), "fp32")])
    banks = [tile.address // (config.lane_bytes // config.banks) for tile in program.tiles]
    assert len(banks) == 8 * 7
    loaded, shifted, result = (set(banks[first::7]) for first in (0, 2, 6))
    assert not loaded & (shifted | result), (loaded, shifted, result)


def test_what_is_full_is_shown():
    @kernel
    def many(x):
        out = nl.output((3, 4, 300))
        tiles = [nl.load(x[n]) for n in range(4)]
        for n in range(3):
            nl.store(out[n], nl.tensor_tensor(tiles[n], tiles[n + 1], "add"))

    with pytest.raises(nl.KernelError) as error:
        many.build(TINY, [((4, 4, 300), "fp32")])
    first, *live = str(error.value).splitlines()
    line = many._function.__code__.co_firstlineno
    assert re.search(
        rf"test_placing.py:{line + 3}: tiles in use at once must fit in 4096 bytes a lane, not 1200 more", first
    )
    assert "496 are free beside" in first
    assert [entry.split()[0] for entry in live] == ["0..1199", "1200..2399", "2400..3599"]


def test_by_hand():
    @kernel
    def copy(x, *, address, other):
        out = nl.output(x.shape)
        first, second = (nl.ndarray((4, 8), address=at) for at in (address, other))
        nl.load(x, out=first)
        nl.tensor_copy(first, out=second)
        nl.store(out, second)

    program = copy.build(TINY, [((4, 8), "fp32")], address=64, other=96)
    assert [tile.address for tile in program.tiles] == [64, 96]
    with pytest.raises(nl.KernelError, match="tiles that are in use at once must lie apart"):
        copy.build(TINY, [((4, 8), "fp32")], address=64, other=80)
    with pytest.raises(nl.KernelError, match="address must be a multiple of 4, at most 4064, not 4068"):
        copy.build(TINY, [((4, 8), "fp32")], address=64, other=4068)
