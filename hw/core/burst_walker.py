"""The walk over one side of a DMA: row by row, chunk by chunk, item by item, in pieces that cross no line."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import WORD_BYTES, CoreConfig
from hw.core.dma_side import LANE_BITS, UNIT_BITS, side_shape

__all__ = ["BurstWalker", "piece_shape"]


def piece_shape(address_bits: int) -> data.StructLayout:
    """A piece of an item, that lies in one line.

    ``address``: the byte at which it begins, modulo ``2 ** address_bits``. ``stop``: number of its last word in the
    line. ``item``: which item of the chunk it is of. ``done``: words of that item before it. ``ends_item``,
    ``ends_chunk``, ``ends``: it is the last piece of the item, the chunk, all; without ``ends_item`` it goes up to the
    end of its line. ``in_last``: its chunk is the last of a row.
    """
    return data.StructLayout(
        {
            "address": address_bits,
            "stop": LANE_BITS,
            "item": UNIT_BITS,
            "done": LANE_BITS,
            "ends_item": 1,
            "ends_chunk": 1,
            "ends": 1,
            "in_last": 1,
        }
    )


class BurstWalker(wiring.Component):
    """Gives the pieces of a side, one after another.

    Items are as ``side_shape`` says. A chunk holds ``config.chunk_words << shift`` units of a row, the last of a row
    what is left. An item is split where it crosses a multiple of ``line_words`` words: with lines of a chunk the
    pieces are bursts, with lines of a beat they are beats.

    Latency: the first piece is there in the cycle after ``i_start``, the next one in the cycle after ``i_step``.
    Throughput: a piece per cycle.

    Parameters
    ----------
    config : CoreConfig
    line_words : int
        A power of two.
    address_bits : int
        At least those of an address in a line.

    Members
    -------
    i_given, i_side : ``In(side_shape())``
        The side: in the cycle of ``i_start``, and from the next one to the last step.
    i_pitch : ``In(address_bits)``
        Bytes from this item to the next one in its chunk.
    i_start, i_step : ``In(1)``
        Begin anew; go on to the next piece (only while ``o_valid``).
    i_move : ``In(1)``
        Before the first step: all of the side lies ``i_pitch`` further on.
    o_valid : ``Out(1)``
        There is a piece.
    o : ``Out(piece_shape(address_bits))``
    """

    module_name = "burst_walker"

    def __init__(self, config: CoreConfig, line_words: int, address_bits: int):
        self.config, self.line_words, self.address_bits = config, line_words, address_bits
        super().__init__(
            {
                "i_given": In(side_shape()),
                "i_side": In(side_shape()),
                "i_pitch": In(self.address_bits),
                "i_start": In(1),
                "i_step": In(1),
                "i_move": In(1),
                "o_valid": Out(1),
                "o": Out(piece_shape(address_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        #: Where the row, the chunk, the item and the piece begin.
        self.row = Signal(self.address_bits)
        self.chunk = Signal(self.address_bits)
        self.item = Signal(self.address_bits)
        self.piece = Signal(self.address_bits)
        #: Rows that follow, chunks of the row that follow, and whether none does.
        self.rows = Signal.like(self.i_side.rows)
        self.chunks = Signal.like(self.i_side.chunks)
        self.in_last = Signal()
        #: The item; its words that are done, and those that are left, less one.
        self.number = Signal(UNIT_BITS)
        self.done = Signal(LANE_BITS)
        self.left = Signal(LANE_BITS)
        self._output(m)
        self._steps(m)
        return m

    def _words(self, side: data.View, in_last: Value) -> Value:
        """Words of an item, less one."""
        return Mux(side.by_lane, Mux(in_last, side.units, self.config.chunk_words - 1), side.item_words)

    def _output(self, m: Module) -> None:
        side, piece = self.i_side, self.o
        bits = exact_log2(self.line_words)
        # The last item of a chunk, and the last word of the item, counted from the beginning of the piece's line.
        last, end = Signal(UNIT_BITS), Signal(LANE_BITS + 1)
        units = Mux(self.in_last, side.units, (self.config.chunk_words << side.shift) - 1)
        self.offset = self.piece[2 : 2 + bits] if bits else Const(0, 1)
        m.d.comb += [
            last.eq(Mux(side.by_lane, side.lanes - 1, units)),
            end.eq(self.offset + self.left),
            piece.address.eq(self.piece),
            piece.stop.eq(Mux(piece.ends_item, end, self.line_words - 1)),
            piece.item.eq(self.number),
            piece.done.eq(self.done),
            piece.in_last.eq(self.in_last),
            piece.ends_item.eq(end < self.line_words),
            piece.ends_chunk.eq(piece.ends_item & (self.number == last)),
            piece.ends.eq(piece.ends_chunk & self.in_last & ~self.rows.any()),
        ]

    def _steps(self, m: Module) -> None:
        side, piece = self.i_side, self.o
        ends_row, next_last = Signal(), Signal()
        origin, distance, target = (Signal(self.address_bits, name=name) for name in ("origin", "distance", "target"))
        # The chunk after this one begins behind it in every lane; where items are units, it begins with the next item.
        by_chunk = piece.ends_chunk & side.by_lane & ~self.i_move
        m.d.comb += [
            ends_row.eq(piece.ends_chunk & self.in_last & ~self.i_move),
            origin.eq(Mux(ends_row, self.row, Mux(by_chunk, self.chunk, self.item))),
            distance.eq(Mux(ends_row, side.stride, Mux(by_chunk, self.config.chunk_bytes, self.i_pitch))),
            target.eq(origin + distance),
            # Of the chunk of the next item.
            next_last.eq(
                Mux(ends_row, side.chunks == 0, Mux(piece.ends_chunk, self.chunks == 1, self.in_last)),
            ),
        ]
        line = exact_log2(WORD_BYTES * self.line_words)
        with m.If(self.i_start):
            self._start(m)
        with m.Elif(self.i_move):
            m.d.sync += [register.eq(target) for register in (self.row, self.chunk, self.item, self.piece)]
        with m.Elif(self.i_step & ~piece.ends_item):
            # On at the next line; the address' bits in the line become 0.
            m.d.sync += [
                self.piece.eq((self.piece[line:] + 1) << line),
                self.done.eq(self.done + self.line_words - self.offset),
                self.left.eq(self.left + self.offset - self.line_words),
            ]
        with m.Elif(self.i_step):
            m.d.sync += [
                self.item.eq(target),
                self.piece.eq(target),
                self.number.eq(self.number + 1),
                self.done.eq(0),
                self.left.eq(self._words(side, next_last)),
                self.in_last.eq(next_last),
            ]
            with m.If(piece.ends_chunk):
                m.d.sync += [self.chunk.eq(target), self.number.eq(0), self.chunks.eq(self.chunks - 1)]
            with m.If(ends_row):
                m.d.sync += [self.row.eq(target), self.chunks.eq(side.chunks), self.rows.eq(self.rows - 1)]
            with m.If(piece.ends):
                m.d.sync += self.o_valid.eq(0)

    def _start(self, m: Module) -> None:
        first = self.i_given
        m.d.sync += [
            self.o_valid.eq(1),
            *(register.eq(first.address) for register in (self.row, self.chunk, self.item, self.piece)),
            self.rows.eq(first.rows),
            self.chunks.eq(first.chunks),
            self.in_last.eq(first.chunks == 0),
            self.number.eq(0),
            self.done.eq(0),
            self.left.eq(self._words(first, first.chunks == 0)),
        ]
