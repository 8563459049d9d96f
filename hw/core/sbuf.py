"""SBUF: the core's memory, in banks that each serve a read and a write in a cycle."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.layouts import PORT_ROW_BITS
from arch.core.signals import read_ports, write_ports
from hw.core.sbuf_lane import SbufLane, of_one
from hw.lib.blocks import place

__all__ = ["Sbuf", "read_port", "write_port"]


def read_port(config: CoreConfig) -> wiring.Signature:
    """A read port of SBUF, as its user has it."""
    bits = config.row_bits
    return wiring.Signature({"valid": Out(1), "row": Out(PORT_ROW_BITS), "grant": In(1), "data": In(bits)})


def write_port(config: CoreConfig) -> wiring.Signature:
    """A write port of SBUF, as its user has it; an enable for each byte."""
    bits = config.row_bits
    return wiring.Signature(
        {"valid": Out(1), "row": Out(PORT_ROW_BITS), "enable": Out(bits // 8), "data": Out(bits), "grant": In(1)}
    )


class Sbuf(wiring.Component):
    """Rows of a word in each lane, in banks; ports of fixed priority, the first the highest.

    In each cycle each bank serves one read and one write. A port that is valid and not granted asks again; a port of
    low priority may wait for ever. A row that there is not is never granted. A read in the cycle of a write gives the
    row as it was before.

    Latency: 0 cycles from ``valid`` to ``grant``; 1 from a granted read to its data, which is there in that cycle only
    and 0 in others; a row written can be read from the next cycle on.
    Throughput: one read and one write per cycle and bank.

    Members
    -------
    reads : array, as ``arch.core.signals.read_ports`` orders them
        ``valid``, ``row``, ``grant``, ``data``.
    writes : array, as ``arch.core.signals.write_ports`` orders them
        ``valid``, ``row``, ``enable`` (a bit for each byte, lane 0 lowest), ``data``, ``grant``.
    i_stopped : ``In(1)``
        Nothing is granted.
    o_outside : ``Out``
        The ports that are valid with a row that there is not, a bit for each: those of ``reads``, then of ``writes``.
    """

    module_name = "sbuf"
    LATENCY = 1

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "reads": In(read_port(config)).array(len(read_ports(config))),
                "writes": In(write_port(config)).array(len(write_ports(config))),
                "i_stopped": In(1),
                "o_outside": Out(len(read_ports(config)) + len(write_ports(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        outside = [port.valid & port.row[self.config.row_address_bits :].any() for port in (*self.reads, *self.writes)]
        m.d.comb += self.o_outside.eq(Cat(outside))
        reads, writes = (self._grants(m, ports, kind) for kind, ports in (("read", self.reads), ("write", self.writes)))
        #: For each read port, one-hot, the bank that was read for it in the cycle before.
        self.selects = [Signal(self.config.banks, name=f"select_{number}") for number in range(len(reads))]
        m.d.sync += [select.eq(gets) for select, gets in zip(self.selects, reads, strict=True)]
        banks = [self._bank(m, bank, reads, writes) for bank in range(self.config.banks)]
        for lane in range(self.config.lanes):
            self._lane(m, lane, banks)
        return m

    def _grants(self, m: Module, ports, kind: str) -> list[Signal]:
        """For each port, one-hot, the bank that serves it in this cycle."""
        config = self.config
        local = (config.bank_rows - 1).bit_length()
        wanted, granted = [], []
        for number, port in enumerate(ports):
            wants = Signal(config.banks, name=f"{kind}_wants_{number}")
            gets = Signal(config.banks, name=f"{kind}_gets_{number}")
            # Rows count up to a power of two: a row that there is not is in no bank.
            bank = port.row[local:]
            m.d.comb += [
                wants.eq(Cat(port.valid & ~self.i_stopped & (bank == each) for each in range(config.banks))),
                gets.eq(wants & ~reduce(or_, wanted, 0)),
                port.grant.eq(gets.any()),
            ]
            wanted.append(wants)
            granted.append(gets)
        return granted

    def _bank(self, m: Module, bank: int, reads: list[Signal], writes: list[Signal]) -> dict[str, Value]:
        """What each lane of a bank does in this cycle."""
        local = (self.config.bank_rows - 1).bit_length()
        read, write = Cat(gets[bank] for gets in reads), Cat(gets[bank] for gets in writes)
        rows = {}
        for kind, gets, ports in (("read", read, self.reads), ("write", write, self.writes)):
            rows[kind] = Signal(local, name=f"{kind}_row_{bank}")
            m.d.comb += rows[kind].eq(of_one(gets, [port.row[:local] for port in ports]))
        return {"read": read.any(), "read_row": rows["read"], "write": write, "write_row": rows["write"]}

    def _lane(self, m: Module, lane: int, banks: list[dict[str, Value]]) -> None:
        words = place(m, f"lane_{lane}", SbufLane, self.config)
        m.d.comb += words.i_read.eq(Cat(bank["read"] for bank in banks))
        for number, bank in enumerate(banks):
            m.d.comb += [
                words.i_read_row[number].eq(bank["read_row"]),
                words.i_write[number].eq(bank["write"]),
                words.i_write_row[number].eq(bank["write_row"]),
            ]
        for number, port in enumerate(self.writes):
            m.d.comb += [
                words.i_enable[number].eq(port.enable.word_select(lane, WORD_BYTES)),
                words.i_data[number].eq(port.data.word_select(lane, 8 * WORD_BYTES)),
            ]
        for number, (port, select) in enumerate(zip(self.reads, self.selects, strict=True)):
            m.d.comb += [
                words.i_select[number].eq(select),
                port.data.word_select(lane, 8 * WORD_BYTES).eq(words.o_data[number]),
            ]
