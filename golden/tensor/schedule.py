"""How a GEMM is cut into passes, and how many cycles it takes, in closed form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from arch.tensor.config import EngineConfig
from golden.checks import integer

__all__ = [
    "Pass",
    "block_rows",
    "each_pass",
    "gemm_cycles",
    "gemm_passes",
    "gemm_sizes",
    "ideal_cycles",
    "next_base",
    "readout_cycles",
    "runnable_sizes",
    "utilization",
]


@dataclass(frozen=True)
class Pass:
    """One weight tile resident in the array while activation rows move through it.

    Parameters
    ----------
    m0, tile_m, k0, tile_k, n0, tile_n : int
        Origin and size of the tile in M, K and N.
    base : int
        PSUM row of the first activation row.
    distance : int
        Activation rows between a row and the one it adds to, at most ``store_latency``.
    first, last : bool
        The first, the last K tile of its output tile.
    """

    m0: int
    tile_m: int
    k0: int
    tile_k: int
    n0: int
    tile_n: int
    base: int
    distance: int
    first: bool
    last: bool


def gemm_passes(m: int, k: int, n: int, config: EngineConfig, *, base: int = 0) -> list[Pass]:
    """The passes of ``X[m, k] @ W[k, n]`` in the order of docs/architecture.md; none if a size is zero.

    ``base`` is the first PSUM row they use: 0 after reset, else the row after the last tile's (:func:`next_base`).

    Raises
    ------
    TypeError
        If a size is no integer.
    ValueError
        If a size is negative, ``k`` exceeds ``k_max`` under exact accumulation, or there is no such PSUM row.
    """
    return list(each_pass(m, k, n, config, base=base))


def each_pass(m: int, k: int, n: int, config: EngineConfig, *, base: int = 0) -> Iterator[Pass]:
    """The same one by one; what is wrong is said before the first is asked for."""
    base = integer("base", base, 0, config.psum_depth - 1)
    return _passes(*runnable_sizes(m, k, n, config), config, base)


def next_base(passes: Sequence[Pass], config: EngineConfig) -> int:
    """The PSUM row after those that a GEMM's passes use: where the next GEMM starts."""
    return (passes[-1].base + passes[-1].tile_m) % config.psum_depth


def gemm_sizes(m: int, k: int, n: int) -> tuple[int, int, int]:
    """The sizes as Python ints, whose products cannot overflow. Raises TypeError, or ValueError below 0."""
    sizes = integer("m", m), integer("k", k), integer("n", n)
    if min(sizes) < 0:
        raise ValueError(f"the sizes of a GEMM must be 0 or more, not {', '.join(map(str, sizes))}")
    return sizes


def runnable_sizes(m: int, k: int, n: int, config: EngineConfig) -> tuple[int, int, int]:
    """The same, if an engine of the configuration can hold so long a sum."""
    m, k, n = gemm_sizes(m, k, n)
    if config.exact and k > config.k_max:
        raise ValueError(f"K must be at most k_max = {config.k_max} under exact accumulation, not {k}")
    return m, k, n


def _passes(m: int, k: int, n: int, config: EngineConfig, base: int) -> Iterator[Pass]:
    if 0 in (m, k, n):
        return
    rows, cols = config.rows, config.cols
    ring = base
    block = block_rows(m, config)
    for m0 in range(0, m, block):
        tile_m = min(block, m - m0)
        group = _group_size(tile_m, k, n, config)
        for first_n in range(0, n, group * cols):
            columns = range(first_n, min(n, first_n + group * cols), cols)
            distance = min(len(columns) * tile_m, config.store_latency)
            for k0 in range(0, k, rows):
                for i, n0 in enumerate(columns):
                    yield Pass(
                        m0=m0,
                        tile_m=tile_m,
                        k0=k0,
                        tile_k=min(rows, k - k0),
                        n0=n0,
                        tile_n=min(cols, n - n0),
                        base=(ring + i * tile_m) % config.psum_depth,
                        distance=distance,
                        first=k0 == 0,
                        last=k0 + rows >= k,
                    )
            ring = (ring + len(columns) * tile_m) % config.psum_depth


def block_rows(m: int, config: EngineConfig) -> int:
    """Rows of each block of M but the last, which has what is left: as few blocks as there can be.

    A last block of few rows would wait for its weights: the blocks are of like sizes, unless those were all too short.
    """
    m = integer("m", m, 1)
    alike = _ceil(m, _ceil(m, config.tile_m))
    return alike if alike >= config.store_latency else min(m, config.tile_m)


