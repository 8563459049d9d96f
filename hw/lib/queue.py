"""A queue between two streams: the producer may run ahead of the consumer."""

from amaranth.hdl import Module, ShapeLike, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamQueue"]


class StreamQueue(wiring.Component):
    """Gives out what it takes in, in order.

    It holds up to ``depth`` payloads, all but the one that is offered in a memory with a synchronous read port: block
    RAM serves. No path leads from ``o.ready`` to ``i.ready``, or from ``i`` to ``o``. A reset empties it.

    Latency: 2 cycles from a payload taken by an empty queue to its offer.
    Throughput: one payload per cycle; a queue of 2 takes one only while it holds none, or its one is offered.

    Parameters
    ----------
    shape : ShapeLike
        Of a payload.
    depth : int
        At least 2.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    o_level : ``Out(range(depth + 1))``
        Payloads held.
    """

    module_name = "stream_queue"
    #: A word is read when it is in the queue, and written when it is not.
    NO_RW_CHECK = True
    #: Cycles through an empty queue.
    LATENCY = 2

    def __init__(self, shape: ShapeLike, depth: int):
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"depth must be an int, not {depth!r}")
        if depth < 2:
            raise ValueError(f"depth must be at least 2, not {depth}")
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "o_level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        taken, given = Value.cast(self.i.payload), Value.cast(self.o.payload)
        m.submodules.fifo = queue = fifo.SyncFIFOBuffered(width=len(taken), depth=self.depth)
        m.d.comb += [
            queue.w_en.eq(self.i.valid),
            queue.w_data.eq(taken),
            self.i.ready.eq(queue.w_rdy),
            self.o.valid.eq(queue.r_rdy),
            given.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
            self.o_level.eq(queue.level),
        ]
        return m
