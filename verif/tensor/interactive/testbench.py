"""The testbench of the tensor engine: sources, sink, monitors and scoreboards, for interactive benches."""

import itertools
import json
from collections import deque
from pathlib import Path
from random import Random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import result_layout
from golden.tensor.jobs import Gemm, golden_result
from golden.tensor.stimulus import assemble
from verif.simulation.leash import follow_parent
from verif.simulation.scoreboard import CycleScoreboard, ValueScoreboard
from verif.simulation.streams import PERIOD, Monitor, Port, Sink, Source, cycle
from verif.tensor.interactive.resets import record_reset
from verif.tensor.workload.gemms import draw_gemm
from verif.tensor.workload.program import Program, packed, result_rows

__all__ = ["INPUTS", "EngineBench"]

INPUTS = ("i_command", "i_weight", "i_activation")
#: Cycles of a random GEMM, beside those of the shortest one.
LONGEST = 200
#: No source with an idle probability of 0.9 is silent for so long.
UNLUCKY = 200


class EngineBench:
    """A tensor engine with sources, a sink, a monitor on every stream, and scoreboards of values and cycles.

    GEMMs may be offered at any time, one behind another. Each is checked row by row as it comes out; the latency of
    each row is checked too, unless the sink may stall.

    Parameters
    ----------
    dut
        The module of ``verif.tensor.interactive.run.OpenHarness``.
    name : str
        Of the bench: it and the run's seed give the random numbers.
    idle, stall : float
        Of all sources, of the sink.
    """

    def __init__(self, dut, name: str, *, idle: float = 0.0, stall: float = 0.0) -> None:
        setup = json.loads(Path(cocotb.plusargs["setup"]).read_text(encoding="utf-8"))
        self.config = EngineConfig(**setup["config"] | {"formats": tuple(setup["config"]["formats"])})
        self.rng = Random(f"{setup['seed']} {name}")
        self.dut = dut
        self.sources = {port: Source(Port(dut, port), self.rng, idle) for port in INPUTS}
        self.sink = Sink(Port(dut, "o_result"), self.rng, stall)
        self.timed = not stall
        observers = (lambda _: None, self._see_weight, self._see_activation, self._see_result)
        self.monitors = {
            port: Monitor(Port(dut, port), observer)
            for port, observer in zip((*INPUTS, "o_result"), observers, strict=True)
        }
        self.rows = ValueScoreboard("result row")
        self.latency = CycleScoreboard("cycle of result row")
        self.results: list[int] = []
        self.first_rows = 0
        self.first_weight = self.last_store = self.last_result = self.last_take = -1
        self._program = Program(self.config)
        self._reset_cycles = itertools.cycle((1, 2, 3))
        # Beats of weights and of activations of each pass offered since reset; transfers before it.
        self._tiles: list[tuple[int, int]] = []
        self._since = self.transfers
        # Of each activation row offered and not yet taken: first and last of its pass.
        self._ends: deque[tuple[bool, bool]] = deque()

    async def start(self) -> None:
        """Start the clock, everything that drives or watches, and reset the device."""
        follow_parent()
        self.dut.rst.value = 1
        Clock(self.dut.clk, PERIOD, unit="ns").start()
        for part in (*self.sources.values(), self.sink, *self.monitors.values()):
            part.start()
        cocotb.start_soon(self._watch_stores())
        await self._reset(1)

    async def reset(self) -> None:
        """Reset for 1, 2 or 3 cycles in turn while the sources go on; whatever was under way or queued is gone."""
        length = next(self._reset_cycles)
        record_reset(self.states(), length)
        await self._reset(length)

    async def _reset(self, length: int) -> None:
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 1
        for _ in range(length - 1):
            await FallingEdge(self.dut.clk)
        await ReadOnly()
        for source in self.sources.values():
            source.clear()
        for scoreboard in (self.rows, self.latency):
            scoreboard.clear()
        self._ends.clear()
        self._tiles.clear()
        self._since = self.transfers
        self.results.clear()
        self.first_rows = 0
        self._program = Program(self.config)
        self.first_weight = self.last_take = -1
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await ReadOnly()
        readys = [int(source.port.ready.value) for source in self.sources.values()]
        assert readys == [1, 0, 0], f"after reset the engine takes a command and nothing else, but ready is {readys}"
        assert not int(self.sink.port.valid.value), "a result is valid after reset"

    def pace(self, *, idle: float, stall: float) -> None:
        """Change all probabilities. Between :meth:`reset` and the first GEMM only: rows are timed if ``stall`` is 0."""
        for source in self.sources.values():
            source.idle = idle
        self.sink.stall = stall
        self.timed = not stall

    def offer(self, job: Gemm, *, garbage: bool = False) -> None:
        """Queue the beats of a GEMM and expect its rows; ``garbage``: lanes not in use hold random codes, not 0."""
        config, expected = self.config, golden_result(job, self.config)
        for p, (command, weights, activations) in zip(*self._program.add(job), strict=True):
            if garbage:
                weights, activations = weights.copy(), activations.copy()
                rows = weights.reshape(-1, config.cols)
                for unused in (rows[:, p.tile_n :], rows[p.tile_k :], activations[:, p.tile_k :]):
                    unused[:] = self._numbers().integers(0, 1 << config.code_bits, unused.shape, unused.dtype)
            self.sources["i_command"].send([int(command[0])])
            self.sources["i_weight"].send(packed(weights))
            self.sources["i_activation"].send(packed(activations))
            self._ends.extend([(p.first, p.last)] * p.tile_m)
            self._tiles.append((len(weights), p.tile_m))
            for row, codes in enumerate(packed(result_rows(p, expected)), 1):
                self.rows.expect(result_layout(config).pack(codes=codes, last=row == p.tile_m))

    def gemm(self, m: int | None = None, k: int | None = None, n: int | None = None) -> Gemm:
        """Random operands, formats and, where none is given, sizes: up to a few tiles."""
        rng = self._numbers()
        return draw_gemm(rng, self.config, m=m, k=k, n=n, longest=LONGEST).job(rng)

    def _numbers(self) -> np.random.Generator:
        return np.random.default_rng(self.rng.getrandbits(64))

    async def cycles(self, count: int) -> None:
        """Let clock cycles pass; ends in ReadOnly."""
        for _ in range(count):
            await FallingEdge(self.dut.clk)
        await ReadOnly()

    async def settle(self) -> None:
        """Wait until no stream has moved for twice the time that a row takes, and for no bad luck with ``idle``."""
        limit = 2 * (self.config.rows + self.config.drain_latency + self.config.readout_latency) + UNLUCKY
        quiet, before = 0, self.transfers
        while quiet < limit:
            await self.cycles(1)
            quiet = quiet + 1 if self.transfers == before else 0
            before = self.transfers

    async def close(self) -> None:
        """All that was offered is taken, all that is expected comes out, nothing else does, something was compared."""
        await self.settle()
        self.rows.close()
        if self.timed:
            self.latency.close()
        assert all(source.empty for source in self.sources.values()), "payloads were never taken"
        await FallingEdge(self.dut.clk)

    def states(self) -> set[str]:
        """What is under way in this cycle, as ``RESET_STATES`` has it."""
        taken = {port: count - self._since[port] for port, count in self.transfers.items()}
        ends = np.cumsum([(0, 0), *self._tiles], axis=0)
        config = self.config
        found = {
            "weights half loaded": taken["i_weight"] not in ends[:, 0],
            "pass half done": taken["i_activation"] not in ends[:, 1],
            "sums in the array": 0 <= cycle() - self.last_take < config.store_latency,
            "result offered": int(self.sink.port.valid.value) == 1,
            "PSUM full": self.first_rows - len(self.results) == config.psum_depth + config.readout_latency,
        }
        return {name for name, holds in found.items() if holds} or {"nothing under way"}

    async def until(self, state: str) -> None:
        """Wait for a state in ``RESET_STATES``; ends in ReadOnly."""
        while state not in self.states():
            await self.cycles(1)

    @property
    def transfers(self) -> dict[str, int]:
        """Payloads taken so far, by stream."""
        return {port: monitor.transfers for port, monitor in self.monitors.items()}

    async def _watch_stores(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            if int(self.dut.harness_stored.value):
                self.last_store = cycle()

    def _see_weight(self, _: int) -> None:
        if self.first_weight < 0:
            self.first_weight = cycle()

    def _see_activation(self, _: int) -> None:
        first, last = self._ends.popleft()
        self.last_take = cycle()
        self.first_rows += first
        if last and self.timed:
            self.latency.expect(cycle() + self.config.drain_latency + self.config.readout_latency)

    def _see_result(self, payload: int) -> None:
        self.results.append(payload)
        self.last_result = cycle()
        self.rows.observe(payload)
        if self.timed:
            self.latency.observe(cycle())

    def matrix(self, job: Gemm) -> np.ndarray:
        """The result of the only GEMM since reset, from the rows that came out."""
        width = 4 * self.config.cols
        codes = (result_layout(self.config).unpack(row)["codes"].to_bytes(width, "little") for row in self.results)
        rows = np.frombuffer(b"".join(codes), "<u4").reshape(-1, self.config.cols)
        return assemble(rows, *job.shape, self.config)
