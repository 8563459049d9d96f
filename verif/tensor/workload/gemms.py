"""Random matrix products: sizes, formats and operands from one random generator."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm
from golden.tensor.schedule import gemm_cycles
from verif.tensor.workload.operands import CLASSES, random_operands

__all__ = ["GemmSpec", "draw_gemm", "ragged_gemms", "random_gemms"]

#: M, K and N reach so many times the array's side, where they are not at one of its boundaries.
REACH = 6
#: Cycles of a random product, beside those of the shortest one.
LONGEST = 1000


@dataclass(frozen=True, kw_only=True)
class GemmSpec:
    """A matrix product but for its operands. ``kind`` is one of ``operands.CLASSES``."""

    shape: tuple[int, int, int]
    x_format: str
    w_format: str
    out_format: str
    saturate: bool
    kind: str

    def job(self, rng: np.random.Generator) -> Gemm:
        """With random operands of its kind."""
        x, w = random_operands(rng, self.shape, self.x_format, self.w_format, self.kind)
        formats = {"x_format": self.x_format, "w_format": self.w_format, "out_format": self.out_format}
        return Gemm(x=x, w=w, saturate=self.saturate, **formats)


def draw_gemm(
    rng: np.random.Generator,
    config: EngineConfig,
    *,
    m: int | None = None,
    k: int | None = None,
    n: int | None = None,
    longest: int = LONGEST,
    **given,
) -> GemmSpec:
    """A product that the configuration can run, whatever is not given at random.

    Parameters
    ----------
    m, k, n : int or None
    longest : int
        Sizes that are not given make it at most so many cycles longer than ones in their place would.
    given
        Fields of ``GemmSpec``.
    """
    limit = gemm_cycles(m or 1, k or 1, n or 1, config) + longest
    deepest = config.k_max if config.exact else REACH * config.rows
    while True:
        shape = (
            m or _size(rng, config.rows, also=(config.tile_m, config.tile_m + 1)),
            k or min(_size(rng, config.rows, also=(deepest,)), deepest),
            n or _size(rng, config.cols),
        )
        if gemm_cycles(*shape, config) <= limit:
            break
    drawn = {
        "x_format": str(rng.choice(config.formats)),
        "w_format": str(rng.choice(config.formats)),
        "out_format": str(rng.choice(list(FORMATS))),
        "saturate": bool(rng.random() < 0.5),
        "kind": str(rng.choice(CLASSES)),
    }
    return GemmSpec(shape=shape, **drawn | given)


def _size(rng: np.random.Generator, side: int, also: Sequence[int] = ()) -> int:
    """A dimension: half of them at a boundary of the array, the others as many small as large."""
    if rng.random() < 0.5:
        return int(rng.choice([1, max(1, side - 1), side, side + 1, 2 * side, *also]))
    most = REACH * side
    return min(most, int(np.exp(rng.uniform(0, np.log(most + 1)))))


def random_gemms(config: EngineConfig, rng: np.random.Generator, count: int) -> list[Gemm]:
    """Products of random sizes, with their operands."""
    return [draw_gemm(rng, config).job(rng) for _ in range(count)]


def ragged_gemms(config: EngineConfig, rng: np.random.Generator) -> list[Gemm]:
    """Products with M, N and K each 1, R - 1, R, R + 1 and 3R + 7 (C for N), in random order.

    Format pairs take turns; all else is random.
    """
    sides = [[1, max(1, side - 1), side, side + 1, 3 * side + 7] for side in (config.rows, config.rows, config.cols)]
    pairs = list(product(config.formats, repeat=2))
    jobs = []
    for index, (m, k, n) in enumerate(product(*sides)):
        x_format, w_format = pairs[index % len(pairs)]
        jobs.append(draw_gemm(rng, config, m=m, k=k, n=n, x_format=x_format, w_format=w_format).job(rng))
    return [jobs[index] for index in rng.permutation(len(jobs))]
