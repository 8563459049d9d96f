"""Feeds the tensor engine from SBUF: commands, weights and activations of one output tile for each instruction."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch import elements
from arch.core.config import CoreConfig
from arch.core.instructions import instruction_layout
from arch.core.layouts import NUMBER_BITS
from arch.elements import ELEMENTS
from arch.formats import FORMATS, SELECT_BITS
from arch.tensor.layouts import activation_layout, command_layout, weight_layout
from hw.core.reader import Reader
from hw.core.sbuf import read_port
from hw.core.walk import WALK_BITS, set_pattern
from hw.lib.blocks import Ports, place, struct

__all__ = ["TensorFrontEnd"]


class TensorFrontEnd(wiring.Component):
    """Runs ``matmul``: a pass of the tensor engine for each P values of k, the first to the last.

    The stationary operand and the command of a pass are on their way while the moving operand of the passes before it
    streams, from one instruction to the next too.

    Latency: 3 cycles from an instruction taken to its first weights, while reads are granted at once.
    Throughput: one weight row and one activation row per cycle, without a gap between passes.

    Members
    -------
    i_start, i_instruction
        The head of the instruction queue may start.
    o_take : ``Out(1)``
        It is taken in this cycle.
    o_complete : ``Out(1)``
        The operands of the oldest instruction have been read.
    i_number : ``In(NUMBER_BITS)``
        Of the instruction that was taken last.
    o_stationary_number, o_moving_number : ``Out(NUMBER_BITS)``
        Of the instructions that the two read ports work for.
    o_command, o_weight, o_activation
        Streams to the engine.
    stationary, moving
        Read ports of SBUF: ``valid``, ``row``, ``grant``, ``data``.
    """

    module_name = "tensor_front_end"

    def __init__(self, config: CoreConfig):
        if config.engine.rows_per_load_cycle != 1:
            raise ValueError(f"rows_per_load_cycle must be 1 in a core, not {config.engine.rows_per_load_cycle}")
        self.config = config
        engine = config.engine
        super().__init__(
            {
                "i_start": In(1),
                "i_instruction": In(struct(instruction_layout("matmul"))),
                "i_number": In(NUMBER_BITS),
                "o_stationary_number": Out(NUMBER_BITS),
                "o_moving_number": Out(NUMBER_BITS),
                "o_take": Out(1),
                "o_complete": Out(1),
                "o_command": Out(stream.Signature(struct(command_layout(engine)))),
                "o_weight": Out(stream.Signature(weight_layout(engine).width)),
                "o_activation": Out(stream.Signature(activation_layout(engine).width)),
                "stationary": Out(read_port(config)),
                "moving": Out(read_port(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self.slot_valid = Signal()
        self.slot = Signal(struct(instruction_layout("matmul")))
        #: The pass at hand: whether it is the first, the values of k from it on, and where its weights begin.
        self.first_tile = Signal()
        self.left = Signal(len(self.slot.depth))
        self.w_address = Signal(WALK_BITS)
        self.rows = Signal(self.config.engine.psum_depth.bit_length())
        self.base = Signal(self.config.engine.address_bits)
        self._readers(m)
        self._slot(m)
        self._command(m)
        self._patterns(m)
        return m

    def _readers(self, m: Module) -> None:
        """Between SBUF and the engine's streams."""
        for name, port, output, number in (
            ("stationary", self.stationary, self.o_weight, self.o_stationary_number),
            ("moving", self.moving, self.o_activation, self.o_moving_number),
        ):
            reader = place(
                m,
                f"{name}_reader",
                Reader,
                self.config,
                o_read_valid=port.valid,
                o_read_row=port.row,
                i_read_grant=port.grant,
                i_read_data=port.data,
            )
            setattr(self, f"{name}_reader", reader)
            codes = Signal(len(output.payload), name=f"{name}_codes")
            wide = Signal(name=f"{name}_wide")
            m.d.comb += [
                codes.eq(self._codes(reader.o.payload, wide)),
                output.valid.eq(reader.o.valid),
                output.payload.eq(codes),
                reader.o.ready.eq(output.ready),
            ]
            self._types(m, name, reader, wide)
            with m.If(reader.i.valid & reader.i.ready):
                m.d.sync += number.eq(self.i_number)
        m.d.comb += self.o_complete.eq(
            self.o_activation.valid & self.o_activation.ready & self.moving_reader.o.payload.last
        )

    def _types(self, m: Module, name: str, reader: Ports, wide: Signal) -> None:
        """Whether the element on offer has 16 bits: known when its pattern is taken, and used a cycle after."""
        taken = reader.i.valid & reader.i.ready
        kind = self.slot.w_type if name == "stationary" else self.slot.x_type
        coming = Signal(name=f"{name}_coming")
        with m.If(taken):
            m.d.sync += coming.eq(kind == ELEMENTS["bf16"].select)
        # The element on offer is of the pattern before while the reader has taken another and not stepped yet.
        with m.If(~reader.o.valid | reader.o.ready):
            m.d.sync += wide.eq(coming)

    def _codes(self, element: Value, wide: Value) -> Value:
        """The code of each lane."""
        bits = self.config.engine.code_bits
        words = [element.data.word_select(lane, 32) for lane in range(self.config.lanes)]
        if bits == 8:
            return Cat(word.word_select(element.offset, 8) for word in words)
        low = [word.word_select(element.offset, 8) for word in words]
        high = [Mux(wide, Mux(element.offset[1], word[24:], word[8:16]), 0) for word in words]
        return Cat(Cat(pair) for pair in zip(low, high, strict=True))

    def _slot(self, m: Module) -> None:
        """One instruction, pass by pass."""
        lanes = self.config.lanes
        self.command_sent, self.weights_sent, self.moving_sent = Signal(), Signal(), Signal()
        self.last_tile = Signal()
        command = self.o_command.valid & self.o_command.ready
        weights = self.stationary_reader.i.valid & self.stationary_reader.i.ready
        moving = self.moving_reader.i.valid & self.moving_reader.i.ready
        tile_done, leaves = Signal(), Signal()
        m.d.comb += [
            self.last_tile.eq(self.left <= lanes),
            tile_done.eq(self.slot_valid & (self.command_sent | command) & (self.weights_sent | weights)),
            leaves.eq(tile_done & self.last_tile & (self.moving_sent | moving)),
            self.o_take.eq(self.i_start & (~self.slot_valid | leaves)),
        ]
        m.d.sync += [
            self.command_sent.eq(self.command_sent | command),
            self.weights_sent.eq(self.weights_sent | weights),
            self.moving_sent.eq(self.moving_sent | moving),
        ]
        with m.If(tile_done & ~self.last_tile):
            m.d.sync += [
                self.left.eq(self.left - lanes),
                self.first_tile.eq(0),
                self.w_address.eq(self.w_address + self.slot.w_tile_stride.as_signed()),
                self.command_sent.eq(0),
                self.weights_sent.eq(0),
            ]
        with m.If(leaves):
            m.d.sync += [self.slot_valid.eq(0), self.base.eq(self.base + self.rows)]
        with m.If(self.o_take):
            taken = self.i_instruction
            m.d.sync += [
                self.slot_valid.eq(1),
                self.slot.eq(taken),
                self.left.eq(taken.depth),
                self.first_tile.eq(1),
                self.w_address.eq(taken.w_address),
                self.rows.eq(taken.count0 * taken.count1),
                self.command_sent.eq(0),
                self.weights_sent.eq(0),
                self.moving_sent.eq(0),
            ]

    def _command(self, m: Module) -> None:
        engine, command = self.config.engine, self.o_command.payload
        distance = Mux(self.rows < engine.store_latency, self.rows, engine.store_latency)
        values = {
            "tile_m": self.rows,
            "tile_k": self._tile_k(),
            "tile_n": self.slot.lanes,
            "base": self.base,
            "distance": distance,
            "first": self.first_tile,
            "last": self.last_tile,
            "x_format": _format(self.slot.x_type),
            "w_format": _format(self.slot.w_type),
        }
        m.d.comb += self.o_command.valid.eq(self.slot_valid & ~self.command_sent)
        with m.If(self.o_command.valid):
            m.d.comb += [command[name].eq(value) for name, value in values.items()]

    def _tile_k(self) -> Value:
        return Mux(self.last_tile, self.left, self.config.lanes)

    def _patterns(self, m: Module) -> None:
        """To the readers: the weights of a pass, the activations of all."""
        lanes = self.config.lanes
        weights, moving = self.stationary_reader.i, self.moving_reader.i
        tiles = Signal(len(self.slot.depth))
        m.d.comb += [
            tiles.eq((self.slot.depth + (lanes - 1))[exact_log2(lanes) :]),
            weights.valid.eq(self.slot_valid & ~self.weights_sent),
            moving.valid.eq(self.slot_valid & ~self.moving_sent),
        ]
        with m.If(weights.valid):
            m.d.comb += set_pattern(
                weights.payload,
                self.w_address,
                strides=(self.slot.w_stride,),
                counts=(self._tile_k(),),
            )
        with m.If(moving.valid):
            m.d.comb += set_pattern(
                moving.payload,
                self.slot.x_address,
                strides=(self.slot.x_stride0, self.slot.x_stride1, self.slot.x_tile_stride),
                counts=(self.slot.count0, self.slot.count1, tiles),
            )


def _format(element: Value) -> Value:
    """``Format.select`` of an element type."""
    selects = [0] * (1 << elements.SELECT_BITS)
    for kind in ELEMENTS.values():
        selects[kind.select] = kind.format.select if kind.format else FORMATS["fp32"].select
    bits = [
        Cat(Value.cast(select >> bit & 1) for select in selects).bit_select(element, 1) for bit in range(SELECT_BITS)
    ]
    return Cat(bits)
