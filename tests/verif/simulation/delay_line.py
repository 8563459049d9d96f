"""A toy device that builds fast, and traces of it."""

import shutil

import numpy as np
import pytest

from arch.record import Field
from verif.simulation.harness import Harness

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
SIMULATORS = ["verilator", pytest.param("icarus", marks=needs_icarus)]

DELAY = """
module cell_(input clk, input [7:0] d, output reg [7:0] q);
  initial q = 0;
  always @(posedge clk) q <= d;
endmodule

module delay(input clk, input rst, input [7:0] i, output [7:0] o);
  wire [7:0] middle;
  cell_ a(.clk(clk), .d(i), .q(middle));
  cell_ b(.clk(clk), .d(middle), .q(o));
endmodule
"""
FIELDS = (Field("i", 8, drive=True), Field("o", 8))
HARNESS = Harness(dut="delay", fields=FIELDS)


def delay_trace(cycles: int) -> np.ndarray:
    trace = np.random.default_rng(1).integers(0, 256, (cycles, 2), dtype=np.uint32)
    trace[:2, 1] = 0
    trace[2:, 1] = trace[:-2, 0]
    return trace
