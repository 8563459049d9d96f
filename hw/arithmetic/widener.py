"""The way into a lane of the vector and scalar engines: an element becomes a binary32 code."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.elements import ELEMENTS, SELECT_BITS
from arch.formats import FP32, Format

__all__ = ["Widener"]


class Widener(wiring.Component):
    """The binary32 code of an element: exact, since every number of every format is one of binary32.

    Subnormal numbers and signs of zeros are kept; every NaN becomes the canonical one, 0x7FC00000. A u32 passes bit for
    bit, and so does an element of a type that does not exist.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_code : ``In(32)``
        The element, zero-extended.
    i_type : ``In(SELECT_BITS)``
        ``Element.select`` of its type.
    o : ``Out(32)``
        The binary32 code.
    """

    module_name = "widener"
    COMBINATIONAL = True

    def __init__(self):
        super().__init__({"i_code": In(32), "i_type": In(SELECT_BITS), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        code = Signal(FP32.bits)
        widened: Value = self.i_code
        for element in ELEMENTS.values():
            if element.format and element.format != FP32:
                widened = Mux(self.i_type == element.select, self._widened(m, element.format), widened)
        floats = [element.select for element in ELEMENTS.values() if element.format]
        nan = code[FP32.man_bits : FP32.bits - 1].all() & code[: FP32.man_bits].any()
        m.d.comb += [
            code.eq(widened),
            self.o.eq(Mux(nan & self.i_type.matches(*floats), FP32.nan, code)),
        ]
        return m

    def _widened(self, m: Module, fmt: Format) -> Value:
        """The code of a format in binary32; a NaN's as any NaN."""
        below = FP32.man_bits - fmt.man_bits
        sign = self.i_code[fmt.bits - 1]
        if fmt.exp_bits == FP32.exp_bits:
            # The higher bits of a binary32 code.
            return Cat(Const(0, below), self.i_code[: fmt.bits])
        fraction, field = self.i_code[: fmt.man_bits], self.i_code[fmt.man_bits : fmt.bits - 1]
        special = field.all() if fmt.has_inf else field.all() & fraction.all()
        size = Signal(fmt.man_bits + FP32.exp_bits, name=f"{fmt.name}_size")
        # A subnormal number is normal in binary32: its highest bit becomes the hidden one.
        small: Value = Const(0, len(size))
        for bit in range(fmt.man_bits):
            moved = Cat(Const(0, fmt.man_bits - bit), fraction[:bit])
            small = Mux(fraction[bit], Cat(moved, Const(FP32.bias + fmt.lsb_exp + bit, FP32.exp_bits)), small)
        rebiased = Mux(special, FP32.exp_mask, field + (FP32.bias - fmt.bias))
        m.d.comb += size.eq(Mux(field.any(), Cat(fraction, rebiased[: FP32.exp_bits]), small))
        return Cat(Const(0, below), size, sign)
