"""SBUF: the core's memory, in banks that each serve a read and a write in a cycle."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.layouts import PORT_ROW_BITS
from arch.core.signals import read_ports, write_ports
from hw.lib.blocks import place
from hw.lib.memory import SyncMemory

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
        granted = [self._grants(m, ports, kind) for kind, ports in (("read", self.reads), ("write", self.writes))]
        data = [self._bank(m, bank, *granted) for bank in range(self.config.banks)]
        for number, port in enumerate(self.reads):
            # The bank that was read for the port, one-hot.
            read = Signal(self.config.banks, name=f"read_{number}")
            m.d.sync += read.eq(granted[0][number])
            m.d.comb += port.data.eq(_of_one(read, data))
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

    def _bank(self, m: Module, bank: int, reads: list[Signal], writes: list[Signal]) -> Value:
        """A bank's memory; returns the row read last."""
        config = self.config
        local = (config.bank_rows - 1).bit_length()
        read, write = Cat(gets[bank] for gets in reads), Cat(gets[bank] for gets in writes)
        enable = Signal(config.row_bits // 8, name=f"enable_{bank}")
        written = Signal(config.row_bits, name=f"written_{bank}")
        read_address, write_address = (Signal(local, name=f"{kind}_address_{bank}") for kind in ("read", "write"))
        m.d.comb += [
            read_address.eq(_of_one(read, [port.row[:local] for port in self.reads])),
            write_address.eq(_of_one(write, [port.row[:local] for port in self.writes])),
            enable.eq(_of_one(write, [port.enable for port in self.writes])),
            written.eq(_of_one(write, [port.data for port in self.writes])),
        ]
        words = place(
            m,
            f"bank_{bank}",
            SyncMemory,
            config.row_bits,
            config.bank_rows,
            1,
            "old",
            8,
            reads__0__en=read.any(),
            reads__0__address=read_address,
            write__en=enable,
            write__address=write_address,
            write__data=written,
        )
        return words.reads[0].data


def _of_one(select: Value, values: list[Value]) -> Value:
    """The value whose bit is set, 0 if none is."""
    return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(select, values, strict=True)))
