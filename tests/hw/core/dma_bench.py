"""DMA queues and a reader behind the memory port, in Amaranth's simulator, with instructions that they run."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Elaboratable, Module, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator
from dma_reference import WINDOW, Place, apply, moved
from memory_model import MemoryModel

from arch.core.config import CoreConfig
from arch.core.instructions import Instruction, encode
from hw.core.dma_queue import DmaQueue
from hw.core.memory_port import MemoryPort

__all__ = ["Bench", "place_of"]

_LIMIT = 30000


def place_of(rng: np.random.Generator, config: CoreConfig, base: int) -> Place:
    """Memory from there on, and an SBUF, with random bytes."""
    shapes = (2 * WINDOW,), (config.lanes, config.lane_bytes)
    return Place(base, *(rng.integers(0, 256, shape, np.uint8) for shape in shapes))


class _Machine(Elaboratable):
    """The queues at the port; the first requester that reads is the bench's."""

    def __init__(self, config: CoreConfig):
        self.port = MemoryPort(config)
        self.queues = [DmaQueue(config) for _ in range(config.dma_queues)]

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = self.port
        for index, queue in enumerate(self.queues):
            m.submodules[f"queue_{index}"] = queue
            reads, writes = self.port.reads[index + 1], self.port.writes[index]
            for asks, taker in ((queue.read_ask, reads.ask), (queue.write_ask, writes.ask)):
                wiring.connect(m, asks, taker)
            wiring.connect(m, reads.beat, queue.read_beat)
            wiring.connect(m, queue.write_beat, writes.beat)
            m.d.comb += queue.i_answered.eq(writes.answered)
        return m


class _Driver:
    """One queue's instructions, and its SBUF."""

    def __init__(self, queue: DmaQueue, place: Place, instructions: Sequence[Instruction], rng, idle: float):
        self.queue, self.place, self.rng, self.idle = queue, place, rng, idle
        self.instructions = list(instructions)
        self.want = Place(place.base, place.memory.copy(), place.sbuf.copy())
        self.running = False
        self.row: int | None = None
        self.read_held = self.write_held = None
        #: Numbers of bytes of SBUF that may be read and written.
        self.readable, self.writable = set(), set()
        #: Of each instruction, the cycles in which it was taken and was complete.
        self.times: list[list[int]] = []

    @property
    def done(self) -> bool:
        return not self.instructions and not self.running

    def _often(self) -> int:
        return int(self.rng.random() >= self.idle)

    def drive(self, ctx) -> None:
        queue = self.queue
        starts = bool(self.instructions) and self._often()
        code = int.from_bytes(encode(self.instructions[0]), "little") if starts else self.rng.integers(1 << 60)
        width = len(Value.cast(queue.i_instruction))
        ctx.set(queue.i_start, starts)
        ctx.set(Value.cast(queue.i_instruction), int(code) & (1 << width) - 1)
        ctx.set(queue.i_read_grant, self._often() & ctx.get(queue.o_read_valid))
        ctx.set(queue.i_write_grant, self._often() & ctx.get(queue.o_write_valid))
        words = self.place.sbuf.view(np.uint32)
        row = words[:, self.row] if self.row is not None else self.rng.integers(0, 1 << 32, len(words), np.uint32)
        ctx.set(queue.i_read_data, int.from_bytes(row.tobytes(), "little"))

    def see(self, ctx, memory: MemoryModel, cycle: int) -> None:
        queue = self.queue
        self._read(ctx)
        self._write(ctx)
        if ctx.get(queue.o_complete):
            assert self.running
            self.running = False
            self.times[-1].append(cycle)
            assert not self.writable and not memory.writable.intersection(self._window()), "complete too early"
        if ctx.get(queue.o_take):
            assert not self.running
            self._begin(memory)
            self.times.append([cycle])

    def _window(self) -> range:
        return range(self.place.base, self.place.base + 2 * WINDOW)

    def _begin(self, memory: MemoryModel) -> None:
        instruction = self.instructions.pop(0)
        self.running = True
        memory.readable -= set(self._window())
        self.readable = set()
        for space, numbers, (of_memory, of_sbuf) in zip(
            (instruction.source_space, instruction.sink_space),
            moved(instruction, self.place),
            ((memory.readable, self.readable), (memory.writable, self.writable)),
            strict=True,
        ):
            (of_sbuf if space else of_memory).update((numbers + (0 if space else self.place.base)).tolist())
        apply(instruction, self.want)

    def _read(self, ctx) -> None:
        queue = self.queue
        valid, row = ctx.get(queue.o_read_valid), ctx.get(queue.o_read_row)
        assert valid or not row
        assert self.read_held in (None, row if valid else None)
        granted = ctx.get(queue.i_read_grant)
        self.read_held = row if valid and not granted else None
        self.row = row if valid and granted else None
        if valid:
            lanes, bytes_ = self.place.sbuf.shape
            assert any(lane * bytes_ + 4 * row in self.readable for lane in range(lanes)), row

    def _write(self, ctx) -> None:
        queue, sbuf = self.queue, self.place.sbuf
        names = ("o_write_valid", "o_write_row", "o_write_enable", "o_write_data")
        valid, *request = (ctx.get(getattr(queue, name)) for name in names)
        assert valid or not any(request)
        assert self.write_held in (None, request if valid else None)
        granted = ctx.get(queue.i_write_grant)
        self.write_held = request if valid and not granted else None
        if not (valid and granted):
            return
        row, enable, data = request
        assert enable
        for byte in range(4 * len(sbuf)):
            lane, column = byte // 4, 4 * row + byte % 4
            value = data >> 8 * byte & 255
            if not enable >> byte & 1:
                assert value == 0, byte
                continue
            # Each byte once.
            self.writable.remove(lane * sbuf.shape[1] + column)
            sbuf[lane, column] = value


