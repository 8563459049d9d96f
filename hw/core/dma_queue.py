"""DMA queue: moves tensors between external memory and SBUF, a chunk of all lanes at a time."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import ADDRESS_BITS, INSTRUCTIONS, MEMORY_BITS, instruction_layout
from arch.core.layouts import PORT_ROW_BITS, burst_layout, read_beat_layout, write_beat_layout
from arch.core.timing import WRITES_IN_FLIGHT
from hw.core.burst_walker import BurstWalker
from hw.core.dma_index import DmaIndex
from hw.core.dma_side import side_of, side_shape
from hw.core.lane_buffer import LaneBuffer, span
from hw.lib.blocks import place, struct

__all__ = ["DmaQueue"]

_INDIRECT = next(entry.names for entry in INSTRUCTIONS["dma"] if entry.name == "indirect")


class DmaQueue(wiring.Component):
    """Runs one DMA instruction after another, in the cycles of docs/core.md.

    Each side is walked over twice: by bursts (in SBUF, rows), which says what to ask for, and by beats, which says
    where in the lane buffer each piece belongs. Of an indirect side the indices are read first.

    Latency: as docs/core.md has it.
    Throughput: a burst asked for, a beat or row in, and a beat or row out per cycle.

    Members
    -------
    i_start : ``In(1)``, i_instruction : ``In(struct(instruction_layout("dma")))``
        An instruction that may start.
    o_take, o_complete : ``Out(1)``
        It is taken in this cycle; the one taken before is complete in this cycle.
    o_read_valid, o_read_row, i_read_grant, i_read_data
        A read port of SBUF; the row comes in the cycle after the grant. An address that no instruction can name has the
        last row of all that a port can name.
    o_write_valid, o_write_row, o_write_enable, o_write_data, i_write_grant
        A write port of SBUF, an enable for each byte; bytes that are not enabled are 0.
    read_ask, write_ask : ``Out(stream.Signature(struct(burst_layout(config))))``
        Beats of ``write_beat`` follow in the order of the addresses.
    read_beat : ``In(stream.Signature(struct(read_beat_layout(config))))``
        Always ready.
    write_beat : ``Out(stream.Signature(struct(write_beat_layout(config))))``
        Bytes without strobe are 0.
    i_answered : ``In(1)``
        A burst written is answered; at most ``WRITES_IN_FLIGHT`` wait.
    o_error : ``Out(1)``
        An index is out of range, and may not be.
    o_asked, o_filled, o_drained : ``Out(8)``
        Chunks of the instruction, modulo 256.
    """

    module_name = "dma_queue"

    def __init__(self, config: CoreConfig):
        self.config = config
        burst = stream.Signature(struct(burst_layout(config)))
        super().__init__(
            {
                "i_start": In(1),
                "i_instruction": In(struct(instruction_layout("dma"))),
                "o_take": Out(1),
                "o_complete": Out(1),
                "o_read_valid": Out(1),
                "o_read_row": Out(PORT_ROW_BITS),
                "i_read_grant": In(1),
                "i_read_data": In(config.row_bits),
                "o_write_valid": Out(1),
                "o_write_row": Out(PORT_ROW_BITS),
                "o_write_enable": Out(config.row_bits // 8),
                "o_write_data": Out(config.row_bits),
                "i_write_grant": In(1),
                "read_ask": Out(burst),
                "read_beat": In(stream.Signature(struct(read_beat_layout(config)))),
                "write_ask": Out(burst),
                "write_beat": Out(stream.Signature(struct(write_beat_layout(config)))),
                "i_answered": In(1),
                "o_error": Out(1),
                "o_asked": Out(8),
                "o_filled": Out(8),
                "o_drained": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        #: The phase is MOVE.
        self.moving = Signal()
        #: The sides of the instruction that is offered, and of the one that runs.
        self.given = {name: side_of(m, config, self.i_instruction, name) for name in ("source", "sink")}
        self.source, self.sink = (Signal(side_shape(), name=name) for name in self.given)
        self._index(m)
        m.d.comb += self.o_take.eq(self.i_start & ~self.moving & ~self.index.o_active)
        with m.If(self.o_take):
            indirect = self.i_instruction.indirect
            m.d.sync += [
                self.moving.eq(indirect == _INDIRECT.index("none")),
                *(follows.eq(indirect == _INDIRECT.index(name)) for name, follows in self.follows.items()),
                self.source.eq(self.given["source"]),
                self.sink.eq(self.given["sink"]),
                *(count.eq(0) for count in (self.o_asked, self.o_filled, self.o_drained)),
            ]
        with m.Elif(self.index.o_ends):
            m.d.sync += self.moving.eq(1)
        with m.Elif(self.o_complete):
            m.d.sync += self.moving.eq(0)
        self.buffer = place(m, "buffer", LaneBuffer, config)
        m.d.comb += [self.buffer.i_source.eq(self.source), self.buffer.i_sink.eq(self.sink)]
        self._source(m)
        self._sink(m)
        return m

    def _index(self, m: Module) -> None:
        """The phase before, of an instruction with an indirect side."""
        #: The sides that are.
        self.follows = {name: Signal(name=f"{name}_follows") for name in self.given}
        self.index = place(m, "index", DmaIndex, self.config, i_take=self.o_take, o_error=self.o_error)
        m.d.comb += [
            Value.cast(self.index.i_instruction).eq(Value.cast(self.i_instruction)),
            self.index.i_pitch.eq(Mux(self.follows["sink"], self.sink.pitch, self.source.pitch)),
            self.index.i_lanes.eq(self.source.lanes),
            # What is left out of a sink in SBUF are lanes there.
            self.index.i_place.eq(Mux(self.sink.memory, 0, self.sink.lane)),
            self.index.i_read_grant.eq(self.i_read_grant),
            self.index.i_read_data.eq(self.i_read_data),
        ]

    def _walker(self, m: Module, name: str, side: str, words: int, address_bits: int):
        sides = {"i_given": self.given[side], "i_side": getattr(self, side)}
        return place(m, name, BurstWalker, self.config, words, address_bits, i_start=self.o_take, **sides)

    def _lanes(self, m: Module, walkers: tuple, side: str) -> tuple[Value, Value]:
        """How far it is for both walkers over a side to their next item; returns the lanes that these are."""
        follows, fixed, index = self.follows[side], getattr(self, side).pitch, self.index
        for walker, step in zip(walkers, (index.o_burst, index.o_beat), strict=True):
            apart = Mux(index.o_active, index.o_distance, step)
            m.d.comb += [walker.i_move.eq(follows & index.o_begins), walker.i_pitch.eq(Mux(follows, apart, fixed))]
        return tuple(walker.o.item + 1 for walker in walkers)

    def _burst(self, m: Module, channel: stream.Interface, walker, may: Value) -> None:
        """Offer the burst that the walker is at, if it may be."""
        piece = walker.o
        words, beat = exact_log2(self.config.beat_words), exact_log2(self.config.beat_bytes)
        chunk = exact_log2(self.config.chunk_words)
        m.d.comb += channel.valid.eq(walker.o_valid & may)
        with m.If(channel.valid):
            m.d.comb += [
                channel.payload.address.eq(piece.address[beat:] << beat),
                # From the beat of the first word in the line to that of the last.
                channel.payload.beats.eq((piece.stop >> words) - piece.address[beat : 2 + chunk]),
            ]

    def _source(self, m: Module) -> None:
        config, side = self.config, self.source
        asks = self._walker(m, "asks", "source", config.chunk_words, MEMORY_BITS)
        fills = self._walker(m, "fills", "source", config.beat_words, exact_log2(config.chunk_bytes))
        ahead = Signal(8)
        may = Signal(name="may_ask")
        #: A row is asked for; the one granted in the cycle before comes in this one.
        reads, comes = Signal(name="reads"), Signal()
        self.source_lanes = self._lanes(m, (asks, fills), "source")
        m.d.comb += [
            ahead.eq(self.o_asked - self.o_drained),
            may.eq(self.moving & (ahead < 2)),
            reads.eq(asks.o_valid & may & ~side.memory),
            self.o_read_valid.eq(reads | self.index.o_read_valid),
            self.o_read_row.eq(Mux(reads, _row(asks.o.address), self.index.o_read_row)),
            asks.i_step.eq((self.read_ask.valid & self.read_ask.ready) | (reads & self.i_read_grant)),
            self.read_beat.ready.eq(1),
            fills.i_step.eq(self.read_beat.valid | comes),
            self.buffer.i_fill_en.eq(fills.i_step),
            self.buffer.i_fill_half.eq(self.o_filled[0]),
            self.buffer.i_fill.eq(fills.o),
            self.buffer.i_beat.eq(self.read_beat.payload.data),
            self.buffer.i_row.eq(self.i_read_data),
        ]
        self._burst(m, self.read_ask, asks, may & side.memory)
        m.d.sync += comes.eq(reads & self.i_read_grant)
        with m.If(asks.i_step & asks.o.ends_chunk):
            m.d.sync += self.o_asked.eq(self.o_asked + 1)
        with m.If(fills.i_step & fills.o.ends_chunk):
            m.d.sync += self.o_filled.eq(self.o_filled + 1)

    def _sink(self, m: Module) -> None:
        config, side = self.config, self.sink
        self.targets = self._walker(m, "targets", "sink", config.chunk_words, MEMORY_BITS)
        self.drains = self._walker(m, "drains", "sink", config.beat_words, exact_log2(config.chunk_bytes))
        lanes = self._lanes(m, (self.targets, self.drains), "sink")
        # Only one of the sides is indirect.
        for number, source, sink in zip((self.index.i_burst, self.index.i_beat), self.source_lanes, lanes, strict=True):
            m.d.comb += number.eq(Mux(self.follows["source"], source, sink))
        #: The write stage; what is in it is read in this cycle, and leaves it.
        self.full, self.read, leaves = Signal(name="full"), Signal(name="drain_read"), Signal(name="leaves")
        #: Bursts whose address is taken, and whose beats are not all read yet.
        self.owed = Signal(range(WRITES_IN_FLIGHT + 1), name="owed")
        ready = Signal(name="drain_ready")
        m.d.comb += [
            leaves.eq(Mux(side.memory, self.write_beat.ready, self.i_write_grant)),
            ready.eq(Mux(side.memory, self.owed.any(), self.drains.o_valid & (self.o_filled != self.o_drained))),
            self.read.eq(self.moving & ready & (~self.full | leaves)),
            self.drains.i_step.eq(self.read),
            self.buffer.i_drain_en.eq(self.read),
            self.buffer.i_drain_half.eq(self.o_drained[0]),
            self.buffer.i_drain.eq(self.drains.o),
        ]
        m.d.sync += self.full.eq(self.read | (self.full & ~leaves))
        with m.If(self.read & self.drains.o.ends_chunk):
            m.d.sync += self.o_drained.eq(self.o_drained + 1)
        self._stage(m)
        answered = self._bursts(m)
        written = self._write_sbuf(m)
        self._write_memory(m)
        m.d.comb += self.o_complete.eq(self.moving & Mux(side.memory, answered, written))

    def _bursts(self, m: Module) -> Value:
        """Addresses written to; returns whether the last burst is answered."""
        side, targets = self.sink, self.targets
        #: Chunks of which all addresses are taken; bursts that wait for their answer.
        addressed = Signal(8)
        waiting = Signal(range(WRITES_IN_FLIGHT + 1))
        taken = Signal(name="address_taken")
        m.d.comb += [
            taken.eq(self.write_ask.valid & self.write_ask.ready),
            targets.i_step.eq(Mux(side.memory, taken, self.read)),
        ]
        self._burst(m, self.write_ask, targets, self.moving & side.memory & (addressed != self.o_filled))
        m.d.sync += [
            self.owed.eq(self.owed + taken - (side.memory & self.read & self._ends_burst())),
            waiting.eq(waiting + taken - (self.moving & self.i_answered)),
        ]
        with m.If(self.o_take):
            m.d.sync += addressed.eq(0)
        with m.Elif(taken & targets.o.ends_chunk):
            m.d.sync += addressed.eq(addressed + 1)
        return self.i_answered & ~targets.o_valid & (waiting == 1)

    def _ends_burst(self) -> Value:
        """The beat that is read is the last of its burst: of its item, or up to a multiple of a chunk's words."""
        piece = self.drains.o
        return piece.ends_item | piece.address[exact_log2(self.config.beat_bytes) :].all()

    def _stage(self, m: Module) -> None:
        """What goes with what was read into the write stage."""
        side, piece = self.sink, self.drains.o
        words = self.config.beat_words
        #: In SBUF the row; in memory the first and the last word in the beat, and whether its lane is left out. The
        #: bytes in use of the last word, 0 for all. The last of the burst, and of all.
        self.row = Signal(PORT_ROW_BITS, name="stage_row")
        self.skip = Signal(name="stage_skip")
        self.first = Signal(range(max(2, words)), name="stage_first")
        self.stop = Signal.like(self.first, name="stage_stop")
        self.tail = Signal(2, name="stage_tail")
        self.ends_burst, self.ends = Signal(name="stage_ends_burst"), Signal(name="stage_ends")
        offset = piece.address[2 : 2 + exact_log2(words)] if words > 1 else 0
        ends_row = Mux(side.memory, piece.ends_item & (piece.in_last | ~side.by_lane), piece.ends_chunk & piece.in_last)
        with m.If(self.read):
            m.d.sync += [
                self.row.eq(_row(self.targets.o.address)),
                self.skip.eq(self.index.o_skips.bit_select(piece.item[: exact_log2(self.config.lanes)], 1)),
                self.first.eq(offset),
                self.stop.eq(piece.stop),
                self.tail.eq(Mux(ends_row, side.tail, 0)),
                self.ends_burst.eq(self._ends_burst()),
                self.ends.eq(piece.ends),
            ]

    def _write_sbuf(self, m: Module) -> Value:
        """The write stage of a sink in SBUF; returns whether its last row is granted."""
        side, valid = self.sink, self.o_write_valid
        used = Signal(self.config.lanes, name="lanes_used")
        m.d.comb += [
            valid.eq(self.full & ~side.memory),
            used.eq(Cat((lane >= side.lane) & (lane < side.lane + side.lanes) for lane in range(self.config.lanes))),
            self.o_write_row.eq(Mux(valid, self.row, 0)),
            self.o_write_enable.eq(Cat(Mux(valid & lane, self._bytes(), 0) for lane in used & ~self.index.o_skips)),
            self.o_write_data.eq(_enabled(self.buffer.o_row, self.o_write_enable)),
        ]
        return valid & self.ends & self.i_write_grant

    def _write_memory(self, m: Module) -> None:
        """The write stage of a sink in memory."""
        beat, count = self.write_beat, self.config.beat_words
        words, stops = span(self.first, self.stop, count), span(self.stop, self.stop, count)
        strobes = [Mux(words[word], Mux(stops[word], self._bytes(), -1), 0)[:WORD_BYTES] for word in range(count)]
        m.d.comb += beat.valid.eq(self.full & self.sink.memory)
        with m.If(beat.valid):
            m.d.comb += [
                beat.payload.last.eq(self.ends_burst),
                beat.payload.strobes.eq(Mux(self.skip, 0, Cat(strobes))),
                beat.payload.data.eq(_enabled(self.buffer.o_beat, beat.payload.strobes)),
            ]

    def _bytes(self) -> Value:
        """Enables of a word of which ``tail`` bytes are in use."""
        return Mux(self.tail == 0, (1 << WORD_BYTES) - 1, (1 << self.tail) - 1)[:WORD_BYTES]


def _row(address: Value) -> Value:
    """The row of an address in SBUF; all ones if it is none that an instruction can name."""
    row = address[2 : 2 + PORT_ROW_BITS]
    return Mux(address[ADDRESS_BITS:].any(), Const(-1, PORT_ROW_BITS), row)


def _enabled(data: Value, enables: Value) -> Value:
    """Bytes that are enabled; 0 for the others."""
    return data & Cat(enable.replicate(8) for enable in enables)
