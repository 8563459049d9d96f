"""Format decoder at the west and north edges: a code becomes an operand, once, before it enters the array."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import operand_layout
from golden.spec.formats import Format
from hw.blocks import struct

__all__ = ["Decoder"]


class Decoder(wiring.Component):
    """Decodes one code of a format chosen at run time into the configuration's common operand.

    Exact: nothing is rounded and subnormals keep their value. A ``select`` that names no format of the
    configuration decodes as the first one.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_code : ``In(config.code_bits)``
        The code, in the low bits.
    i_select : ``In(2)``
        ``Format.select`` of the code.
    o : ``Out(operand_layout(config))``
        The operand.
    """

    module_name = "decoder"
    COMBINATIONAL = True

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "i_code": In(config.code_bits),
                "i_select": In(2),
                "o": Out(struct(operand_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        first, *others = (self._decode(m, fmt) for fmt in self.config.operand_formats)
        m.d.comb += self.o.eq(first)
        with m.Switch(self.i_select):
            for fmt, operand in zip(self.config.operand_formats[1:], others, strict=True):
                with m.Case(fmt.select):
                    m.d.comb += self.o.eq(operand)
        return m

    def _decode(self, m: Module, fmt: Format) -> data.View:
        """The operand that the code stands for in ``fmt``."""
        config = self.config
        operand = Signal(self.o.shape(), name=fmt.name)
        fraction = self.i_code[: fmt.man_bits]
        exponent = self.i_code[fmt.man_bits : fmt.bits - 1]
        normal = exponent.any()
        top = exponent.all()
        nan = top & (fraction.any() if fmt.has_inf else fraction.all())
        finite = ~top if fmt.has_inf else ~nan
        # Right-aligned: value = significand * 2**(max(exponent, 1) - 1 + fmt.lsb_exp).
        significand = Signal(fmt.man_bits + 1, name=f"{fmt.name}_significand")
        scale = Signal(fmt.exp_bits, name=f"{fmt.name}_scale")
        m.d.comb += [
            significand.eq(Cat(fraction, normal) & finite.replicate(fmt.man_bits + 1)),
            # max(exponent, 1) - 1
            scale.eq(exponent - normal),
            operand.sign.eq(self.i_code[fmt.bits - 1] & ~nan),
            operand.nan.eq(nan),
        ]
        if fmt.has_inf:
            m.d.comb += operand.inf.eq(top & ~fraction.any())

        # Exact accumulation keeps the significand where it is; fp32 normalises it by its leading zeros.
        # The highest bit that is set is the last to assign.
        width = config.significand_bits
        shifts = [0] if config.exact else [width - 1 - bit for bit in range(fmt.man_bits + 1)]
        for bit, shift in enumerate(shifts):
            with m.If(significand.any() if config.exact else significand[bit]):
                m.d.comb += [
                    operand.significand.eq(significand << shift),
                    # Never negative: operand_lsb_exp lies below the smallest subnormal by the largest shift.
                    operand.exponent.eq(scale + (fmt.lsb_exp - config.operand_lsb_exp - shift)),
                ]
        return operand
