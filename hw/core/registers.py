"""Registers: the host's side of a core, behind AXI4-Lite."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.layouts import DOINGS, program_layout, stop_layout
from arch.core.registers import (
    ACKNOWLEDGE,
    ADDRESS_WIDTH,
    COUNTER_BITS,
    OKAY,
    RESET,
    SLVERR,
    START,
    counters,
    id_value,
    registers,
    status_layout,
)
from arch.layout import Layout
from hw.lib.blocks import struct

__all__ = ["DOING_BITS", "CoreRegisters"]

#: Width of what a queue is doing.
DOING_BITS = (len(DOINGS) - 1).bit_length()
_WRITE = Layout(data=32, strobes=4)
_ANSWER = Layout(response=2)
_READ = Layout(data=32, response=2)


class CoreRegisters(wiring.Component):
    """What a host writes and reads of a core; docs/core.md has the map and each rule.

    A write is carried out when its address and its data are there and no answer waits; its answer is offered from the
    next cycle on. Every output is a register, or follows from registers alone.

    Latency: 2 cycles from the later of a write's address and data to its answer, 1 from a read's address to its data.
    Throughput: a write and a read in 2 cycles.

    Members
    -------
    i_aw, i_w, o_b, i_ar, o_r : streams
        AXI4-Lite's channels: a byte address; data and strobes; a response; a byte address; data and a response.
    o_program : ``Out(stream.Signature(program_layout))``
        What is to be run.
    i_running, i_stop, i_doing
        The core's; ``i_doing`` of all queues, the first lowest.
    i_read, i_written : ``In(1)``
        A beat of memory is transferred in this cycle.
    o_reset : ``Out(1)``
        The core is to be reset.
    o_interrupt : ``Out(1)``
        A program has ended, or the core is stopped.
    """

    module_name = "core_registers"

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "i_aw": In(stream.Signature(ADDRESS_WIDTH)),
                "i_w": In(stream.Signature(struct(_WRITE))),
                "o_b": Out(stream.Signature(struct(_ANSWER))),
                "i_ar": In(stream.Signature(ADDRESS_WIDTH)),
                "o_r": Out(stream.Signature(struct(_READ))),
                "o_program": Out(stream.Signature(struct(program_layout(config)))),
                "i_running": In(1),
                "i_stop": In(struct(stop_layout())),
                "i_doing": In(DOING_BITS * len(config.queues)),
                "i_read": In(1),
                "i_written": In(1),
                "o_reset": Out(1),
                "o_interrupt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self.table = {register.name: register for register in registers(self.config)}
        #: A write waits to be carried out or refused; its register may hold its data; it is carried out.
        self.write = Signal()
        self.fits = Signal()
        self.accepted = Signal()
        self.address = Signal(ADDRESS_WIDTH)
        self.data = Signal(32)
        self.start = Signal()
        self.running = Signal()
        self.done = Signal()
        self._write(m)
        written = self._program(m)
        self._control(m)
        self._read(m, written | self._counters(m))
        return m

    def _write(self, m: Module) -> None:
        """Address and data wait for each other, and for the answer before."""
        address_there = Signal()
        data_there = Signal()
        strobes = Signal(4)
        m.d.comb += [
            self.i_aw.ready.eq(~address_there),
            self.i_w.ready.eq(~data_there),
            self.write.eq(address_there & data_there & ~self.o_b.valid),
        ]
        with m.If(self.i_aw.valid & self.i_aw.ready):
            m.d.sync += [address_there.eq(1), self.address.eq(self.i_aw.payload)]
        with m.If(self.i_w.valid & self.i_w.ready):
            m.d.sync += [data_there.eq(1), self.data.eq(self.i_w.payload.data), strobes.eq(self.i_w.payload.strobes)]
        m.d.comb += self.accepted.eq(self.write & self.fits & strobes.all() & ~self.running)
        with m.If(self.write):
            m.d.sync += [address_there.eq(0), data_there.eq(0), self.o_b.valid.eq(1)]
            m.d.sync += self.o_b.payload.response.eq(Mux(self.accepted, OKAY, SLVERR))
        with m.Elif(self.o_b.ready):
            m.d.sync += [self.o_b.valid.eq(0), self.o_b.payload.response.eq(0)]
        with m.Switch(self.address):
            for register in self.table.values():
                if register.writable:
                    with m.Case(register.address):
                        m.d.comb += self.fits.eq(self._fits(register.name, register.writable))

    def _fits(self, name: str, writable: int) -> Value:
        """Whether the data may be written to a register."""
        if name != "CONTROL":
            return (self.data & (0xFFFFFFFF ^ writable)) == 0
        # A program offered to a stopped core would wait for its reset.
        start = (self.data == START) & ~self.i_stop.stopped
        return start | (self.data == RESET) | (self.data == ACKNOWLEDGE)

    def _program(self, m: Module) -> dict[str, Value]:
        """The registers of a program, and the program that is offered."""
        values = {}
        for name in ("PROGRAM_LOW", "PROGRAM_HIGH", "PROGRAM_COUNT", "PAGES", "LIMIT"):
            register = self.table[name]
            values[name] = value = Signal(register.writable.bit_length(), name=name.lower())
            with m.If(self.accepted & (self.address == register.address)):
                m.d.sync += value.eq(self.data)
        low, high, count, pages, limit = values.values()
        with m.If(self.o_program.valid):
            m.d.comb += Value.cast(self.o_program.payload).eq(Cat(low, high, count, pages, limit))
        return values

    def _control(self, m: Module) -> None:
        """Start, what follows it, and reset."""
        under_way = Signal()
        control = self.accepted & (self.address == self.table["CONTROL"].address)
        m.d.comb += [
            self.start.eq(control & (self.data == START)),
            self.running.eq(self.o_program.valid | under_way),
            self.o_interrupt.eq(self.done | self.i_stop.stopped),
        ]
        m.d.sync += self.o_reset.eq(control & (self.data == RESET))
        with m.If(control):
            m.d.sync += self.done.eq(0)
        with m.If(self.start):
            m.d.sync += self.o_program.valid.eq(1)
        with m.If(self.o_program.valid & self.o_program.ready):
            m.d.sync += [self.o_program.valid.eq(0), under_way.eq(1)]
        with m.Elif(under_way & ~self.i_running):
            m.d.sync += [under_way.eq(0), self.done.eq(1)]

    def _counters(self, m: Module) -> dict[str, Value]:
        """Halves of the counters by the names of their registers."""
        counts = [1, self.i_read, self.i_written]
        for queue in range(len(self.config.queues)):
            doing = self.i_doing.word_select(queue, DOING_BITS)
            counts += [doing == number for number in range(1, len(DOINGS))]
        halves = {}
        for name, counted in zip(counters(self.config), counts, strict=True):
            counter = Signal(COUNTER_BITS, name=name.lower())
            with m.If(self.start):
                m.d.sync += counter.eq(0)
            with m.Elif(self.i_running & counted):
                m.d.sync += counter.eq(counter + 1)
            halves |= {f"{name}_LOW": counter[:32], f"{name}_HIGH": counter[32:]}
        return halves

    def _read(self, m: Module, values: dict[str, Value]) -> None:
        """A value as it is in the cycle in which its address is taken."""
        status = Signal(struct(status_layout()))
        m.d.comb += [
            status.running.eq(self.running),
            status.done.eq(self.done),
            status.stopped.eq(self.i_stop.stopped),
            status.error.eq(self.i_stop.error),
        ]
        values = values | {"ID": id_value(self.config), "STATUS": status, "ERROR_NUMBER": self.i_stop.number}
        data = Signal(32, name="read")
        known = Signal()
        with m.Switch(self.i_ar.payload):
            for name, value in values.items():
                with m.Case(self.table[name].address):
                    m.d.comb += [data.eq(value), known.eq(1)]
        m.d.comb += self.i_ar.ready.eq(~self.o_r.valid)
        with m.If(self.i_ar.valid & self.i_ar.ready):
            m.d.sync += [
                self.o_r.valid.eq(1),
                self.o_r.payload.data.eq(data),
                self.o_r.payload.response.eq(Mux(known, OKAY, SLVERR)),
            ]
        with m.Elif(self.o_r.ready):
            m.d.sync += [self.o_r.valid.eq(0), self.o_r.payload.eq(0)]
