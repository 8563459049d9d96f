"""Where the cycles of a GEMM go, in closed form, and the count of another simulator's array to compare with."""

from dataclasses import dataclass, fields
from fractions import Fraction

from arch.tensor.config import EngineConfig
from golden.checks import integer
from golden.tensor.schedule import block_rows, gemm_cycles, gemm_sizes, readout_cycles

__all__ = ["Losses", "losses", "scale_sim_cycles"]


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What every PE did in every cycle of a GEMM, as ``golden.tensor.schedule.gemm_cycles`` counts them.

    All are PE cycles, integers: R * C of them are one cycle of the array. They add up to R * C * cycles.

    Parameters
    ----------
    useful : int
        Products that the GEMM needs: M * K * N.
    ragged_k, ragged_n : int
        While an activation row enters: lanes (all C columns of them) beyond the end of K, and columns beyond the
        end of N in the lanes in use.
    first_load : int
        Before the first activation row can enter, while the first tile's weights load.
    load_bound : int
        Between two passes, while the next tile's weights load: they take longer than the pass has rows.
    hazard : int
        Between two passes, the rest: the partial sums that the next pass adds to are still on their way.
    drain : int
        From the last activation row to the last partial sum stored: the array and its pipelines empty.
    """

    useful: int
    ragged_k: int
    ragged_n: int
    first_load: int
    load_bound: int
    hazard: int
    drain: int

    def __add__(self, other: "Losses") -> "Losses":
        return Losses(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __mul__(self, count: int) -> "Losses":
        count = integer("count", count, 0)
        return Losses(**{f.name: getattr(self, f.name) * count for f in fields(self)})

    @property
    def total(self) -> int:
        """All PE cycles: R * C * cycles."""
        return sum(getattr(self, f.name) for f in fields(self))

    def shares(self) -> dict[str, Fraction]:
        """Each part over the whole, 0 for an empty GEMM; that of ``useful`` is the utilisation."""
        total = max(1, self.total)
        return {f.name: Fraction(getattr(self, f.name), total) for f in fields(self)}


def losses(m: int, k: int, n: int, config: EngineConfig) -> Losses:
    """Where the cycles of ``X[m, k] @ W[k, n]`` go, in O(1).

    Activation rows of a pass follow each other without gaps, and a pass starts at the earliest when the rows of the
    pass before it are taken, when its weights are loaded, which begins with the first row of the pass before, and
    when the sums that it adds to are back. So between two passes of which the first has m rows and the second loads
    for l cycles, ``max(0, l - m)`` cycles are lost to loading; what else lies between them is the hazards' part.

    Raises TypeError and ValueError as ``gemm_passes``.
    """
    m, k, n = gemm_sizes(m, k, n)
    cycles = gemm_cycles(m, k, n, config)
    if not cycles:
        return Losses(**dict.fromkeys((f.name for f in fields(Losses)), 0))
    rows, cols = config.rows, config.cols
    k_tiles, n_tiles = -(-k // rows), -(-n // cols)
    first_load = config.load_cycles(min(k, rows))
    drain = config.drain_latency + config.readout_latency - readout_cycles(m, k, n, config)
    waits = _load_waits(m, k, n_tiles, config)
    entering = m * k_tiles * n_tiles
    pes = rows * cols
    return Losses(
        useful=m * k * n,
        ragged_k=m * n_tiles * cols * (k_tiles * rows - k),
        ragged_n=m * k * (n_tiles * cols - n),
        first_load=first_load * pes,
        load_bound=waits * pes,
        hazard=(cycles - first_load - entering - waits - drain) * pes,
        drain=drain * pes,
    )


def _load_waits(m: int, k: int, n_tiles: int, config: EngineConfig) -> int:
    """Cycles lost to loading between passes."""
    rows = config.rows
    k_tiles = -(-k // rows)
    block = block_rows(m, config)
    blocks = -(-m // block)
    last_m = (m - 1) % block + 1

    def wait(tile_k: int, rows_before: int) -> int:
        return max(0, config.load_cycles(tile_k) - rows_before)

    waits = 0
    for count, tile_m in ((blocks - 1, block), (1, last_m)):
        full, short = wait(rows, tile_m), wait((k - 1) % rows + 1, tile_m)
        waits += count * n_tiles * ((k_tiles - 1) * full + short)
    # That had each block's first tile load beside rows of its own; it does beside those of the block before, and the
    # first of all beside none.
    return waits - wait(min(k, rows), last_m)


def scale_sim_cycles(m: int, k: int, n: int, config: EngineConfig, *, add_latency: int = 1) -> int:
    """SCALE-Sim's count for a weight-stationary array of the same size; 0 for an empty GEMM.

    ``ceil(K / R) * ceil(N / C) * (M + 2 R + C - 2) - 1``: each tile loads for R cycles, then M rows cross the array,
    and the next begins when all have left. A PE takes one cycle there, from its operand to its sum; with
    ``add_latency`` a sum takes so many from PE to PE, and one of the two R so many times as long.
    """
    m, k, n = gemm_sizes(m, k, n)
    add_latency = integer("add_latency", add_latency, 1)
    if 0 in (m, k, n):
        return 0
    tile = m + config.rows * (1 + add_latency) + config.cols - 2
    return -(-k // config.rows) * -(-n // config.cols) * tile - 1
