"""Runs inside the simulator: a host and a memory of cocotbext-axi drive the core's AXI wrapper."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from arch.core.layouts import ERRORS, PAGE_BYTES
from arch.core.presets import CORES
from arch.core.registers import ACKNOWLEDGE, RESET, START, id_value, registers
from verif.simulation.leash import follow_parent

SETUP = json.loads(Path(cocotb.plusargs["setup"]).read_text(encoding="utf-8"))
CONFIG = CORES[SETUP["config"]]
AT = {register.name: register.address for register in registers(CONFIG)}
#: Nanoseconds of a cycle, and the longest program's.
PERIOD, LONGEST = 2, 2 * 5_000
#: Of each channel that the wrapper offers: what must stay until it is taken.
OFFERED = {
    "m_axi_aw": ("awaddr", "awlen"),
    "m_axi_w": ("wdata", "wstrb", "wlast"),
    "m_axi_ar": ("araddr", "arlen"),
    "s_axil_b": ("bresp",),
    "s_axil_r": ("rdata", "rresp"),
}
TAKEN = ("m_axi_b", "m_axi_r", "s_axil_aw", "s_axil_w", "s_axil_ar")


class Bench:
    """Clock, host, memory, and monitors of every channel."""

    def __init__(self, dut, name: str, pause: float) -> None:
        follow_parent()
        self.dut, self.rng, self.pause = dut, Random(f"{SETUP['seed']} {name}"), pause
        self.image, self.expected = (Path(SETUP[key]).read_bytes() for key in ("image", "expected"))
        #: Beats that memory gave and took.
        self.read = self.written = 0

    async def start(self) -> None:
        """Clock and reset; then a host and a memory, which pause at random."""
        dut = self.dut
        Clock(dut.aclk, PERIOD, unit="ns").start()
        dut.aresetn.value = 0
        self.host = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, dut.aresetn, reset_active_level=False
        )
        self.ram = AxiRam(
            AxiBus.from_prefix(dut, "m_axi"), dut.aclk, dut.aresetn, reset_active_level=False, size=SETUP["size"]
        )
        for end in (self.host, self.ram):
            for side, channels in (("write_if", ("aw", "w", "b")), ("read_if", ("ar", "r"))):
                for channel in channels:
                    getattr(getattr(end, side), f"{channel}_channel").set_pause_generator(self._pauses())
        cocotb.start_soon(self._watch())
        await ClockCycles(dut.aclk, 3)
        dut.aresetn.value = 1
        await ClockCycles(dut.aclk, 1)

    def _pauses(self) -> Iterator[bool]:
        """A pace of its own for so many cycles."""
        while True:
            pace = self.rng.choice([0.0, self.pause, 1.2 * self.pause])
            for _ in range(self.rng.randrange(5, 60)):
                yield self.rng.random() < pace

    async def _watch(self) -> None:
        """What is offered stays, and is where the program may be; in a reset nothing is offered or taken."""
        dut, held = self.dut, {}
        while True:
            await RisingEdge(dut.aclk)
            # What is driven at this edge: it stands until the next.
            await ReadOnly()
            if not int(dut.aresetn.value):
                for channel, wire in [*((c, "valid") for c in OFFERED), *((c, "ready") for c in TAKEN)]:
                    assert not int(getattr(dut, f"{channel}{wire}").value), f"{channel}{wire} in a reset"
                held.clear()
                continue
            for channel, parts in OFFERED.items():
                prefix = channel.rpartition("_")[0]
                valid, ready = (int(getattr(dut, f"{channel}{wire}").value) for wire in ("valid", "ready"))
                payload = [int(getattr(dut, f"{prefix}_{part}").value) for part in parts] if valid else None
                assert held.get(channel) in (None, payload), f"{channel} changed before it was taken"
                held[channel] = payload if valid and not ready else None
                if valid and channel in ("m_axi_aw", "m_axi_ar"):
                    assert 0 <= payload[0] - SETUP["base"] < SETUP["size"], hex(payload[0])
            self.read += int(dut.m_axi_rvalid.value) and int(dut.m_axi_rready.value)
            self.written += int(dut.m_axi_wvalid.value) and int(dut.m_axi_wready.value)

    async def write(self, name: str, value: int) -> AxiResp:
        """A register; the response."""
        return (await self.host.write(AT[name], value.to_bytes(4, "little"))).resp

    async def value(self, name: str) -> int:
        """Of a register, which must be one that is read."""
        answer = await self.host.read(AT[name], 4)
        assert answer.resp == AxiResp.OKAY, name
        return int.from_bytes(answer.data, "little")

    async def status(self) -> dict[str, int]:
        value = await self.value("STATUS")
        return {"running": value & 1, "done": value >> 1 & 1, "stopped": value >> 2 & 1, "error": value >> 3}

    async def load(self, **changed: int) -> None:
        """Memory and the program's registers."""
        self.ram.write(SETUP["base"] % SETUP["size"], self.image)
        registers = {
            "PROGRAM_LOW": SETUP["address"] % (1 << 32),
            "PROGRAM_HIGH": SETUP["address"] >> 32,
            "PROGRAM_COUNT": SETUP["count"],
            "PAGES": -(-(SETUP["base"] + SETUP["size"]) // PAGE_BYTES),
            "LIMIT": 0,
        }
        for name, value in (registers | changed).items():
            assert await self.write(name, value) == AxiResp.OKAY, name
            assert await self.value(name) == value, name
        self.read = self.written = 0

    async def run(self) -> None:
        """Start, and wait for the interrupt."""
        assert not int(self.dut.irq.value)
        assert await self.write("CONTROL", START) == AxiResp.OKAY
        await with_timeout(RisingEdge(self.dut.irq), LONGEST, "ns")

    def compare(self) -> None:
        """Memory is what the executor says."""
        found = self.ram.read(SETUP["base"] % SETUP["size"], len(self.expected))
        wrong = [at for at, (a, b) in enumerate(zip(found, self.expected, strict=True)) if a != b]
        assert not wrong, f"{len(wrong)} bytes of memory differ, the first at {SETUP['base'] + wrong[0]:#x}"


def bench_test(test):
    """A test, unless another one alone is wanted."""
    return cocotb.test(skip=SETUP["only"] not in ("", test.__name__))(test)


async def _programs(dut, name: str, pause: float, times: int) -> Bench:
    bench = Bench(dut, name, pause)
    await bench.start()
    assert await bench.value("ID") == id_value(CONFIG)
    for _ in range(times):
        await bench.load()
        await bench.run()
        assert await bench.status() == {"running": 0, "done": 1, "stopped": 0, "error": 0}
        bench.compare()
        beats = await bench.value("BEATS_READ_LOW"), await bench.value("BEATS_WRITTEN_LOW")
        assert beats == (bench.read, bench.written) and min(beats) > 0, beats
        assert max(beats) < await bench.value("CYCLES_LOW") < LONGEST and await bench.value("CYCLES_HIGH") == 0
        assert await bench.write("CONTROL", ACKNOWLEDGE) == AxiResp.OKAY
        assert not int(dut.irq.value) and not (await bench.status())["done"]
    return bench


@bench_test
async def runs_without_a_pause(dut) -> None:
    await _programs(dut, "flat out", 0.0, 2)


@bench_test
async def runs_with_pauses(dut) -> None:
    await _programs(dut, "pauses", 0.5, 3)


@bench_test
async def refuses(dut) -> None:
    """What a running core is told, and what no register may hold."""
    bench = Bench(dut, "refuses", 0.3)
    await bench.start()
    await bench.load()
    for name, value in (("CONTROL", 3), ("CONTROL", 0), ("PROGRAM_LOW", 1), ("PROGRAM_HIGH", 256), ("STATUS", 0)):
        assert await bench.write(name, value) == AxiResp.SLVERR, name
    assert (await bench.host.write(AT["LIMIT"], b"\1")).resp == AxiResp.SLVERR
    assert (await bench.host.read(AT["CONTROL"], 4)).resp == AxiResp.SLVERR
    assert await bench.write("CONTROL", START) == AxiResp.OKAY
    assert (await bench.status())["running"]
    for name, value in (("CONTROL", START), ("CONTROL", RESET), ("LIMIT", 5)):
        assert await bench.write(name, value) == AxiResp.SLVERR, name
    await with_timeout(RisingEdge(dut.irq), LONGEST, "ns")
    bench.compare()


@bench_test
async def is_reset_at_any_time(dut) -> None:
    bench = Bench(dut, "resets", 0.3)
    await bench.start()
    for _ in range(6):
        await bench.load()
        assert await bench.write("CONTROL", START) == AxiResp.OKAY
        await ClockCycles(dut.aclk, bench.rng.randrange(400))
        dut.aresetn.value = 0
        await ClockCycles(dut.aclk, bench.rng.randrange(1, 4))
        dut.aresetn.value = 1
        assert await bench.value("LIMIT") == await bench.value("PAGES") == await bench.value("STATUS") == 0
        await bench.load()
        await bench.run()
        bench.compare()


@bench_test
async def stops_and_is_reset(dut) -> None:
    """A program without a page of memory stops; after a reset it runs."""
    bench = Bench(dut, "stops", 0.3)
    await bench.start()
    for _ in range(3):
        await bench.load(PAGES=0)
        await bench.run()
        while (status := await bench.status())["running"]:
            pass
        assert status == {"running": 0, "done": 1, "stopped": 1, "error": 1 + ERRORS.index("memory")}, status
        assert await bench.value("ERROR_NUMBER") == 0
        assert await bench.write("CONTROL", START) == AxiResp.SLVERR
        assert int(dut.irq.value)
        assert await bench.write("CONTROL", RESET) == AxiResp.OKAY
        assert await bench.status() == {"running": 0, "done": 0, "stopped": 0, "error": 0}
        await bench.load()
        await bench.run()
        bench.compare()
        assert await bench.write("CONTROL", ACKNOWLEDGE) == AxiResp.OKAY
