"""DMA queues and a reader behind the memory port, in Amaranth's simulator, with instructions that they run."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator
from dma_reference import WINDOW, Place, apply, indices, moved, random_indices
from memory_model import MemoryModel

from arch.core.config import CoreConfig
from arch.core.instructions import Instruction, encode, instruction_layout
from hw.core.dma_queue import DmaQueue
from hw.core.memory_port import MemoryPort

__all__ = ["Bench", "place_of"]

_LIMIT = 30000


def place_of(rng: np.random.Generator, config: CoreConfig, base: int) -> Place:
    """Memory from there on, and an SBUF, with random bytes."""
    shapes = (2 * WINDOW,), (config.lanes, config.lane_bytes)
    return Place(base, *(rng.integers(0, 256, shape, np.uint8) for shape in shapes))


#: Of each queue: what is given and what is seen. (A grant is given where the port asks.)
_GIVEN = ("i_start", "i_instruction", "i_read_grant", "i_read_data", "i_write_grant")
_SEEN = (
    *("o_take", "o_complete", "o_error", "o_read_valid", "o_read_row", "i_read_grant"),
    *("o_write_valid", "o_write_row", "o_write_enable", "o_write_data", "i_write_grant"),
)
_INS, _OUTS = ("i_r", "i_b"), ("o_ar", "o_aw", "o_w")


class _Machine(Elaboratable):
    """The queues at the port, all inputs in one signal and what is seen in another: that simulates ten times as fast.

    The requester of the port that is the dispatcher's asks for nothing.
    """

    def __init__(self, config: CoreConfig):
        self.port = MemoryPort(config)
        self.queues = [DmaQueue(config) for _ in range(config.dma_queues)]
        port, number = self.port, range(config.dma_queues)
        self._given = {(name, "valid"): getattr(port, name).valid for name in _INS}
        self._given |= {(name, "payload"): Value.cast(getattr(port, name).payload) for name in _INS}
        self._given |= {(name, "ready"): getattr(port, name).ready for name in _OUTS}
        self._given |= {(q, name): Value.cast(getattr(self.queues[q], name)) for q in number for name in _GIVEN}
        self._seen = {
            (name, part): Value.cast(getattr(getattr(port, name), part))
            for name in _INS + _OUTS
            for part in ("valid", "ready", "payload")
        }
        self._seen |= {(q, name): Value.cast(getattr(self.queues[q], name)) for q in number for name in _SEEN}
        self._ins, self._outs = (Signal(len(Cat(ports.values()))) for ports in (self._given, self._seen))

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
        offset = 0
        for (owner, name), port in self._given.items():
            given = self._ins[offset : offset + len(port)]
            asks = {"i_read_grant": "o_read_valid", "i_write_grant": "o_write_valid"}.get(name)
            m.d.comb += port.eq(given & getattr(self.queues[owner], asks) if asks else given)
            offset += len(port)
        # All of memory is the program's.
        m.d.comb += [self.port.i_pages.eq(1 << 28), self._outs.eq(Cat(self._seen.values()))]
        return m

    def give(self, ctx, values: dict[tuple, int]) -> None:
        """Drive every input."""
        bits = offset = 0
        for name, port in self._given.items():
            bits |= values[name] << offset
            offset += len(port)
        ctx.set(self._ins, bits)

    def see(self, ctx) -> dict[tuple, int]:
        """All that is seen, by port or number of the queue, and name."""
        bits, values = ctx.get(self._outs), {}
        for name, port in self._seen.items():
            values[name] = bits & (1 << len(port)) - 1
            bits >>= len(port)
        return values


class _Driver:
    """One queue's instructions, and its SBUF."""

    def __init__(self, place: Place, instructions: Sequence[Instruction], rng: np.random.Generator, idle: float):
        self.place, self.rng, self.idle = place, rng, idle
        self.instructions = list(instructions)
        self.want = Place(place.base, place.memory.copy(), place.sbuf.copy())
        self.running = False
        #: Lanes of the instruction are left out.
        self.skips = False
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

    def drive(self) -> dict[str, int]:
        """Its inputs of this cycle."""
        starts = bool(self.instructions) and self._often()
        code = encode(self.instructions[0]) if starts else self.rng.bytes(64)
        words = self.place.sbuf.view(np.uint32)
        row = words[:, self.row] if self.row is not None else self.rng.integers(0, 1 << 32, len(words), np.uint32)
        return {
            "i_start": int(starts),
            "i_instruction": int.from_bytes(code, "little") & (1 << instruction_layout("dma").width) - 1,
            "i_read_grant": self._often(),
            "i_write_grant": self._often(),
            "i_read_data": int.from_bytes(row.tobytes(), "little"),
        }

    def see(self, seen: dict[str, int], memory: MemoryModel, cycle: int) -> None:
        """What its ports have in this cycle."""
        assert not seen["o_error"]
        self._read(*(seen[name] for name in ("o_read_valid", "i_read_grant", "o_read_row")))
        names = ("o_write_valid", "i_write_grant", "o_write_row", "o_write_enable", "o_write_data")
        self._write(*(seen[name] for name in names))
        if seen["o_complete"]:
            assert self.running
            self.running = False
            self.times[-1].append(cycle)
            assert not self.writable and not memory.writable.intersection(self._window()), "complete too early"
        if seen["o_take"]:
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
        self.skips = not indices(instruction, self.place)[1].all()
        (memory.skips.add if self.skips else memory.skips.discard)(self.place.base)
        if instruction.indirect:
            lane_bytes = self.place.sbuf.shape[1]
            self.readable.update(lane * lane_bytes + instruction.index_address for lane in range(instruction.lanes))
        apply(instruction, self.want)

    def _read(self, valid: int, granted: int, row: int) -> None:
        assert valid or not row
        assert self.read_held in (None, row if valid else None)
        self.read_held = row if valid and not granted else None
        self.row = row if granted else None
        lanes, lane_bytes = self.place.sbuf.shape
        assert not valid or any(lane * lane_bytes + 4 * row in self.readable for lane in range(lanes)), row

    def _write(self, valid: int, granted: int, row: int, enable: int, data: int) -> None:
        sbuf, request = self.place.sbuf, (row, enable, data)
        assert valid or not any(request)
        assert self.write_held in (None, request if valid else None)
        self.write_held = request if valid and not granted else None
        if not granted:
            return
        assert enable or self.skips
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
        for place, given in zip(places, instructions, strict=True):
            for instruction in given:
                if instruction.indirect:
                    column = instruction.index_address // 4
                    place.sbuf.view(np.uint32)[: instruction.lanes, column] = random_indices(rng, instruction)
        self.drivers = [_Driver(place, given, rng, idle) for place, given in zip(places, instructions, strict=True)]
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
        memory = self.memory
        while not all(driver.done for driver in self.drivers):
            assert memory.cycle < _LIMIT, "it does not end"
            given = {(name, part): value for name, parts in memory.drive().items() for part, value in parts.items()}
            for number, driver in enumerate(self.drivers):
                given |= {(number, name): value for name, value in driver.drive().items()}
            self.machine.give(ctx, given)
            seen = self.machine.see(ctx)
            cycle = memory.cycle
            memory.see(
                {name: tuple(seen[name, part] for part in ("valid", "ready", "payload")) for name in _INS + _OUTS}
            )
            for number, driver in enumerate(self.drivers):
                driver.see({name: seen[number, name] for name in _SEEN}, memory, cycle)
            await ctx.tick()
        assert not memory.reads and not memory.answers
