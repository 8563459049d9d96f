"""PSUM bank: the partial-sum memory under one column of the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout
from hw.lib.blocks import delayed, place
from hw.lib.memory import SyncMemory

__all__ = ["PsumBank", "seed_shape", "store_shape"]


def _address(config: EngineConfig):
    return range(max(2, config.psum_depth))


def seed_shape(config: EngineConfig) -> data.StructLayout:
    """Request for the sum an activation row adds to: ``valid``, ``adds`` (0: start from zero), ``address``.

    ``adds`` is low in all other cycles: it enables the memory.
    """
    return data.StructLayout({"valid": 1, "adds": 1, "address": _address(config)})


def store_shape(config: EngineConfig) -> data.StructLayout:
    """A sum leaving the array: ``valid``, ``address``, the columns from here on that are in use, and ``stores``.

    That is whether this column stores, which is ``valid`` and a column in use, known a cycle early.
    """
    fields = {"valid": 1, "address": _address(config), "columns": range(config.cols + 1), "stores": 1}
    return data.StructLayout(fields)


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
    i_seed, o_seed : ``seed_shape(config)``
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
                "i_seed": In(seed_shape(config)),
                "o_seed": Out(seed_shape(config)),
                "i_store": In(store_shape(config)),
                "o_store": Out(store_shape(config)),
                "i_psum": In(psum),
                "o_psum": Out(psum),
                "i_advance": In(1),
                "i_read_address": In(_address(config)),
                "o_read_address": Out(_address(config)),
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
