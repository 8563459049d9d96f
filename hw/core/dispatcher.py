"""Fetches a program and gives each instruction to the queue of its engine, in the program's order."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, OPCODES, instruction_layout
from arch.core.layouts import NUMBER_BITS, burst_layout, program_layout, read_beat_layout
from arch.core.timing import FETCH_DEPTH
from hw.core.legal import Legal
from hw.lib.blocks import place, struct
from hw.lib.queue import StreamQueue

__all__ = ["Dispatcher"]

#: Where a DMA stands among a core's queues, after the engines.
_FIRST_DMA = 3


class Dispatcher(wiring.Component):
    """Runs one program after another; a program's instructions leave in its order.

    It stops at an instruction whose queue is full: no instruction passes another one, so that what an instruction waits
    for has been given to its queue before. It stops, too, at one that is not legal, and for good.

    Latency: 1 cycle from the last beat of an instruction out of the queue of beats to its leaving.
    Throughput: an instruction in as many cycles as it has beats.

    Members
    -------
    i_program : ``In(stream.Signature(program_layout))``
    o_ask, i_beat
        Memory: bursts asked for, and their beats.
    o_gives : ``Out(queues)``
        One-hot, the queue that is given ``o_code`` in this cycle.
    o_code, o_number : ``Out``
        The instruction, and its number in the program.
    o_remaining : array by queue
        How many of that queue's instructions must complete before it starts.
    i_room, i_completes : ``In(queues)``
        The queues that can take an instruction, and those that complete one.
    o_running : ``Out(1)``
        From the cycle after a program is taken on, until its last instruction is complete; or until the core is stopped
        and quiet.
    i_stopped, i_quiet : ``In(1)``
        No instruction leaves, no program is taken; and nothing of memory is under way.
    o_illegal : ``Out(1)``
        The instruction that would leave is not legal.
    o_next, o_wanted, o_coming : ``Out(NUMBER_BITS)``
        Numbers of the first instruction that has not left, that was not asked for, and whose beats did not all come.
    o_pages, o_limit : ``Out``
        Those of the program that runs.
    o_outstanding : array by queue
        Instructions that it was given and has not completed.
    """

    module_name = "dispatcher"

    def __init__(self, config: CoreConfig):
        self.config = config
        queues = len(config.queues)
        super().__init__(
            {
                "i_program": In(stream.Signature(struct(program_layout(config)))),
                "o_ask": Out(stream.Signature(struct(burst_layout(config)))),
                "i_beat": In(stream.Signature(struct(read_beat_layout(config)))),
                "o_gives": Out(queues),
                "o_code": Out(8 * INSTRUCTION_BYTES),
                "o_number": Out(NUMBER_BITS),
                "o_remaining": Out(config.outstanding_bits).array(queues),
                "i_room": In(queues),
                "i_completes": In(queues),
                "o_running": Out(1),
                "i_stopped": In(1),
                "i_quiet": In(1),
                "o_illegal": Out(1),
                **{f"o_{name}": Out(program_layout(config).fields[name]) for name in ("pages", "limit")},
                **{f"o_{name}": Out(NUMBER_BITS) for name in ("next", "wanted", "coming")},
                "o_outstanding": Out(config.outstanding_bits).array(queues),
            }
        )

    def elaborate(self, platform):
        m = Module()
        #: The instruction is all there, and leaves in this cycle.
        self.whole = Signal()
        self.leaves = Signal()
        self.code = Signal(8 * INSTRUCTION_BYTES, reset_less=True)
        self._fetch(m)
        self._dispatch(m)
        self._numbers(m)
        return m

    def _numbers(self, m: Module) -> None:
        """How far the program is."""
        comes = self.i_beat.valid & self.i_beat.ready & self.i_beat.payload.last
        m.d.comb += self.o_number.eq(Mux(self.leaves, self.o_next, 0))
        for number, moves in ((self.o_next, self.leaves), (self.o_wanted, self.asked), (self.o_coming, comes)):
            with m.If(self.i_program.valid & self.i_program.ready):
                m.d.sync += number.eq(0)
            with m.Elif(moves):
                m.d.sync += number.eq(number + 1)

    def _fetch(self, m: Module) -> None:
        """Instructions are asked for as long as there is room for their beats."""
        config = self.config
        beats = max(1, INSTRUCTION_BYTES // config.beat_bytes)
        depth = FETCH_DEPTH * beats
        queue = place(m, "beats", StreamQueue, 8 * config.beat_bytes, depth)
        address = Signal(len(self.i_program.payload.address))
        left = Signal(len(self.i_program.payload.instructions))
        reserved = Signal(range(depth + 1))
        out = Signal()
        self.asked, self.fetched = Signal(name="asked"), Signal()
        m.d.comb += [
            self.i_program.ready.eq(~self.o_running & ~self.i_stopped),
            self.o_ask.valid.eq((left != 0) & (reserved <= depth - beats)),
            self.asked.eq(self.o_ask.valid & self.o_ask.ready),
            queue.i.valid.eq(self.i_beat.valid),
            queue.i.payload.eq(self.i_beat.payload.data),
            self.i_beat.ready.eq(queue.i.ready),
            queue.o.ready.eq(~self.whole | self.leaves),
            out.eq(queue.o.valid & queue.o.ready),
            self.fetched.eq((left == 0) & (reserved == 0) & ~self.whole),
        ]
        with m.If(self.o_ask.valid):
            # A beat may hold more than the instruction.
            low = exact_log2(config.beat_bytes)
            m.d.comb += [
                self.o_ask.payload.address.eq(Cat(Const(0, low), address[low:])),
                self.o_ask.payload.beats.eq(beats - 1),
            ]
        m.d.sync += reserved.eq(reserved + Mux(self.asked, beats, 0) - out)
        with m.If(self.asked):
            m.d.sync += [address.eq(address + INSTRUCTION_BYTES), left.eq(left - 1)]
        with m.If(self.i_program.valid & self.i_program.ready):
            program = self.i_program.payload
            m.d.sync += [address.eq(program.address), left.eq(program.instructions)]
            m.d.sync += [self.o_pages.eq(program.pages), self.o_limit.eq(program.limit)]
        self._assemble(m, queue.o.payload, out, beats)

    def _assemble(self, m: Module, beat: Value, out: Signal, beats: int) -> None:
        """Beats become an instruction, the first lowest; or a beat of several instructions gives the one it was for."""
        parts = max(1, self.config.beat_bytes // INSTRUCTION_BYTES)
        part = Signal(range(max(2, parts)))
        count = Signal(range(max(2, beats)))
        with m.If(out):
            if beats > 1:
                width = 8 * self.config.beat_bytes
                m.d.sync += self.code.word_select(count, width).eq(beat)
                m.d.sync += [count.eq(count + 1), self.whole.eq(count == beats - 1)]
            else:
                m.d.sync += [self.code.eq(beat.word_select(part, 8 * INSTRUCTION_BYTES)), self.whole.eq(1)]
                m.d.sync += part.eq(part + 1 if parts > 1 else 0)
        with m.Elif(self.leaves):
            m.d.sync += self.whole.eq(0)
        if parts > 1:
            with m.If(self.i_program.valid & self.i_program.ready):
                m.d.sync += part.eq(self.i_program.payload.address[exact_log2(INSTRUCTION_BYTES) :])

    def _dispatch(self, m: Module) -> None:
        """The instruction to its queue, with what it waits for."""
        config = self.config
        queues = config.queues
        dma = instruction_layout("dma")
        header = struct(dma)(self.code[: dma.width])
        targets = {"matmul": 0, "vector": 1, "scalar": 2}
        target = Signal(range(len(queues)))
        legal = place(m, "legal", Legal, config, i_code=self.code)
        with m.Switch(header.opcode):
            for name, index in targets.items():
                with m.Case(OPCODES[name]):
                    m.d.comb += target.eq(index)
            with m.Default():
                m.d.comb += target.eq(_FIRST_DMA + header.queue)
        m.d.comb += [
            self.leaves.eq(self.whole & legal.o_legal & self.i_room.bit_select(target, 1) & ~self.i_stopped),
            self.o_illegal.eq(self.whole & ~legal.o_legal),
            self.o_gives.eq(Mux(self.leaves, 1 << target, 0)),
            self.o_code.eq(Mux(self.leaves, self.code, 0)),
        ]
        for index, queue in enumerate(queues):
            count = self.o_outstanding[index]
            wait = header[f"wait_{queue}"]
            completes = self.i_completes[index]
            remaining = Signal(config.outstanding_bits, name=f"remaining_{queue}")
            with m.If((wait != 0) & (count >= wait)):
                m.d.comb += remaining.eq(count - wait + 1)
            m.d.comb += self.o_remaining[index].eq(remaining - (completes & (remaining != 0)))
            m.d.sync += count.eq(count + self.o_gives[index] - completes)
        idle = Signal()
        m.d.comb += idle.eq(Cat(self.o_outstanding) == 0)
        with m.If(self.i_program.valid & self.i_program.ready):
            m.d.sync += self.o_running.eq(self.i_program.payload.instructions != 0)
        with m.Elif(Mux(self.i_stopped, self.i_quiet, self.fetched & idle)):
            m.d.sync += self.o_running.eq(0)
