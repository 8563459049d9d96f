"""Random passes: whatever a command may say, without a pause between tiles."""

from dataclasses import dataclass

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from golden.numerics.conversions import code_dtype
from golden.tensor.arithmetic import add_products, decode_operands, multiply, psum_words, read_out
from golden.tensor.engine import TensorEngine

__all__ = ["GoldenModelError", "Traffic", "traffic_trace"]

#: Cycles after which a model that is not done never will be.
FOREVER = 100_000


class GoldenModelError(Exception):
    """The cycle model does not come to what the arithmetic of each term does, or to no end."""


@dataclass
class _Tile:
    """An output tile in hand: its rows and columns, its first PSUM row, and its sums so far.

    steps : passes to come. taken : activation rows of the group before its last pass, None before its first.
    """

    m: int
    n: int
    steps: int
    base: int
    sums: np.ndarray
    taken: int | None = None


class Traffic:
    """Random legal passes without a pause between tiles, each with formats of its own; lanes not in use hold anything.

    Tiles of a group interleave at random. ``expected`` are the result rows, from the arithmetic of each term.
    """

    def __init__(self, config: EngineConfig, rng: np.random.Generator, groups: int, whole: bool):
        self.config, self.rng, self.narrowest = config, rng, config.cols if whole else 1
        self.commands, self.weights, self.activations, self.expected = [], [], [], []
        self.base = 0
        for _ in range(groups):
            self._group()

    def _group(self) -> None:
        """First passes in the order of PSUM's ring, last passes too, anything between."""
        tiles = self._tiles()
        started, finished, taken = 0, 0, 0
        while finished < len(tiles):
            choices = [
                index
                for index, tile in enumerate(tiles)
                if tile.steps and index <= started and (tile.steps > 1 or index == finished)
            ]
            index = int(self.rng.choice(choices))
            tile = tiles[index]
            self._pass(tile, taken)
            tile.taken, taken = taken, taken + tile.m
            tile.steps -= 1
            started = max(started, index + 1)
            finished += not tile.steps

    def _tiles(self) -> list[_Tile]:
        """Up to four that PSUM holds at a time."""
        config, rng = self.config, self.rng
        rows, free = [], config.psum_depth
        while free and len(rows) < 4:
            rows.append(int(rng.integers(1, free + 1)) if rng.random() < 0.7 else free)
            free -= rows[-1]
        tiles = []
        for m in rows:
            steps, n = int(rng.integers(1, 4)), int(rng.integers(self.narrowest, config.cols + 1))
            sums = np.zeros((m, config.cols, psum_words(config)), np.uint32)
            tiles.append(_Tile(m=m, n=n, steps=steps, base=self.base, sums=sums))
            self.base = (self.base + m) % config.psum_depth
        return tiles

    def _pass(self, tile: _Tile, taken: int) -> None:
        """One pass of a tile, with ``taken`` activation rows of the group before it."""
        config, rng = self.config, self.rng
        k = int(rng.integers(1, config.rows + 1))
        x_format, w_format = (str(name) for name in rng.choice(config.formats, 2))
        out_format, saturate = str(rng.choice(list(FORMATS))), int(rng.integers(2))
        first, last = tile.taken is None, tile.steps == 1
        most = config.hazard_latency if first else min(config.hazard_latency, taken - tile.taken)
        command = command_layout(config).pack(
            tile_m=tile.m,
            tile_k=k,
            tile_n=tile.n,
            base=tile.base,
            distance=int(rng.integers(1, most + 1)),
            first=int(first),
            last=int(last),
            x_format=FORMATS[x_format].select,
            w_format=FORMATS[w_format].select,
            out_format=FORMATS[out_format].select,
            saturate=saturate,
        )
        beats, lane = config.load_cycles(k), code_dtype(config.lane_format)
        x, w = (
            rng.integers(0, 1 << config.code_bits, (count, lanes), dtype=lane)
            for count, lanes in ((tile.m, config.rows), (beats * config.rows_per_load_cycle, config.cols))
        )
        self.commands.append(command)
        self.weights.append(w.reshape(beats, -1))
        self.activations.append(x)
        x = decode_operands(x[:, :k].astype(code_dtype(x_format)), x_format, config)
        w = decode_operands(w[:k].astype(code_dtype(w_format)), w_format, config)
        for row in range(k):
            tile.sums = add_products(tile.sums, multiply(x[:, row, None], w[row], config), config)
        if last:
            codes = read_out(tile.sums, config, out_format, saturate=bool(saturate))
            codes[:, tile.n :] = 0
            self.expected.append(codes)

    def beats(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All of them, as ``golden.tensor.engine.TensorEngine.offer`` takes them."""
        dtype = np.uint64 if command_layout(self.config).width <= 64 else object
        return np.array(self.commands, dtype), np.concatenate(self.weights), np.concatenate(self.activations)


def traffic_trace(
    config: EngineConfig, rng: np.random.Generator, groups: int, *, whole: bool = False, **pace
) -> np.ndarray:
    """A trace of random traffic to its end, as ``TensorEngine.run`` gives it; ``whole``: every tile has all columns.

    Raises
    ------
    GoldenModelError
        If the results in it are not those of the arithmetic of each term.
    """
    traffic, model = Traffic(config, rng, groups, whole), TensorEngine(config)
    model.offer(*traffic.beats())
    trace = model.run(FOREVER, until_done=True, **pace)
    if not model.done:
        raise GoldenModelError(f"the golden model is at work after {FOREVER:,} cycles")
    results, expected = model.results, np.concatenate(traffic.expected)
    if results.shape != expected.shape:
        raise GoldenModelError(f"the golden model gave {len(results)} result rows, {len(expected)} were due")
    wrong = np.argwhere(results != expected)
    if len(wrong):
        row, col = wrong[0]
        raise GoldenModelError(
            f"result row {row}, column {col} of the golden model is {results[row, col]:#x}, not {expected[row, col]:#x}"
        )
    return trace
