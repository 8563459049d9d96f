"""One stream out of several, by fixed priority."""

from amaranth.hdl import Array, Cat, Module, ShapeLike, Signal, Value
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
        The input that the payload on ``o`` is of; of no meaning while it is not valid.
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
        first, source = Signal(range(self.inputs)), self.o_source
        # The input that was offered and not taken in the cycle before.
        held = Signal()
        held_source = Signal.like(source)
        for index in reversed(range(self.inputs)):
            with m.If(self.i[index].valid):
                m.d.comb += first.eq(index)
        payloads = Array(Value.cast(port.payload) for port in self.i)
        m.d.comb += [
            self.o.valid.eq(Cat(port.valid for port in self.i).any()),
            source.eq(first),
            Value.cast(self.o.payload).eq(payloads[source]),
            *(port.ready.eq(self.o.ready & (source == index)) for index, port in enumerate(self.i)),
        ]
        with m.If(held):
            m.d.comb += source.eq(held_source)
        m.d.sync += [held.eq(self.o.valid & ~self.o.ready), held_source.eq(source)]
        return m
