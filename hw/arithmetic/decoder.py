"""Format decoder at the west and north edges: a code becomes an operand, once, before it enters the array."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import SELECT_BITS, Format
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import operand_layout
from hw.lib.blocks import struct

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
    i_select : ``In(SELECT_BITS)``
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
                "i_select": In(SELECT_BITS),
                "o": Out(struct(operand_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        formats = self.config.operand_formats
        selected = self._decode(m, formats[0])
        for fmt in formats[1:]:
            selected = Mux(self.i_select == fmt.select, self._decode(m, fmt), selected)
        m.d.comb += self.o.eq(selected)
        return m

    def _decode(self, m: Module, fmt: Format) -> Value:
        """The operand that the code stands for in ``fmt``."""
        config = self.config
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
        ]

        aligned = Signal(config.significand_bits, name=f"{fmt.name}_aligned")
        scaled = Signal(config.exponent_bits, name=f"{fmt.name}_scaled")
        if config.integer_operands:
            m.d.comb += aligned.eq(significand << scale + (fmt.lsb_exp - config.operand_lsb_exp))
        else:
            # Exact accumulation keeps the significand where it is; fp32 normalises it by its leading zeros.
            # The highest bit that is set is the last to assign.
            top_bit = config.significand_bits - 1
            shifts = [0] if config.exact else [top_bit - bit for bit in range(fmt.man_bits + 1)]
            for bit, shift in enumerate(shifts):
                with m.If(significand.any() if config.exact else significand[bit]):
                    m.d.comb += [
                        aligned.eq(significand << shift),
                        # Never negative: operand_lsb_exp lies below the smallest subnormal by the largest shift.
                        scaled.eq(scale + (fmt.lsb_exp - config.operand_lsb_exp - shift)),
                    ]
        fields = {
            "significand": aligned,
            "exponent": scaled,
            "sign": self.i_code[fmt.bits - 1] & ~nan,
            "nan": nan,
            "inf": top & ~fraction.any() if fmt.has_inf else Const(0, 1),
        }
        return Cat(fields[name] for name, width in operand_layout(config).fields.items() if width)
