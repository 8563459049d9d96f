"""What an engine takes in for GEMMs, one after another."""

from collections.abc import Iterator, Sequence

import numpy as np

from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm
from golden.tensor.schedule import Pass, gemm_beats, gemm_passes, next_base

__all__ = ["beats_of", "passes_of"]


def passes_of(jobs: Sequence[Gemm], config: EngineConfig) -> list[list[Pass]]:
    """The passes of each GEMM, one after another: each begins in PSUM where the one before has ended."""
    passes, base = [], 0
    for job in jobs:
        passes.append(gemm_passes(*job.shape, config, base=base))
        base = next_base(passes[-1], config)
    return passes


def beats_of(jobs: Sequence[Gemm], config: EngineConfig) -> Iterator[Iterator[tuple[np.ndarray, ...]]]:
    """The beats of each GEMM, in pieces, as ``golden.tensor.engine.TensorEngine.offer`` takes them."""
    base = 0
    for job in jobs:
        formats = {"x_format": job.x_format, "w_format": job.w_format, "out_format": job.out_format}
        yield gemm_beats(job.x, job.w, config, saturate=job.saturate, base=base, **formats)
        base = next_base(gemm_passes(*job.shape, config, base=base), config)
