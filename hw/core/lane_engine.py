"""The vector and the scalar engine: elements of all lanes, one a cycle, from SBUF or PSUM to SBUF."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTIONS, REDUCTIONS, instruction_layout
from arch.core.layouts import PORT_ROW_BITS
from arch.core.timing import FLOAT_LATENCY, REDUCE_CYCLES
from arch.elements import ELEMENTS, SELECT_BITS
from hw.core.lane import Lane
from hw.core.reader import Reader
from hw.core.reducer import PARTIALS, reduce_layout
from hw.core.sbuf import read_port, write_port
from hw.core.walk import DIMENSIONS, Walk, pattern_shape, set_pattern
from hw.lib.blocks import Ports, place, struct

__all__ = ["LaneEngine", "Phase"]


class Phase(enum.Enum, shape=3):
    """What an engine is at."""

    IDLE = 0
    FIRST = 1
    SECOND = 2
    RUN = 3
    REDUCE = 4


def _choices(kind: str, name: str) -> tuple[str, ...]:
    """The names of a field's values."""
    return next(field for field in INSTRUCTIONS[kind] if field.name == name).names


class LaneEngine(wiring.Component):
    """Runs the instructions of its queue one after another, as docs/core.md has it in cycles.

    Latency: 4 cycles from an instruction taken to its first read, ``DEPTH + 2`` from that to its first write.
    Throughput: one element of every lane per cycle.

    Members
    -------
    i_start, i_instruction
        The head of the instruction queue may start.
    o_take, o_complete : ``Out(1)``
        It is taken in this cycle; the instruction at work is complete.
    psum : ``In(stream.Signature(32 * lanes))``
        Rows of PSUM.
    o_wants_psum : ``Out(1)``
        The instruction at work takes x from there.
    x, t : read ports of SBUF; t only where an operand may be a tensor.
    write : a write port of SBUF.
    o_phase, o_element, o_advance
        For observation: the phase, an element is taken, the pipeline moves.
    """

    lane: type[Lane]

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "i_start": In(1),
                "i_instruction": In(struct(instruction_layout(self.lane.kind))),
                "o_take": Out(1),
                "o_complete": Out(1),
                "psum": In(stream.Signature(config.row_bits)),
                "o_wants_psum": Out(1),
                "x": Out(read_port(config)),
                **({"t": Out(read_port(config))} if self.lane.has_tensor else {}),
                "write": Out(write_port(config)),
                "o_phase": Out(3),
                "o_element": Out(1),
                "o_advance": Out(1),
            }
        )

    @property
    def DEPTH(self) -> int:
        """Stages of the pipeline: what is taken, what the operation holds, the word to be written."""
        return self.lane.LATENCY + 2

    def elaborate(self, platform):
        m = Module()
        kind = self.lane.kind
        self.instruction = Signal(struct(instruction_layout(kind)))
        self.phase = Signal(Phase)
        #: What the phase asks of the readers has been asked.
        self.asked = Signal()
        self.taken_all = Signal()
        self.count = Walk(m, "count")
        self.stage_valid = Signal(self.DEPTH)
        self.stage_last = Signal(self.DEPTH)
        self.step = Signal(range(REDUCE_CYCLES + 1))
        self.x_reader = self._reader(m, "x", self.x)
        self.t_reader = self._reader(m, "t", self.t) if self.lane.has_tensor else None
        m.d.comb += [self.o_phase.eq(self.phase), self.o_advance.eq(self.advance(m))]
        self._phases(m)
        self._elements(m)
        self._writes(m)
        reduce = self._reduction(m)
        self._lanes(m, reduce)
        return m

    def _reader(self, m: Module, name: str, port) -> Ports:
        return place(
            m,
            f"{name}_reader",
            Reader,
            self.config,
            o_read_valid=port.valid,
            o_read_row=port.row,
            i_read_grant=port.grant,
            i_read_data=port.data,
        )

    def advance(self, m: Module) -> Value:
        """The word to be written leaves, or there is none."""
        self.writes = Signal()
        m.d.comb += self.writes.eq(self.stage_valid[-1] & self.instruction.write)
        return ~self.writes | self.write.grant

    @property
    def reduces(self) -> Value:
        """Something is reduced."""
        return self.reduction != 0

    @property
    def reduction(self) -> Value:
        """What is reduced to, by its place in ``REDUCTIONS``."""
        return self.instruction.reduce if self.lane.kind == "vector" else self.instruction.sum

    def is_choice(self, field: str, choice: str) -> Value:
        """A field of the instruction at work has one of its values."""
        return self.instruction[field] == _choices(self.lane.kind, field).index(choice)

    # ---- phases ---------------------------------------------------------------------------------

    def _phases(self, m: Module) -> None:
        m.d.comb += self.o_take.eq((self.phase == Phase.IDLE) & self.i_start)
        self.first_en, self.second_en, self.by_lane = Signal(), Signal(), Signal()
        ends = Signal()
        self.reduced = Signal()
        m.d.comb += ends.eq(self.o_advance & self.stage_valid[-1] & self.stage_last[-1])
        first, second = self.lane.operands
        with m.Switch(self.phase):
            with m.Case(Phase.IDLE):
                with m.If(self.i_start):
                    m.d.sync += [self.instruction.eq(self.i_instruction), self.phase.eq(Phase.FIRST)]
            with m.Case(Phase.FIRST):
                self._operand(m, first, self.first_en, Phase.SECOND)
            with m.Case(Phase.SECOND):
                self._operand(m, second, self.second_en, Phase.RUN)
            with m.Case(Phase.RUN):
                with m.If(~self.asked):
                    self._start(m)
                with m.If(ends):
                    m.d.comb += self.o_complete.eq(~self.reduces)
                    m.d.sync += [
                        self.asked.eq(0),
                        self.step.eq(0),
                        self.phase.eq(Mux(self.reduces, Phase.REDUCE, Phase.IDLE)),
                    ]
            with m.Case(Phase.REDUCE):
                adds = self.reduction == REDUCTIONS.index("add")
                m.d.comb += self.reduced.eq(~adds | (self.step == REDUCE_CYCLES))
                with m.If(~self.reduced):
                    m.d.sync += self.step.eq(self.step + 1)
                with m.Elif(self.write.grant):
                    m.d.comb += self.o_complete.eq(1)
                    m.d.sync += self.phase.eq(Phase.IDLE)

    def _operand(self, m: Module, name: str, enable: Signal, following: Phase) -> None:
        """Set an operand: the immediate, or the value that the lane has in SBUF."""
        reader = self.x_reader
        with m.If(self.is_choice(f"{name}_kind", "lane")):
            m.d.comb += [reader.i.valid.eq(~self.asked), reader.o.ready.eq(1), self.by_lane.eq(1)]
            m.d.comb += enable.eq(reader.o.valid)
            with m.If(~self.asked):
                m.d.comb += set_pattern(reader.i.payload, self.instruction[name])
                m.d.sync += self.asked.eq(reader.i.ready)
            with m.If(reader.o.valid):
                m.d.sync += [self.asked.eq(0), self.phase.eq(following)]
        with m.Else():
            m.d.comb += enable.eq(1)
            m.d.sync += self.phase.eq(following)

    def _start(self, m: Module) -> None:
        """Set off the readers and what counts elements."""
        instruction = self.instruction
        counts = [instruction[f"count{dim}"] for dim in range(DIMENSIONS)]

        def pattern(name: str) -> tuple:
            strides = [instruction[f"{name}_stride{dim}"] for dim in range(DIMENSIONS)]
            return instruction[f"{name}_address"], strides, counts

        m.d.comb += self.x_reader.i.valid.eq(~self.o_wants_psum)
        with m.If(~self.o_wants_psum):
            m.d.comb += set_pattern(self.x_reader.i.payload, *pattern("x"))
        if self.t_reader:
            m.d.comb += self.t_reader.i.valid.eq(self.has_tensor)
            with m.If(self.has_tensor):
                m.d.comb += set_pattern(self.t_reader.i.payload, *pattern("t"))
        self.y_pattern = Signal(pattern_shape())
        m.d.comb += set_pattern(self.y_pattern, *pattern("y"))
        m.d.sync += [self.asked.eq(1), self.taken_all.eq(0), *self.count.load(self.y_pattern)]

    @property
    def has_tensor(self) -> Value:
        """An operand is the tensor t."""
        first, second = self.lane.operands
        return self.is_choice(f"{first}_kind", "tensor") | self.is_choice(f"{second}_kind", "tensor")

    # ---- elements -------------------------------------------------------------------------------

    def _elements(self, m: Module) -> None:
        """Elements are taken, and move on."""
        running = Signal()
        x_valid = Mux(self.o_wants_psum, self.psum.valid, self.x_reader.o.valid)
        m.d.comb += [
            self.o_wants_psum.eq((self.phase == Phase.RUN) & self.is_choice("x_source", "psum")),
            running.eq((self.phase == Phase.RUN) & self.asked & ~self.taken_all & self.o_advance),
            self.psum.ready.eq(self.o_element & self.o_wants_psum),
        ]
        t_valid: Value | int = 1
        if self.t_reader:
            t_valid = ~self.has_tensor | self.t_reader.o.valid
            m.d.comb += self.t_reader.o.ready.eq(self.o_element & self.has_tensor)
        m.d.comb += self.o_element.eq(running & x_valid & t_valid)
        with m.If(self.o_element):
            m.d.comb += self.x_reader.o.ready.eq(~self.o_wants_psum)
            m.d.sync += [self.taken_all.eq(self.count.last), *self.count.step()]
        with m.If(self.o_advance):
            m.d.sync += [
                self.stage_valid.eq(Cat(self.o_element, self.stage_valid)),
                self.stage_last.eq(Cat(self.o_element & self.count.last, self.stage_last)),
            ]

    # ---- writes ---------------------------------------------------------------------------------

    def _writes(self, m: Module) -> None:
        """Elements, a byte enable for each of their bytes; at the end what was reduced to."""
        config, instruction = self.config, self.instruction
        self.out = Walk(m, "out")
        row, offset = Signal(PORT_ROW_BITS), Signal(2)
        # Moves from the stage before the write stage on.
        self.moves_out = Signal()
        m.d.comb += self.moves_out.eq(self.o_advance & self.stage_valid[-2])
        with m.If(self.moves_out):
            m.d.sync += [row.eq(self.out.address[2:]), offset.eq(self.out.address[:2]), *self.out.step()]
        with m.If((self.phase == Phase.RUN) & ~self.asked):
            m.d.sync += self.out.load(self.y_pattern)
        sizes = [element.bytes for element in ELEMENTS.values()]
        masks = Array([(1 << size) - 1 for size in [*sizes, *[sizes[-1]] * ((1 << SELECT_BITS) - len(sizes))]])
        element_bytes, each = Signal(4), Signal(4)
        m.d.comb += [
            element_bytes.eq(masks[instruction.y_type] << offset),
            self.write.valid.eq(self.writes | self.reduced),
            each.eq(Mux(self.reduced, 0xF, element_bytes)),
        ]
        with m.If(self.write.valid):
            m.d.comb += [
                self.write.row.eq(Mux(self.reduced, instruction.r_address[2:], row)),
                self.write.enable.eq(
                    Cat(Mux(instruction.lanes > lane, each, 0) for lane in range(config.lanes)),
                ),
            ]

    def _reduction(self, m: Module) -> data.View:
        """What the lanes' reducers do: the elements, then the partial sums two by two."""
        control = Signal(struct(reduce_layout()))
        index = Signal(len(control.index))
        starts = (self.phase == Phase.RUN) & ~self.asked
        places = len(control.a)
        issue, to = Signal(), Signal(places)
        m.d.comb += [
            control.clear.eq(starts),
            control.en.eq(self.o_advance),
            control.kind.eq(self.reduction),
            control.index.eq(index),
            control.element.eq(self.stage_valid[-2] & (self.phase == Phase.RUN)),
            control.a.eq(index[:places]),
            to.eq(index[:places]),
            issue.eq(control.element),
        ]
        assert PARTIALS == 8
        with m.If(starts):
            m.d.sync += index.eq(0)
        with m.Elif(self.moves_out):
            m.d.sync += index.eq(index + 1)
        # Each round starts when the one before has landed.
        at = FLOAT_LATENCY
        with m.If(self.phase == Phase.REDUCE):
            with m.Switch(self.step):
                for pairs in (4, 2, 1):
                    for pair in range(pairs):
                        with m.Case(at + pair):
                            m.d.comb += [control.a.eq(2 * pair), control.b.eq(2 * pair + 1), to.eq(pair), issue.eq(1)]
                    at += pairs + FLOAT_LATENCY
        assert at == REDUCE_CYCLES
        landing = [
            Signal(data.StructLayout({"valid": 1, "to": places}), name=f"landing_{n}") for n in range(FLOAT_LATENCY)
        ]
        with m.If(self.o_advance):
            m.d.sync += [landing[0].valid.eq(issue), landing[0].to.eq(to)]
            m.d.sync += [after.eq(before) for before, after in pairwise(landing)]
        m.d.comb += [control.lands.eq(landing[-1].valid & self.o_advance), control.to.eq(landing[-1].to)]
        return control

    # ---- lanes ----------------------------------------------------------------------------------

    def _lanes(self, m: Module, reduce: data.View) -> None:
        config, instruction = self.config, self.instruction
        x_row, x_offset, x_type = Signal(config.row_bits), Signal(2), Signal(SELECT_BITS)
        m.d.comb += [
            x_row.eq(Mux(self.o_wants_psum, self.psum.payload, self.x_reader.o.payload.data)),
            x_offset.eq(Mux(self.o_wants_psum, 0, self.x_reader.o.payload.offset)),
            x_type.eq(Mux(self.o_wants_psum, ELEMENTS["fp32"].select, instruction.x_type)),
        ]
        keeps = self.keeps(m)
        words, reduced = [], []
        for number in range(config.lanes):
            tensor = {}
            if self.t_reader:
                element = self.t_reader.o.payload
                tensor = {"i_t_word": element.data.word_select(number, 32), "i_t_offset": element.offset}
            lane = place(
                m,
                f"lane_{number}",
                self.lane,
                i_instruction=instruction,
                i_en=self.o_advance,
                i_word=x_row.word_select(number, 32),
                i_offset=x_offset,
                i_type=x_type,
                **tensor,
                i_first_en=self.first_en,
                i_second_en=self.second_en,
                i_by_lane=self.by_lane,
                i_keep=keeps[number],
                i_reduce=reduce,
            )
            words.append(lane.o_word)
            reduced.append(lane.o_reduced)
        with m.If(self.write.valid):
            m.d.comb += self.write.data.eq(Mux(self.reduced, Cat(reduced), Cat(words)))

    def keeps(self, m: Module) -> list[Value]:
        """For each lane, whether the element about to be written is not masked."""
        return [Value.cast(1)] * self.config.lanes
