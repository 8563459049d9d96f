"""Named cores, each around the tensor engine of the same name."""

from arch.core.config import CoreConfig
from arch.tensor.presets import PRESETS

__all__ = ["CORES"]

CORES = {
    # Small enough to read every signal of: documentation, proofs.
    "tiny": CoreConfig(engine=PRESETS["tiny"], lane_bytes=4096, banks=4, beat_bytes=8, reads_in_flight=4),
    # Twice the weights of a layer of 384 x 1536, 73,728 bytes a lane, and room for activations.
    "fp8": CoreConfig(engine=PRESETS["fp8"], lane_bytes=131072, banks=8, beat_bytes=32, reads_in_flight=64),
    "bf16": CoreConfig(engine=PRESETS["bf16"], lane_bytes=65536, banks=8, beat_bytes=16, reads_in_flight=64),
    "mxu": CoreConfig(engine=PRESETS["mxu"], lane_bytes=131072, banks=16, beat_bytes=256, reads_in_flight=64),
}
