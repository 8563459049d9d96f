"""The cycle-accurate model of the tensor engine: every port and every PE register in every clock cycle."""

from collections.abc import Iterable, Sequence
from numbers import Real

import numpy as np

from arch.record import record_words
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import activation_layout, command_layout, weight_layout
from arch.tensor.signals import engine_fields
from golden.checks import integer, plain
from golden.tensor import clocking, sequencer
from golden.tensor.beats import code_beats, command_beats
from golden.tensor.state import COMMAND, Queues, build_hardware, build_tables, reset_state

__all__ = ["TensorEngine"]

#: A probability of 1, as the kernel takes it.
_ALWAYS = 1 << 16


class TensorEngine:
    """The whole engine, as docs/architecture.md specifies it, resumable at any cycle.

    It starts in the first cycle after reset, with PSUM all zero. Beats are queued with :meth:`offer`;
    :meth:`run` simulates cycles and returns their records. Both may be called any number of times, so that
    a long GEMM is fed and traced piece by piece.

    Parameters
    ----------
    config : EngineConfig
        What the engine was built for.
    registers : bool
        False leaves the PE registers out of the records, as ``engine_fields(config, registers=False)``.

    Members
    -------
    cycle : int
        Cycles simulated so far.
    done : bool
        Everything offered has been consumed, and every finished row has left through ``o_result``.
    first_weight_cycle, last_store_cycle : int or None
        The cycles in which the first weight row was taken and the last partial sum was stored. The cycle
        count of a GEMM is their difference plus one.
    rows_stored : int
        Activation rows of which every column's partial sum has been stored.
    take_cycles : int64[rows]
        The cycle in which each activation row was taken.
    results : uint32[rows, C]
        Rows taken from ``o_result``, narrow codes zero-extended.
    lasts : bool[rows]
        Their ``last`` flags.
    """

    def __init__(self, config: EngineConfig, *, registers: bool = True):
        self.config = config
        self.registers = bool(registers)
        self._record_words = record_words(engine_fields(config, registers=registers))
        self._hardware, self._tables = build_hardware(config), build_tables(config)
        self._state = reset_state(config, self._hardware)
        self._queues = Queues(np.zeros(0, COMMAND), *(np.zeros((0, n), np.uint32) for n in self._payload_words))
        self._pending: list[list[np.ndarray]] = [[], [], [], []]
        self._results: list[np.ndarray] = []
        self._take_cycles: list[np.ndarray] = []

    @property
    def _payload_words(self) -> list[int]:
        layouts = (command_layout(self.config), weight_layout(self.config), activation_layout(self.config))
        return [(layout.width + 31) // 32 for layout in layouts]

    def _counter(self, name: str) -> int:
        return int(self._state.counters[name][0])

    def _cycle_or_none(self, name: str) -> int | None:
        cycle = self._counter(name)
        return None if cycle < 0 else cycle

    @property
    def cycle(self) -> int:
        return self._counter("cycle")

    @property
    def done(self) -> bool:
        self._refill()
        sizes, state = tuple(len(queue) for queue in self._queues[1:]), self._state
        latency = self.config.drain_latency
        return bool(sequencer.drained(state.counters[0], state.position, state.stages, sizes, latency))

    @property
    def first_weight_cycle(self) -> int | None:
        return self._cycle_or_none("first_weight")

    @property
    def last_store_cycle(self) -> int | None:
        return self._cycle_or_none("last_store")

    @property
    def rows_stored(self) -> int:
        return self._counter("rows_stored")

    @property
    def take_cycles(self) -> np.ndarray:
        return np.concatenate([np.empty(0, np.int64), *self._take_cycles])

    @property
    def results(self) -> np.ndarray:
        return self._result_words()[:, :-1]

    @property
    def lasts(self) -> np.ndarray:
        return self._result_words()[:, -1] != 0

    def _result_words(self) -> np.ndarray:
        return np.concatenate([np.empty((0, self.config.cols + 1), np.uint32), *self._results])

    def forget(self) -> None:
        """Drop the results and take cycles seen so far, to bound the memory of a long run."""
        self._results.clear()
        self._take_cycles.clear()

    def reset(self) -> None:
        """What a reset in mid-run leaves: nothing that was offered, taken or finished, but the words in PSUM."""
        memory = self._state.memory
        self._state = reset_state(self.config, self._hardware)._replace(memory=memory)
        self.withdraw()
        self.forget()

    def withdraw(self) -> None:
        """Take back what is offered and not taken, even what is presented already: as no source but a reset may."""
        self._queues = Queues(*(queue[:0] for queue in self._queues))
        self._pending = [[], [], [], []]
        self._state.position[:] = self._state.presented[:] = 0

    def offer(
        self,
        commands: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        activations: np.ndarray | None = None,
    ) -> None:
        """Queue beats behind those that wait already.

        Parameters
        ----------
        commands : uint64[n], or object[n] of int where ``command_layout`` has more than 64 bits
            Packed by ``command_layout``.
        weights : uint8 or uint16[n, rows_per_load_cycle * C]
            Codes, so many weight rows per beat, row after row; uint16 only for a configuration with a 16-bit format.
        activations : uint8 or uint16[n, R]
            Codes, an activation row per beat.

        Raises
        ------
        TypeError, ValueError
            For a wrong dtype or shape, and for a command outside the ranges ``command_layout`` documents.
        """
        if commands is not None:
            fields, words = command_beats(plain("commands", commands), self.config)
            self._pending[0].append(fields)
            self._pending[1].append(words)
        if weights is not None:
            lanes = self.config.rows_per_load_cycle * self.config.cols
            self._pending[2].append(code_beats("weights", plain("weights", weights), lanes, self.config))
        if activations is not None:
            activations = plain("activations", activations)
            self._pending[3].append(code_beats("activations", activations, self.config.rows, self.config))

    def _refill(self) -> None:
        """Join what was offered to what is left of the queues."""
        if not any(self._pending):
            return
        positions = self._state.position
        starts = (positions[0], *positions)
        queues = zip(self._queues, starts, self._pending, strict=True)
        self._queues = Queues(*(np.concatenate([queue[at:], *new]) for queue, at, new in queues))
        positions[:] = 0
        self._pending = [[], [], [], []]

    def run(
        self,
        cycles: int,
        *,
        idle: float | Sequence[float] = 0.0,
        stall: float = 0.0,
        seed: int = 0,
        until_done: bool = False,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Simulate clock cycles.

        Parameters
        ----------
        cycles : int
            How many; with ``until_done`` at most that many.
        idle : float or three floats
            Probability, in each cycle, that a source with a beat it has not yet presented stays quiet: of all
            three sources, or of ``i_command``, ``i_weight`` and ``i_activation``. A beat once presented stays.
        stall : float
            Probability, in each cycle, that ``o_result.ready`` is low.
        seed : int
            Chooses the idle and stalled cycles, together with the number of the cycle: a run cut in two
            gives the same trace. 0 or more, below 2**63.
        until_done : bool
            Stop before the first cycle in which :attr:`done` is true. Not together with a probability of 1: that
            cycle would never come.
        out : uint32[cycles, record_words], optional
            Where to write the records. A loop that uses them up piece by piece runs up to three times as fast
            if it gives the same array every time.

        Returns
        -------
        uint32[cycles, record_words]
            A record per cycle, as ``arch.tensor.signals.engine_fields`` describes it.
        """
        cycles, seed = integer("cycles", cycles, 0), integer("seed", seed, 0, (1 << 63) - 1)
        quiet = _quiet(idle, stall)
        if until_done and quiet.max() == _ALWAYS:
            raise ValueError(f"idle and stall must be below 1 for a run that ends when it is done, not {idle}, {stall}")
        self._refill()
        start = self.cycle
        shape = (cycles, self._record_words)
        trace = np.empty(shape, np.uint32) if out is None else plain("out", out)
        if trace.dtype != np.uint32 or trace.shape != shape or not trace.flags.c_contiguous:
            raise ValueError(f"out must be a contiguous uint32 array of shape {shape}, not {trace.dtype}{trace.shape}")
        # Other types than these would be compiled for anew.
        ends = bool(until_done)
        count = clocking.run(
            self._hardware, self._tables, self._state, self._queues, trace, self.registers, seed, quiet, ends
        )
        trace = trace[:count]
        at = sum(self._payload_words) + 3
        result = at + 5
        taken = (trace[:, at] & trace[:, at + 4]) != 0
        self._results.append(trace[taken, result : result + self.config.cols + 1])
        row_at = at - 1 - self._payload_words[2]
        self._take_cycles.append(start + np.flatnonzero(trace[:, row_at] & trace[:, at + 3]))
        return trace


def _quiet(idle: float | Sequence[float], stall: float) -> np.ndarray:
    """int64[4]: the probabilities of the three sources and the sink, in 1/65536."""
    idles = [idle] * 3 if isinstance(idle, Real) else idle
    if not isinstance(idles, Iterable):
        raise TypeError(f"idle must be one probability or three, not {idle!r}")
    idles = list(idles)
    if len(idles) != 3:
        raise ValueError(f"idle must be one probability or three, not {len(idles)}")
    for name, value in (*(("idle", p) for p in idles), ("stall", stall)):
        if not isinstance(value, Real):
            raise TypeError(f"{name} must be a probability, 0..1, not {value!r}")
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be a probability, 0..1, not {value!r}")
    return np.array([_parts(float(p)) for p in (*idles, stall)], np.int64)


def _parts(probability: float) -> int:
    """What is above 0 and below 1 stays so."""
    parts = round(_ALWAYS * probability)
    return parts if probability in (0, 1) else min(max(parts, 1), _ALWAYS - 1)
