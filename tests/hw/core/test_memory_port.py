"""The memory port, every output in every cycle against a model of a few lines, with random requesters and memory."""

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from amaranth.hdl import Cat, Value
from amaranth.sim import Simulator

from arch.core.config import CoreConfig
from arch.core.layouts import PAGE_BYTES, burst_layout, read_beat_layout, write_beat_layout
from arch.core.timing import WRITES_IN_FLIGHT
from arch.tensor.presets import PRESETS
from hw.core.memory_port import MemoryPort

SEED = 33
CYCLES = 1600
CONFIG = CoreConfig(engine=PRESETS["tiny"], beat_bytes=8, dma_queues=3, reads_in_flight=4)


@dataclass
class _Offers:
    """Streams that the bench drives: what is offered stays until it is taken."""

    rng: np.random.Generator
    idle: float
    waits: dict = field(default_factory=dict)

    def offer(self, name, make, may: bool = True) -> tuple[int, int]:
        if name not in self.waits and may and self.rng.random() >= self.idle:
            self.waits[name] = make()
        return (1, self.waits[name]) if name in self.waits else (0, 0)

    def ready(self) -> int:
        return int(self.rng.random() >= self.idle)


@dataclass
class _Arbiter:
    stalled: int | None = None

    def chosen(self, valids: list[int]) -> int | None:
        if self.stalled is not None:
            return self.stalled
        return valids.index(1) if 1 in valids else None


class _Model:
    """What the port does, by docs/core.md."""

    def __init__(self, config: CoreConfig):
        self.config = config
        self.arbiters = {"o_ar": _Arbiter(), "o_aw": _Arbiter()}
        #: Whose bursts wait for beats, for answers, and those whose beats are not all out.
        self.readers, self.writers, self.senders = deque(), deque(), deque()
        #: Offered in the cycle before, and not taken.
        self.held = {"o_ar": False, "o_aw": False}

    def cycle(self, given: dict) -> dict:
        """The outputs of a cycle: transfers in it are part of the next one's state."""
        quiet = not self.readers and not self.writers
        out = {"outside": []}
        takes = {}
        for name, asks, may in (
            ("o_ar", given["read_ask"], len(self.readers) < self.config.reads_in_flight),
            ("o_aw", given["write_ask"], len(self.writers) < WRITES_IN_FLIGHT),
        ):
            arbiter = self.arbiters[name]
            chosen = arbiter.chosen([valid for valid, _ in asks])
            outside = chosen is not None and _page(self.config, asks[chosen][1]) >= given["pages"]
            goes = chosen is not None and may and not outside and (not given["stopped"] or self.held[name])
            out["outside"].append(chosen if outside else None)
            out[name] = (1, asks[chosen][1]) if goes else (0, 0)
            taken = goes and given[f"{name}_ready"]
            takes[name] = chosen if taken else None
            out[f"{name}_asked"] = [int(taken and index == chosen) for index in range(len(asks))]
            arbiter.stalled = None if taken else chosen
            self.held[name] = goes and not taken
            quiet &= not goes
        out["quiet"] = int(quiet)
        out["failed"] = []
        self._read(given, out, takes["o_ar"])
        self._write(given, out, takes["o_aw"])
        return out

    def _read(self, given: dict, out: dict, asked: int | None) -> None:
        reader = self.readers[0] if self.readers else None
        beat = given["i_r"]
        out["read_beat"] = [beat if index == reader else (0, 0) for index in range(1 + self.config.dma_queues)]
        out["i_r_ready"] = int(reader is not None and given["beat_ready"][reader])
        fails = beat[0] and out["i_r_ready"] and read_beat_layout(self.config).unpack(beat[1])["response"]
        out["failed"].append(reader if fails else None)
        if beat[0] and out["i_r_ready"] and read_beat_layout(self.config).unpack(beat[1])["last"]:
            self.readers.popleft()
        if asked is not None:
            self.readers.append(asked)

    def _write(self, given: dict, out: dict, asked: int | None) -> None:
        sender = self.senders[0] if self.senders else None
        out["o_w"] = given["write_beat"][sender] if sender is not None else (0, 0)
        queues = range(self.config.dma_queues)
        out["beat_taken"] = [int(index == sender and given["o_w_ready"]) for index in queues]
        out["answered"] = [int(given["i_b"] and self.writers[0] == index) for index in queues]
        out["i_b_ready"] = 1
        out["failed"].append(self.writers[0] if given["i_b"] and given["response"] else None)
        if given["i_b"]:
            self.writers.popleft()
        if out["o_w"][0] and given["o_w_ready"] and _is_last(self.config, out["o_w"][1]):
            self.senders.popleft()
        if asked is not None:
            self.writers.append(asked)
            self.senders.append(asked)


def _page(config: CoreConfig, burst: int) -> int:
    """The page that a burst begins in."""
    return burst_layout(config).unpack(burst)["address"] // PAGE_BYTES


def _is_last(config: CoreConfig, beat: int) -> int:
    """Whether a beat written is the last of its burst."""
    return write_beat_layout(config).unpack(beat)["last"]


def _stream(stream) -> Value:
    return Cat(stream.valid, stream.payload)


