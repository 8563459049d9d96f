"""Lane buffer: what a DMA queue holds of all lanes, two chunks, filled and drained by lanes or across them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import WORD_BYTES, CoreConfig
from hw.core.burst_walker import piece_shape
from hw.core.dma_side import side_shape
from hw.core.rotator import Rotator
from hw.lib.blocks import place
from hw.lib.memory import SyncMemory

__all__ = ["LaneBuffer", "span"]

_WORD_BITS = 8 * WORD_BYTES


class LaneBuffer(wiring.Component):
    """Two halves of ``config.chunk_words`` words for each lane, in banks of words.

    The word of lane p at column w lies in bank ``(p + w) mod N``, at address w of its half: neither some columns of a
    lane nor some lanes of a column have a bank in common. N is the larger of lanes and words of a beat.

    What goes in and out is one piece of a side (``side_shape``, ``piece_shape`` with a beat's line): of a side in
    memory a beat, of one in SBUF a row. A transposed beat has elements of one column of some lanes, packed.

    No word is drained in the cycle in which it is filled.

    Latency: 1 cycle from ``i_drain_en`` to ``o_beat`` and ``o_row``, which hold until the next one.
    Throughput: one piece in and one out per cycle.

    Members
    -------
    i_source, i_sink : ``In(side_shape())``
    i_fill_en, i_fill_half, i_fill : ``In``
        Put this piece in, in that half; of a beat what the piece does not name is left alone.
    i_beat, i_row : ``In``
        What is put in, by the kind of the source.
    i_drain_en, i_drain_half, i_drain : ``In``
        Read this piece.
    o_beat, o_row : ``Out``
        What was read, if the sink is of that kind; where the piece has nothing, anything.
    """

    module_name = "lane_buffer"

    def __init__(self, config: CoreConfig):
        self.config = config
        self.banks = max(config.lanes, config.beat_words)
        piece = piece_shape(exact_log2(config.chunk_bytes))
        super().__init__(
            {
                "i_source": In(side_shape()),
                "i_sink": In(side_shape()),
                "i_fill_en": In(1),
                "i_fill_half": In(1),
                "i_fill": In(piece),
                "i_beat": In(8 * config.beat_bytes),
                "i_row": In(config.row_bits),
                "i_drain_en": In(1),
                "i_drain_half": In(1),
                "i_drain": In(piece),
                "o_beat": Out(8 * config.beat_bytes),
                "o_row": Out(config.row_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self.rows = []
        for bank in range(self.banks):
            memory = place(m, f"bank_{bank}", SyncMemory, _WORD_BITS, 2 * self.config.chunk_words, 1, "any", 8)
            self.rows.append(memory)
        self._fill(m)
        self._drain(m)
        return m

    def _base(self, m: Module, name: str, piece) -> Signal:
        """Which word of its item the first word of the piece's beat would be, negative if it lies before the item."""
        base = Signal(len(piece.done), name=f"{name}_base")
        words = self.config.beat_words
        m.d.comb += base.eq(piece.done - (piece.address[2 : 2 + exact_log2(words)] if words > 1 else 0))
        return base

    def _skew(self, m: Module, name: str, side, piece) -> Signal:
        """How many banks beyond its number lies what the rotation next to the banks has at a place."""
        skew = Signal(len(piece.item), name=f"{name}_skew")
        # A lane's number by lanes; across them the column, and less the first lane in SBUF.
        column = piece.item >> side.shift
        m.d.comb += skew.eq(Mux(side.memory, column, piece.item - side.lane))
        return skew

    def _addresses(self, m: Module, name: str, side, half: Value, piece, base: Value) -> list[Value]:
        """The address in each bank."""
        bank_bits = exact_log2(self.banks)
        column = Signal(exact_log2(self.config.chunk_words), name=f"{name}_column")
        # The bank of the beat's first word.
        first = Signal(bank_bits, name=f"{name}_first")
        m.d.comb += [column.eq(piece.item >> side.shift), first.eq(piece.item + base)]
        addresses = []
        for bank in range(self.banks):
            own = base + (bank - first)[:bank_bits]
            addresses.append(Cat(Mux(side.by_lane, own[: len(column)], column), half))
        return addresses

    def _rotated(self, m: Module, name: str, vector: Value, amount: Value, width: int = _WORD_BITS) -> Value:
        """Words, one for each bank, moved down; of a vector with less the others are 0."""
        moved = Signal(self.banks * width, name=name)
        amount = amount[: exact_log2(self.banks)]
        rotator = place(m, f"{name}_rotator", Rotator, self.banks, width, i_amount=amount, o=moved)
        m.d.comb += rotator.i.eq(vector)
        return moved

    def _fill(self, m: Module) -> None:
        side, piece = self.i_source, self.i_fill
        lanes, words, banks = self.config.lanes, self.config.beat_words, self.banks
        base = self._base(m, "fill", piece)
        skew = self._skew(m, "fill", side, piece)
        back, low = Signal(len(base), name="fill_back"), Signal(len(skew), name="fill_low")
        # Rotations are downwards: by the negative.
        m.d.comb += [back.eq(-base), low.eq(-skew)]
        offset = piece.address[2 : 2 + exact_log2(words)] if words > 1 else Const(0, 1)
        named = span(offset, piece.stop[: len(offset)], words)
        data = self._rotated(m, "beat", self.i_beat, back)
        used = self._rotated(m, "used", named, back, 1)
        wide, wide_used = Signal(banks * _WORD_BITS, name="wide"), Signal(banks, name="wide_used")
        with m.If(~side.memory):
            m.d.comb += [wide.eq(self.i_row), wide_used.eq(-1)]
        with m.Elif(side.by_lane):
            m.d.comb += [wide.eq(data), wide_used.eq(used)]
        with m.Else():
            # Lane p's element fills the word of p.
            for shift in range(3):
                element = _WORD_BITS >> shift
                with m.If(side.shift == shift):
                    m.d.comb += [
                        wide.eq(Cat(data[lane * element :][:element].replicate(1 << shift) for lane in range(lanes))),
                        wide_used.eq(Cat(used[lane >> shift] for lane in range(lanes))),
                    ]
        data = self._rotated(m, "filled", wide, low)
        used = self._rotated(m, "filled_used", wide_used, low, 1)
        enable = self._element(m, side, piece)
        addresses = self._addresses(m, "fill", side, self.i_fill_half, piece, base)
        for bank, (memory, address) in enumerate(zip(self.rows, addresses, strict=True)):
            m.d.comb += [
                memory.write.en.eq(Mux(self.i_fill_en & used[bank], enable, 0)),
                memory.write.address.eq(address),
                memory.write.data.eq(data[bank * _WORD_BITS :][:_WORD_BITS]),
            ]

    def _element(self, m: Module, side, piece) -> Signal:
        """The bytes of a word that a unit takes: all, or an element's."""
        enable = Signal(WORD_BYTES, name="fill_enable")
        half = Mux(piece.item[0], 0b1100, 0b0011)
        m.d.comb += enable.eq(Mux(side.shift == 0, 0b1111, Mux(side.shift == 1, half, 1 << piece.item[:2])))
        return enable

    def _drain(self, m: Module) -> None:
        side, piece = self.i_sink, self.i_drain
        base = self._base(m, "drain", piece)
        skew = self._skew(m, "drain", side, piece)
        addresses = self._addresses(m, "drain", side, self.i_drain_half, piece, base)
        for memory, address in zip(self.rows, addresses, strict=True):
            m.d.comb += [memory.reads[0].en.eq(self.i_drain_en), memory.reads[0].address.eq(address)]
        # What is read comes a cycle later, and then holds; so does what says where it goes.
        read_base, read_skew = Signal.like(base, name="read_base"), Signal.like(skew, name="read_skew")
        read_item = Signal(2)
        with m.If(self.i_drain_en):
            m.d.sync += [read_base.eq(base), read_skew.eq(skew), read_item.eq(piece.item)]
        vector = self._rotated(m, "drained", Cat(memory.reads[0].data for memory in self.rows), read_skew)
        joined = Signal(self.banks * _WORD_BITS)
        with m.If(side.by_lane | (side.shift == 0)):
            m.d.comb += joined.eq(vector)
        for shift in (1, 2):
            # The elements of the lanes follow each other.
            words = (vector[lane * _WORD_BITS :][:_WORD_BITS] for lane in range(self.config.lanes))
            with m.If(side.shift == shift):
                element = read_item[:shift]
                m.d.comb += joined.eq(Cat(word.word_select(element, _WORD_BITS >> shift) for word in words))
        m.d.comb += [self.o_row.eq(vector), self.o_beat.eq(self._rotated(m, "sent", joined, read_base))]


def span(first: Value, last: Value, count: int) -> Value:
    """``count`` bits, those from number ``first`` to number ``last`` set; both are below ``count``."""
    ones = Const(-1, count)
    return (ones << first)[:count] & ~(Const(-2, count) << last)[:count]
