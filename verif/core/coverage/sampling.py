"""Counts what the plan of a core declares, in the records of its golden model."""

from collections import Counter

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import FUNCTION_NAMES, INSTRUCTION_BYTES, OPERATIONS, REDUCTIONS, Instruction, decode
from arch.core.signals import core_record, read_ports, write_ports
from verif.core.coverage.plan import AMOUNTS, AT_FAULT, CHANNELS, KINDS, MASKS, SIDES, SOURCES, TILES, TYPES, plan
from verif.coverage.points import Hits

__all__ = ["CoreSampler"]

_INPUTS = ("i_r", "i_b")


class CoreSampler:
    """Watches one run: see ``verif.coverage.hook.Sampler``."""

    def __init__(self, config: CoreConfig) -> None:
        self.config, self._record, self._hits = config, core_record(config), Hits(plan(config))
        self._outstanding: Counter = Counter()
        #: Names of the instructions of the program that were given to their queues.
        self._given: list[str] = []
        self._stopped = False

    def hits(self) -> Hits:
        return self._hits

    def see(self, trace: np.ndarray) -> None:
        self._dispatch(trace)
        self._stop(trace)
        self._queues(trace)
        self._ports("read", trace, read_ports(self.config))
        self._ports("write", trace, write_ports(self.config))
        self._streams(trace)

    def _flag(self, trace: np.ndarray, name: str, row: int | None = None) -> np.ndarray:
        """Bit 0 of a signal in each cycle."""
        return trace[:, self._record.at(name, row).start] & 1

    def _bits(self, trace: np.ndarray, name: str, row: int | None, part: str) -> np.ndarray:
        """A part of at most 24 bits of a signal in each cycle."""
        layout = self._record.layouts[name]
        low, start = layout.offset(part), self._record.at(name, row).start
        words = trace[:, start + low // 32 : min(start + low // 32 + 2, self._record.words)].astype(np.uint64)
        both = words[:, 0] | (words[:, 1] << np.uint64(32) if words.shape[1] > 1 else np.uint64(0))
        return (both >> np.uint64(low % 32) & np.uint64((1 << layout.fields[part]) - 1)).astype(np.int64)

    # ---- instructions ---------------------------------------------------------------------------

    def _dispatch(self, trace: np.ndarray) -> None:
        """Each instruction that goes to its queue, and what it waits for."""
        words, queues = self._record.at("dispatched"), self.config.queues
        done = np.stack([self._flag(trace, "completes", row) for row in range(len(queues))], axis=1)
        taken = self._flag(trace, "i_program__valid") & self._flag(trace, "i_program__ready")
        given = self._flag(trace, "dispatched")
        events = np.flatnonzero(given | done.any(axis=1) | taken)
        for cycle in events:
            for row, queue in enumerate(queues):
                self._outstanding[queue] -= int(done[cycle, row])
            if taken[cycle]:
                # Behind a reset, what the program before has left undone is gone.
                self._outstanding.clear()
                self._given.clear()
            if not given[cycle]:
                continue
            bits = int.from_bytes(trace[cycle, words].astype("<u4").tobytes(), "little")
            code = self._record.layouts["dispatched"].unpack(bits)["code"]
            instruction = decode(code.to_bytes(INSTRUCTION_BYTES, "little"))
            self._given.append(instruction.name)
            self._waits(instruction)
            self._outstanding[instruction.queue_name] += 1
            self._lanes(instruction)
            getattr(self, f"_{instruction.name}")(instruction)

    def _stop(self, trace: np.ndarray) -> None:
        """The cycle in which the core has stopped, once what was given up to its end is known."""
        stopped = self._flag(trace, "o_stop") != 0
        before = np.concatenate([[self._stopped], stopped])
        for at in np.flatnonzero(stopped & ~before[:-1]):
            parts = {part: int(self._bits(trace, "o_stop", None, part)[at]) for part in ("error", "number")}
            # One that left in the cycle of the error was not given before.
            given = len(self._given) - int(at > 0 and self._flag(trace, "dispatched")[at - 1])
            name = self._given[parts["number"]] if parts["number"] < given else AT_FAULT[-1]
            self._hits.add("stop", parts["error"] - 1, AT_FAULT.index(name))
        self._stopped = bool(before[-1])

    def _waits(self, instruction: Instruction) -> None:
        queues = self.config.queues
        for index, queue in enumerate(queues):
            back = instruction.wait(queue)
            if back:
                self._hits.add("wait", queues.index(instruction.queue_name), index, self._outstanding[queue] >= back)

    def _lanes(self, instruction: Instruction) -> None:
        lanes = instruction.lanes
        which = 2 if lanes == self.config.lanes else int(lanes > 1)
        self._hits.add("lanes", ("dma", "matmul", "vector", "scalar").index(instruction.name), which)

    def _dma(self, instruction: Instruction) -> None:
        sides = []
        for side in ("source", "sink"):
            space = instruction.named(f"{side}_space")
            transposed = space == "memory" and instruction.fields[f"{side}_transposed"]
            indirect = instruction.named("indirect") == side
            sides.append(SIDES.index("indirect" if indirect else "transposed" if transposed else space))
        self._hits.add("dma", *sides, instruction.size)

    def _matmul(self, instruction: Instruction) -> None:
        formats = self.config.engine.formats
        self._hits.add("matmul types", *(formats.index(instruction.named(f"{side}_type")) for side in "wx"))
        tiles = -(-instruction.depth // self.config.lanes)
        self._hits.add("matmul tiles", np.searchsorted(list(TILES.values()), tiles, "right") - 1)

    def _vector(self, instruction: Instruction) -> None:
        hits, named = self._hits, instruction.named
        if named("x_type") == "u32":
            hits.add("vector copy", 0)
            return
        source, reduce = SOURCES.index(named("x_source")), REDUCTIONS.index(named("reduce"))
        if instruction.write:
            hits.add("vector types", TYPES.index(named("x_type")), TYPES.index(named("y_type")))
        hits.add("vector operations", OPERATIONS.index(named("op0")), OPERATIONS.index(named("op1")))
        kinds = [KINDS.index(named(f"{name}_kind")) for name in "ab"]
        hits.add("vector operands", *kinds)
        if KINDS.index("tensor") in kinds:
            hits.add("vector tensor", TYPES.index(named("t_type")))
        hits.add("vector absolute", instruction.absolute, source)
        hits.add("vector mask", MASKS.index(named("mask")), reduce)
        hits.add("vector reduce", reduce, source)

    def _scalar(self, instruction: Instruction) -> None:
        hits, named = self._hits, instruction.named
        source = SOURCES.index(named("x_source"))
        if instruction.write:
            hits.add("scalar types", TYPES.index(named("x_type")), TYPES.index(named("y_type")))
        hits.add("scalar operands", *(KINDS.index(named(f"{name}_kind")) for name in ("scale", "bias")))
        hits.add("scalar function", FUNCTION_NAMES.index(named("function")), instruction.sum)
        hits.add("scalar source", source, instruction.write)

    # ---- cycles ---------------------------------------------------------------------------------

    def _queues(self, trace: np.ndarray) -> None:
        for row in range(len(self.config.queues)):
            self._hits.add("doing", row, self._bits(trace, "o_doing", row, "doing"))
            level = self._bits(trace, "level", row, "level")
            self._hits.add("level", row, np.where(level == 0, 0, np.where(level == self.config.queue_depth, 2, 1)))

    def _ports(self, name: str, trace: np.ndarray, ports: tuple[str, ...]) -> None:
        """Who asks which bank, and who is served."""
        banks = []
        for row in range(len(ports)):
            bank = self._bits(trace, name, row, "row") // self.config.bank_rows
            banks.append(np.where(self._flag(trace, name, row) != 0, bank, -1))
            self._hits.add(name, row, np.where(self._flag(trace, f"{name}_grant", row) != 0, bank, -1))
            for first in range(row):
                both = (banks[first] == banks[row]) & (banks[row] >= 0)
                # Of three that ask, the first is served, and either of the others has a conflict with it.
                served = self._flag(trace, f"{name}_grant", first) != 0
                self._hits.add(f"{name} conflict", np.where(both & served, first, -1), row)

    def _streams(self, trace: np.ndarray) -> None:
        for index, name in enumerate(CHANNELS):
            link = "__" if name.startswith(("o_", "i_")) else "_"
            valid, ready = (self._flag(trace, f"{name}{link}{part}") for part in ("valid", "ready"))
            self._hits.add("stream", np.where(valid & ready, index, -1), 0)
            waits = ready & ~valid if name in _INPUTS else valid & ~ready
            self._hits.add("stream", np.where(waits & 1, index, -1), 1)
        for index, name in enumerate(CHANNELS[:2]):
            beats = self._bits(trace, f"{name}__payload", None, "beats") + 1
            least = np.searchsorted(list(AMOUNTS.values()), beats, "right") - 1
            self._hits.add("burst", np.where(self._flag(trace, f"{name}__valid"), index, -1), least)
        strobes = self._bits(trace, "o_w__payload", None, "strobes")
        whole = strobes == (1 << self.config.beat_bytes) - 1
        self._hits.add("strobes", np.where(self._flag(trace, "o_w__valid"), whole.astype(int), -1))
        for row in range(2):
            self._hits.add("pipeline", row, self._flag(trace, "advance", row).astype(int))
