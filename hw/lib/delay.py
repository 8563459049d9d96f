"""Delay lines: what the edges of the array skew lanes with, and the read-out sets columns straight."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from hw.lib.blocks import place

__all__ = ["Delay", "StallingDelay", "skewed"]

_VERILOG = """\
module {name} #(
  parameter WIDTH = 1,
  parameter CYCLES = 1
) (
  input clk,
  input rst,
{port}  input [WIDTH-1:0] i,
  output [WIDTH-1:0] o
);
  // The youngest value is lowest.
  reg [WIDTH*CYCLES-1:0] line;
  wire [WIDTH*(CYCLES+1)-1:0] values = {{line, i}};
  initial line = 0;
  always @(posedge clk)
    if (rst) line <= 0;
    else {moves}line <= values[WIDTH*CYCLES-1:0];
  assign o = values[WIDTH*CYCLES +: WIDTH];
endmodule
"""


class Delay(wiring.Component):
    """A value as it was ``cycles`` cycles ago; zero after a reset.

    Lanes differ in length: one module with Verilog parameters serves them all. ``tests/hw/lib/test_delay.py`` proves
    that it does what ``elaborate`` describes.

    Latency: ``cycles``. Throughput: one value per cycle.

    Parameters
    ----------
    width : int
        Bits of the value.
    cycles : int
        At least 1.

    Members
    -------
    i : ``In(width)``
    o : ``Out(width)``
    """

    module_name = "delay"

    PORTS: ClassVar[dict[str, Member]] = {}

    def __init__(self, width: int, cycles: int):
        if cycles < 1:
            raise ValueError(f"cycles must be at least 1, not {cycles}")
        self.verilog_parameters = {"WIDTH": width, "CYCLES": cycles}
        super().__init__({"i": In(width), "o": Out(width)} | self.PORTS)

    def elaborate(self, platform):
        m = Module()
        # The youngest value is lowest.
        line = Signal(len(self.i) * self.verilog_parameters["CYCLES"])
        with m.If(self._moves()):
            m.d.sync += line.eq(Cat(self.i, line))
        m.d.comb += self.o.eq(line[-len(self.i) :])
        return m

    def _moves(self) -> ValueLike:
        """Whether a cycle counts."""
        return 1

    def verilog(self, name: str) -> str:
        """The module's text, for any width and length."""
        return _VERILOG.format(name=name, port="", moves="")


class StallingDelay(Delay):
    """The same, but that time stands still while ``en`` is low.

    Members
    -------
    en : ``In(1)``
    """

    module_name = "stalling_delay"

    PORTS: ClassVar[dict[str, Member]] = {"en": In(1)}

    def _moves(self) -> ValueLike:
        return self.en

    def verilog(self, name: str) -> str:
        """The module's text, for any width and length."""
        return _VERILOG.format(name=name, port="  input en,\n", moves="if (en) ")


def skewed(m: Module, value: ValueLike, cycles: int, name: str) -> Value:
    """``value`` as it was ``cycles`` clock cycles ago, by a delay line ``name``.

    As ``hw.lib.blocks.delayed``, for wide values and many cycles: Amaranth's backend takes its time for every bit.
    """
    value = Value.cast(value)
    return place(m, name, Delay, len(value), cycles, i=value).o if cycles else value
