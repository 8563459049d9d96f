"""Processing element: one multiply-accumulate of the systolic array."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout, operand_layout, pe_registers, psum_layout
from hw.arithmetic.exact_adder import ExactAdder, psum_parts
from hw.arithmetic.fused_adder import FusedAdder
from hw.arithmetic.multiplier import Multiplier, payload_shape
from hw.fpga.ecp5 import ECP5, multiply_hard
from hw.lib.blocks import delayed, place, struct

__all__ = ["ProcessingElement", "beat_shape"]


def beat_shape(config: EngineConfig) -> data.StructLayout:
    """What moves east from PE to PE, with its operand as a structure."""
    return struct(beat_layout(config), operand=struct(operand_layout(config)))


class ProcessingElement(wiring.Component):
    """Multiplies the activations passing east by a stationary weight and adds to the sums passing south.

    Two weight planes: a weight passing south is kept in ``shadow`` when the beat's ``load`` tag meets it, and
    ``swap``, on the first activation row of a pass, makes it the active one. A lane that is not enabled passes sums
    on unchanged: it is masked, not multiplied by zero.

    Latency: ``config.product_latency + 1`` cycles from ``i_beat`` to what the adder takes, ``config.add_latency`` from
    ``i_psum`` to ``o_psum``; and from ``i_weight`` to ``o_weight``; 1 cycle from ``i_beat`` to ``o_beat``.
    Throughput: one activation per cycle; nothing stalls.

    Members
    -------
    i_beat, o_beat : ``beat_layout(config)``
        Tags and activation, from the west and to the east.
    i_weight, o_weight : ``operand_layout(config)`` x ``rows_per_load_cycle``
        Weights, from the north and to the south: the column's pipes. The PE loads from the lowest, which goes on as the
        highest, so that the rows below load from the others in turn.
    i_psum, o_psum : ``psum_layout(config)``
        Partial sums, from the north and to the south.
    """

    module_name = "pe"

    def __init__(self, config: EngineConfig):
        self.config = config
        beat = beat_shape(config)
        psum, weights = psum_layout(config).width, pe_registers(config)["weight"]
        super().__init__(
            {
                "i_beat": In(beat),
                "o_beat": Out(beat),
                "i_weight": In(weights),
                "o_weight": Out(weights),
                "i_psum": In(psum),
                "o_psum": Out(psum),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        shadow, active = (Signal.like(self.i_beat.operand, name=name) for name in ("shadow", "active"))
        # Tags and data apart: data changes only where its tag says so.
        tags = Signal(data.StructLayout({"valid": 1, "enable": 1, "swap": 1, "load": 1}))
        operand = Signal.like(self.i_beat.operand, name="operand")
        product_tags = Signal(data.StructLayout({"valid": 1, "enable": 1}))
        product = Signal(payload_shape(config))
        psum = [Signal(len(part), name=f"psum_{index}") for index, part in enumerate(psum_parts(config, self.i_psum))]
        m.d.comb += [self.o_beat.eq(Cat(tags, operand)), self.o_psum.eq(Cat(psum))]

        multiplier = place(m, "multiplier", Multiplier, config, i_x=operand, i_w=active)

        # Weights: pipe, as long as the way of a partial sum, shadow plane, active plane.
        arriving = self.i_weight[: operand_layout(config).width]
        passing = Cat(self.i_weight[len(arriving) :], arriving) if config.rows_per_load_cycle > 1 else arriving
        m.d.comb += self.o_weight.eq(delayed(m, passing, config.add_latency, "weight"))
        with m.If(self.i_beat.load):
            m.d.sync += shadow.eq(arriving)
        with m.If(self.i_beat.swap):
            m.d.sync += active.eq(shadow)

        # Activation.
        m.d.sync += tags.eq(Cat(self.i_beat[tag] for tag in ("valid", "enable", "swap", "load")))
        with m.If(self.i_beat.enable):
            m.d.sync += operand.eq(self.i_beat.operand)

        # Product: zero where the lane is not enabled, so that it adds nothing.
        m.d.sync += [product_tags.valid.eq(tags.valid), product_tags.enable.eq(tags.enable)]
        multiplied = Mux(tags.enable, multiplier.o, 0)
        if platform == ECP5 and config.integer_operands:
            # The lowest field, the magnitude, has its register in a hard multiplier.
            magnitude = multiply_hard(m, "hard_product", operand.significand, active.significand, tags.enable)
            flags = Signal(len(multiplied) - len(magnitude), name="product_flags")
            m.d.sync += flags.eq(multiplied[len(magnitude) :])
            m.d.comb += product.eq(Cat(magnitude, flags))
        else:
            m.d.sync += product.eq(multiplied)

        # Partial sum, when the product has come to the adder and through it. A lane that is not enabled adds zero; to
        # -0 that is not neutral, and an adder that may meet it is told.
        add = ExactAdder if config.exact else FusedAdder
        adder = place(m, "adder", add, config, i_psum=self.i_psum, i_product=product)
        if not config.sums_in_range:
            m.d.comb += adder.i_enable.eq(product_tags.enable)
        valid = delayed(m, product_tags.valid, config.product_latency + config.add_latency - 2, "sum_valid")
        with m.If(valid):
            m.d.sync += [part.eq(new) for part, new in zip(psum, psum_parts(config, adder.o_psum), strict=True)]
        return m
