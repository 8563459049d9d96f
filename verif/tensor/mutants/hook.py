"""How the tensor engine takes part in the campaign of mutants."""

from functools import cache

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from hw.tensor.axi import WRAPPER
from hw.tensor.engine import TensorEngine
from verif.modules import plain_modules
from verif.mutants.hook import MutantHook
from verif.tensor.axi import plain_wrapper
from verif.tensor.mutants.assumptions import known
from verif.tensor.mutants.benches import benches, psum_memory

__all__ = ["MUTANTS"]


def _modules(config: EngineConfig) -> tuple[str, ...]:
    """What computes, what decides, what keeps partial sums, and the AXI wrapper around."""
    if config.exact:
        adder = ("exact_adder",) if config.integer_operands else ("aligner", "exact_adder")
    else:
        adder = ("fused_adder",)
    arithmetic = ("decoder", "multiplier", *adder, "rounder", "narrower", "pe")
    return (*arithmetic, "sequencer", "psum_bank", psum_memory(config), "readout", WRAPPER)


@cache
def _verilog(config: EngineConfig) -> str:
    return "\n".join([*plain_modules(TensorEngine(config)).values(), plain_wrapper(config)])


#: The preset with exact sums, and a small configuration with fp32 sums.
MUTANTS = MutantHook(
    configs={
        "tiny": PRESETS["tiny"],
        "small_fp32": EngineConfig(rows=2, cols=2, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=16),
    },
    modules=_modules,
    verilog=_verilog,
    known=known,
    benches=benches,
)
