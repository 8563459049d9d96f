"""What stops a core, and what its queues are doing, by random causes."""

from collections import Counter
from itertools import product

import numpy as np
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator

from arch.core.layouts import DOINGS, ERRORS, stop_layout
from arch.core.presets import CORES
from hw.core.doing import Doing
from hw.core.watch import Watch

SEED = 29
TINY = CORES["tiny"]
#: Of a core with two DMA queues: seven read ports, four write ports.
CAUSES = ["illegal", *["sbuf"] * 11, *["index"] * 2, *["memory"] * 2, *["bus"] * 2, "limit"]


def test_the_first_cause_stops_a_program_and_is_kept():
    print(f"seed {SEED}")
    rng, block, reset = np.random.default_rng(SEED), Watch(TINY), Signal()
    stopped_by = Counter()

    async def bench(ctx):
        for _ in range(250):
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            stopped_by[await _run(ctx, rng, block)] += 1

    simulator = Simulator(ResetInserter({"sync": reset})(_module(block)))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert set(stopped_by) == {None, *range(len(CAUSES))}, stopped_by


async def _run(ctx, rng: np.random.Generator, block: Watch) -> int | None:
    """A few programs; returns the cause that stopped one."""
    limit, rate, cycles, stop, by = int(rng.integers(0, 12)), float(rng.choice((0, 0.001, 0.03))), 0, 0, None
    running = 0
    for _ in range(40):
        running = int(rng.random() < (0.95 if running else 0.4))
        bits = sum(int(rng.random() < rate) << index for index in range(len(CAUSES) - 1))
        numbers = rng.integers(0, 1 << 24, len(CAUSES)).tolist()
        ctx.set(block.i_running, running)
        ctx.set(block.i_limit, limit)
        ctx.set(block.i_causes, bits)
        for index, number in enumerate(numbers):
            ctx.set(block.i_numbers[index], number)
        assert ctx.get(block.o_stop.as_value()) == stop
        bits |= int(limit > 0 and cycles == limit) << len(CAUSES) - 1
        if running and not stop and bits:
            by = (bits & -bits).bit_length() - 1
            stop = stop_layout().pack(stopped=1, error=1 + ERRORS.index(CAUSES[by]), number=numbers[by])
        cycles = cycles + 1 if running else 0
        await ctx.tick()
    return by


def test_every_way_of_doing():
    block, seen = Doing(TINY), Counter()

    async def bench(ctx):
        for outstanding, level, take, conflict, lacks in product(range(9), range(5), range(2), range(2), range(2)):
            if level > outstanding:
                continue
            for name, value in (("outstanding", outstanding), ("level", level), ("take", take)):
                ctx.set(getattr(block, f"i_{name}"), value)
            ctx.set(block.i_conflict, conflict)
            ctx.set(block.i_lacks, lacks)
            if outstanding > level:
                want = "conflict" if conflict else "stream" if lacks else "busy"
            else:
                want = "busy" if take else "order" if level else "empty"
            assert DOINGS[ctx.get(block.o_doing)] == want, (outstanding, level, take, conflict, lacks)
            seen[want] += 1

    simulator = Simulator(_module(block))
    simulator.add_testbench(bench)
    simulator.run()
    assert set(seen) == set(DOINGS)


def _module(block) -> Module:
    module = Module()
    module.submodules.block = block
    return module
