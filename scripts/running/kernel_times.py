"""What a kernel's run was: its results, and where its cycles went, by engine and by line of source."""

import linecache
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import Instruction
from arch.core.layouts import DOINGS
from arch.core.signals import core_record
from kernels.language import Program, Source

__all__ = ["EngineTimes", "InstructionTimes", "LineTimes", "Ran", "Recorder", "Result", "Spent"]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run.

    memory : uint8[bytes], at its end
    cycles : None where time is not known, and then there are no times
    times : when each instruction was given to its queue, taken from it, and complete
    doings : uint8[cycles] of each queue, indices into ``DOINGS``
    compared_cycles : of the RTL
    """

    memory: np.ndarray
    cycles: int | None = None
    times: tuple[tuple[int, int, int], ...] = ()
    doings: dict[str, np.ndarray] = field(default_factory=dict)
    compared_cycles: int = 0


class Recorder:
    """Sees a core's records, one after another, and keeps when what happened."""

    def __init__(self, config: CoreConfig) -> None:
        record = core_record(config)
        rows = range(len(config.queues))
        self._queues = config.queues
        self._columns = {name: [record.at(name, row).start for row in rows] for name in ("starts", "completes")}
        self._doing = [record.at("o_doing", row).start for row in rows]
        self._doings: list[np.ndarray] = []
        self._dispatched, self._running = record.at("dispatched").start, record.at("o_running").start
        self._at, self._cycles = 0, 0
        #: Instructions that are.
        self.complete = 0
        self._given: list[np.ndarray] = []
        self._seen = {name: [[] for _ in rows] for name in self._columns}

    def see(self, records: np.ndarray) -> None:
        """The next records, uint32[cycles, words]; they are used again."""
        self._given.append(self._at + np.flatnonzero(records[:, self._dispatched] & 1))
        for name, columns in self._columns.items():
            for seen, column in zip(self._seen[name], columns, strict=True):
                seen.append(self._at + np.flatnonzero(records[:, column] & 1))
                self.complete += len(seen[-1]) if name == "completes" else 0
        self._doings.append(records[:, self._doing].astype(np.uint8))
        running = np.flatnonzero(records[:, self._running] & 1)
        if len(running):
            self._cycles = self._at + int(running[-1]) + 1
        self._at += len(records)

    def ran(self, memory: np.ndarray, program: Sequence[Instruction]) -> Ran:
        """The run, when it is over."""
        given = np.concatenate(self._given).tolist()
        events = {
            queue: [iter(np.concatenate(self._seen[name][row]).tolist()) for name in ("starts", "completes")]
            for row, queue in enumerate(self._queues)
        }
        times = []
        for at, instruction in zip(given, program, strict=True):
            starts, completes = events[instruction.queue_name]
            times.append((at, next(starts), next(completes)))
        doings = dict(zip(self._queues, np.concatenate(self._doings)[: self._cycles].T, strict=True))
        return Ran(memory=memory.copy(), cycles=self._cycles, times=tuple(times), doings=doings)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Cycles by what a queue did in them, as docs/core.md counts it.

    Members
    -------
    busy : int
        Something was at work.
    stream : int
        What was at work lacked something: rows of PSUM, operands, a beat of memory.
    conflict : int
        It asked for a bank of SBUF that another one had.
    order : int
        The next instruction was there and waited for another queue, or was about to start.
    """

    busy: int = 0
    stream: int = 0
    conflict: int = 0
    order: int = 0

    @classmethod
    def of(cls, doings: np.ndarray) -> "Spent":
        """The cycles of uint8[cycles], but those in which a queue was empty."""
        counts = np.bincount(doings, minlength=len(DOINGS)).tolist()
        return cls(**{name: count for name, count in zip(DOINGS, counts, strict=True) if name != "empty"})

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(**{name: getattr(self, name) + getattr(other, name) for name in _SPENT})

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in _SPENT)


_SPENT = tuple(Spent.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class InstructionTimes:
    """An instruction of a run.

    Members
    -------
    number, queue, instruction, source
    given, start, end : int or None
        The cycles in which it was given to its queue, taken from it, and complete; None where time is not known.
    spent : Spent
        The cycles of its queue since the instruction before it was complete.
    """

    number: int
    queue: str
    instruction: Instruction
    source: Source
    given: int | None = None
    start: int | None = None
    end: int | None = None
    spent: Spent = Spent()


@dataclass(frozen=True, kw_only=True)
class EngineTimes:
    """An engine or DMA queue: its instructions, its cycles, and those in which it had none: together all of the run."""

    instructions: int
    spent: Spent
    empty: int


@dataclass(frozen=True, kw_only=True)
class LineTimes:
    """A line of source: the queues that work for it, its instructions, their cycles."""

    source: Source
    queues: tuple[str, ...]
    instructions: int
    spent: Spent

    @property
    def text(self) -> str:
        """The line itself; empty if its file is not there."""
        return linecache.getline(self.source.file, self.source.line).strip()


class Result:
    """What a kernel gave.

    Members
    -------
    outputs : list of ndarray
        The tensors that the kernel made with ``output``, in that order: float32, uint32, or codes.
    tensors : list of ndarray
        The parameters when it was done: a kernel may store into them.
    cycles : int or None
        From the program's start to its last write; None from the executor, which knows no time.
    compared_cycles : int
        Those in which the RTL was compared with the cycle model, all that there were; 0 from the other two.
    utilization : float or None
        Products that matmuls asked for over cycles x P x P.
    instructions : tuple of InstructionTimes
    engines : dict of str to EngineTimes
        By engine and DMA queue; empty from the executor.
    program : Program
    """

    def __init__(self, *, program: Program, outputs: list[np.ndarray], tensors: list[np.ndarray], ran: Ran) -> None:
        self.program, self.outputs, self.tensors, self.cycles = program, outputs, tensors, ran.cycles
        self.compared_cycles = ran.compared_cycles
        self.instructions = tuple(_instruction_times(program, ran))
        self.engines: dict[str, EngineTimes] = {}
        if ran.cycles is not None:
            self.engines = {queue: self._engine(queue) for queue in program.config.queues}

    @property
    def utilization(self) -> float | None:
        if self.cycles is None:
            return None
        products = 0
        for each in self.program.instructions:
            if each.name == "matmul":
                products += prod(each.fields[name] for name in ("depth", "lanes", "count0", "count1"))
        return products / (self.cycles * self.program.config.lanes**2)

    def _engine(self, queue: str) -> EngineTimes:
        mine = [each.spent for each in self.instructions if each.queue == queue]
        spent = sum(mine, Spent())
        return EngineTimes(instructions=len(mine), spent=spent, empty=self.cycles - spent.total)

    def lines(self) -> list[LineTimes]:
        """The lines of source that made instructions, in the order of their first ones."""
        found: dict[Source, list[InstructionTimes]] = {}
        for each in self.instructions:
            found.setdefault(each.source, []).append(each)
        return [
            LineTimes(
                source=source,
                queues=tuple(dict.fromkeys(each.queue for each in group)),
                instructions=len(group),
                spent=sum((each.spent for each in group), Spent()),
            )
            for source, group in found.items()
        ]

    def report(self) -> str:
        """Two tables: cycles by engine, and by line of source. Raises ValueError from the executor's run."""
        if self.cycles is None:
            raise ValueError("a report needs backend cycles or rtl: the executor knows no time")
        titles = "".join(f"{name:>9}" for name in _SPENT)
        rows = [f"{self.cycles} cycles", f"{'':12} {'instructions':>12}{titles}{'empty':>9}"]
        for queue, each in self.engines.items():
            rows.append(f"{queue:12} {each.instructions:12}{_columns(each.spent)}{each.empty:9}")
        lines = self.lines()
        # A kernel of several files needs their names.
        several = len({line.source.file for line in lines}) > 1
        places = [f"{'+'.join(line.queues)}:{line.source if several else line.source.line}" for line in lines]
        width = max(12, *map(len, places)) if several else 12
        rows.append(f"{'line':{width}} {'instructions':>12}{titles}")
        for place, line in zip(places, lines, strict=True):
            rows.append(f"{place:{width}} {line.instructions:12}{_columns(line.spent)}  {line.text}")
        return "\n".join(rows)


def _columns(spent: Spent) -> str:
    return "".join(f"{getattr(spent, name):9}" for name in _SPENT)


def _instruction_times(program: Program, ran: Ran) -> Iterator[InstructionTimes]:
    ends = dict.fromkeys(program.config.queues, -1)
    rows = zip(program.instructions, program.sources, ran.times or [None] * len(program.instructions), strict=True)
    for number, (instruction, source, times) in enumerate(rows):
        queue, fields = instruction.queue_name, {}
        if times is not None:
            given, start, end = times
            spent = Spent.of(ran.doings[queue][ends[queue] + 1 : end + 1])
            fields = {"given": given, "start": start, "end": end, "spent": spent}
            ends[queue] = end
        yield InstructionTimes(number=number, queue=queue, instruction=instruction, source=source, **fields)
