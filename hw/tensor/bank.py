"""PSUM bank: the partial-sum memory under one column of the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout, readout_layout, seed_layout, store_layout
from hw.lib.blocks import delayed, place, struct
from hw.lib.memory import SyncMemory

__all__ = ["PsumBank", "store_shape"]


def store_shape(config: EngineConfig) -> data.StructLayout:
    """``store_layout``, and above it the columns from here on that are in use, and whether this column stores.

    A column ``stores`` if the request is valid and the column is in use. That is worked out a cycle early, in the
    column to the west.
    """
    columns = readout_layout(config).fields["columns"]
    return data.StructLayout({**store_layout(config).fields, "columns": columns, "stores": 1})


class PsumBank(wiring.Component):
    """Seeds, stores and gives out the partial sums of one column.

    Seed and store requests enter column 0 and move east with the wavefront, one column per cycle. So does the address
    that is read out, but only while the read-out moves. The memory is read for seeds and for read-out through a port
    each.

    Latency: ``config.product_latency`` cycles from ``i_seed`` to ``o_psum`` (a synchronous memory, then a register; a
    read in the cycle of a write returns the old word), 1 cycle from ``i_read_address`` to ``o_read``, 1 cycle to the
    next column.
    Throughput: one seed, one store and one read-out per cycle.

    Members
    -------
    i_seed, o_seed : ``seed_layout(config)``, with ``adds`` low where it is not valid: it enables the memory
        From the column to the west and to the column to the east.
    i_store, o_store : ``store_shape(config)``
        Likewise, in the cycle in which ``i_psum`` holds the sum.
    i_psum : ``In(psum)``
        From the south edge of the array.
    o_psum : ``Out(psum)``
        To its north edge.
    i_advance : ``In(1)``
        The read-out moves in this cycle.
    i_read_address, o_read_address
        The row to read out, from the column to the west and to the column to the east.
    o_read : ``Out(psum)``
        The word read out, held while the read-out stands still.
    """

    module_name = "psum_bank"

    def __init__(self, config: EngineConfig):
        self.config = config
        psum = psum_layout(config).width
        super().__init__(
            {
                "i_seed": In(struct(seed_layout(config))),
                "o_seed": Out(struct(seed_layout(config))),
                "i_store": In(store_shape(config)),
                "o_store": Out(store_shape(config)),
                "i_psum": In(psum),
                "o_psum": Out(psum),
                "i_advance": In(1),
                "i_read_address": In(config.address_bits),
                "o_read_address": Out(config.address_bits),
                "o_read": Out(psum),
            }
        )

    def elaborate(self, platform):
        m = Module()
        seed, store = self.i_seed, self.i_store
        from_zero = Signal()

        # No row is seeded or read out in the cycle in which it is stored, but by commands that break the rules of
        # docs/architecture.md.
        memory = place(
            m,
            "memory",
            SyncMemory,
            len(self.i_psum),
            self.config.psum_depth,
            2,
            "any",
            write__en=store.stores,
            write__address=store.address,
            write__data=self.i_psum,
            reads__0__en=seed.adds,
            reads__0__address=seed.address,
            reads__1__en=self.i_advance,
            reads__1__address=self.i_read_address,
            reads__1__data=self.o_read,
        )
        seeded = Mux(from_zero, 0, memory.reads[0].data)
        m.d.comb += self.o_psum.eq(delayed(m, seeded, self.config.product_latency - 1, "seed"))
        m.d.sync += [
            from_zero.eq(~seed.adds),
            self.o_seed.eq(seed),
            self.o_store.valid.eq(store.valid),
            self.o_store.address.eq(store.address),
            self.o_store.columns.eq(store.columns - store.columns.any()),
            self.o_store.stores.eq(store.valid & (store.columns > 1) if self.config.cols > 1 else 0),
        ]
        with m.If(self.i_advance):
            m.d.sync += self.o_read_address.eq(self.i_read_address)
        return m
