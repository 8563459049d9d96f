"""The cycle-accurate model of the tensor engine: every port and every PE register in every clock cycle."""

from collections.abc import Iterable, Sequence
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from arch.formats import FORMATS
from arch.record import record_words
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import (
    activation_layout,
    command_layout,
    operand_layout,
    pe_registers,
    read_layout,
    readout_layout,
    weight_layout,
)
from arch.tensor.signals import engine_fields
from golden.checks import integer, plain
from golden.numerics.conversions import code_dtype
from golden.tensor import clocking as _engine
from golden.tensor.arithmetic import narrow_table, operand_table, psum_words, widths

if TYPE_CHECKING:
    from golden.tensor.schedule import Pass

__all__ = ["Position", "TensorEngine", "explain"]

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
        self._hardware = _hardware(config)
        self._state = _reset_state(config, self._hardware)
        empty = [np.zeros((0, n), np.int64 if n == 11 else np.uint32) for n in (11, *self._payload_words)]
        self._queues = _engine.Queues(*empty)
        self._pending: list[list[np.ndarray]] = [[], [], [], []]
        self._results: list[np.ndarray] = []
        self._take_cycles: list[np.ndarray] = []

    @property
    def _payload_words(self) -> list[int]:
        layouts = (command_layout(self.config), weight_layout(self.config), activation_layout(self.config))
        return [(layout.width + 31) // 32 for layout in layouts]

    def _scalar(self, index: int) -> int:
        return int(self._state.scalars[index])

    @property
    def cycle(self) -> int:
        return self._scalar(_engine.CYCLE)

    @property
    def done(self) -> bool:
        self._refill()
        sizes = tuple(len(queue) for queue in self._queues[1:])
        state = self._state
        return bool(_engine.drained(state.scalars, state.stage_valid, sizes, self.config.drain_latency))

    @property
    def first_weight_cycle(self) -> int | None:
        cycle = self._scalar(_engine.FIRST_WEIGHT)
        return None if cycle < 0 else cycle

    @property
    def last_store_cycle(self) -> int | None:
        cycle = self._scalar(_engine.LAST_STORE)
        return None if cycle < 0 else cycle

    @property
    def rows_stored(self) -> int:
        return self._scalar(_engine.ROWS_STORED)

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
        self._state = _reset_state(self.config, self._hardware)._replace(memory=memory)
        self._queues = _engine.Queues(*(queue[:0] for queue in self._queues))
        self._pending = [[], [], [], []]
        self.forget()

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
            fields, words = _command_beats(plain("commands", commands), self.config)
            self._pending[0].append(fields)
            self._pending[1].append(words)
        if weights is not None:
            lanes = self.config.rows_per_load_cycle * self.config.cols
            self._pending[2].append(_code_beats("weights", plain("weights", weights), lanes, self.config))
        if activations is not None:
            activations = plain("activations", activations)
            self._pending[3].append(_code_beats("activations", activations, self.config.rows, self.config))

    def _refill(self) -> None:
        """Join what was offered to what is left of the queues."""
        if not any(self._pending):
            return
        positions = self._state.scalars[_engine.POSITION : _engine.POSITION + 3]
        starts = (positions[0], *positions)
        queues = zip(self._queues, starts, self._pending, strict=True)
        self._queues = _engine.Queues(*(np.concatenate([queue[at:], *new]) for queue, at, new in queues))
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
        count = _engine.run(self._hardware, self._state, self._queues, trace, self.registers, seed, quiet, ends)
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


def _hardware(config: EngineConfig) -> _engine.Hardware:
    """The facts of a configuration that the kernel works with."""
    operands = np.zeros((len(FORMATS), 1 << config.code_bits), np.uint32)
    for fmt in config.operand_formats:
        # The high bits of a lane wider than the format are ignored.
        operands[fmt.select] = np.resize(operand_table(fmt, config), operands.shape[1])
    weight_words = (pe_registers(config)["weight"] + 31) // 32
    return _engine.Hardware(
        rows=config.rows,
        cols=config.cols,
        depth=config.psum_depth,
        hazard=config.hazard_latency,
        store_latency=config.store_latency,
        read_latency=config.read_latency,
        drain_latency=config.drain_latency,
        code_bits=config.code_bits,
        product_latency=config.product_latency,
        add_latency=config.add_latency,
        load_rows=config.rows_per_load_cycle,
        operand_bits=operand_layout(config).width,
        weight_words=weight_words,
        pe_words=weight_words + 3 + widths(config).product_words + psum_words(config),
        column_bits=readout_layout(config).fields["columns"],
        address_bits=read_layout(config).fields["address"],
        ring_mask=(1 << (config.drain_latency + 1).bit_length()) - 1,
        arithmetic=widths(config),
        operands=operands,
        narrow=np.array(narrow_table()),
    )


def _reset_state(config: EngineConfig, hardware: _engine.Hardware) -> _engine.State:
    """Everything as reset leaves it, and PSUM zero."""
    ring, cols, pes = hardware.ring_mask + 1, config.cols, config.rows * config.cols
    stages = config.readout_latency + cols - 1
    scalars = np.zeros(_engine.SCALARS, np.int64)
    scalars[[_engine.FIRST_WEIGHT, _engine.LAST_STORE, _engine.LAST_TAKE]] = -1
    return _engine.State(
        scalars=scalars,
        loader=np.zeros(11, np.int64),
        executor=np.zeros(11, np.int64),
        rows=np.zeros((ring, 7), np.int64),
        row_operands=np.zeros((ring, config.rows), np.int64),
        weight_rows=np.full(ring, -1, np.int64),
        weight_operands=np.zeros((ring, config.rows_per_load_cycle * cols), np.int64),
        seeds=np.zeros((config.product_latency + 1, cols, 2), np.int64),
        memory=np.zeros((config.psum_depth, cols, 2), np.int64),
        finished=np.zeros((config.psum_depth, 4), np.int64),
        stage_valid=np.zeros(stages, np.int64),
        stage_words=np.zeros((stages, cols), np.uint32),
        stage_rows=np.zeros((stages, 5), np.int64),
        read_words=np.zeros((cols, 2), np.int64),
        result=np.zeros(cols + 1, np.uint32),
        pes=np.zeros(pes * hardware.pe_words, np.uint32),
        products=np.zeros(pes, np.int64),
        sums=np.zeros((config.add_latency - 1, pes, 3), np.int64),
    )


def _command_beats(commands: np.ndarray, config: EngineConfig) -> tuple[np.ndarray, np.ndarray]:
    """Commands as int64 fields and as 32-bit words."""
    layout = command_layout(config)
    dtype = np.dtype(np.uint64 if layout.width <= 64 else object)
    if commands.dtype != dtype or commands.ndim != 1:
        raise TypeError(f"commands must be {dtype}[n], not {commands.dtype} of shape {commands.shape}")
    if dtype.hasobject:
        commands = np.array([index(command) for command in commands], object)
    # Shifts by a scalar of the array's own type: uint64 and int do not mix.
    number = np.uint64 if layout.width <= 64 else int
    fields = np.zeros((commands.size, len(layout.fields)), np.int64)
    for column, (name, width) in enumerate(layout.fields.items()):
        field = commands >> number(layout.offset(name)) & number((1 << width) - 1)
        fields[:, column] = field.astype(np.int64)
    words = np.zeros((commands.size, (layout.width + 31) // 32), np.uint32)
    for word in range(words.shape[1]):
        words[:, word] = (commands >> number(32 * word) & number(0xFFFFFFFF)).astype(np.uint32)
    selects = [fmt.select for fmt in config.operand_formats]
    accumulating = fields[:, _engine.FIRST] == 0
    ranges = (
        ("tile_m", fields[:, _engine.TILE_M], 1, config.psum_depth),
        ("tile_k", fields[:, _engine.TILE_K], 1, config.rows),
        ("tile_n", fields[:, _engine.TILE_N], 1, config.cols),
        ("distance", fields[accumulating, _engine.DISTANCE], 1, config.hazard_latency),
    )
    for name, values, low, high in ranges:
        bad = values[(values < low) | (values > high)]
        if bad.size:
            raise ValueError(f"{name} must be in {low}..{high}, not {bad[0]}")
    for name, column in (("x_format", _engine.X_FORMAT), ("w_format", _engine.W_FORMAT)):
        bad = fields[~np.isin(fields[:, column], selects), column]
        if bad.size:
            raise ValueError(f"{name} must select one of {', '.join(config.formats)}, not {bad[0]}")
    return fields, words


def _code_beats(name: str, codes: np.ndarray, lanes: int, config: EngineConfig) -> np.ndarray:
    """Rows of codes as 32-bit words, lane 0 in the low bits."""
    lane = code_dtype(config.lane_format)
    if codes.dtype not in (np.dtype(np.uint8), lane):
        raise TypeError(f"{name} must be {lane} codes, not {codes.dtype}")
    if codes.ndim != 2 or codes.shape[1] != lanes:
        raise ValueError(f"{name} must have shape (n, {lanes}), not {codes.shape}")
    per_word = 32 // config.code_bits
    padded = np.zeros((codes.shape[0], -(-lanes // per_word) * per_word), lane.newbyteorder("<"))
    padded[:, :lanes] = codes
    return padded.view("<u4").astype(np.uint32, copy=False)


class Position(NamedTuple):
    """What a PE is working on: a term ``x[m, k] * w[k, n]`` of a pass."""

    index: int
    m: int
    n: int
    k: int


def explain(
    config: EngineConfig,
    passes: Sequence["Pass"],
    take_cycles: np.ndarray,
    cycle: int,
    row: int,
    col: int,
    *,
    register: str = "product",
) -> Position | None:
    """Which term a PE's register belongs to in a cycle.

    Parameters
    ----------
    passes : sequence of Pass
        All passes since reset, in order.
    take_cycles : int64[rows]
        :attr:`TensorEngine.take_cycles`.
    cycle, row, col : int
        The cycle and the PE.
    register : str
        ``"beat"``, ``"product"`` or ``"psum"``.

    Returns
    -------
    Position or None
        None where no activation row is in that register, or the lane or the column is not in use in its pass.
        The ``k`` of a partial sum is that of the last term added to it; a lane not in use has sums pass through,
        so that there is one for them, too.
    """
    stages = {"beat": 0, "product": 1, "psum": config.product_latency + config.add_latency}
    if register not in stages:
        raise ValueError(f"register must be one of {', '.join(stages)}, not {register!r}")
    taken = cycle - 1 - stages[register] - row * config.add_latency - col
    beat = int(np.searchsorted(take_cycles, taken))
    if beat == len(take_cycles) or take_cycles[beat] != taken:
        return None
    ends = np.cumsum([p.tile_m for p in passes])
    index = int(np.searchsorted(ends, beat, side="right"))
    p = passes[index]
    lane = min(row, p.tile_k - 1) if register == "psum" else row
    if lane >= p.tile_k or col >= p.tile_n:
        return None
    return Position(index, p.m0 + beat - int(ends[index]) + p.tile_m, p.n0 + col, p.k0 + lane)
