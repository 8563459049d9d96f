"""The configurations that blocks of the tensor engine are benched and proved in."""

from dataclasses import replace

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS

__all__ = ["UNIT_CONFIGS"]

#: Configurations that are benched: the presets, and FP8 with fp32 sums.
UNIT_CONFIGS: dict[str, EngineConfig] = {
    "e4m3": PRESETS["tiny"],
    "fp8": EngineConfig(rows=3, cols=2, formats=("e4m3", "e5m2"), accumulation="exact", psum_depth=32),
    "e4m3_integer": replace(PRESETS["tiny"], integer_operands=True),
    "e4m3_pipelined": replace(PRESETS["tiny"], product_latency=2),
    "bf16": EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32", psum_depth=32),
    "fp8_fp32": EngineConfig(rows=2, cols=2, formats=("e4m3", "e5m2"), accumulation="fp32", psum_depth=32),
}