class Bench:
    """Runs instructions, some for each queue, to the end, and compares memory and SBUF.

    ``times`` of each driver and ``memory.beats_read`` say when what happened.
    """

    def __init__(self, config: CoreConfig, instructions: Sequence[Sequence[Instruction]], seed: int, idle: float):
        rng = np.random.default_rng(seed)
        self.config = config
        self.machine = _Machine(config)
        places = [place_of(rng, config, self.base(index)) for index in range(config.dma_queues)]
        self.drivers = [
            _Driver(queue, place, given, rng, idle)
            for queue, place, given in zip(self.machine.queues, places, instructions, strict=True)
        ]
        self.memory = MemoryModel(config, rng, {place.base: place.memory for place in places}, idle)

    @staticmethod
    def base(index: int) -> int:
        """Where a queue's memory begins: carries go up to the highest bit of an address."""
        return (1 << 39) - WINDOW + index * 4 * WINDOW

    def run(self) -> None:
        """To the end. AssertionError for what breaks a rule, and for bytes that are not what they should be."""
        simulator = Simulator(self.machine)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._cycles)
        simulator.run()
        for driver in self.drivers:
            np.testing.assert_array_equal(driver.place.memory, driver.want.memory)
            np.testing.assert_array_equal(driver.place.sbuf, driver.want.sbuf)

    async def _cycles(self, ctx) -> None:
        port, memory = self.machine.port, self.memory
        # Beats are all that has a payload in a signal of its own.
        ins = {name: getattr(port, name) for name in ("i_r", "i_b")}
        outs = {name: getattr(port, name) for name in ("o_ar", "o_aw", "o_w")}
        while not all(driver.done for driver in self.drivers):
            assert memory.cycle < _LIMIT, "it does not end"
            given = memory.drive()
            for name, stream in ins.items():
                ctx.set(stream.valid, given[name][0])
                ctx.set(Value.cast(stream.payload), given[name][1])
            for name, stream in outs.items():
                ctx.set(stream.ready, given[name][0])
            for driver in self.drivers:
                driver.drive(ctx)
            cycle = memory.cycle
            memory.see(
                {
                    name: tuple(ctx.get(Value.cast(getattr(stream, part))) for part in ("valid", "ready", "payload"))
                    for name, stream in (ins | outs).items()
                }
            )
            for driver in self.drivers:
                driver.see(ctx, memory, cycle)
            await ctx.tick()
        assert not memory.reads and not memory.answers
