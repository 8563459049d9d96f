"""The bench of a core's registers: a host and a core at random, and what docs/core.md says of every output."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

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
)
from arch.record import Field
from hw.core.registers import CoreRegisters
from verif.simulation.unit_bench import UnitBench

__all__ = ["CYCLES", "ports", "registers_bench"]

CYCLES = 30_000
#: Cycles at one pace.
STRETCH = 250
_PROGRAM = ("PROGRAM_LOW", "PROGRAM_HIGH", "PROGRAM_COUNT", "PAGES", "LIMIT")
_RESPONSE_AT = 32


class RegistersModel:
    """The registers, a cycle at a time, in plain Python."""

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        self.at = {register.address: register for register in registers(config)}
        self.reset()

    def reset(self) -> None:
        """Everything is 0."""
        self.program = dict.fromkeys(_PROGRAM, 0)
        self.counts = dict.fromkeys(counters(self.config), 0)
        self.address: int | None = None
        self.data: tuple[int, int] | None = None
        self.answer: int | None = None
        self.value: int | None = None
        self.offered = self.under_way = self.done = self.resets = False

    @property
    def running(self) -> bool:
        return self.offered or self.under_way

    def outputs(self, stopped: int) -> dict[str, int]:
        """What is to be seen in this cycle."""
        program = 0
        if self.offered:
            low, high, count, pages, limit = self.program.values()
            values = {"address": high << 32 | low, "instructions": count, "pages": pages, "limit": limit}
            program = program_layout(self.config).pack(**values)
        return {
            "i_aw__ready": self.address is None,
            "i_w__ready": self.data is None,
            "o_b__valid": self.answer is not None,
            "o_b__payload": self.answer or 0,
            "i_ar__ready": self.value is None,
            "o_r__valid": self.value is not None,
            "o_r__payload": self.value or 0,
            "o_program__valid": self.offered,
            "o_program__payload": program,
            "o_reset": self.resets,
            "o_interrupt": self.done or bool(stopped),
        }

    def step(self, given: dict[str, int]) -> None:
        """The edge that ends the cycle."""
        seen = self.outputs(given["i_stop"] & 1)
        read = self._read(given["i_ar__payload"], given["i_stop"]) if given["i_ar__valid"] else None
        writes = self.address is not None and self.data is not None and self.answer is None
        accepted = writes and self._accepts(given["i_stop"] & 1)
        command = self.data[0] if accepted and self.at[self.address].name == "CONTROL" else 0
        self._count(given, command)
        self._follow(given, command)
        if accepted and not command:
            self.program[self.at[self.address].name] = self.data[0]
        if seen["o_b__valid"] and given["o_b__ready"]:
            self.answer = None
        if writes:
            self.answer, self.address, self.data = OKAY if accepted else SLVERR, None, None
        if seen["i_aw__ready"] and given["i_aw__valid"]:
            self.address = given["i_aw__payload"]
        if seen["i_w__ready"] and given["i_w__valid"]:
            self.data = given["i_w__payload"] % (1 << 32), given["i_w__payload"] >> 32
        if seen["o_r__valid"]:
            self.value = None if given["o_r__ready"] else self.value
        elif read is not None:
            self.value = read

    def _accepts(self, stopped: int) -> bool:
        register, (data, strobes) = self.at.get(self.address), self.data
        if register is None or self.running or strobes != 0b1111 or data & ~register.writable or not register.writable:
            return False
        return register.name != "CONTROL" or data in (RESET, ACKNOWLEDGE) or (data == START and not stopped)

    def _follow(self, given: dict[str, int], command: int) -> None:
        ends = self.under_way and not given["i_running"]
        taken = self.offered and given["o_program__ready"]
        self.done = (self.done and not command) or ends
        self.under_way = taken or (self.under_way and not ends)
        self.offered = command == START or (self.offered and not taken)
        self.resets = command == RESET

    def _count(self, given: dict[str, int], command: int) -> None:
        if command == START:
            self.counts = dict.fromkeys(self.counts, 0)
        elif given["i_running"]:
            happens = {"CYCLES"}
            happens |= {"BEATS_READ"} if given["i_read"] else set()
            happens |= {"BEATS_WRITTEN"} if given["i_written"] else set()
            for number, queue in enumerate(self.config.queues):
                doing = given["i_doing"] >> 3 * number & 7
                happens |= {f"{queue}_{DOINGS[doing]}".upper()} if doing < len(DOINGS) else set()
            for name in happens & self.counts.keys():
                self.counts[name] = (self.counts[name] + 1) % (1 << COUNTER_BITS)

    def _read(self, address: int, stop: int) -> int:
        """Data and response."""
        register = self.at.get(address)
        if register is None or not register.readable:
            return SLVERR << _RESPONSE_AT
        stops = stop_layout().unpack(stop)
        status = self.running | self.done << 1 | stops["stopped"] << 2 | stops["error"] << 3
        known = {"ID": id_value(self.config), "STATUS": status, "ERROR_NUMBER": stops["number"]} | self.program
        if register.name in known:
            return known[register.name]
        name, _, half = register.name.rpartition("_")
        return self.counts[name] >> 32 if half == "HIGH" else self.counts[name] % (1 << 32)


@dataclass
class _Host:
    """Masters of the channels, each at a pace of its own: what is offered stays until it is taken."""

    config: CoreConfig
    rng: np.random.Generator
    offers: dict[str, int] = field(default_factory=dict)
    pace: np.ndarray = field(default_factory=lambda: np.ones(6))

    def __post_init__(self) -> None:
        self.addresses = {register.name: register.address for register in registers(self.config)}
        self.writable = {r.address: r.writable for r in registers(self.config) if r.writable}

    def goes(self, channel: int) -> bool:
        return self.rng.random() < self.pace[channel]

    def write(self) -> tuple[int, int]:
        """An address, and data with strobes that mostly fit it."""
        rng, kind = self.rng, self.rng.random()
        address = self.addresses["CONTROL"] if kind < 0.4 else int(rng.choice([*self.writable]))
        address = self.any_address() if kind > 0.8 else address
        data = int(rng.integers(1 << 32))
        if address == self.addresses["CONTROL"]:
            data = int(rng.choice([START, START, RESET, ACKNOWLEDGE, data % 8]))
        elif rng.random() < 0.7:
            data &= self.writable.get(address, 0)
        if address == self.addresses["PROGRAM_COUNT"] and rng.random() < 0.3:
            data = 0
        strobes = 0b1111 if rng.random() < 0.9 else int(rng.integers(16))
        return address, strobes << 32 | data

    def any_address(self) -> int:
        """One of a register, or near to one, or any."""
        near = int(self.rng.choice([*self.addresses.values()])) ^ (
            0 if self.rng.random() < 0.8 else 1 << int(self.rng.integers(12))
        )
        return near if self.rng.random() < 0.9 else int(self.rng.integers(1 << ADDRESS_WIDTH))

    def drive(self) -> dict[str, int]:
        """The inputs of a cycle."""
        rng, offers = self.rng, self.offers
        if "i_aw" not in offers and "i_w" not in offers and "rest" not in offers and self.goes(0):
            offers["i_aw"], offers["i_w"] = self.write()
            # One of them comes later.
            late = ("i_aw", "i_w", None)[int(rng.integers(3))]
            if late:
                offers["rest"] = (late, offers.pop(late))
        elif "rest" in offers and self.goes(1):
            late, payload = offers["rest"]
            if late not in offers:
                offers[late] = payload
                del offers["rest"]
        if "i_ar" not in offers and self.goes(2):
            offers["i_ar"] = self.any_address()
        noise = {"i_aw": ADDRESS_WIDTH, "i_w": 36, "i_ar": ADDRESS_WIDTH}
        return {
            **{f"{name}__valid": int(name in offers) for name in noise},
            **{f"{name}__payload": offers.get(name, int(rng.integers(1 << bits))) for name, bits in noise.items()},
            "o_b__ready": int(self.goes(3)),
            "o_r__ready": int(self.goes(4)),
        }


@dataclass
class _Device:
    """A core as its ports show it: it takes programs, runs for a while, stops at times until a reset."""

    config: CoreConfig
    rng: np.random.Generator
    left: int = 0
    stop: int = 0
    wild: bool = False

    def drive(self, host: _Host) -> dict[str, int]:
        rng, layout = self.rng, stop_layout()
        if not self.stop and rng.random() < 0.005:
            self.stop = 1 | int(rng.integers(1 << layout.width - 1)) << 1
        stop = self.stop or (int(rng.integers(1 << layout.width)) if self.wild else 0)
        return {
            "o_program__ready": int(host.goes(5)),
            "i_running": int(rng.random() < 0.5) if self.wild else int(self.left > 0),
            "i_stop": stop,
            "i_doing": int(rng.integers(1 << 3 * len(self.config.queues))),
            "i_read": int(rng.random() < 0.4),
            "i_written": int(rng.random() < 0.2),
        }

    def see(self, outputs: dict[str, int], given: dict[str, int]) -> None:
        self.left = max(0, self.left - 1)
        if outputs["o_program__valid"] and given["o_program__ready"]:
            count = program_layout(self.config).unpack(outputs["o_program__payload"])["instructions"]
            self.left = int(self.rng.integers(1, 60)) if count else 0
        if outputs["o_reset"] or given["i_reset"]:
            self.left = self.stop = 0


def _cycles(config: CoreConfig, rng: np.random.Generator) -> Iterator[dict[str, int]]:
    """Every port in every cycle."""
    model, host, device = RegistersModel(config), _Host(config, rng), _Device(config, rng)
    for cycle in range(CYCLES):
        if cycle % STRETCH == 0:
            host.pace, device.wild = rng.choice([1.0, 0.9, 0.5, 0.1], 6), rng.random() < 0.2
        given = host.drive() | device.drive(host) | {"i_reset": int(rng.random() < 0.01)}
        outputs = {name: int(value) for name, value in model.outputs(given["i_stop"] & 1).items()}
        yield given | outputs
        device.see(outputs, given)
        for name in ("i_aw", "i_w", "i_ar"):
            if outputs[f"{name}__ready"] or given["i_reset"]:
                host.offers.pop(name, None)
        if given["i_reset"]:
            host.offers.clear()
            model.reset()
        else:
            model.step(given)


def _values(config: CoreConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    cycles = list(_cycles(config, rng))
    values = {name: [cycle[name] for cycle in cycles] for name in cycles[0]}
    programs = values.pop("o_program__payload")
    words = np.array([[value >> 32 * word & 0xFFFFFFFF for word in range(4)] for value in programs], np.uint32)
    return {name: np.array(column, np.uint64) for name, column in values.items()} | {"o_program__payload": words}


def ports(config: CoreConfig) -> tuple[dict[str, int], dict[str, int]]:
    """Widths of the inputs, and of the outputs, by name."""
    inputs = {"i_aw__valid": 1, "i_aw__payload": ADDRESS_WIDTH, "i_w__valid": 1, "i_w__payload": 36, "o_b__ready": 1}
    inputs |= {"i_ar__valid": 1, "i_ar__payload": ADDRESS_WIDTH, "o_r__ready": 1, "o_program__ready": 1}
    inputs |= {"i_running": 1, "i_stop": stop_layout().width, "i_doing": 3 * len(config.queues)}
    inputs |= {"i_read": 1, "i_written": 1}
    outputs = {"i_aw__ready": 1, "i_w__ready": 1, "o_b__valid": 1, "o_b__payload": 2, "i_ar__ready": 1, "o_r__valid": 1}
    outputs |= {"o_r__payload": 34, "o_program__valid": 1, "o_program__payload": program_layout(config).width}
    return inputs, outputs | {"o_reset": 1, "o_interrupt": 1}


def registers_bench(config: CoreConfig) -> UnitBench:
    """Random traffic on all channels, a core that runs, ends and stops, and resets at any time."""
    inputs, outputs = ports(config)
    fields = [Field(name, width, drive=True) for name, width in ({"i_reset": 1} | inputs).items()]
    return UnitBench(
        name=CoreRegisters.module_name,
        block=partial(CoreRegisters, config),
        fields=(*fields, *(Field(name, width) for name, width in outputs.items())),
        values=partial(_values, config),
        has_clock=True,
    )
