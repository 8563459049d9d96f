"""Top of the core: engines around SBUF, a dispatcher, DMA queues and the port to memory."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.instructions import instruction_layout
from arch.core.layouts import (
    DOINGS,
    answer_layout,
    burst_layout,
    program_layout,
    read_beat_layout,
    stop_layout,
    write_beat_layout,
)
from arch.core.signals import read_ports, write_ports
from hw.core.dispatcher import Dispatcher
from hw.core.dma_queue import DmaQueue
from hw.core.doing import Doing
from hw.core.front_end import TensorFrontEnd
from hw.core.instruction_queue import InstructionQueue
from hw.core.memory_port import MemoryPort
from hw.core.sbuf import Sbuf
from hw.core.scalar_engine import ScalarEngine
from hw.core.vector_engine import VectorEngine
from hw.core.watch import Watch
from hw.lib.blocks import Ports, place, struct
from hw.tensor.engine import TensorEngine

__all__ = ["Core"]

#: Where the DMA queues stand among a core's queues, after the engines.
_FIRST_DMA = 3


class Core(wiring.Component):
    """Runs programs out of external memory; docs/core.md gives every cycle, docs/isa.md the instructions.

    Members
    -------
    i_program : ``In(stream.Signature(program_layout))``
        Programs to be run, one after another.
    o_running : ``Out(1)``
        One is.
    o_stop : ``Out(struct(stop_layout()))``
        Whether one was stopped, and why; until a reset.
    o_doing : array by queue
        What the queue is doing, one of ``DOINGS`` by its number.
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
                "o_stop": Out(struct(stop_layout())),
                "o_doing": Out(range(len(DOINGS))).array(len(config.queues)),
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
        #: The queues, and the number of the instruction that each gave last.
        self.queues, self.numbers = [], []
        self.sbuf = place(m, "sbuf", Sbuf, self.config, i_stopped=self.o_stop.stopped)
        memory = place(m, "memory", MemoryPort, self.config, i_stopped=self.o_stop.stopped)
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
        self._watch(m, memory, engines)
        self._doing(m, engines)
        return m

    def _watch(self, m: Module, memory: Ports, engines: list[Ports]) -> None:
        """What may stop a program, and the instruction that each cause is of."""
        dispatcher, dma = self.dispatcher, self.numbers[_FIRST_DMA:]
        owners = dict(zip(self.config.queues, self.numbers, strict=True))
        owners |= {name: getattr(engines[0], f"o_{name}_number") for name in ("moving", "stationary")}
        owners |= {name: owners[name.partition("_")[0]] for name in ("vector_x", "vector_t", "scalar_x")}
        ports = [owners[name] for name in (*read_ports(self.config), *write_ports(self.config))]
        askers, readers = Array([dispatcher.o_wanted, *dma]), Array([dispatcher.o_coming, *dma])
        numbers = [
            dispatcher.o_next,
            *ports,
            *dma,
            askers[memory.o_asker],
            Array(dma)[memory.o_writer],
            readers[memory.o_reader],
            Array(dma)[memory.o_answered],
            dispatcher.o_next,
        ]
        errors = Cat(engine.o_error for engine in engines[_FIRST_DMA:])
        watch = place(
            m,
            "watch",
            Watch,
            self.config,
            i_running=self.o_running,
            i_limit=dispatcher.o_limit,
            i_causes=Cat(dispatcher.o_illegal, self.sbuf.o_outside, errors, memory.o_outside, memory.o_failed),
            o_stop=Value.cast(self.o_stop),
        )
        m.d.comb += [watch.i_numbers[index].eq(number) for index, number in enumerate(numbers)]

    def _doing(self, m: Module, engines: list[Ports]) -> None:
        """What each queue is doing."""
        config, result = self.config, self.engine.o_result
        activation = engines[0].o_activation
        lacks = [
            ~(activation.valid & activation.ready),
            *(engine.o_wants_psum & ~result.valid for engine in engines[1:_FIRST_DMA]),
            *(~_moves(queue) for queue in engines[_FIRST_DMA:]),
        ]
        waits = {name: [] for name in config.queues}
        for names, ports in ((read_ports(config), self.sbuf.reads), (write_ports(config), self.sbuf.writes)):
            for index, name in enumerate(names):
                owner = "tensor" if name in ("moving", "stationary") else name.partition("_")[0]
                waits[owner].append(ports[index].valid & ~ports[index].grant)
        for number, name in enumerate(config.queues):
            place(
                m,
                f"{name}_doing",
                Doing,
                config,
                i_outstanding=self.dispatcher.o_outstanding[number],
                i_level=self.queues[number].o_level,
                i_take=engines[number].o_take,
                i_conflict=Cat(waits[name]).any(),
                i_lacks=lacks[number],
                o_doing=self.o_doing[number],
            )

    def _dispatcher(self, m: Module, memory: Ports) -> None:
        self.room = Signal(len(self.config.queues))
        dispatcher = place(
            m,
            "dispatcher",
            Dispatcher,
            self.config,
            i_room=self.room,
            i_completes=self.completes,
            i_stopped=self.o_stop.stopped,
            i_quiet=memory.o_quiet,
            o_running=self.o_running,
            o_gives=self.gives,
            o_pages=memory.i_pages,
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
            queue.i_number.eq(self.dispatcher.o_number),
            *(
                queue.i_remaining[index].eq(self.dispatcher.o_remaining[index])
                for index in range(len(self.config.queues))
            ),
            self.room[number].eq(queue.o_level != self.config.queue_depth),
            queue.i_take.eq(engine.o_take),
            engine.i_start.eq(queue.o_start),
            Value.cast(engine.i_instruction).eq(Value.cast(queue.o_instruction)),
        ]
        self.numbers.append(queue.o_number)
        self.queues.append(queue)

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
        m.d.comb += front_end.i_number.eq(self.numbers[0])
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


def _moves(queue: Ports) -> Value:
    """Something of a DMA queue goes or comes."""
    streams = queue.read_ask, queue.read_beat, queue.write_ask, queue.write_beat
    return Cat(*(each.valid & each.ready for each in streams), queue.i_read_grant, queue.i_write_grant).any()


def _pass_on(m: Module, to, source) -> None:
    """Join two streams."""
    m.d.comb += [
        to.valid.eq(source.valid),
        Value.cast(to.payload).eq(Value.cast(source.payload)),
        source.ready.eq(to.ready),
    ]
