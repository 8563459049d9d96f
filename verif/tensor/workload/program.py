"""Matrix products as what crosses the ports of an engine, one behind another."""

from collections.abc import Iterator, Sequence

import numpy as np

from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm
from golden.tensor.schedule import Pass, gemm_passes, next_base
from golden.tensor.stimulus import gemm_beats

__all__ = ["Beats", "Program", "beats_of", "packed", "passes_of", "result_rows"]

#: Commands, weights and activations, as ``golden.tensor.engine.TensorEngine.offer`` takes them.
Beats = tuple[np.ndarray, np.ndarray, np.ndarray]


class Program:
    """Products since reset: each begins in PSUM's ring of rows where the one before has ended."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._base = 0

    def add(self, job: Gemm) -> tuple[list[Pass], Iterator[Beats]]:
        """Its passes, and the beats of each in turn."""
        formats = {"x_format": job.x_format, "w_format": job.w_format, "out_format": job.out_format}
        passes = gemm_passes(*job.shape, self.config, base=self._base)
        beats = gemm_beats(job.x, job.w, self.config, saturate=job.saturate, base=self._base, **formats)
        self._base = next_base(passes, self.config)
        return passes, beats


def passes_of(jobs: Sequence[Gemm], config: EngineConfig) -> list[list[Pass]]:
    """The passes of each product since reset."""
    program = Program(config)
    return [program.add(job)[0] for job in jobs]


def beats_of(jobs: Sequence[Gemm], config: EngineConfig) -> Iterator[Iterator[Beats]]:
    """The beats of each product since reset, a pass at a time."""
    program = Program(config)
    for job in jobs:
        yield program.add(job)[1]


def result_rows(tile: Pass, codes: np.ndarray) -> np.ndarray:
    """uint32[rows, tile_n]: what leaves with a pass, of the codes of a whole result. No rows before the last K tile."""
    rows = codes[tile.m0 : tile.m0 + tile.tile_m if tile.last else tile.m0]
    return rows[:, tile.n0 : tile.n0 + tile.tile_n]


def packed(codes: np.ndarray) -> list[int]:
    """Rows of codes as one number each, the first code lowest."""
    little = np.ascontiguousarray(codes, codes.dtype.newbyteorder("<"))
    return [int.from_bytes(row.tobytes(), "little") for row in little]
