"""A test bench in plain Verilog with vectors of the golden model: it needs a simulator and nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from arch.formats import FORMATS
from arch.layout import Layout
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import result_layout
from golden.tensor.jobs import Gemm, golden_result
from golden.tensor.schedule import Pass
from hw.tensor.axi import WRAPPER, data_bytes
from hw.tensor.verilog import banner
from verif.tensor.workload.gemms import draw_gemm
from verif.tensor.workload.operands import CLASSES
from verif.tensor.workload.program import Program, packed, result_rows

__all__ = ["STREAMS", "Vectors", "bench_gemms", "bench_verilog", "make_vectors", "run_command"]

#: GEMMs of each pair of formats, and at least so many in all.
EACH, LEAST = 2, 8
#: Cycles without a transfer on any stream after which the bench gives up, beside the engine's own latency.
PATIENCE = 2000

INPUTS = ("command", "weight", "activation")
#: A file of vectors for each.
STREAMS = (*INPUTS, "result")


def _expected_layout(config: EngineConfig) -> Layout:
    """A line of the result's vectors: what must leave, and for the report where it belongs."""
    return Layout(**result_layout(config).fields, first_column=16, row=16, gemm=16)


@dataclass(frozen=True)
class Vectors:
    """Beats of every stream in order.

    files : dict of str to str
        By stream: $readmemh's text, a line for each beat.
    counts : dict of str to int
        By stream: beats. ``gemms``: products.
    """

    files: dict[str, str]
    counts: dict[str, int]


