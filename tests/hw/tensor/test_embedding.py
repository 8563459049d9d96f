"""Blocks in somebody else's design: in Amaranth's simulator, and as Amaranth's own Verilog under two simulators."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import Module, ResetInserter, Signal, Value
from amaranth.sim import Simulator

from arch.layout import Layout
from arch.record import Field, record_words
from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm
from golden.tensor.stimulus import assemble, gemm_beats
from hw.tensor.row import Row
from verif.simulation.harness import Harness
from verif.simulation.replay import replay
from verif.simulation.simulator import build
from verif.tensor.blocks.array_units import grid_bench
from verif.tensor.blocks.configs import UNIT_CONFIGS
from verif.tensor.blocks.units import BENCHES

ROOT = Path(__file__).parents[3]
SEED = 14


@pytest.fixture(scope="module")
def documented() -> dict:
    """What the lines of docs/verilog.md define."""
    page = (ROOT / "docs" / "verilog.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict = {"__name__": "documented"}
    exec(compile(lines, "docs/verilog.md", "exec"), names)
    return names


# ---- the documented design ------------------------------------------------------------------------

#: Products that the two engines work on: shapes, and formats of activations and weights.
TINY_JOB = (5, 6, 7), ("e4m3", "e4m3")
SMALL_JOB = (4, 5, 4), ("bf16", "e4m3")
CYCLES = 120


def _operands(rng: np.random.Generator, job) -> list[np.ndarray]:
    (m, k, n), formats = job
    return [
        encode(rng.normal(0, 4, shape).astype(np.float32), fmt)
        for shape, fmt in zip(((m, k), (k, n)), formats, strict=True)
    ]


def _expected(operands, job, config) -> np.ndarray:
    x_format, w_format = job[1]
    return gemm(*operands, x_format=x_format, w_format=w_format, accumulation=config.accumulation).view(np.uint32)


@dataclass
class _Feed:
    """Offers beats at random times, and holds each until it is taken."""

    name: str
    beats: list[int]
    offered: bool = False

    def drive(self, rng: np.random.Generator) -> dict[str, int]:
        self.offered = self.offered or bool(self.beats and rng.random() < 0.6)
        return {f"{self.name}__valid": int(self.offered), f"{self.name}__payload": self.beats[0] if self.offered else 0}

    def step(self, record: dict[str, int]) -> None:
        if self.offered and record[f"{self.name}__ready"]:
            self.beats.pop(0)
            self.offered = False


@dataclass
class _Recorded:
    """Every port of the design in every cycle, and the result rows of each engine."""

    fields: tuple[Field, ...]
    records: list[dict[str, int]] = field(default_factory=list)

    def rows(self, name: str, cols: int) -> np.ndarray:
        taken = [r[f"{name}__payload"] for r in self.records if r[f"{name}__valid"] and r[f"{name}__ready"]]
        return np.array([[row >> 32 * col & 0xFFFFFFFF for col in range(cols)] for row in taken], np.uint32)

    def trace(self) -> np.ndarray:
        trace = np.zeros((len(self.records), record_words(self.fields)), np.uint32)
        for index, record in enumerate(self.records):
            words = [record[f.name] >> 32 * word & 0xFFFFFFFF for f in self.fields for word in range(f.words)]
            trace[index] = words
        return trace


def _record(design, feeds: list[_Feed], rng: np.random.Generator) -> _Recorded:
    """The design in Amaranth's simulator: sources that idle, sinks that stall."""
    ports = {"__".join(path): (member, Value.cast(port)) for path, member, port in design.signature.flatten(design)}
    fields = [Field(name, len(port), drive=member.flow.name == "In") for name, (member, port) in ports.items()]
    recorded = _Recorded(tuple(sorted(fields, key=lambda f: not f.drive)))

    async def bench(ctx):
        for _ in range(CYCLES):
            driven = {f.name: int(rng.random() < 0.7) for f in recorded.fields if f.drive and f.name.endswith("ready")}
            for feed in feeds:
                driven |= feed.drive(rng)
            for name, value in driven.items():
                ctx.set(ports[name][1], value)
            recorded.records.append({name: ctx.get(port) for name, (_, port) in ports.items()})
            for feed in feeds:
                feed.step(recorded.records[-1])
            await ctx.tick()

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return recorded


@dataclass(frozen=True)
class _Run:
    recorded: _Recorded
    verilog: str
    expected: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def run(documented) -> _Run:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    tiny, small = _operands(rng, TINY_JOB), _operands(rng, SMALL_JOB)
    config = documented["SMALL"]
    beats = zip(*gemm_beats(*small, config, x_format=SMALL_JOB[1][0], w_format=SMALL_JOB[1][1]), strict=True)
    feeds = [
        _Feed(f"small__i_{name}", [int.from_bytes(row.tobytes(), "little") for part in parts for row in part])
        for name, parts in zip(("command", "weight", "activation"), beats, strict=True)
    ]
    recorded = _record(documented["TwoEngines"](*tiny), feeds, rng)
    text = verilog.convert(documented["TwoEngines"](*tiny), name="two_engines", emit_src=False)
    expected = {"tiny": _expected(tiny, TINY_JOB, documented["TINY"]), "small": _expected(small, SMALL_JOB, config)}
    return _Run(recorded, text, expected)