def _given(config: CoreConfig, offers: _Offers, model: _Model, to_answer: int, answers: bool) -> dict:
    """What requesters and memory drive: anything, but beats and answers only of what was asked for."""
    rng = offers.rng

    def noise(layout) -> int:
        return int.from_bytes(rng.bytes(-(-layout.width // 8)), "little") & (1 << layout.width) - 1

    queues = range(config.dma_queues)
    burst, read, write = burst_layout(config), read_beat_layout(config), write_beat_layout(config)
    return {
        "read_ask": [offers.offer(("read_ask", index), lambda: noise(burst)) for index in range(1 + len(queues))],
        "write_ask": [offers.offer(("write_ask", index), lambda: noise(burst)) for index in queues],
        "write_beat": [offers.offer(("write_beat", index), lambda: noise(write)) for index in queues],
        "i_r": offers.offer("i_r", lambda: noise(read), bool(model.readers)),
        "i_b": int(to_answer > 0 and answers and rng.random() < 0.5),
        "response": int(rng.integers(4)),
        "beat_ready": [offers.ready() for _ in range(1 + len(queues))],
        **{f"{name}_ready": offers.ready() for name in ("o_ar", "o_aw", "o_w")},
    }


def _drive(ctx, port: MemoryPort, given: dict) -> None:
    for name, ports in (("read_ask", [r.ask for r in port.reads]), ("write_ask", [w.ask for w in port.writes])):
        for stream, (valid, payload) in zip(ports, given[name], strict=True):
            ctx.set(_stream(stream), payload << 1 | valid)
    for writer, (valid, payload) in zip(port.writes, given["write_beat"], strict=True):
        ctx.set(_stream(writer.beat), payload << 1 | valid)
    valid, payload = given["i_r"]
    ctx.set(_stream(port.i_r), payload << 1 | valid)
    ctx.set(port.i_b.valid, given["i_b"])
    ctx.set(Value.cast(port.i_b.payload), given["response"])
    ctx.set(Cat(port.i_pages, port.i_stopped), given["stopped"] << len(port.i_pages) | given["pages"])
    for reader, ready in zip(port.reads, given["beat_ready"], strict=True):
        ctx.set(reader.beat.ready, ready)
    for name in ("o_ar", "o_aw", "o_w"):
        ctx.set(getattr(port, name).ready, given[f"{name}_ready"])


def _seen(ctx, port: MemoryPort, given: dict) -> dict:
    def stream(one) -> tuple[int, int]:
        return ctx.get(one.valid), ctx.get(Value.cast(one.payload))

    return {
        **{name: stream(getattr(port, name)) for name in ("o_ar", "o_aw", "o_w")},
        # A ready means something where something is offered.
        "o_ar_asked": [ctx.get(reader.ask.ready & reader.ask.valid) for reader in port.reads],
        "o_aw_asked": [ctx.get(writer.ask.ready & writer.ask.valid) for writer in port.writes],
        "read_beat": [stream(reader.beat) for reader in port.reads],
        "beat_taken": [ctx.get(writer.beat.ready) for writer in port.writes],
        "answered": [ctx.get(writer.answered) for writer in port.writes],
        "i_r_ready": ctx.get(port.i_r.ready),
        "i_b_ready": ctx.get(port.i_b.ready),
        "quiet": ctx.get(port.o_quiet),
        **{
            name: [ctx.get(whose) if bits >> index & 1 else None for index, whose in enumerate(owners)]
            for name, bits, owners in (
                ("outside", ctx.get(port.o_outside), (port.o_asker, port.o_writer)),
                ("failed", ctx.get(port.o_failed), (port.o_reader, port.o_answered)),
            )
        },
    }


@pytest.mark.parametrize("queues", [1, 3])
@pytest.mark.parametrize("idle", [0, 0.5])
def test_every_output_in_every_cycle(queues, idle):
    print(f"seed {SEED}")
    config = replace(CONFIG, dma_queues=queues)
    port, model, offers = MemoryPort(config), _Model(config), _Offers(np.random.default_rng(SEED), idle)
    seen_of = dict.fromkeys(("reads", "writes", "bursts", "outside", "failed", "quiet", "held"), 0)

    async def bench(ctx):
        to_answer = 0
        for cycle in range(CYCLES):
            # Memory answers for a while, and then not.
            given = _given(config, offers, model, to_answer, cycle // 200 % 2)
            # Of the first half every page is the program's; now and then the core is stopped, mostly not for long.
            given |= {"pages": (1 << 28) * 9 // 10 if cycle % 50 > 25 and cycle > CYCLES // 2 else 1 << 28}
            given |= {"stopped": int(cycle % 70 > 40 or cycle % 1000 > 700)}
            _drive(ctx, port, given)
            seen, want = _seen(ctx, port, given), model.cycle(given)
            assert seen == want, (cycle, given)
            _forget(offers, want, given)
            ends = want["o_w"][0] and given["o_w_ready"] and _is_last(config, want["o_w"][1])
            to_answer += ends - given["i_b"]
            seen_of["reads"] += len(model.readers) == config.reads_in_flight
            seen_of["writes"] += len(model.writers) == WRITES_IN_FLIGHT
            seen_of["bursts"] += ends
            seen_of["outside"] += want["outside"] != [None, None]
            seen_of["failed"] += want["failed"] != [None, None]
            seen_of["quiet"] += want["quiet"]
            seen_of["held"] += given["stopped"] and (want["o_ar"][0] or want["o_aw"][0])
            await ctx.tick()

    simulator = Simulator(port)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    # Where nothing idles, memory takes all that is offered, and there is always more.
    assert min(times for name, times in seen_of.items() if idle or name not in ("held", "quiet")) > 5, seen_of


def _forget(offers: _Offers, out: dict, given: dict) -> None:
    """What was taken is no longer offered."""
    for name, kind in (("read_ask", "o_ar_asked"), ("write_ask", "o_aw_asked"), ("write_beat", "beat_taken")):
        for index, taken in enumerate(out[kind]):
            if taken:
                offers.waits.pop((name, index), None)
    if out["i_r_ready"]:
        offers.waits.pop("i_r", None)