def _group_size(tile_m: int, k: int, n: int, config: EngineConfig) -> int:
    """N tiles whose K tiles are interleaved, so that a partial sum is back before it is needed again."""
    if k <= config.rows:
        return 1
    shortest = config.load_cycles((k - 1) % config.rows + 1)
    wanted = _ceil(config.store_latency, max(tile_m, shortest))
    return min(wanted, _ceil(n, config.cols), max(1, config.psum_capacity // tile_m))


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


class _Tail(NamedTuple):
    """The end of a GEMM, seen from the start of its last pass."""

    last_take: int  # cycles to its last activation row
    last_store: int  # cycles to the last store of all


def _step_cycles(m: int, k: int, config: EngineConfig) -> tuple[int, int]:
    """Cycles from the start of a pass of m rows to that of one on a full K tile, and to that of one on the last."""
    return max(m, config.load_cycles(config.rows)), max(m, config.load_cycles((k - 1) % config.rows + 1))


def _group_cycles(g: int, m: int, k: int, config: EngineConfig) -> int:
    """Cycles from the start of a group's first pass to the start of its last."""
    steps = _ceil(k, config.rows)
    if steps == 1:
        return 0  # g is 1
    full, short = _step_cycles(m, k, config)
    hazard = config.store_latency
    return (steps - 2) * max(g * full, hazard) + (g - 1) * full + max(g * short, hazard)


def _block_cycles(m: int, k: int, n: int, config: EngineConfig) -> tuple[int, int, int]:
    """Of a block of m rows: cycles to its last pass, from that to the next block, N tiles of its last group."""
    tiles = _ceil(n, config.cols)
    size = _group_size(m, k, n, config)
    tail = (tiles - 1) % size + 1
    to_next = max(m, config.load_cycles(min(k, config.rows)))
    whole = (tiles - tail) // size
    start = whole * (_group_cycles(size, m, k, config) + to_next)
    return start + _group_cycles(tail, m, k, config), to_next, tail


def _tail(m: int, k: int, n: int, config: EngineConfig) -> _Tail:
    """The end of a GEMM; ``m`` is any number of rows, the last block counts."""
    m = (m - 1) % block_rows(m, config) + 1
    cols = config.cols
    _, to_next, g = _block_cycles(m, k, n, config)
    last_take = m - 1
    last_store = last_take + config.store_latency + (n - 1) % cols
    if n > cols:
        # The pass before on a full-width tile stores its last column C - 1 cycles after its first. It started
        # ``gap`` cycles before the last pass.
        if k <= config.rows:
            gap = to_next
        elif g == 1:
            gap = to_next + _group_cycles(1, m, k, config)
        else:
            full, short = _step_cycles(m, k, config)
            last = (g - 1) * full + max(g * short, config.store_latency)
            gap = last - max((g - 1) * (full + short), (g - 2) * full + config.store_latency)
        last_store = max(last_store, last_take + config.store_latency + cols - 1 - gap)
    return _Tail(last_take, last_store)


def gemm_cycles(m: int, k: int, n: int, config: EngineConfig) -> int:
    """Cycles of a GEMM, from its first weight beat taken to its last partial sum stored, both included.

    Sources never idle, the sink never stalls. The cost does not depend on the data, and is computed in O(1):

    - A pass may start ``max(tile_m, L(next tile_k))`` cycles after the pass before it, with L(t) = ceil(t / G) and
      G = ``rows_per_load_cycle``: its weights load while that pass runs, from its first row on. The first pass starts
      ``L(tile_k)`` cycles after the first weight beat.
    - A pass that adds to partial sums starts at the earliest H = ``store_latency`` cycles after the pass of
      the same output tile one K tile before. Rows follow each other without gaps, so no other row waits.
    - So in a group of g output tiles with S > 1 K tiles, m rows, ``c = max(m, L(R))`` and ``l = max(m, L(rows of
      the last K tile))``: pass i of K step j < S - 1 starts ``j * max(g c, H) + i c`` cycles after the group's
      first pass, since the step before started ``g c`` cycles earlier if nothing waited. In the last step,
      with ``l <= c``, pass i starts ``max((g - 1) c + (i + 1) l, i c + H)`` cycles after the start of step
      S - 2; for the last pass that is ``(g - 1) c + max(g l, H)``. With S = 1, g is 1 and there is no waiting.
    - The next group starts ``max(m, L(min(K, R)))`` cycles after the last pass.
    - PSUM rows never run out: at any time the rows in use are at most the larger of a group's and
      ``drain_latency``, since each cycle takes at most one row and, with an unstalled sink, a finished row is
      read ``drain_latency`` cycles after it was taken.

    There are at most two kinds of M blocks (full, last) and two kinds of groups (whole, last) in each. The last
    store is the last row's last column, unless N is ragged and a pass on a full-width tile ends later.
    """
    m, k, n = runnable_sizes(m, k, n, config)
    if 0 in (m, k, n):
        return 0
    block = block_rows(m, config)
    blocks = _ceil(m, block)
    start, to_next, _ = _block_cycles(block, k, n, config)
    last_pass, _, _ = _block_cycles((m - 1) % block + 1, k, n, config)
    load = config.load_cycles(min(k, config.rows))
    return load + (blocks - 1) * (start + to_next) + last_pass + _tail(m, k, n, config).last_store + 1


def readout_cycles(m: int, k: int, n: int, config: EngineConfig) -> int:
    """Cycles from a GEMM's last store to its last row's transfer on ``o_result``, with a sink that never stalls."""
    m, k, n = runnable_sizes(m, k, n, config)
    if 0 in (m, k, n):
        return 0
    tail = _tail(m, k, n, config)
    return tail.last_take + config.drain_latency + config.readout_latency - tail.last_store


def ideal_cycles(m: int, k: int, n: int, config: EngineConfig) -> int:
    """Cycles with every PE multiplying in every cycle."""
    m, k, n = gemm_sizes(m, k, n)
    return _ceil(m * k * n, config.rows * config.cols)


def utilization(m: int, k: int, n: int, config: EngineConfig) -> float:
    """Products needed over products the array could have made in :func:`gemm_cycles`; 0 for an empty GEMM."""
    m, k, n = gemm_sizes(m, k, n)
    cycles = gemm_cycles(m, k, n, config)
    return m * k * n / (config.rows * config.cols * cycles) if cycles else 0.0
