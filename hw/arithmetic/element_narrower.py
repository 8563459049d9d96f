"""The way out of a lane of the vector and scalar engines: a binary32 code becomes an element."""

from amaranth.hdl import Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.elements import ELEMENTS, SELECT_BITS
from arch.formats import FP32
from arch.formats import SELECT_BITS as FORMAT_BITS
from hw.arithmetic.narrower import Narrower
from hw.lib.blocks import place

__all__ = ["ElementNarrower"]


class ElementNarrower(wiring.Component):
    """Converts a binary32 code to an element: to nearest even, subnormals included, saturating.

    Overflow and Inf become the largest finite number of their sign, a NaN the format's canonical code. fp32 and u32
    pass bit for bit, and so does a code for a type that does not exist.

    Latency: 0 cycles (combinational).

    Members
    -------
    i : ``In(32)``
        The binary32 code; a NaN is the canonical one.
    i_type : ``In(SELECT_BITS)``
        ``Element.select`` of the element's type.
    o_code : ``Out(32)``
        The element, zero-extended.
    """

    module_name = "element_narrower"
    COMBINATIONAL = True

    def __init__(self):
        super().__init__({"i": In(32), "i_type": In(SELECT_BITS), "o_code": Out(32)})

    def elaborate(self, platform):
        m = Module()
        # What is none of the floats passes, as fp32 does.
        select: Value = Const(FP32.select, FORMAT_BITS)
        for element in ELEMENTS.values():
            if element.format:
                select = Mux(self.i_type == element.select, element.format.select, select)
        place(m, "narrower", Narrower, i_fp32=self.i, i_select=select, i_saturate=Const(1, 1), o_code=self.o_code)
        return m
