"""Memory port: all that the core asks of external memory, on one AXI4 port."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import CoreConfig
from arch.core.layouts import (
    PAGE_BYTES,
    answer_layout,
    burst_layout,
    program_layout,
    read_beat_layout,
    write_beat_layout,
)
from arch.core.timing import WRITES_IN_FLIGHT
from hw.core.owners import Owners
from hw.lib.arbiter import Arbiter
from hw.lib.blocks import place, struct

__all__ = ["MemoryPort"]


def _payload(valid: Value, payload: data.View) -> Value:
    """A payload that is 0 while it is not valid."""
    return Mux(valid, Value.cast(payload), 0)


class MemoryPort(wiring.Component):
    """Passes on bursts of several requesters, and brings each the beats and answers of its own.

    Of each kind of request the lowest requester that has one goes first; what is offered stays until it is taken.
    Memory answers in order. Read: a beat goes to whose burst is the oldest of those that are not read to the end, and
    ``i_r.ready`` is that requester's, 0 while there is none. Written: beats go out in the order of the
    addresses, those of a burst from the cycle after its address was taken on. Every payload is 0 while it is not valid.
    A burst of pages that are not the program's is never passed on; once the core is stopped, none is but one that
    memory was offered before.

    Latency: 0 cycles, in either direction.
    Throughput: a burst and a beat per cycle, read and written.

    Parameters
    ----------
    config : CoreConfig
        Reads: at most ``config.reads_in_flight`` bursts wait for their last beat. Written, ``WRITES_IN_FLIGHT`` for
        their answer.

    Members
    -------
    reads : array of ``1 + config.dma_queues``, the dispatcher's and the DMA queues'
        ``ask``: ``In(stream.Signature(burst_layout(config)))``; ``beat``:
        ``Out(stream.Signature(read_beat_layout(config)))``.
    writes : array of ``config.dma_queues``
        ``ask``: ``In(stream.Signature(burst_layout(config)))``; ``beat``:
        ``In(stream.Signature(write_beat_layout(config)))``; ``answered``: ``Out(1)``, the oldest burst of this
        requester is answered in this cycle.
    o_ar, i_r, o_aw, o_w, i_b : streams
        AXI4's channels.
    i_stopped : ``In(1)``, i_pages : ``In(29)``
        The core is stopped; the pages of the program.
    o_quiet : ``Out(1)``
        No burst is offered, none waits for beats or answers.
    o_outside, o_asker, o_writer
        The burst of reads (bit 0), of writes (bit 1), that is next is not in the program's pages; whose they are.
    o_failed, o_reader, o_answered
        A beat (bit 0), an answer (bit 1) says in this cycle that something went wrong; whose they are.
    """

    module_name = "memory_port"

    def __init__(self, config: CoreConfig):
        self.config = config
        burst, answer = struct(burst_layout(config)), struct(answer_layout(config))
        read, write = struct(read_beat_layout(config)), struct(write_beat_layout(config))
        reads = {"ask": In(stream.Signature(burst)), "beat": Out(stream.Signature(read))}
        writes = {"ask": In(stream.Signature(burst)), "beat": In(stream.Signature(write)), "answered": Out(1)}
        super().__init__(
            {
                "reads": Out(wiring.Signature(reads)).array(1 + config.dma_queues),
                "writes": Out(wiring.Signature(writes)).array(config.dma_queues),
                "o_ar": Out(stream.Signature(burst)),
                "i_r": In(stream.Signature(read)),
                "o_aw": Out(stream.Signature(burst)),
                "o_w": Out(stream.Signature(write)),
                "i_b": In(stream.Signature(answer)),
                "i_stopped": In(1),
                "i_pages": In(program_layout(config).fields["pages"]),
                "o_quiet": Out(1),
                "o_outside": Out(2),
                "o_failed": Out(2),
                **{f"o_{name}": Out(range(1 + config.dma_queues)) for name in ("asker", "reader")},
                **{f"o_{name}": Out(range(max(2, config.dma_queues))) for name in ("writer", "answered")},
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._reads(m)
        self._writes(m)
        busy = [channel.valid for channel in (self.o_ar, self.o_aw)]
        m.d.comb += self.o_quiet.eq(Cat(*busy, self.readers.o_waits, self.writers.o_waits) == 0)
        return m

    def _bursts(
        self, m: Module, name: str, requesters: list, channel: stream.Interface, may: Value, outside: Value
    ) -> Value:
        """Addresses to memory; ``may``: another one is allowed. Returns whose is offered."""
        beyond = Signal(len(requesters), name=f"{name}_beyond")
        #: It was offered in the cycle before, and not taken.
        held, passes = Signal(name=f"{name}_held"), Signal(name=f"{name}_passes")
        # Each by itself, while the arbiter chooses. A burst crosses no page.
        page = exact_log2(PAGE_BYTES)
        pages = [requester.ask.payload.address[page:] for requester in requesters]
        m.d.comb += beyond.eq(Cat(each >= self.i_pages for each in pages))
        if len(requesters) > 1:
            arbiter = place(m, f"{name}_arbiter", Arbiter, struct(burst_layout(self.config)), len(requesters))
            for index, requester in enumerate(requesters):
                port = arbiter.i[index]
                m.d.comb += [
                    port.valid.eq(requester.ask.valid),
                    port.payload.eq(requester.ask.payload),
                    requester.ask.ready.eq(port.ready),
                ]
            offer, owner = arbiter.o, arbiter.o_source
        else:
            offer, owner = requesters[0].ask, Signal(1, name=f"{name}_owner")
        m.d.sync += held.eq(channel.valid & ~channel.ready)
        m.d.comb += [
            outside.eq(offer.valid & beyond.bit_select(owner, 1)),
            passes.eq(may & ~beyond.bit_select(owner, 1) & (held | ~self.i_stopped)),
            channel.valid.eq(offer.valid & passes),
            offer.ready.eq(channel.ready & passes),
            Value.cast(channel.payload).eq(_payload(channel.valid, offer.payload)),
        ]
        return owner

    def _reads(self, m: Module) -> None:
        may = Signal(name="read_may")
        owner = self._bursts(m, "read", list(self.reads), self.o_ar, may, self.o_outside[0])
        owners = place(m, "readers", Owners, len(owner), self.config.reads_in_flight, i_owner=owner, o_room=may)
        self.readers = owners
        m.d.comb += [
            self.o_asker.eq(owner),
            self.o_reader.eq(owners.o_owner),
            self.o_failed[0].eq(self.i_r.valid & self.i_r.ready & (self.i_r.payload.response != 0)),
            owners.i_put.eq(self.o_ar.valid & self.o_ar.ready),
            owners.i_drop.eq(self.i_r.valid & self.i_r.ready & self.i_r.payload.last),
        ]
        readies = []
        for index, requester in enumerate(self.reads):
            mine = Signal(name=f"read_{index}")
            m.d.comb += [
                mine.eq(owners.o_waits & (owners.o_owner == index)),
                requester.beat.valid.eq(self.i_r.valid & mine),
                Value.cast(requester.beat.payload).eq(_payload(requester.beat.valid, self.i_r.payload)),
            ]
            readies.append(requester.beat.ready & mine)
        m.d.comb += self.i_r.ready.eq(Cat(readies).any())

    def _writes(self, m: Module) -> None:
        room = Signal(name="write_room")
        owner = self._bursts(m, "write", list(self.writes), self.o_aw, room, self.o_outside[1])
        owners = place(m, "writers", Owners, len(owner), WRITES_IN_FLIGHT, i_owner=owner, o_room=room)
        self.writers = owners
        # Those whose beats are not all out: never more.
        senders = place(m, "senders", Owners, len(owner), WRITES_IN_FLIGHT, i_owner=owner)
        m.d.comb += [
            self.o_writer.eq(owner),
            self.o_answered.eq(owners.o_owner),
            self.o_failed[1].eq(owners.i_drop & (self.i_b.payload.response != 0)),
            owners.i_put.eq(self.o_aw.valid & self.o_aw.ready),
            owners.i_drop.eq(self.i_b.valid & owners.o_waits),
            self.i_b.ready.eq(1),
            senders.i_put.eq(owners.i_put),
            senders.i_drop.eq(self.o_w.valid & self.o_w.ready & self.o_w.payload.last),
        ]
        for index, requester in enumerate(self.writes):
            with m.If(senders.o_waits & (senders.o_owner == index)):
                m.d.comb += [
                    self.o_w.valid.eq(requester.beat.valid),
                    Value.cast(self.o_w.payload).eq(_payload(requester.beat.valid, requester.beat.payload)),
                    requester.beat.ready.eq(self.o_w.ready),
                ]
            m.d.comb += requester.answered.eq(owners.i_drop & (owners.o_owner == index))
