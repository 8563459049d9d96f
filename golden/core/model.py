"""The cycle-accurate model of a core: its ports and what is between its blocks, in every clock cycle."""

from collections import deque
from collections.abc import Sequence
from numbers import Real

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES
from arch.core.layouts import ERRORS
from arch.core.rules import is_legal
from arch.core.signals import core_record
from golden.checks import integer, plain
from golden.core.cycles import clocking
from golden.core.cycles.fields import field_table
from golden.core.cycles.front import build_engine
from golden.core.cycles.recording import find_places
from golden.core.cycles.state import Given, build_hardware, reset_state
from golden.core.jobs import Job

__all__ = ["Core"]

#: A probability of 1, as the kernel takes it.
_ALWAYS = 1 << 16


class Core:
    """The whole core, as docs/core.md specifies it, and external memory around it, resumable at any cycle.

    It starts in the first cycle after reset, with SBUF and PSUM all zero. A job begins when those before it are done:
    memory is then what the job says, and the program is offered.

    Parameters
    ----------
    config : CoreConfig
        What the core was built for; its engine loads one weight row per cycle.

    Members
    -------
    cycle : int
        Cycles simulated so far.
    done : bool
        Every program offered has been run; or one has stopped the core, and what it asked of memory has come to an end.
        Those behind it wait then: nothing but a reset lets them begin.
    stop : (str, int) or None
        What stopped the core, one of ``ERRORS``, and the number in its program of the instruction at fault.
    memory : uint8[size]
        The window of the job that runs, or of the last one that ran. Bytes that nobody wrote are 0.
    sbuf : uint32[rows, lanes]
        A copy of SBUF.

    Raises
    ------
    ValueError
        For an engine that loads more weight rows per cycle.
    """

    def __init__(self, config: CoreConfig) -> None:
        if config.engine.rows_per_load_cycle != 1:
            raise ValueError(
                f"a core's engine must have rows_per_load_cycle 1, not {config.engine.rows_per_load_cycle}"
            )
        self.config = config
        self._words = core_record(config).words
        self._hardware, self._places, self._table = build_hardware(config), find_places(config), field_table()
        self._state, self._engine = reset_state(config, self._hardware), build_engine(config)
        self._jobs: deque[Job] = deque()
        self._given = _give(Job(program=(), address=0, size=0), config)

    @property
    def cycle(self) -> int:
        return int(self._state.environment.state["cycle"][0])

    @property
    def done(self) -> bool:
        return self._job_done and (not self._jobs or self.stop is not None)

    @property
    def stop(self) -> tuple[str, int] | None:
        state = self._state.stop[0]
        return (ERRORS[state["error"] - 1], int(state["number"])) if state["stopped"] else None

    @property
    def _job_done(self) -> bool:
        return bool(clocking.job_done(self._state.environment.state[0], self._state.dispatch.state[0]))

    @property
    def memory(self) -> np.ndarray:
        return self._given.window

    @property
    def sbuf(self) -> np.ndarray:
        return self._state.sbuf.memory.copy()

    def offer(self, *jobs: Job) -> None:
        """Queue jobs behind those that wait."""
        self._jobs.extend(jobs)

    def reset(self) -> None:
        """What a reset leaves, in mid-run or not: the bytes of SBUF and the words in PSUM; and no job."""
        state, engine = reset_state(self.config, self._hardware), build_engine(self.config)
        state.sbuf.memory[:] = self._state.sbuf.memory
        state.environment.state["cycle"] = self.cycle
        self._engine = engine._replace(state=engine.state._replace(memory=self._engine.state.memory))
        self._state = state
        self._jobs.clear()

    def _begin(self) -> None:
        """Start the next job."""
        job, memory = self._jobs.popleft(), self._state.environment.state
        self._given = _give(job, self.config)
        memory["base"] = job.base
        memory["program_waits"] = 1
        memory["read_beats"] = memory["write_answers"] = 0
        memory["pages"], memory["limit"] = job.pages, job.limit
        memory["program_address"], memory["instructions"] = job.address, len(job.program)

    def run(
        self,
        cycles: int,
        *,
        latency: int = 1,
        idle: float | Sequence[float] = 0.0,
        stall: float | Sequence[float] = 0.0,
        seed: int = 0,
        until_done: bool = False,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Simulate clock cycles.

        Parameters
        ----------
        cycles : int
            How many; with ``until_done`` at most that many.
        latency : int
            Cycles from the one in which a burst's address is taken to the first in which its first beat may be offered,
            and from a burst's last beat written to its answer; 1 or more.
        idle : float or three floats
            Probability, in each cycle, that what waits and is not yet offered is not: of ``i_program``, ``i_r`` and
            ``i_b``. What is once offered stays.
        stall : float or three floats
            Probability, in each cycle, that ``ready`` is low: of ``o_ar``, ``o_aw`` and ``o_w``.
        seed : int
            Chooses those cycles, together with the number of the cycle: a run cut in two gives the same trace. 0 or
            more, below 2**62.
        until_done : bool
            Stop before the first cycle in which :attr:`done` is true.
        out : uint32[cycles, words], optional
            Where to write the records.

        Returns
        -------
        uint32[cycles, words]
            A record per cycle, as ``arch.core.signals.core_record`` describes it.

        Raises
        ------
        RuntimeError
            If the program wrote outside of its window.
        """
        cycles, seed = integer("cycles", cycles, 0), integer("seed", seed, 0, (1 << 62) - 1)
        latency = integer("latency", latency, 1)
        quiet = np.array([*_parts("idle", idle), *_parts("stall", stall)])
        if until_done and quiet.max() == _ALWAYS:
            raise ValueError(f"idle and stall must be below 1 for a run that ends when it is done, not {idle}, {stall}")
        shape = (cycles, self._words)
        trace = np.empty(shape, np.uint32) if out is None else plain("out", out)
        if trace.dtype != np.uint32 or trace.shape != shape or not trace.flags.c_contiguous:
            raise ValueError(f"out must be a contiguous uint32 array of shape {shape}, not {trace.dtype}{trace.shape}")
        count = 0
        while count < cycles:
            if self._job_done:
                if until_done and self.done:
                    break
                if self._jobs and self.stop is None:
                    self._begin()
            ends = not self.done
            count += clocking.run(
                self._hardware,
                self._places,
                self._table,
                self._state,
                self._engine,
                self._given,
                trace[count:],
                seed,
                quiet,
                latency,
                ends,
            )
            if self._state.dispatch.state["legal"][0] < 0:
                # It overwrote its program.
                self._state.dispatch.state["legal"] = is_legal(self._state.dispatch.instruction.tobytes(), self.config)
            if self._state.environment.state["strays"][0]:
                raise RuntimeError(f"a program must write within its window of memory, by cycle {self.cycle}")
        return trace[:count]


def _give(job: Job, config: CoreConfig) -> Given:
    """What the kernel needs of a job."""
    return Given(
        window=np.frombuffer(job.contents(), np.uint8),
        responses=np.array([*job.responses], np.uint8),
        answers=np.array([*job.answers], np.uint8),
        codes=np.frombuffer(bytearray().join(job.codes), np.uint32).reshape(-1, INSTRUCTION_BYTES // 4),
        legal=np.array([is_legal(each, config) for each in job.program], np.int64),
    )


def _parts(name: str, given: float | Sequence[float]) -> list[int]:
    """Three probabilities in 1/65536; what is above 0 and below 1 stays so."""
    chances = [given] * 3 if isinstance(given, Real) else list(given)
    if len(chances) != 3:
        raise ValueError(f"{name} must be one probability or three, not {len(chances)}")
    for chance in chances:
        if not isinstance(chance, Real):
            raise TypeError(f"{name} must be a probability, 0..1, not {chance!r}")
        if not 0 <= chance <= 1:
            raise ValueError(f"{name} must be a probability, 0..1, not {chance!r}")
    return [
        round(_ALWAYS * chance) if chance in (0, 1) else min(max(round(_ALWAYS * chance), 1), _ALWAYS - 1)
        for chance in chances
    ]
