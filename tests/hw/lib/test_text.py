"""Emitted modules as one text."""

import pytest

from hw.lib.joining import join_modules


def test_ports_are_declared_in_the_header():
    text = """module m(a, q, clk,
  b);
  input a;
  wire a;
  wire [1:0] c;
  output [3:0] b;
  reg [3:0] b = 4'h0;
  input clk;
  wire clk;
  output q;
  wire q;
  assign q = a;
endmodule
"""
    assert join_modules({"m": text}) == (
        "module m(\n  input clk,\n  input a,\n  output reg [3:0] b = 4'h0,\n  output q\n);\n"
        "  wire [1:0] c;\n  assign q = a;\nendmodule\n"
    )


def test_a_port_without_a_declaration_is_an_error():
    with pytest.raises(ValueError, match=r"m: every port must be declared once, not a, b"):
        join_modules({"m": "module m(a, b);\n  input a;\n  wire a;\nendmodule\n"})


def test_a_header_of_two_lines():
    """Yosys breaks a long one."""
    text = "module m(a, b\n);\n  input a;\n  wire a;\n  output b;\n  wire b;\nendmodule\n"
    assert join_modules({"m": text}) == "module m(\n  input a,\n  output b\n);\nendmodule\n"
