"""Benches of the blocks that every unit is made with: random traffic at several paces, with resets in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from arch.record import Field
from hw.lib.arbiter import Arbiter
from hw.lib.emission import used
from hw.lib.memory import SyncMemory
from hw.lib.queue import StreamQueue
from hw.lib.register_slice import RegisterSlice
from verif.lib.models import ArbiterModel, MemoryModel, QueueModel, SliceModel
from verif.simulation.unit_bench import UnitBench

__all__ = ["BENCHES", "WIDTH"]

#: Cycles at each pace, and probabilities that a source offers and a sink takes.
CYCLES = 2_000
PACES = ((1.0, 1.0), (0.9, 0.2), (0.2, 0.9), (0.5, 0.5), (1.0, 0.5), (0.05, 1.0))
RESETS = 0.01
#: Bits of a payload.
WIDTH = 8


class _Model(Protocol):
    def outputs(self, inputs: dict[str, int]) -> dict[str, int]: ...
    def step(self, inputs: dict[str, int], reset: bool) -> None: ...


@dataclass(frozen=True)
class _Driver:
    """Chooses the inputs of a cycle. A source holds what it offers until it is taken, or a reset takes it back."""

    widths: Mapping[str, int]
    rng: np.random.Generator

    def inputs(self, before: Mapping[str, int], pace: tuple[float, float]) -> dict[str, int]:
        """``before``: those of the cycle before that are still on offer."""
        offers, takes = pace
        chosen = {}
        for name, width in self.widths.items():
            if name in before:
                chosen[name] = before[name]
            elif name.endswith(("valid", "_en")) and width == 1:
                chosen[name] = int(self.rng.random() < offers)
            elif name.endswith("ready"):
                chosen[name] = int(self.rng.random() < takes)
            else:
                chosen[name] = int(self.rng.integers(0, 1 << width))
        return chosen

    def kept(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> dict[str, int]:
        """The inputs that a source must hold in the next cycle."""
        kept = {}
        for name in inputs:
            stream = name.removesuffix("__valid")
            if stream != name and inputs[name] and not outputs[f"{stream}__ready"]:
                kept |= {name: 1, f"{stream}__payload": inputs[f"{stream}__payload"]}
        return kept


def _ports(block: wiring.Component) -> dict[str, tuple[bool, int]]:
    """Whether the block reads a port, and its width."""
    members = used(block).signature.flatten(block)
    return {"__".join(map(str, path)): (m.flow == In, len(Value.cast(value))) for path, m, value in members}


def _values(ports: dict[str, tuple[bool, int]], model: _Model, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every port in every cycle, outputs as the model has them; 0 where an output means nothing."""
    driver = _Driver({name: width for name, (driven, width) in ports.items() if driven}, rng)
    values: dict[str, list[int]] = {name: [] for name in ("i_reset", *ports)}
    kept: dict[str, int] = {}
    for pace in PACES:
        for _ in range(CYCLES):
            reset = bool(rng.random() < RESETS)
            inputs = driver.inputs(kept, pace)
            outputs = model.outputs(inputs)
            for name, seen in values.items():
                seen.append((inputs | outputs | {"i_reset": int(reset)}).get(name, 0))
            kept = {} if reset else driver.kept(inputs, outputs)
            model.step(inputs, reset)
    return {name: np.array(seen, np.uint64) for name, seen in values.items()}


def _bench(name: str, block: Callable[[], wiring.Component], model: Callable[[], _Model], **means: str) -> UnitBench:
    ports = _ports(block())
    fields = [Field("i_reset", 1, drive=True), *(Field(n, width, drive=drive) for n, (drive, width) in ports.items())]
    return UnitBench(
        name=name,
        block=block,
        fields=tuple(sorted(fields, key=lambda item: not item.drive)),
        values=lambda rng: _values(ports, model(), rng),
        has_clock=True,
        means=means,
    )


def _queue(depth: int) -> UnitBench:
    return _bench(
        f"stream_queue-{depth}",
        lambda: StreamQueue(WIDTH, depth),
        lambda: QueueModel(depth),
        o__payload="{pe}.o__valid",
    )


def _arbiter(inputs: int) -> UnitBench:
    ready = {f"i__{index}__ready": f"{{pe}}.i__{index}__valid" for index in range(inputs)}
    return _bench(
        f"arbiter-{inputs}",
        lambda: Arbiter(WIDTH, inputs),
        lambda: ArbiterModel(inputs),
        o__payload="{pe}.o__valid",
        **ready,
    )


def _memory(name: str, width: int, depth: int, reads: int, collision: str, granule: int | None = None) -> UnitBench:
    return _bench(
        f"memory-{name}",
        lambda: SyncMemory(width, depth, reads, collision, granule),
        lambda: MemoryModel(width, depth, reads, granule or width),
    )


def _benches() -> dict[str, UnitBench]:
    benches = [
        *map(_queue, (2, 3, 5, 16)),
        _bench("register_slice", lambda: RegisterSlice(WIDTH), SliceModel, o__payload="{pe}.o__valid"),
        *map(_arbiter, (2, 3, 5)),
        _memory("one_read", 8, 16, 1, "old"),
        _memory("two_reads", 5, 8, 2, "any"),
        _memory("granules", 12, 8, 1, "old", 4),
        _memory("one_word", 3, 2, 1, "old"),
    ]
    return {bench.name: bench for bench in benches}


#: Every bench by name.
BENCHES = _benches()