def test_both_engines_multiply_in_amaranths_simulator(run, documented):
    for name, port, job in (("tiny", "tiny", TINY_JOB), ("small", "small__o_result", SMALL_JOB)):
        config = documented[name.upper()]
        result = assemble(run.recorded.rows(port, config.cols), *job[0], config)
        assert result.tolist() == run.expected[name].tolist()
    rows = [len(run.recorded.rows(*port)) for port in (("tiny", 4), ("small__o_result", 3))]
    assert run.recorded.records[-1]["rows"] == sum(rows) == 5 * 2 + 4 * 2


@pytest.mark.slow
def test_amaranths_verilog_does_the_same_under_verilator(run):
    # What Amaranth makes of an Array, Verilator warns of.
    text = f"/* verilator lint_off CASEINCOMPLETE */\n{run.verilog}"
    simulation = build([text], Harness(dut="two_engines", fields=run.recorded.fields), opt_level=0)
    trace = run.recorded.trace()
    outcome = replay(simulation, [trace])
    assert outcome.passed and outcome.compared_cycles == CYCLES, outcome.mismatches
    trace[-1, -1] ^= 1
    assert not replay(simulation, [trace]).passed


def _plain_bench(fields: tuple[Field, ...]) -> str:
    """A bench in Verilog alone that compares every cycle; ``tb.hex`` has the cycles, the last field on top."""
    pins, at = [], 0
    compared = 0
    for f in fields:
        high, low = at + f.width - 1, at
        compared = compared or (0 if f.drive else low)
        pins.append(f".{f.name}({'now' if f.drive else 'found'}[{high}:{low}])")
        at += f.width
    return f"""
module tb;
  reg clk = 0, rst = 1;
  reg [{at - 1}:0] trace [0:{CYCLES - 1}];
  reg [{at - 1}:0] now;
  wire [{at - 1}:0] found;
  integer cycle;
  two_engines dut (.clk(clk), .rst(rst), {", ".join(pins)});
  initial begin
    $readmemh("tb.hex", trace);
    now = 0;
    repeat (2) begin #1 clk = 1; #1 clk = 0; end
    rst = 0;
    for (cycle = 0; cycle < {CYCLES}; cycle = cycle + 1) begin
      now = trace[cycle];
      #1 if (found[{at - 1}:{compared}] !== now[{at - 1}:{compared}]) begin
        $display("cycle %0d differs", cycle);
        $finish;
      end
      clk = 1;
      #1 clk = 0;
    end
    $display("%0d cycles", cycle);
    $finish;
  end
endmodule
"""


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_amaranths_verilog_does_the_same_under_icarus(run, tmp_path):
    fields = run.recorded.fields
    (tmp_path / "tb.v").write_text(_plain_bench(fields), encoding="utf-8")
    (tmp_path / "two_engines.v").write_text(run.verilog, encoding="utf-8")
    cycles = [Layout(**{f.name: f.width for f in fields}).pack(**record) for record in run.recorded.records]
    # By the rules of 2005 an always @* of Amaranth's runs at time 0; Icarus 11 has other rules for later years.
    compile_it = ["iverilog", "-g2005", "-o", "tb.vvp", "tb.v", "two_engines.v"]
    subprocess.run(compile_it, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    for flip, said in ((0, f"{CYCLES} cycles"), (1, f"cycle {CYCLES - 1} differs")):
        cycles[-1] ^= flip << sum(f.width for f in fields) - 1
        (tmp_path / "tb.hex").write_text("".join(f"{bits:x}\n" for bits in cycles), encoding="utf-8")
        done = subprocess.run(["vvp", "-n", "tb.vvp"], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True)
        assert done.stdout.decode().split("\n")[0] == said


# ---- blocks alone ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_blocks_alone_in_one_design():
    """A PE, a row, an array and two banks of different depth, each against its model."""
    print(f"seed {SEED}")
    fp8 = UNIT_CONFIGS["fp8"]
    row = replace(grid_bench("row", replace(fp8, rows=1)), block=lambda: Row(replace(fp8, rows=1)))
    benches = [BENCHES[name] for name in ("pe-fp8", "grid-fp8", "psum_bank-e4m3", "psum_bank-fp8")] + [row]
    m = Module()
    parts = []
    for bench in benches:
        block, reset = bench.block(), Signal()
        m.submodules[bench.name] = ResetInserter(reset)(block)
        ports = {"__".join(path): Value.cast(port) for path, _, port in block.signature.flatten(block)}
        ports["i_reset"] = reset
        ports.setdefault("i_beats", ports.get("i_beat"))
        values = bench.values(np.random.default_rng(SEED))
        seen = [f for f in bench.fields if f.row is None]
        parts.append([(f, ports[f.name], values[f.name]) for f in seen])

    async def drive(ctx):
        for cycle in range(200):
            for bench, fields in zip(benches, parts, strict=True):
                for f, port, values in fields:
                    if f.drive:
                        ctx.set(port, _integer(values[cycle]))
                for f, port, values in fields:
                    if not f.drive:
                        assert ctx.get(port) == _integer(values[cycle]), f"{bench.name}, cycle {cycle}: {f.name}"
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert len(rtlil.convert(m, ports=[])) > 100_000


def _integer(value) -> int:
    """A value of a bench: an integer, or its 32-bit words."""
    return sum(int(word) << 32 * place for place, word in enumerate(np.atleast_1d(value)))
