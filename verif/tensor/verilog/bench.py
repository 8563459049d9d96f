"""A test bench in plain Verilog with vectors of the golden model: it needs a simulator and nothing else."""

from pathlib import Path

from arch.tensor.config import EngineConfig
from hw.tensor.axi import WRAPPER, data_bytes
from hw.tensor.verilog import banner
from verif.simulation import plain_bench
from verif.tensor.verilog.vectors import STREAMS, Vectors, expected_layout

__all__ = ["bench_verilog", "run_command"]

#: Cycles without a transfer on any stream after which the bench gives up, beside the engine's own latency.
PATIENCE = 2000


def run_command(engine: str) -> str:
    """The line that runs, in its folder, the bench of the engine in a file ``NAME.v``."""
    return plain_bench.run_command(engine, "_axis.sv")


def bench_verilog(config: EngineConfig, engine: str, vectors: Vectors, wrapper: str = WRAPPER) -> str:
    """Verilog of the bench, module ``tb``, of an engine in a file ``NAME.v`` with its wrapper, module ``wrapper``.

    It is ``bench.v`` beside this file with its parameters set. It reads ``NAME_command.hex`` and so on, one for each of
    ``STREAMS``, from the present folder.
    """
    counts = vectors.counts
    text = plain_bench.filled(Path(__file__).with_name("bench.v"), _parameters(config, Path(engine).stem, counts))
    return f"""\
{banner(config, "Test bench of the tensor engine")}\
// Sends {counts["gemms"]} matrix products through the AXI4-Stream ports and compares {counts["result"]} rows of results
// with what the golden model says. Sources pause and the sink stalls at random. In the folder of the files:
//   {run_command(engine)}
// Prints PASS, or FAIL at the first thing wrong; vvp's exit code is then 1. +seed=N: other pauses and stalls.

{text.replace(f"{WRAPPER} dut", f"{wrapper} dut")}"""


def _parameters(config: EngineConfig, name: str, counts: dict[str, int]) -> dict[str, int | str]:
    """Those of ``bench.v``, by name."""
    layout, size = expected_layout(config), data_bytes(config)
    values: dict[str, int | str] = {"COLS": config.cols, "GEMMS": counts["gemms"]}
    for stream in STREAMS:
        prefix = stream.upper()
        values |= {f"{prefix}_BITS": 8 * size[stream], f"{prefix}_BEATS": counts[stream]}
        values[f"{prefix}_FILE"] = f'"{name}_{stream}.hex"'
    values |= {"EXPECTED_BITS": layout.width, "LAST_AT": layout.offset("last")}
    values |= {"COLUMN_AT": layout.offset("first_column"), "ROW_AT": layout.offset("row")}
    values |= {"GEMM_AT": layout.offset("gemm"), "QUIET": 2 * config.drain_latency}
    return values | {"PATIENCE": PATIENCE + 2 * config.drain_latency}