def bench_gemms(config: EngineConfig, seed: int = 1) -> list[Gemm]:
    """Products of every pair of formats, read out in every format; tiles ragged, whole, and a single element."""
    rng = np.random.default_rng(seed)
    rows, cols = config.rows, config.cols
    pairs = list(product(config.formats, repeat=2))
    pairs *= max(EACH, -(-LEAST // len(pairs)))
    deepest = config.k_max if config.exact else 2 * rows + 1
    sizes = [(1, 1, 1), (2, min(rows, deepest), cols), (3, min(2 * rows + 1, deepest), 2 * cols + 1)]
    jobs = []
    for index, (x_format, w_format) in enumerate(pairs):
        spec = draw_gemm(
            rng,
            config,
            **dict(zip("mkn", sizes[index], strict=True)) if index < len(sizes) else {},
            # A few tiles: the vectors are files.
            longest=100 + 4 * rows,
            x_format=x_format,
            w_format=w_format,
            out_format=list(FORMATS)[index % len(FORMATS)],
            # Without saturation once round the formats, then with it.
            saturate=bool(index // len(FORMATS) % 2),
            kind=CLASSES[index % len(CLASSES)],
        )
        jobs.append(spec.job(rng))
    return jobs


def make_vectors(config: EngineConfig, jobs: Iterable[Gemm]) -> Vectors:
    """What crosses the ports for GEMMs one after the other, without a pause between them."""
    lines: dict[str, list[str]] = {name: [] for name in STREAMS}
    counts = dict.fromkeys(lines, 0)
    digits = {name: 2 * count for name, count in data_bytes(config).items()}
    digits["result"] = -(-_expected_layout(config).width // 4)
    program, number = Program(config), 0
    for number, job in enumerate(jobs, 1):
        words: dict[str, list[int]] = {name: [] for name in lines}
        codes = golden_result(job, config)
        for tile, (commands, weights, activations) in zip(*program.add(job), strict=True):
            words["command"] += [int(word) for word in commands]
            words["weight"] += packed(weights)
            words["activation"] += packed(activations)
            words["result"] += _expected(config, number, tile, codes)
        for name, values in words.items():
            lines[name] += [f"// {number}: {job}", *(f"{value:0{digits[name]}x}" for value in values)]
            counts[name] += len(values)
    files = {name: "\n".join(text) + "\n" for name, text in lines.items()}
    return Vectors(files, counts | {"gemms": number})


def _expected(config: EngineConfig, gemm: int, tile: Pass, codes: np.ndarray) -> Iterator[int]:
    layout = _expected_layout(config)
    for row, part in enumerate(packed(result_rows(tile, codes))):
        yield layout.pack(
            codes=part, last=int(row + 1 == tile.tile_m), first_column=tile.n0, row=tile.m0 + row, gemm=gemm
        )


def run_command(engine: str) -> str:
    """The line that runs, in its folder, the bench of the engine in a file ``NAME.v``."""
    name = Path(engine).stem
    return f"iverilog -g2012 -o {name}_tb.vvp {name}_tb.v {name}_axis.sv {engine} && vvp -n {name}_tb.vvp"


def bench_verilog(config: EngineConfig, engine: str, vectors: Vectors, wrapper: str = WRAPPER) -> str:
    """Verilog of the bench, module ``tb``, of an engine in a file ``NAME.v`` with its wrapper, module ``wrapper``.

    It reads ``NAME_command.hex`` and so on, one for each of ``STREAMS``, from the present folder.
    """
    name = Path(engine).stem
    counts, size = vectors.counts, data_bytes(config)
    expected = _expected_layout(config)
    at = {field: f"[{expected.offset(field)} +: {width}]" for field, width in expected.fields.items()}
    sources = "".join(
        _source(stream, index, 8 * size[stream], counts[stream], name) for index, stream in enumerate(INPUTS)
    )
    pins = "".join(
        f"    .s_axis_{stream}_tdata({stream}_tdata),\n    .s_axis_{stream}_tvalid({stream}_tvalid),\n"
        f"    .s_axis_{stream}_tready({stream}_tready),\n"
        for stream in INPUTS
    )
    sent = " && ".join(f"{stream}_sent == {counts[stream]}" for stream in INPUTS)
    idle = " && ".join(f"!({stream}_tvalid && {stream}_tready)" for stream in INPUTS)
    return f"""\
{banner(config, "Test bench of the tensor engine")}\
// Sends {counts["gemms"]} matrix products through the AXI4-Stream ports and compares {counts["result"]} rows of results
// with what the golden model says. Sources pause and the sink stalls at random. In the folder of the files:
//   {run_command(engine)}
// Prints PASS, or FAIL at the first thing wrong; vvp's exit code is then 1. +seed=N: other pauses and stalls.

module tb;
  reg aclk = 1'b0;
  reg aresetn = 1'b0;
  always #5 aclk = !aclk;

  // Pauses and stalls: four streams take eight bits each of a shift register. Every 128 cycles a stream draws whether
  // it goes ahead always, or in three, two or one of four cycles.
  reg [31:0] lfsr = 32'h1;
  reg [7:0] pace = 8'h0;
  reg [3:0] go = 4'hf;
  integer cycle = 0;
  integer seed;
  initial if ($value$plusargs("seed=%d", seed)) lfsr = seed != 0 ? seed : 1;
  integer lane;
  always @(posedge aclk) begin
    cycle <= cycle + 1;
    // x^32 + x^22 + x^2 + x + 1, eight steps; the register is never zero.
    lfsr <= shifted(lfsr);
    if (cycle % 128 == 127) pace <= {{lfsr[25:24], lfsr[17:16], lfsr[9:8], lfsr[1:0]}};
    for (lane = 0; lane < 4; lane = lane + 1) go[lane] <= lfsr[8 * lane + 4 +: 2] >= pace[2 * lane +: 2];
  end

  function [31:0] shifted(input [31:0] value);
    integer step;
    begin
      shifted = value;
      for (step = 0; step < 8; step = step + 1)
        shifted = {{shifted[30:0], shifted[31] ^ shifted[21] ^ shifted[1] ^ shifted[0]}};
    end
  endfunction
{sources}
  // Results: what must come next, and what comes.
  reg [{expected.width - 1}:0] results [0:{counts["result"] - 1}];
  initial $readmemh("{name}_result.hex", results);
  wire [{8 * size["result"] - 1}:0] result_tdata;
  wire result_tvalid, result_tlast;
  reg result_tready = 1'b0;
  integer received = 0;

  {wrapper} dut (
    .aclk(aclk),
    .aresetn(aresetn),
{pins}\
    .m_axis_result_tdata(result_tdata),
    .m_axis_result_tvalid(result_tvalid),
    .m_axis_result_tlast(result_tlast),
    .m_axis_result_tready(result_tready)
  );

  always @(posedge aclk) if (cycle == 2) aresetn <= 1'b1;

  wire [{expected.width - 1}:0] expected = results[received];
  reg held = 1'b0;
  reg [{8 * size["result"]}:0] held_beat;
  integer waited = 0;
  integer column;
  reg failed = 1'b0;
  always @(posedge aclk) if (aresetn && !failed) begin
    result_tready <= go[3];
    if (result_tvalid !== 1'b0 && result_tvalid !== 1'b1) begin
      $display("FAIL in cycle %0d: m_axis_result_tvalid is undefined", cycle);
      fail;
    end else if (held && (!result_tvalid || {{result_tlast, result_tdata}} !== held_beat)) begin
      $display("FAIL in cycle %0d: a result changed before it was taken", cycle);
      fail;
    end else if (result_tvalid && received == {counts["result"]}) begin
      $display("FAIL in cycle %0d: a result after the last", cycle);
      fail;
    end else if (result_tvalid && result_tready) begin
      for (column = 0; column < {config.cols}; column = column + 1)
        if (!failed && result_tdata[32 * column +: 32] !== expected[32 * column +: 32]) begin
          $display("FAIL in result row %0d, column %0d: GEMM %0d, Y[%0d, %0d] is %h, expected %h (cycle %0d)", received,
            column, expected{at["gemm"]}, expected{at["row"]}, expected{at["first_column"]} + column,
            result_tdata[32 * column +: 32], expected[32 * column +: 32], cycle);
          fail;
        end
      if (!failed && result_tlast !== expected{at["last"]}) begin
        $display("FAIL in result row %0d: tlast is %b, expected %b (cycle %0d)", received, result_tlast,
          expected{at["last"]}, cycle);
        fail;
      end
      received <= received + 1;
    end
    held <= result_tvalid && !result_tready;
    held_beat <= {{result_tlast, result_tdata}};

    waited <= {idle} && !(result_tvalid && result_tready) ? waited + 1 : 0;
    if (!failed && received == {counts["result"]} && waited == {2 * config.drain_latency}) begin
      if ({sent}) begin
        $display("PASS: {counts["gemms"]} GEMMs, %0d result rows, %0d cycles", received, cycle);
        $finish;
      end else begin
        $display("FAIL: all results came, and inputs were not taken");
        fail;
      end
    end
    if (!failed && waited == {PATIENCE + 2 * config.drain_latency}) begin
      $display("FAIL in cycle %0d: nothing moves after result row %0d of {counts["result"]}", cycle, received);
      fail;
    end
  end

  task fail;
    begin
      failed = 1'b1;
      $fatal(1, "the engine is wrong");
    end
  endtask
endmodule
"""


def _source(stream: str, index: int, width: int, count: int, name: str) -> str:
    """A stream's beats, and the registers that offer them: once valid, a beat stays until it is taken."""
    return f"""
  reg [{width - 1}:0] {stream}s [0:{count - 1}];
  initial $readmemh("{name}_{stream}.hex", {stream}s);
  reg [{width - 1}:0] {stream}_tdata;
  reg {stream}_tvalid = 1'b0;
  wire {stream}_tready;
  integer {stream}_offered = 0;
  integer {stream}_sent = 0;
  always @(posedge aclk) if (aresetn) begin
    if ({stream}_tvalid && {stream}_tready) {stream}_sent <= {stream}_sent + 1;
    if (!{stream}_tvalid || {stream}_tready) begin
      {stream}_tvalid <= go[{index}] && {stream}_offered < {count};
      {stream}_tdata <= {width}'bx;
      if (go[{index}] && {stream}_offered < {count}) begin
        {stream}_tdata <= {stream}s[{stream}_offered];
        {stream}_offered <= {stream}_offered + 1;
      end
    end
  end
"""
