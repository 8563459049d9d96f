"""The tensor engine as the simulation machinery sees it."""

from dataclasses import replace
from functools import partial

from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_record
from golden.tensor.engine import TensorEngine
from hw.arithmetic.rounder import Rounder
from hw.fpga.ecp5 import ECP5
from hw.lib.emission import name_of
from hw.tensor.pe import ProcessingElement
from hw.tensor.row import Row
from hw.tensor.verilog import engine_verilog
from verif.simulation.harness import Log
from verif.simulation.unit import Unit
from verif.simulation.unit_bench import cells_of
from verif.tensor.paths import column_stores, hard_product
from verif.tensor.signals import PROBES
from verif.tensor.workload.program import beats_of

__all__ = ["FLAT_PES", "is_flat", "tensor_unit"]

#: Arrays up to this many PEs are simulated flat, with every register compared. Larger ones are built row by row, which
#: hides registers from the harness, and are compared at their ports.
FLAT_PES = 256
PORTS_ONLY = "an array of that size is compared at its ports only: the cause lies some cycles earlier"


def is_flat(config: EngineConfig) -> bool:
    """Whether the array is small enough for its registers to be compared."""
    return config.rows * config.cols <= FLAT_PES


def _verilog(config: EngineConfig, target: str | None) -> str:
    text = engine_verilog(config, target)
    return f"{text}\n{cells_of(target)}" if target else text


def tensor_unit(config: EngineConfig, *, registers: bool = True, target: str | None = None) -> Unit:
    """A tensor engine that works on GEMMs, ``registers`` compared where the array is small enough.

    ``target``: made of that family's cells, as ``engine_verilog`` takes it.
    """
    flat = is_flat(config)
    registers = registers and flat
    probes = PROBES
    if target == ECP5 and config.integer_operands:
        probes = PROBES | {"product": replace(PROBES["product"], path=hard_product)}
    return Unit(
        name="tensor engine",
        config=config,
        top="tensor_engine",
        verilog=partial(_verilog, config, target),
        record=engine_record(config, registers=registers),
        probes=probes,
        model=partial(TensorEngine, config, registers=registers),
        beats=partial(beats_of, config=config),
        drain=2 * config.drain_latency,
        # A sum takes so long from the array to the port.
        lookback=config.drain_latency + config.readout_latency,
        skew=(config.add_latency, 1),
        marks=("read_request",),
        log=_event_log(config),
        job="gemm",
        note="" if registers else PORTS_ONLY,
        hier_blocks=() if flat else (name_of(Row, config, target=target),),
        # Counters make a module's code ten times as long: it is compiled once, and in no time.
        coverage_blocks=tuple(name_of(block, config, target=target) for block in (ProcessingElement, Rounder)),
        # Large arrays spend most of the time on compiling.
        opt_level=3 if flat else 1,
    )


def _event_log(config: EngineConfig) -> Log:
    """Logs rows read out, and the cycles in which the RTL starts or stops to take weight rows and to store sums.

    Entry: the row's codes, a word per column; the cycle, two words; a word of flags: stores, takes a weight row, gives
    a result row.
    """
    store = " | ".join(column_stores(config, col) for col in range(config.cols))
    weight = "i_weight__valid & i_weight__ready"
    result = "o_result__valid & o_result__ready"
    codes = 32 * config.cols
    return Log(
        payload=f"{{{result}, {weight}, {store}, harness_compared, o_result__payload[{codes - 1}:0]}}",
        width=codes + 64 + 3,
        when=result,
        state=f"{{{weight}, {store}}}",
        state_width=2,
    )
