"""The phase INDEX of a DMA queue: what it reads, compares and keeps, and in which cycles."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Value
from amaranth.sim import Simulator

from arch.core.instructions import Instruction, encode, instruction_layout
from arch.core.presets import CORES
from hw.core.dma_index import DmaIndex

SEED = 17
CONFIGS = {"tiny": CORES["tiny"], "bf16": replace(CORES["bf16"], beat_bytes=8)}


def _drawn(rng: np.random.Generator, lanes: int) -> tuple[Instruction, np.ndarray, int]:
    """An instruction, the index of each lane of the core, and where the mask of lanes has lane 0."""
    limit = int(rng.choice((1, 2, 100, 1 << 31, (1 << 32) - 1)))
    side = str(rng.choice(("none", "source", "sink")))
    used = int(rng.integers(1, lanes + 1))
    index = rng.integers(0, 1 << 32, lanes, np.uint32) >> rng.integers(0, 32, lanes).astype(np.uint32)
    near = rng.random(lanes) < 0.5
    index[near] = np.clip(limit + rng.integers(-2, 2, near.sum()), 0, (1 << 32) - 1)
    instruction = Instruction(
        "dma",
        lanes=used,
        indirect=side,
        index_address=4 * int(rng.integers(1 << 16)),
        index_limit=limit,
        out_of_range=str(rng.choice(("error", "skip"))),
        source_pitch=4 * int(rng.integers(-(1 << 29), 1 << 29)),
    )
    return instruction, index, int(rng.integers(lanes - used + 1))


async def _phase(ctx, rng: np.random.Generator, block: DmaIndex, drawn: tuple) -> None:
    """One instruction, from the cycle in which it is taken to the first one after the phase."""
    instruction, index, place = drawn
    used, limit = instruction.lanes, instruction.index_limit
    packed = int.from_bytes(encode(instruction), "little") & (1 << instruction_layout("dma").width) - 1
    ctx.set(Value.cast(block.i_instruction), packed)
    ctx.set(block.i_take, 1)
    assert not ctx.get(block.o_active)
    await ctx.tick()
    ctx.set(block.i_take, 0)
    ctx.set(Value.cast(block.i_instruction), int(rng.integers(1 << 62)))
    ctx.set(block.i_pitch, instruction.source_pitch)
    ctx.set(block.i_lanes, used)
    ctx.set(block.i_place, place)
    assert ctx.get(block.o_active) == ctx.get(block.o_read_valid) == (instruction.indirect != 0)
    if instruction.indirect:
        inside = index[:used] < limit
        offsets = np.where(inside, index[:used], 0).astype(object) * instruction.source_pitch
        await _cycles(ctx, rng, block, drawn, inside, offsets)
        for burst in range(1, used):
            beat = int(rng.integers(1, used))
            ctx.set(block.i_burst, burst)
            ctx.set(block.i_beat, beat)
            for number, port in ((burst, block.o_burst), (beat, block.o_beat)):
                assert ctx.get(port) == (offsets[number] - offsets[number - 1]) % (1 << 40)
        assert ctx.get(block.o_skips) == sum(1 << place + lane for lane in range(used) if not inside[lane])
    else:
        assert not ctx.get(block.o_skips)


async def _cycles(ctx, rng, block: DmaIndex, drawn: tuple, inside: np.ndarray, offsets: np.ndarray) -> None:
    """Those of the phase."""
    instruction, index, _ = drawn
    used, refuses = instruction.lanes, instruction.named("out_of_range") == "error"
    granted, cycle = None, 0
    while granted is None or cycle < granted + 4 + used:
        grant = granted is None and int(rng.integers(2))
        ctx.set(block.i_read_grant, grant)
        row = sum(int(word) << 32 * lane for lane, word in enumerate(index))
        comes = granted is not None and cycle == granted + 1
        ctx.set(block.i_read_data, row if comes else int(rng.integers(1 << 62)))
        assert ctx.get(block.o_active)
        assert ctx.get(block.o_read_valid) == (granted is None)
        assert ctx.get(block.o_read_row) == (instruction.index_address // 4 if granted is None else 0)
        lane = used if granted is None else cycle - granted - 2
        assert ctx.get(block.o_error) == (0 <= lane < used and refuses and not inside[lane]), (cycle, lane)
        begins = granted is not None and cycle == granted + 4
        assert ctx.get(block.o_begins) == begins
        assert not begins or ctx.get(block.o_distance) == offsets[0] % (1 << 40)
        assert ctx.get(block.o_ends) == (granted is not None and cycle == granted + 3 + used)
        if grant:
            granted = cycle
        await ctx.tick()
        cycle += 1
    assert not ctx.get(block.o_active)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_cycle_of_the_phase(name):
    print(f"seed {SEED}")
    config, rng = CONFIGS[name], np.random.default_rng(SEED)
    block = DmaIndex(config)

    async def bench(ctx):
        for _ in range(300):
            await _phase(ctx, rng, block, _drawn(rng, config.lanes))

    module = Module()
    module.submodules.block = block
    simulator = Simulator(module)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
