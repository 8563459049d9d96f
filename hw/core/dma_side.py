"""What a DMA instruction means for the walks over its two sides."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.utils import exact_log2

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import COUNT_BITS, INSTRUCTIONS, MEMORY_BITS

__all__ = ["LANE_BITS", "UNIT_BITS", "side_of", "side_shape"]

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


def side_of(m: Module, config: CoreConfig, instruction: data.View, name: str) -> data.View:
    """The side ``name``, source or sink, of an instruction: worked out in the same cycle."""

    def field(what: str) -> Value:
        return instruction[f"{name}_{what}"]

    # Bytes of a row, below 2 ** 18, and of a vector over the lanes.
    row, vector = (
        _bytes(m, f"{name}_{what}_bytes", count, instruction.size)
        for what, count in (("row", instruction.count0), ("vector", instruction.lanes))
    )
    memory, transposed = Signal(name=f"{name}_in_memory"), Signal(name=f"{name}_is_transposed")
    # The last unit of a row by its number: an element, or the word that the row's last byte is in.
    last = Signal(COUNT_BITS, name=f"{name}_last_unit")
    shift = Signal(2, name=f"{name}_unit_shift")
    chunk = exact_log2(config.chunk_words)
    m.d.comb += [
        memory.eq(field("space") == _MEMORY),
        transposed.eq(memory & (field("transposed") == _YES)),
        shift.eq(Mux(transposed, 2 - instruction.size, 0)),
        last.eq(Mux(transposed, instruction.count0 - 1, (row - 1) >> 2)),
    ]
    values = {
        "memory": memory,
        "by_lane": memory & ~transposed,
        "address": field("address"),
        "pitch": Mux(memory, field("pitch").as_signed(), WORD_BYTES),
        "stride": field("stride"),
        "shift": shift,
        "rows": instruction.count1 - 1,
        "chunks": last >> chunk >> shift,
        "units": last & (((1 << chunk) << shift) - 1),
        "item_words": Mux(transposed, (vector - 1) >> 2, 0),
        "lanes": instruction.lanes,
        "lane": field("lane"),
        "tail": Mux(transposed, vector, row),
    }
    # Each in a signal of its own: if one vector held them all, a simulator would see a loop where one follows from
    # another.
    shape = side_shape()
    parts = {what: Signal(part.shape, name=f"{name}_{what}") for what, part in shape}
    m.d.comb += [parts[what].eq(value) for what, value in values.items()]
    return shape(Cat(parts.values()))


def _bytes(m: Module, name: str, count: Value, size: Value) -> Signal:
    """Bytes of so many elements."""
    total = Signal(len(count) + 2, name=name)
    m.d.comb += total.eq(Mux(size == 2, count << 2, Mux(size == 1, count << 1, count)))
    return total
