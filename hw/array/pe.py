"""Processing element: one multiply-accumulate of the systolic array."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import beat_layout, operand_layout, psum_layout
from hw.arithmetic.exact_adder import ExactAdder, psum_parts
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
        weight, shadow, active = (Signal.like(self.o_weight, name=name) for name in ("weight", "shadow", "active"))
        # Tags and data apart: data changes only where its tag says so.
        tags = Signal(data.StructLayout({"valid": 1, "enable": 1, "swap": 1, "load": 1}))
        operand = Signal.like(self.i_beat.operand, name="operand")
        product_tags = Signal(data.StructLayout({"valid": 1, "enable": 1}))
        product = Signal(payload_shape(config))
        psum = [Signal(len(part), name=f"psum_{index}") for index, part in enumerate(psum_parts(config, self.i_psum))]
        m.d.comb += [self.o_beat.eq(Cat(tags, operand)), self.o_weight.eq(weight), self.o_psum.eq(Cat(psum))]

        multiplier = place(m, "multiplier", Multiplier, config, i_x=operand, i_w=active)
        if config.exact:
            adder = place(m, "adder", ExactAdder, config, i_psum=self.i_psum, i_product=product)
        else:
            adder = place(
                m, "adder", FusedAdder, config, i_psum=self.i_psum, i_product=product, i_enable=product_tags.enable
            )

        # Weights: pipe, shadow plane, active plane.
        m.d.sync += weight.eq(self.i_weight)
        with m.If(self.i_beat.load):
            m.d.sync += shadow.eq(self.i_weight)
        with m.If(self.i_beat.swap):
            m.d.sync += active.eq(shadow)

        # Activation.
        m.d.sync += tags.eq(Cat(self.i_beat[tag] for tag in ("valid", "enable", "swap", "load")))
        with m.If(self.i_beat.enable):
            m.d.sync += operand.eq(self.i_beat.operand)

        # Product.
        m.d.sync += [product_tags.valid.eq(tags.valid), product_tags.enable.eq(tags.enable)]
        with m.If(tags.enable):
            m.d.sync += product.eq(multiplier.o)

        # Partial sum: a lane that is not enabled passes it on.
        parts = zip(psum, psum_parts(config, self.i_psum), psum_parts(config, adder.o_psum), strict=True)
        added_valid = product_tags.valid
        for stage in range(config.add_latency - 1):
            delayed = Signal(name=f"added_valid_{stage}")
            m.d.sync += delayed.eq(added_valid)
            added_valid = delayed
        choose = product_tags.enable if config.exact else Const(1, 1)
        with m.If(added_valid):
            m.d.sync += [register.eq(Mux(choose, added, passed)) for register, passed, added in parts]
        return m
