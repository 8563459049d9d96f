"""Which term of a matrix product is in a PE's register in a cycle."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from arch.tensor.config import EngineConfig
from golden.tensor.schedule import Pass

__all__ = ["Position", "position_at"]


class Position(NamedTuple):
    """What a PE is working on: a term ``x[m, k] * w[k, n]`` of a pass."""

    index: int
    m: int
    n: int
    k: int


def position_at(
    config: EngineConfig,
    passes: Sequence[Pass],
    take_cycles: np.ndarray,
    cycle: int,
    row: int,
    col: int,
    *,
    register: str = "product",
) -> Position | None:
    """Which term a PE's register belongs to in a cycle.

    Parameters
    ----------
    passes : sequence of Pass
        All passes since reset, in order.
    take_cycles : int64[rows]
        ``TensorEngine.take_cycles``.
    cycle, row, col : int
        The cycle and the PE.
    register : str
        ``"beat"``, ``"product"`` or ``"psum"``.

    Returns
    -------
    Position or None
        None where no activation row is in that register, or the lane or the column is not in use in its pass.
        The ``k`` of a partial sum is that of the last term added to it; a lane not in use has sums pass through,
        so that there is one for them, too.
    """
    stages = {"beat": 0, "product": 1, "psum": config.product_latency + config.add_latency}
    if register not in stages:
        raise ValueError(f"register must be one of {', '.join(stages)}, not {register!r}")
    taken = cycle - 1 - stages[register] - row * config.add_latency - col
    beat = int(np.searchsorted(take_cycles, taken))
    if beat == len(take_cycles) or take_cycles[beat] != taken:
        return None
    ends = np.cumsum([p.tile_m for p in passes])
    index = int(np.searchsorted(ends, beat, side="right"))
    p = passes[index]
    lane = min(row, p.tile_k - 1) if register == "psum" else row
    if lane >= p.tile_k or col >= p.tile_n:
        return None
    return Position(index, p.m0 + beat - int(ends[index]) + p.tile_m, p.n0 + col, p.k0 + lane)
