"""Which fp32 sums an array can hold, as conditions in Verilog: proofs and mutants rest on them."""

from arch.formats import FP32
from arch.tensor.config import EngineConfig

__all__ = ["canonical_sum", "possible_sum"]


def possible_sum(config: EngineConfig, port: str) -> str:
    """An fp32 sum that the configuration's products can make."""
    if not config.sums_in_range:
        return canonical_sum(port)
    return f"({port}[30] != {port}[29] || {port}[30:0] == 31'd{FP32.inf} || {port} == 32'd{FP32.nan} || {port} == 0)"


def canonical_sum(port: str) -> str:
    """An fp32 code that is no NaN but the canonical one."""
    return f"({port}[30:0] <= 31'd{FP32.inf} || {port} == 32'd{FP32.nan})"
