"""Matrix products as what crosses the ports of an engine, one behind another."""

from collections.abc import Iterator

import numpy as np

from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm
from golden.tensor.schedule import Pass, gemm_beats, gemm_passes, next_base

__all__ = ["Program", "packed", "result_rows"]


class Program:
    """Products since reset. Each begins in PSUM's ring of rows where the one before ends."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._base = 0

    def add(self, job: Gemm) -> Iterator[tuple[Pass, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """Its passes with their beats, as ``golden.tensor.schedule.gemm_beats`` gives them."""
        formats = {"x_format": job.x_format, "w_format": job.w_format, "out_format": job.out_format}
        passes = gemm_passes(*job.shape, self.config, base=self._base)
        beats = gemm_beats(job.x, job.w, self.config, saturate=job.saturate, base=self._base, **formats)
        self._base = next_base(passes, self.config)
        return zip(passes, beats, strict=True)


def result_rows(tile: Pass, codes: np.ndarray) -> np.ndarray:
    """uint32[rows, tile_n]: what leaves with a pass, of the codes of a whole result. No rows before the last K tile."""
    rows = codes[tile.m0 : tile.m0 + tile.tile_m if tile.last else tile.m0]
    return rows[:, tile.n0 : tile.n0 + tile.tile_n]


def packed(codes: np.ndarray) -> list[int]:
    """Rows of codes as one number each, the first code lowest."""
    little = np.ascontiguousarray(codes, codes.dtype.newbyteorder("<"))
    return [int.from_bytes(row.tobytes(), "little") for row in little]
