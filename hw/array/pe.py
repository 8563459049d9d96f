"""Processing element: one multiply-accumulate of the systolic array."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import beat_layout, operand_layout, psum_layout
from hw.arithmetic.exact_adder import ExactAdder
from hw.arithmetic.fused_adder import FusedAdder
from hw.arithmetic.multiplier import Multiplier, payload_shape
from hw.blocks import place, struct

__all__ = ["ProcessingElement", "beat_shape"]


def beat_shape(config: EngineConfig) -> data.StructLayout:
    """What moves east from PE to PE, with its operand as a structure."""
    return struct(beat_layout(config), operand=struct(operand_layout(config)))


class ProcessingElement(wiring.Component):
    """Multiplies the activations passing east by a stationary weight and adds to the sums passing south.

    Two weight planes: a weight passing south is kept in ``shadow`` when the beat's ``load`` tag meets it, and
    ``swap``, on the first activation row of a pass, makes it the active one. A lane that is not enabled passes sums
    on unchanged: it is masked, not multiplied by zero.

    Latency: ``config.PRODUCT_LATENCY + 1`` cycles from ``i_beat`` to the product, ``config.ADD_LATENCY`` from
    ``i_psum`` to ``o_psum``; 1 cycle from ``i_beat`` to ``o_beat`` and from ``i_weight`` to ``o_weight``.
    Throughput: one activation per cycle; nothing stalls.

    Members
    -------
    i_beat, o_beat : ``beat_layout(config)``
        Tags and activation, from the west and to the east.
    i_weight, o_weight : ``operand_layout(config)``
        Weights, from the north and to the south.
    i_psum, o_psum : ``psum_layout(config)``
        Partial sums, from the north and to the south.
    """

    module_name = "pe"

    def __init__(self, config: EngineConfig):
        if (config.PRODUCT_LATENCY, config.ADD_LATENCY) != (1, 1):
            raise ValueError("a PE must have one product and one add stage")
        self.config = config
        beat, operand = beat_shape(config), struct(operand_layout(config))
        psum = psum_layout(config).width
        super().__init__(
            {
                "i_beat": In(beat),
                "o_beat": Out(beat),
                "i_weight": In(operand),
                "o_weight": Out(operand),
                "i_psum": In(psum),
                "o_psum": Out(psum),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        shadow = Signal.like(self.o_weight)
        active = Signal.like(self.o_weight)
        product = Signal(data.StructLayout({"valid": 1, "enable": 1, "payload": payload_shape(config)}))
        tags = ("valid", "enable", "swap", "load")

        multiplier = place(m, "multiplier", Multiplier, config, i_x=self.o_beat.operand, i_w=active)
        adder = place(
            m,
            "adder",
            ExactAdder if config.exact else FusedAdder,
            config,
            i_psum=self.i_psum,
            i_product=product.payload,
        )

        # Weights: pipe, shadow plane, active plane.
        m.d.sync += self.o_weight.eq(self.i_weight)
        with m.If(self.i_beat.load):
            m.d.sync += shadow.eq(self.i_weight)
        with m.If(self.i_beat.swap):
            m.d.sync += active.eq(shadow)

        # Activation.
        m.d.sync += [self.o_beat[tag].eq(self.i_beat[tag]) for tag in tags]
        with m.If(self.i_beat.enable):
            m.d.sync += self.o_beat.operand.eq(self.i_beat.operand)

        # Product.
        m.d.sync += [product.valid.eq(self.o_beat.valid), product.enable.eq(self.o_beat.enable)]
        with m.If(self.o_beat.enable):
            m.d.sync += product.payload.eq(multiplier.o)

        # Partial sum.
        with m.If(product.valid):
            m.d.sync += self.o_psum.eq(self.i_psum)
            with m.If(product.enable):
                m.d.sync += self.o_psum.eq(adder.o_psum)
        return m
