"""The test bench in plain Verilog that goes with an emitted core."""
