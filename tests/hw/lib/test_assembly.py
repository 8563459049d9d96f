"""Modules that only join others: what their text says, and what is refused."""

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.lib.assembly import Assembly
from hw.lib.blocks import place
from hw.lib.emission import emit_modules


class _Leaf(wiring.Component):
    module_name = "leaf"

    def __init__(self):
        super().__init__({"i": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m


class _Pair(wiring.Component):
    """Two leaves side by side; ``connect`` says how."""

    module_name = "pair"

    def __init__(self, connect):
        self.connect = connect
        super().__init__({"i": In(8), "o": Out(8), "o_first": Out(4)})

    def elaborate(self, platform) -> Assembly:
        m = Assembly(self)
        self.connect(m, self)
        return m


def _text(connect) -> str:
    return emit_modules(_Pair(connect))["pair"]


def test_the_text_is_ports_wires_and_instances():
    def connect(m, pair):
        first = place(m, "first", _Leaf, i=pair.i[:4], o=pair.o_first)
        assert not vars(first)
        second = place(m, "second", _Leaf, i=pair.o_first, o=pair.o[:4])
        assert not vars(second)
        third = place(m, "third", _Leaf, i=pair.i[4:])
        place(m, "fourth", _Leaf, i=third.o, o=pair.o[4:])

    assert _text(connect).startswith(
        """module pair(
  input clk,
  input rst,
  input [7:0] i,
  output [7:0] o,
  output [3:0] o_first
);
  wire [3:0] third__o;
  leaf first (
    .clk(clk),
    .rst(rst),
    .i(i[3:0]),
    .o(o_first)
  );
"""
    )


def test_an_input_of_an_instance_must_be_driven():
    def connect(m, pair):
        place(m, "first", _Leaf, o=pair.o_first)

    with pytest.raises(ValueError, match=r"pair.first__i\[0\] must be driven"):
        _text(connect)


def test_every_bit_of_an_output_must_be_driven():
    def connect(m, pair):
        place(m, "first", _Leaf, i=pair.i[:4], o=pair.o_first)
        place(m, "second", _Leaf, i=pair.i[4:], o=pair.o[:4])

    with pytest.raises(ValueError, match=r"pair.o\[4\] must be driven"):
        _text(connect)


def test_a_gap_between_drivers_is_found():
    def connect(m, pair):
        place(m, "first", _Leaf, i=pair.i[:4], o=pair.o_first)
        place(m, "second", _Leaf, i=pair.i[4:], o=pair.o[4:])

    with pytest.raises(ValueError, match=r"pair.o\[0\] must be driven"):
        _text(connect)


def test_no_bit_may_be_driven_twice():
    def connect(m, pair):
        place(m, "first", _Leaf, i=pair.i[:4], o=pair.o[:4])
        place(m, "second", _Leaf, i=pair.i[4:], o=pair.o[2:6])

    with pytest.raises(ValueError, match=r"pair.o\[2\] must be driven once"):
        _text(connect)


def test_a_port_connects_to_a_signal_or_a_slice():
    def connect(m, pair):
        place(m, "first", _Leaf, i=Cat(pair.i[:2], pair.i[6:]))

    with pytest.raises(TypeError, match=r"first.i must connect to a signal or a slice of one, not \(cat"):
        _text(connect)


def test_a_signal_of_its_own_is_declared():
    def connect(m, pair):
        middle = m.wire(Signal(4, name="middle"))
        place(m, "first", _Leaf, i=pair.i[:4], o=middle)
        place(m, "second", _Leaf, i=middle, o=pair.o_first)
        place(m, "third", _Leaf, i=pair.i[4:], o=pair.o[:4])
        place(m, "fourth", _Leaf, i=pair.i[4:], o=pair.o[4:])

    assert "  wire [3:0] middle;\n" in _text(connect)
