"""What a DMA instruction means for the walks over its two sides."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import COUNT_BITS, INSTRUCTIONS, MEMORY_BITS, instruction_layout
from hw.lib.blocks import struct

__all__ = ["DmaPlan", "plan_shape", "side_shape"]

#: Of lanes, and of words in a vector over lanes: both up to 128.
LANE_BITS = 8
#: Of the number of a unit in its chunk: there are up to 4 * 64 of a byte.
UNIT_BITS = 8
_FIELDS = {entry.name: entry for entry in INSTRUCTIONS["dma"]}
_MEMORY = _FIELDS["source_space"].names.index("memory")
_YES = _FIELDS["source_transposed"].names.index("yes")


def side_shape() -> data.StructLayout:
    """A side of a DMA, seen as rows of *units*, which chunks hold so many of.

    ``by_lane``: it is in memory and not transposed; a unit is a word, and the *items* that are walked over in a chunk
    are the lanes, each with all words of the chunk. Else the items are the units: transposed, elements, each with a
    vector of words over the lanes; in SBUF, words of all lanes, one word each.

    ``address``: of the first item, in bytes. ``pitch``, ``stride``: bytes from item to item and from row to row.
    ``shift``: a word holds ``1 << shift`` units. ``rows``, ``chunks``: rows, and chunks of a row, both less the first.
    ``units``: units of the last chunk of a row, less one. ``item_words``: words of an item, less one, if it is not by
    lane. ``lanes``, ``lane``: lanes in use, and in SBUF the first of them. ``tail``: bytes in use of the last word of
    a row by words, or of a vector over lanes; 0 for all four.
    """
    return data.StructLayout(
        {
            "memory": 1,
            "by_lane": 1,
            "address": MEMORY_BITS,
            "pitch": signed(32),
            "stride": signed(32),
            "shift": 2,
            "rows": COUNT_BITS,
            # Chunks have at least 16 words.
            "chunks": COUNT_BITS - 4,
            "units": UNIT_BITS,
            "item_words": LANE_BITS - 1,
            "lanes": LANE_BITS,
            "lane": 7,
            "tail": 2,
        }
    )


def plan_shape() -> data.StructLayout:
    """Both sides of a DMA."""
    return data.StructLayout({"source": side_shape(), "sink": side_shape()})


class DmaPlan(wiring.Component):
    """Works out both sides of an instruction.

    Latency: 0 cycles.

    Members
    -------
    i : ``In(struct(instruction_layout("dma")))``
    o : ``Out(plan_shape())``
    """

    module_name = "dma_plan"
    COMBINATIONAL = True

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__({"i": In(struct(instruction_layout("dma"))), "o": Out(plan_shape())})

    def elaborate(self, platform):
        m = Module()
        # Bytes of a row, below 2 ** 18, and of a vector over the lanes.
        row, vector = self._bytes(m, "row", self.i.count0), self._bytes(m, "vector", self.i.lanes)
        for name in ("source", "sink"):
            self._side(m, name, row, vector)
        return m

    def _bytes(self, m: Module, name: str, count: Value) -> Signal:
        """Bytes of so many elements."""
        total = Signal(len(count) + 2, name=f"{name}_bytes")
        m.d.comb += total.eq(Mux(self.i.size == 2, count << 2, Mux(self.i.size == 1, count << 1, count)))
        return total

    def _side(self, m: Module, name: str, row: Signal, vector: Signal) -> None:
        fields = self.i
        side = self.o[name]
        memory = Signal(name=f"{name}_memory")
        transposed = Signal(name=f"{name}_transposed")
        # The last unit of a row by its number: of an element, or of the word that the row's last byte is in.
        last = Signal(COUNT_BITS, name=f"{name}_last")
        shift = Signal(2, name=f"{name}_shift")
        chunk = exact_log2(self.config.chunk_words)
        m.d.comb += [
            memory.eq(fields[f"{name}_space"] == _MEMORY),
            transposed.eq(memory & (fields[f"{name}_transposed"] == _YES)),
            side.memory.eq(memory),
            side.by_lane.eq(memory & ~transposed),
            side.address.eq(fields[f"{name}_address"]),
            side.pitch.eq(Mux(memory, fields[f"{name}_pitch"].as_signed(), WORD_BYTES)),
            side.stride.eq(fields[f"{name}_stride"].as_signed()),
            shift.eq(Mux(transposed, 2 - fields.size, 0)),
            side.shift.eq(shift),
            side.rows.eq(fields.count1 - 1),
            last.eq(Mux(transposed, fields.count0 - 1, (row - 1) >> 2)),
            side.chunks.eq(last >> chunk >> shift),
            side.units.eq(last & (((1 << chunk) << shift) - 1)),
            side.item_words.eq(Mux(transposed, (vector - 1) >> 2, 0)),
            side.lanes.eq(fields.lanes),
            side.lane.eq(fields[f"{name}_lane"]),
            side.tail.eq(Mux(transposed, vector, row)),
        ]
