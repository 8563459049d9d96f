"""One stream out of several, by fixed priority."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Arbiter"]


class Arbiter(wiring.Component):
    """Passes on the payload of the lowest input that is valid; the others wait.

    What ``o`` offers stays until it is taken, as a stream must: an input with a higher priority that comes while ``o``
    stalls is passed on after it. An input of low priority may wait for ever.

    Latency: 0 cycles. ``o.valid`` and ``o.payload`` depend on the inputs in the same cycle, and their ``ready`` on
    ``o.ready``: where that is too long a path, a ``RegisterSlice`` follows.
    Throughput: one payload per cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of a payload.
    inputs : int
        At least 2.

    Members
    -------
    i : ``In(stream.Signature(shape)).array(inputs)``
        The first has the highest priority.
    o : ``Out(stream.Signature(shape))``
    o_source : ``Out(range(inputs))``
        The input that the payload on ``o`` is of.
    """

    module_name = "arbiter"
    LATENCY = 0

    def __init__(self, shape: ShapeLike, inputs: int):
        if not isinstance(inputs, int) or isinstance(inputs, bool):
            raise TypeError(f"inputs must be an int, not {inputs!r}")
        if inputs < 2:
            raise ValueError(f"inputs must be at least 2, not {inputs}")
        self.inputs = inputs
        super().__init__(
            {
                "i": In(stream.Signature(shape)).array(inputs),
                "o": Out(stream.Signature(shape)),
                "o_source": Out(range(inputs)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid = Cat(port.valid for port in self.i)
        # One-hot: the input whose payload is on offer, and the one whose offer stalled in the cycle before.
        chosen = Signal(self.inputs)
        stalled = Signal(self.inputs)
        first = [port.valid & ~valid[:index].any() for index, port in enumerate(self.i)]
        m.d.comb += [
            chosen.eq(Mux(stalled.any(), stalled, Cat(first))),
            self.o.valid.eq(valid.any()),
            Value.cast(self.o.payload).eq(self._of_chosen(chosen, [Value.cast(port.payload) for port in self.i])),
            self.o_source.eq(
                self._of_chosen(chosen, [Const(index, len(self.o_source)) for index in range(self.inputs)])
            ),
            *(port.ready.eq(self.o.ready & chosen[index]) for index, port in enumerate(self.i)),
        ]
        m.d.sync += stalled.eq(Mux(self.o.ready, 0, chosen))
        return m

    @staticmethod
    def _of_chosen(chosen: Value, values: Sequence[Value]) -> Value:
        """The value of the input that is chosen, 0 if none is."""
        return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(chosen, values, strict=True)))
