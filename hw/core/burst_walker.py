"""The walk over one side of a DMA: row by row, chunk by chunk, item by item, in pieces that cross no line."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import WORD_BYTES, CoreConfig
from hw.core.dma_plan import LANE_BITS, side_shape

__all__ = ["BurstWalker", "piece_shape"]

#: Of the number of an item in its chunk: a lane, or one of 4 * 64 elements of a byte.
ITEM_BITS = 8


def piece_shape(address_bits: int) -> data.StructLayout:
    """A piece of an item.

    ``address``: the byte at which it begins, modulo ``2 ** address_bits``. ``words``: its words. ``item``: which item
    of the chunk it is of. ``done``: words of that item before it. ``ends_item``, ``ends_chunk``, ``ends``: it is the
    last piece of the item, the chunk, all. ``in_last``: its chunk is the last of a row.
    """
    return data.StructLayout(
        {
            "address": address_bits,
            "words": LANE_BITS,
            "item": ITEM_BITS,
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
    i_side : ``In(side_shape())``
        The side, from the cycle of ``i_start`` to the last step.
    i_start, i_step : ``In(1)``
        Begin anew; go on to the next piece (only while ``o_valid``).
    o_valid : ``Out(1)``
        There is a piece.
    o : ``Out(piece_shape(address_bits))``
    """

    module_name = "burst_walker"

    def __init__(self, config: CoreConfig, line_words: int, address_bits: int):
        self.config, self.line_words, self.address_bits = config, line_words, address_bits
        super().__init__(
            {
                "i_side": In(side_shape()),
                "i_start": In(1),
                "i_step": In(1),
                "o_valid": Out(1),
                "o": Out(piece_shape(address_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        #: Where the row, the chunk, the item and the piece begin. (That of the item will be an index away when a side
        #: is indirect.)
        self.row = Signal(self.address_bits)
        self.chunk = Signal(self.address_bits)
        self.item = Signal(self.address_bits)
        self.piece = Signal(self.address_bits)
        #: Units of the row, this chunk's and what follows; rows, this one and those that follow.
        self.units = Signal.like(self.i_side.units)
        self.rows = Signal.like(self.i_side.rows)
        self.number = Signal(ITEM_BITS)
        self.done = Signal(LANE_BITS)
        #: Units of a whole chunk, up to 256.
        self.whole = Signal(9)
        self._output(m)
        self._steps(m)
        return m

    def _output(self, m: Module) -> None:
        side, piece = self.i_side, self.o
        held = Signal(9)
        items, words = Signal(9), Signal(LANE_BITS)
        left, room = Signal(LANE_BITS), Signal(LANE_BITS)
        offset = self.piece[2 : 2 + exact_log2(self.line_words)] if self.line_words > 1 else 0
        m.d.comb += [
            self.whole.eq(self.config.chunk_words << side.shift),
            held.eq(Mux(piece.in_last, self.units, self.whole)),
            items.eq(Mux(side.by_lane, side.lanes, held)),
            words.eq(Mux(side.by_lane, held, side.item_words)),
            left.eq(words - self.done),
            room.eq(self.line_words - offset),
            piece.address.eq(self.piece),
            piece.item.eq(self.number),
            piece.done.eq(self.done),
            piece.words.eq(Mux(piece.ends_item, left, room)),
            piece.in_last.eq(self.units <= self.whole),
            piece.ends_item.eq(left <= room),
            piece.ends_chunk.eq(piece.ends_item & (self.number + 1 == items)),
            piece.ends.eq(piece.ends_chunk & piece.in_last & (self.rows == 1)),
        ]

    def _steps(self, m: Module) -> None:
        side, piece = self.i_side, self.o
        ends_row = Signal()
        origin, distance, target = (Signal(self.address_bits, name=name) for name in ("origin", "distance", "target"))
        # The chunk after this one begins behind it in every lane; where items are units, it begins with the next item.
        by_chunk = piece.ends_chunk & side.by_lane
        m.d.comb += [
            ends_row.eq(piece.ends_chunk & piece.in_last),
            origin.eq(Mux(ends_row, self.row, Mux(by_chunk, self.chunk, self.item))),
            distance.eq(Mux(ends_row, side.stride, Mux(by_chunk, self.config.chunk_bytes, side.pitch))),
            target.eq(origin + distance),
        ]
        line = exact_log2(WORD_BYTES * self.line_words)
        with m.If(self.i_start):
            m.d.sync += [
                self.o_valid.eq(1),
                *(register.eq(side.address) for register in (self.row, self.chunk, self.item, self.piece)),
                self.units.eq(side.units),
                self.rows.eq(side.rows),
                self.number.eq(0),
                self.done.eq(0),
            ]
        with m.Elif(self.i_step & ~piece.ends_item):
            # On at the next line; the address' bits in the line become 0.
            m.d.sync += [
                self.piece.eq((self.piece[line:] + 1) << line),
                self.done.eq(self.done + piece.words),
            ]
        with m.Elif(self.i_step):
            m.d.sync += [self.item.eq(target), self.piece.eq(target), self.done.eq(0), self.number.eq(self.number + 1)]
            with m.If(piece.ends_chunk):
                m.d.sync += [self.chunk.eq(target), self.number.eq(0), self.units.eq(self.units - self.whole)]
            with m.If(ends_row):
                m.d.sync += [self.row.eq(target), self.units.eq(side.units), self.rows.eq(self.rows - 1)]
            with m.If(piece.ends):
                m.d.sync += self.o_valid.eq(0)
