"""Named configurations."""

from arch.tensor.config import EngineConfig

__all__ = ["PRESETS"]

PRESETS = {
    # Small enough to read every register of: documentation and debugging.
    "tiny": EngineConfig(rows=4, cols=4, formats=("e4m3",), accumulation="exact"),
    # Both FP8 formats, chosen per pass; sums are correctly rounded dot products.
    "fp8": EngineConfig(rows=16, cols=16, formats=("e4m3", "e5m2"), accumulation="exact"),
    # Any mix of BF16 and FP8 with IEEE fp32 partial sums.
    "bf16": EngineConfig(rows=8, cols=8, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32"),
    # The size of the TPU's matrix unit.
    "mxu": EngineConfig(rows=128, cols=128, formats=("e4m3",), accumulation="exact"),
}
