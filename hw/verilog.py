"""Verilog of a tensor engine, and a page on how to drive it."""

import re
from dataclasses import fields
from functools import cache

from golden.spec.config import EngineConfig
from golden.spec.encodings import command_layout, result_layout
from golden.spec.formats import FORMATS
from hw.blocks import emit_modules
from hw.tensor_engine import TensorEngine

__all__ = ["describe", "engine_verilog", "join_modules"]


_ZEROS = re.compile(r"  initial begin\n((?:    (\w+)\[\d+\] = (\d+'h0+);\n)+)  end\n")
#: Four or more times the same name in a concatenation.
_COPIES = re.compile(r"(?<=[{ ])([\\\w.]+ ?(?:\[\d+\])?)(?:, \1){3,}(?=[, ])")


def _zero_loop(match: re.Match) -> str:
    lines, memory, zero = match[1].count("\n"), match[2], match[3]
    return (
        f"  integer {memory}_row;\n  initial\n"
        f"    for ({memory}_row = 0; {memory}_row < {lines}; {memory}_row = {memory}_row + 1)\n"
        f"      {memory}[{memory}_row] = {zero};\n"
    )


def _replicate(match: re.Match) -> str:
    return f"{{{match[0].count(',') + 1}{{{match[1]}}}}}"


def join_modules(modules: dict[str, str]) -> str:
    """One Verilog text of modules as ``emit_modules`` gives them, with short memory clearing and replications."""
    return "\n".join(_COPIES.sub(_replicate, _ZEROS.sub(_zero_loop, text)) for text in modules.values())


@cache
def engine_verilog(config: EngineConfig) -> str:
    """Verilog-2005 of the engine, top module ``tensor_engine``; the same configuration gives the same bytes."""
    parameters = "\n".join(f"//   {field.name} = {getattr(config, field.name)}" for field in fields(config))
    header = (
        "// Systolith tensor engine, generated: do not edit.\n"
        f"// Configuration:\n{parameters}\n"
        "// Clock clk, synchronous active-high reset rst; streams transfer when valid and ready are high.\n\n"
    )
    return header + join_modules(emit_modules(TensorEngine(config)))


def _bit_table(layout) -> str:
    rows = [
        f"| `{name}` | {layout.offset(name) + width - 1}:{layout.offset(name)} | {width} |"
        for name, width in layout.fields.items()
    ]
    return "\n".join(["| field | bits | width |", "|---|---|---|", *rows])


def describe(config: EngineConfig) -> str:
    """One Markdown page: ports, layouts, latencies and how to run a matrix product."""
    lanes = config.code_bits
    selects = ", ".join(f"{fmt.name} = {fmt.select}" for fmt in FORMATS.values())
    return f"""# tensor_engine

{config.rows} rows x {config.cols} columns, operands {", ".join(config.formats)}, {config.accumulation} accumulation,
{config.psum_depth} PSUM rows of {config.psum_bits} bits per column{
        f", contractions up to K = {config.k_max}" if config.exact else ""
    }.

## Ports

`clk`, and `rst` (synchronous, active high; PSUM memory keeps its contents). In an event-driven simulator let `rst` rise
after time 0: some wait for a change before they evaluate anything. Four streams: a transfer happens in
a cycle in which `valid` and `ready` are high; hold a payload until it is taken; never let `valid` wait for `ready`.

| port | direction | payload bits | one beat is |
|---|---|---|---|
| `i_command__{{valid,ready,payload}}` | in | {command_layout(config).width} | one pass |
| `i_weight__...` | in | {config.cols * lanes} | one weight row, {config.cols} codes of {lanes} bits, column 0 low |
| `i_activation__...` | in | {config.rows * lanes} | one activation row, {config.rows} codes of {
        lanes
    } bits, lane 0 low |
| `o_result__...` | out | {result_layout(config).width} | one result row, {config.cols} x 32 bits, column 0 low |

Narrow codes are right-aligned and zero-extended.

## Command

{_bit_table(command_layout(config))}

Formats: {selects}. Operand formats of this build: {", ".join(config.formats)}.

- `tile_m`: activation rows of the pass, 1..{config.psum_depth}. `tile_k`: weight rows, 1..{
        config.rows
    }; lanes from `tile_k`
  up are masked. `tile_n`: columns in use, 1..{config.cols}.
- `first` and `last`: the first and the last K tile of an output tile; a sole one sets both.
- `base`: PSUM row of the pass's first row. Output tiles take PSUM rows in ring order: each tile's base is that of
  the tile before it plus that tile's `tile_m`, modulo {
        config.psum_depth
    }, starting at 0. All passes of a tile use the same base.
  Last passes come in the order of first passes. Tiles begun and not finished hold at most {config.psum_depth} rows.
- `distance`: activation rows from a row to the one that adds to the same sum in the tile's next pass, at most
  {config.hazard_latency}: `min({config.hazard_latency}, tile_m * number of interleaved tiles)`.
- `out_format`, `saturate`: of the result, on the `last` pass. Without `saturate` an overflow becomes Inf (e4m3: NaN).

## Result

{_bit_table(result_layout(config))}

`last` marks the last row of an output tile. Columns from `tile_n` up are zero.

## Driving Y[M,N] = X[M,K] @ W[K,N]

For each output tile (at most {config.tile_m} rows by {config.cols} columns) and each K tile of {
        config.rows
    }, ascending, send:
1. one command;
2. `tile_k` weight rows, row 0 first;
3. `tile_m` activation rows.

The three streams are independent: send each as early as it is taken. Weights of the next pass load while the
present one computes. Results of a tile come out after its last pass, one row per cycle.

## Latency

| from | to | cycles |
|---|---|---|
| activation row taken | partial sum stored, column 0 | {config.store_latency} |
| activation row taken | partial sum stored, column {config.cols - 1} | {config.store_latency + config.cols - 1} |
| activation row of a last pass taken | result valid | {config.drain_latency + config.readout_latency} |

A pass costs max(`tile_m`, next pass's `tile_k`) cycles.
"""
