"""Top of the core: engines around SBUF, a dispatcher, DMA queues and the port to memory."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.instructions import instruction_layout
from arch.core.layouts import (
    answer_layout,
    burst_layout,
    program_layout,
    read_beat_layout,
    write_beat_layout,
)
from arch.core.signals import read_ports, write_ports
from hw.core.dispatcher import Dispatcher
from hw.core.dma_queue import DmaQueue
from hw.core.front_end import TensorFrontEnd
from hw.core.instruction_queue import InstructionQueue
from hw.core.memory_port import MemoryPort
from hw.core.sbuf import Sbuf
from hw.core.scalar_engine import ScalarEngine
from hw.core.vector_engine import VectorEngine
from hw.lib.blocks import Ports, place, struct
from hw.tensor.engine import TensorEngine

__all__ = ["Core"]


class Core(wiring.Component):
    """Runs programs out of external memory; docs/core.md gives every cycle, docs/isa.md the instructions.

    Members
    -------
    i_program : ``In(stream.Signature(program_layout))``
        Programs to be run, one after another.
    o_running : ``Out(1)``
        One is.
    o_ar, i_r, o_aw, o_w, i_b
        External memory: bursts to be read and their beats, bursts to be written, their beats, their answers.
    """

    module_name = "core"

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "i_program": In(stream.Signature(struct(program_layout(config)))),
                "o_running": Out(1),
                "o_ar": Out(stream.Signature(struct(burst_layout(config)))),
                "i_r": In(stream.Signature(struct(read_beat_layout(config)))),
                "o_aw": Out(stream.Signature(struct(burst_layout(config)))),
                "o_w": Out(stream.Signature(struct(write_beat_layout(config)))),
                "i_b": In(stream.Signature(struct(answer_layout(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        queues = len(self.config.queues)
        self.completes = Signal(queues)
        self.gives = Signal(queues)
        self.sbuf = place(m, "sbuf", Sbuf, self.config)
        memory = place(m, "memory", MemoryPort, self.config)
        _pass_on(m, self.o_ar, memory.o_ar)
        _pass_on(m, memory.i_r, self.i_r)
        _pass_on(m, self.o_aw, memory.o_aw)
        _pass_on(m, self.o_w, memory.o_w)
        _pass_on(m, memory.i_b, self.i_b)
        self._dispatcher(m, memory)
        engines = [self._tensor(m), self._vector(m), self._scalar(m)]
        engines += [self._dma(m, number, memory) for number in range(self.config.dma_queues)]
        self._psum(m, *engines[:3])
        m.d.comb += self.completes.eq(Cat(engine.o_complete for engine in engines))
        return m

    def _dispatcher(self, m: Module, memory: Ports) -> None:
        self.room = Signal(len(self.config.queues))
        dispatcher = place(
            m,
            "dispatcher",
            Dispatcher,
            self.config,
            i_room=self.room,
            i_completes=self.completes,
            o_running=self.o_running,
            o_gives=self.gives,
        )
        _pass_on(m, dispatcher.i_program, self.i_program)
        _pass_on(m, memory.reads[0].ask, dispatcher.o_ask)
        _pass_on(m, dispatcher.i_beat, memory.reads[0].beat)
        self.dispatcher = dispatcher

    def _queue(self, m: Module, number: int, kind: str, engine: Ports) -> None:
        """The instruction queue in front of an engine."""
        name = self.config.queues[number]
        width = instruction_layout(kind).width
        queue = place(
            m,
            f"{name}_queue",
            InstructionQueue,
            self.config,
            kind,
            i_completes=self.completes,
        )
        m.d.comb += [
            queue.i_give.eq(self.gives[number]),
            Value.cast(queue.i_instruction).eq(self.dispatcher.o_code[:width]),
            *(
                queue.i_remaining[index].eq(self.dispatcher.o_remaining[index])
                for index in range(len(self.config.queues))
            ),
            self.room[number].eq(queue.o_level != self.config.queue_depth),
            queue.i_take.eq(engine.o_take),
            engine.i_start.eq(queue.o_start),
            Value.cast(engine.i_instruction).eq(Value.cast(queue.o_instruction)),
        ]

    def _reads(self, m: Module, name: str, port: Ports) -> None:
        """Join an engine's read port to SBUF's of that name."""
        target = self.sbuf.reads[read_ports(self.config).index(name)]
        m.d.comb += [
            target.valid.eq(port.valid),
            target.row.eq(port.row),
            port.grant.eq(target.grant),
            port.data.eq(target.data),
        ]

    def _writes(self, m: Module, name: str, port: Ports) -> None:
        """Join an engine's write port to SBUF's of that name."""
        target = self.sbuf.writes[write_ports(self.config).index(name)]
        m.d.comb += [
            target.valid.eq(port.valid),
            target.row.eq(port.row),
            target.enable.eq(port.enable),
            target.data.eq(port.data),
            port.grant.eq(target.grant),
        ]

    def _tensor(self, m: Module) -> Ports:
        front_end = place(m, "front_end", TensorFrontEnd, self.config)
        self._queue(m, 0, "matmul", front_end)
        self._reads(m, "moving", front_end.moving)
        self._reads(m, "stationary", front_end.stationary)
        self.engine = place(m, "engine", TensorEngine, self.config.engine)
        _pass_on(m, self.engine.i_command, front_end.o_command)
        _pass_on(m, self.engine.i_weight, front_end.o_weight)
        _pass_on(m, self.engine.i_activation, front_end.o_activation)
        return front_end

    def _vector(self, m: Module) -> Ports:
        engine = place(m, "vector", VectorEngine, self.config)
        self._queue(m, 1, "vector", engine)
        self._reads(m, "vector_x", engine.x)
        self._reads(m, "vector_t", engine.t)
        self._writes(m, "vector", engine.write)
        return engine

    def _scalar(self, m: Module) -> Ports:
        engine = place(m, "scalar", ScalarEngine, self.config)
        self._queue(m, 2, "scalar", engine)
        self._reads(m, "scalar_x", engine.x)
        self._writes(m, "scalar", engine.write)
        return engine

    def _psum(self, m: Module, front_end: Ports, vector: Ports, scalar: Ports) -> None:
        """Rows of PSUM go to the engine whose instruction takes them; the program lets one at a time."""
        result = self.engine.o_result
        for engine, mine in ((vector, vector.o_wants_psum), (scalar, scalar.o_wants_psum & ~vector.o_wants_psum)):
            m.d.comb += [engine.psum.valid.eq(result.valid & mine), engine.psum.payload.eq(result.payload.codes)]
        m.d.comb += result.ready.eq(Mux(vector.o_wants_psum, vector.psum.ready, scalar.psum.ready))

    def _dma(self, m: Module, number: int, memory: Ports) -> Ports:
        queue = place(m, f"dma{number}", DmaQueue, self.config)
        self._queue(m, self.config.queues.index(f"dma{number}"), "dma", queue)
        reads = self.sbuf.reads[read_ports(self.config).index(f"dma{number}")]
        writes = self.sbuf.writes[write_ports(self.config).index(f"dma{number}")]
        m.d.comb += [
            reads.valid.eq(queue.o_read_valid),
            reads.row.eq(queue.o_read_row),
            queue.i_read_grant.eq(reads.grant),
            queue.i_read_data.eq(reads.data),
            writes.valid.eq(queue.o_write_valid),
            writes.row.eq(queue.o_write_row),
            writes.enable.eq(queue.o_write_enable),
            writes.data.eq(queue.o_write_data),
            queue.i_write_grant.eq(writes.grant),
            queue.i_answered.eq(memory.writes[number].answered),
        ]
        _pass_on(m, memory.reads[1 + number].ask, queue.read_ask)
        _pass_on(m, queue.read_beat, memory.reads[1 + number].beat)
        _pass_on(m, memory.writes[number].ask, queue.write_ask)
        _pass_on(m, memory.writes[number].beat, queue.write_beat)
        return queue


def _pass_on(m: Module, to, source) -> None:
    """Join two streams."""
    m.d.comb += [
        to.valid.eq(source.valid),
        Value.cast(to.payload).eq(Value.cast(source.payload)),
        source.ready.eq(to.ready),
    ]
