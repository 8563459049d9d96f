"""Every counter of the engine counts to its top and begins anew, and runs of many rows end as they begin."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from golden.tensor.engine import TensorEngine
from verif.modules import module_text
from verif.simulation.harness import Log
from verif.simulation.replay import ReplayResult, replay
from verif.simulation.simulate import build_unit
from verif.tensor.unit import tensor_unit
from verif.tensor.workload.traffic import FOREVER, Traffic

SEED = int(os.environ.get("SEED", 3))
#: Of runs of some thousand cycles. Icarus builds in a second; in arrays of more lanes it takes ages over registers.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
#: Rows that a run must give, more than any counter of 17 bits holds.
MANY = 1 << 18

E4M3 = {"formats": ("e4m3",), "accumulation": "exact"}
#: All the rows that PSUM can have; as many as it has by default, in more columns than one; a ring that is soon full.
DEEP = EngineConfig(rows=1, cols=1, psum_depth=1 << 16, **E4M3)
PLAIN = EngineConfig(rows=2, cols=2, psum_depth=1024, rows_per_load_cycle=2, **E4M3)
RING = EngineConfig(rows=3, cols=3, formats=("bf16",), accumulation="fp32", add_latency=2, psum_depth=32)
#: More lanes than seven bits count.
TALL = EngineConfig(rows=128, cols=1, psum_depth=256, k_max=256, integer_operands=True, **E4M3)
WIDE = EngineConfig(rows=1, cols=128, psum_depth=256, k_max=256, integer_operands=True, **E4M3)


def counters(config: EngineConfig) -> dict[str, str]:
    """Of each counter, whether it stands at its top: expressions over the harness."""
    sequencer, readout = "dut.sequencer", "dut.readout"
    address, columns = config.psum_depth - 1, config.cols.bit_length()
    return {
        "weight beats loaded": f"{sequencer}.loaded == {config.load_cycles(config.rows)}",
        "activation rows of a pass": f"{sequencer}.row == {config.psum_depth}",
        "sums on their way": f"{sequencer}.in_flight == {config.store_latency - 1}",
        "PSUM rows occupied": f"{sequencer}.occupied == {config.psum_depth}",
        "rows that wait for read-out": f"{readout}.rows_ready == {config.psum_depth}",
        "ring of rows taken": f"{sequencer}.o_row_en && {sequencer}.o_row_address == {address}",
        "ring of rows read out": f"{readout}.read_en && {readout}.o_read_address == {address}",
        "lanes in use": f"{sequencer}.o_activation_en && {sequencer}.o_tile_k == {config.rows}",
        "columns in use": f"{sequencer}.o_row_en && {sequencer}.o_row[{columns - 1}:0] == {config.cols}",
    }


class Play:
    """Tiles through the golden model: its records, and whether its results are right."""

    def __init__(self, config: EngineConfig) -> None:
        print("seed", SEED)
        self.traffic = Traffic(config, np.random.default_rng(SEED))
        self.model = TensorEngine(config, registers=with_registers(config))

    def offer(self, sizes: list[int], **options) -> None:
        """Queue tiles of one pass each."""
        first = len(self.traffic.commands)
        self.traffic.group(sizes, steps=1, **options)
        self.model.offer(*self.traffic.beats(first))

    def to_the_end(self) -> np.ndarray:
        records = self.model.run(FOREVER, until_done=True)
        self.traffic.check(self.model)
        return records


def with_registers(config: EngineConfig) -> bool:
    """Whether registers are compared: Icarus takes ages over those of many lanes."""
    return max(config.rows, config.cols) < 16


def fill(config: EngineConfig) -> Iterator[np.ndarray]:
    """A row that waits alone at the result port, PSUM filled behind it, and tiles of every kind of size."""
    play = Play(config)
    through = config.rows + config.drain_latency + config.readout_latency + 8
    play.offer([1])
    yield play.model.run(through, stall=1.0)
    play.offer([config.psum_depth])
    yield play.model.run(config.psum_depth + through, stall=1.0)
    # A pass of all rows with another one behind it, then one with none.
    for sizes in ([config.psum_depth, 1], [config.psum_depth], around_powers(config)):
        for size in sizes:
            play.offer([size], whole=size == config.psum_depth)
        yield play.to_the_end()


def all_lanes(config: EngineConfig) -> Iterator[np.ndarray]:
    """All lanes and columns, more rows than are on their way at a time, and weights that wait for the last of them."""
    play = Play(config)
    for size in (config.store_latency + 4, 1):
        play.offer([size], whole=True)
    yield play.to_the_end()


def run(
    config: EngineConfig,
    records: Iterator[np.ndarray],
    rewrite: Callable[[str], str] | None = None,
    *,
    simulator: str = SHORT,
) -> tuple[ReplayResult, set[str]]:
    """A replay, and the counters that came to their top."""
    unit, tops = tensor_unit(config, registers=with_registers(config)), counters(config)
    bits = f"{{{', '.join(f'({text})' for text in reversed(tops.values()))}}}"
    unit = replace(unit, opt_level=1, log=Log(payload=bits, width=len(tops), state=bits, state_width=len(tops)))
    outcome = replay(build_unit(unit, simulator=simulator, rewrite=rewrite), records)
    seen = int(np.bitwise_or.reduce(outcome.entries[:, 0]))
    return outcome, {name for bit, name in enumerate(tops) if seen >> bit & 1}


def around_powers(config: EngineConfig) -> list[int]:
    """Sizes at, below and above each power of two that PSUM can hold."""
    powers = [1 << n for n in range(config.psum_depth.bit_length())]
    return [size for power in powers for size in (power - 1, power, power + 1) if 0 < size <= config.psum_depth]


@pytest.mark.parametrize(
    ("config", "simulator"),
    [
        pytest.param(PLAIN, SHORT, id="plain"),
        pytest.param(RING, SHORT, id="ring"),
        pytest.param(DEEP, "verilator", id="deep", marks=pytest.mark.slow),
    ],
)
def test_every_counter_reaches_its_top(config, simulator):
    outcome, reached = run(config, fill(config), simulator=simulator)
    assert outcome.passed, outcome.mismatches or outcome.failure
    assert reached == set(counters(config))
    if config is DEEP:
        assert outcome.compared_cycles > MANY


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        pytest.param(
            TALL,
            {"weight beats loaded", "sums on their way", "lanes in use"},
            id="tall",
            marks=pytest.mark.slow,
        ),
        pytest.param(WIDE, {"columns in use"}, id="wide", marks=pytest.mark.slow),
    ],
)
def test_counters_of_a_long_side_reach_their_tops(config, counts):
    outcome, reached = run(config, all_lanes(config))
    assert outcome.passed, outcome.mismatches or outcome.failure
    assert counts <= reached


# ---- faults that show at the end of a range only -------------------------------------------------


def changed(kind: str, pattern: str, replacement: str) -> Callable[[str], str]:
    """A rewrite of one place in the one module of a kind."""

    def rewrite(text: str) -> str:
        body = module_text(text, kind)
        new, found = re.subn(pattern, replacement, body)
        assert found == 1 and new != body, f"{kind}: {pattern!r} occurs {found} times"
        return text.replace(body, new)

    return rewrite


#: Of each fault: where it is planted, what is run, and the rewrite.
FAULTS = {
    "rows that wait for read-out, a bit too narrow": (
        replace(DEEP, psum_depth=4096),
        fill,
        changed("readout", r"(rows_ready <= \w+)\[12:0\];", r"\1[11:0];"),
    ),
    "the row 131,071 after reset has another last": (
        DEEP,
        fill,
        changed(
            "readout",
            r"(tile_ends <= )(\w+);(?=\n  always)",
            r"\1\2 ^ (given == 131070);\n  reg [31:0] given = 0;\n  always @(posedge clk) if (o__valid & o__ready) "
            r"given <= rst ? 0 : given + 1;",
        ),
    ),
    "a pass of exactly 512 rows, counted with nine bits": (
        PLAIN,
        fill,
        changed("sequencer", r"= (_\w+) (== running\[10:0\]);", r"= (\1 & 9'h1ff) \2;"),
    ),
    "lanes in use, counted with seven bits": (
        TALL,
        all_lanes,
        changed("sequencer", r"o_tile_k = (running\[\d+:\d+\]);", r"o_tile_k = \1 & 7'h7f;"),
    ),
}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=pytest.mark.slow if FAULTS[fault][0] in (DEEP, TALL, WIDE) else ()) for fault in FAULTS],
)
def test_planted_faults_are_found(fault):
    config, records, rewrite = FAULTS[fault]
    simulator = "verilator" if config is DEEP else SHORT
    outcome, _ = run(config, records(config), rewrite, simulator=simulator)
    (mismatch,) = outcome.mismatches
    print(mismatch)
