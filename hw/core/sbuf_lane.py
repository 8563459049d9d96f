"""A lane of SBUF: its words in all banks, and what each port writes and reads there."""

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.signals import read_ports, write_ports
from hw.lib.blocks import place
from hw.lib.memory import SyncMemory

__all__ = ["SbufLane", "of_one"]


class SbufLane(wiring.Component):
    """Words of 4 bytes, in banks that each serve a read and a write in a cycle.

    A read in the cycle of a write gives the word as it was before.

    Latency: 1 cycle from a read to its word, which is there in that cycle only and 0 in others.
    Throughput: one read and one write per cycle and bank.

    Members
    -------
    i_read : ``In(banks)``, i_read_row : ``In``; arrays by bank
        Whether a bank is read in this cycle, and where.
    i_write : array by bank of ``In(ports)``, i_write_row : array by bank
        The port of which a bank is written, one-hot, and where.
    i_enable, i_data : arrays by write port
        The bytes that a port writes, and the word.
    i_select : array by read port of ``In(banks)``
        The bank that was read for the port in the cycle before, one-hot.
    o_data : array by read port
    """

    module_name = "sbuf_lane"
    LATENCY = 1

    def __init__(self, config: CoreConfig):
        self.config = config
        readers, writers, banks = len(read_ports(config)), len(write_ports(config)), config.banks
        row = (config.bank_rows - 1).bit_length()
        super().__init__(
            {
                "i_read": In(banks),
                "i_read_row": In(row).array(banks),
                "i_write": In(writers).array(banks),
                "i_write_row": In(row).array(banks),
                "i_enable": In(WORD_BYTES).array(writers),
                "i_data": In(8 * WORD_BYTES).array(writers),
                "i_select": In(banks).array(readers),
                "o_data": Out(8 * WORD_BYTES).array(readers),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = [self._bank(m, bank) for bank in range(self.config.banks)]
        for select, data in zip(self.i_select, self.o_data, strict=True):
            m.d.comb += data.eq(of_one(select, words))
        return m

    def _bank(self, m: Module, bank: int) -> Value:
        """A bank's memory; returns the word read last."""
        enable, data = Signal(WORD_BYTES, name=f"enable_{bank}"), Signal(8 * WORD_BYTES, name=f"data_{bank}")
        m.d.comb += [
            enable.eq(of_one(self.i_write[bank], self.i_enable)),
            data.eq(of_one(self.i_write[bank], self.i_data)),
        ]
        words = place(
            m,
            f"bank_{bank}",
            SyncMemory,
            8 * WORD_BYTES,
            self.config.bank_rows,
            1,
            "old",
            8,
            reads__0__en=self.i_read[bank],
            reads__0__address=self.i_read_row[bank],
            write__en=enable,
            write__address=self.i_write_row[bank],
            write__data=data,
        )
        return words.reads[0].data


def of_one(select: Value, values: list[Value]) -> Value:
    """The value whose bit is set, 0 if none is."""
    return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(select, values, strict=True)))
