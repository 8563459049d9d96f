"""A matrix product as a job: its operands, its formats, and how the engine is to read it out."""

from dataclasses import dataclass

import numpy as np

from arch.tensor.config import EngineConfig
from golden.checks import plain
from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm

__all__ = ["Gemm", "golden_result"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gemm:
    """One matrix product, with operands of its own: what the caller does to its arrays afterwards changes nothing.

    x : uint8 or uint16[M, K], codes of ``x_format``
    w : uint8 or uint16[K, N], codes of ``w_format``
    out_format, saturate : how the engine reads results out
    """

    x: np.ndarray
    w: np.ndarray
    x_format: str
    w_format: str
    out_format: str = "fp32"
    saturate: bool = True

    def __post_init__(self) -> None:
        for name in ("x", "w"):
            object.__setattr__(self, name, plain(name, getattr(self, name)).copy())

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, K, N."""
        return (*self.x.shape, self.w.shape[1])

    def __str__(self) -> str:
        m, k, n = self.shape
        return f"GEMM M={m} K={k} N={n}, {self.x_format} x {self.w_format} to {self.out_format}"


def golden_result(job: Gemm, config: EngineConfig) -> np.ndarray:
    """uint32[M, N]: the codes that ``golden.gemm`` says the engine reads out."""
    values = gemm(job.x, job.w, x_format=job.x_format, w_format=job.w_format, accumulation=config.accumulation)
    if job.out_format == "fp32":
        return values.view(np.uint32)
    return encode(values, job.out_format, saturate=job.saturate).astype(np.uint32)
