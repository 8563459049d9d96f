"""Delay lines: what the edges of the array skew lanes with, and the read-out sets columns straight."""

from typing import ClassVar

from amaranth.hdl import Module, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from hw.lib.blocks import place

__all__ = ["Delay", "StallingDelay", "skewed"]


def _verilog(name: str, enable: str = "") -> str:
    port, moves = (f"  input {enable},\n", f"if ({enable}) ") if enable else ("", "")
    return f"""\
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
  initial line = {{WIDTH*CYCLES{{1'b0}}}};
  always @(posedge clk)
    if (rst) line <= {{WIDTH*CYCLES{{1'b0}}}};
    else {moves}line <= values[WIDTH*CYCLES-1:0];
  assign o = values[WIDTH*CYCLES +: WIDTH];
endmodule
"""


class Delay(wiring.PureInterface):
    """A value as it was ``cycles`` cycles ago; zero after a reset.

    Lanes differ in length: one module with Verilog parameters serves them all.

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

    VERILOG = _verilog(module_name)
    PORTS: ClassVar[dict[str, Member]] = {}

    def __init__(self, width: int, cycles: int):
        if cycles < 1:
            raise ValueError(f"cycles must be at least 1, not {cycles}")
        self.verilog_parameters = {"WIDTH": width, "CYCLES": cycles}
        super().__init__(wiring.Signature({"i": In(width), "o": Out(width)} | self.PORTS), path=())


class StallingDelay(Delay):
    """The same, but that time stands still while ``en`` is low.

    Members
    -------
    en : ``In(1)``
    """

    module_name = "stalling_delay"

    VERILOG = _verilog(module_name, enable="en")
    PORTS: ClassVar[dict[str, Member]] = {"en": In(1)}


def skewed(m: Module, value: ValueLike, cycles: int, name: str) -> Value:
    """``value`` as it was ``cycles`` clock cycles ago, by a delay line ``name``.

    As ``hw.lib.blocks.delayed``, for wide values and many cycles: Amaranth's backend takes its time for every bit.
    """
    value = Value.cast(value)
    return place(m, name, Delay, len(value), cycles, i=value).o if cycles else value
