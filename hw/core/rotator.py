"""Rotator: words of a beat or of a row move to other places, around the end."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Rotator"]


class Rotator(wiring.Component):
    """Moves words down: word i of ``o`` is word ``(i + i_amount) mod words`` of ``i``.

    Latency: 0 cycles; a multiplexer of two for each bit of the amount.

    Parameters
    ----------
    words : int
        A power of two, at least 2.
    width : int
        Bits of a word.

    Members
    -------
    i, o : ``In`` and ``Out(words * width)``
        Word 0 lowest.
    i_amount : ``In(range(words))``
    """

    module_name = "rotator"
    COMBINATIONAL = True

    def __init__(self, words: int, width: int):
        self.width = width
        super().__init__({"i": In(words * width), "i_amount": In(range(words)), "o": Out(words * width)})

    def elaborate(self, platform):
        m = Module()
        vector = self.i
        for place in range(len(self.i_amount)):
            moved = self.width << place
            stage = Signal(len(vector), name=f"stage_{place}")
            m.d.comb += stage.eq(Mux(self.i_amount[place], Cat(vector[moved:], vector[:moved]), vector))
            vector = stage
        m.d.comb += self.o.eq(vector)
        return m
