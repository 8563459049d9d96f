"""Random passes: whatever a command may say, without a pause between tiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from golden.numerics.conversions import code_dtype
from golden.tensor.arithmetic import add_products, decode_operands, multiply, psum_words, read_out
from golden.tensor.engine import TensorEngine
from verif.tensor.workload.operands import CLASSES, random_operands
from verif.tensor.workload.program import Beats

__all__ = ["FOREVER", "GoldenModelError", "Traffic", "traffic_trace"]

#: Cycles after which a model that is not done never will be.
FOREVER = 1_000_000
#: Passes of a tile, and tiles of a group, at most.
STEPS, TILES = 3, 4


class GoldenModelError(Exception):
    """The cycle model does not come to what the arithmetic of each term does, or to no end."""


@dataclass
class _Tile:
    """An output tile in hand: its rows and columns, its first PSUM row, and its sums so far.

    steps : passes to come. terms : that its sums may still have. kind : of its operands.
    taken : activation rows of the group before its last pass, None before its first.
    """

    m: int
    n: int
    whole: bool
    steps: int
    terms: int
    kind: str
    base: int
    sums: np.ndarray
    taken: int | None = None


class Traffic:
    """Random legal passes without a pause between tiles, each with formats of its own; lanes not in use hold anything.

    Tiles of a group interleave at random. ``expected`` are the result rows, from the arithmetic of each term.
    """

    def __init__(self, config: EngineConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.commands, self.weights, self.activations, self.expected = [], [], [], []
        self.base = 0

    def groups(self, count: int, most: int | None = None) -> None:
        """So many groups, each of up to four tiles that PSUM holds at a time, of at most ``most`` rows together."""
        for _ in range(count):
            sizes, free = [], min(self.config.psum_depth, most or self.config.psum_depth)
            while free and len(sizes) < TILES:
                sizes.append(int(self.rng.integers(1, free + 1)) if self.rng.random() < 0.7 else free)
                free -= sizes[-1]
            self.group(sizes)

    def group(self, sizes: Sequence[int], *, steps: int | None = None, whole: bool = False) -> None:
        """Tiles of so many rows each, as many as PSUM holds at most; each of so many passes, or of one to three.

        First passes are in the order of PSUM's ring, last passes too, anything between. ``whole``: all lanes and
        columns are in use.
        """
        tiles = [self._tile(m, steps, whole) for m in sizes]
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

    def _tile(self, m: int, steps: int | None, whole: bool) -> _Tile:
        config, rng = self.config, self.rng
        terms = config.k_max if config.exact else STEPS * config.rows
        tile = _Tile(
            m=m,
            n=config.cols if whole else int(rng.integers(1, config.cols + 1)),
            whole=whole,
            steps=min(terms, steps or int(rng.integers(1, STEPS + 1))),
            terms=terms,
            kind=str(rng.choice(CLASSES)),
            base=self.base,
            sums=np.zeros((m, config.cols, psum_words(config)), np.uint32),
        )
        self.base = (self.base + m) % config.psum_depth
        return tile

    def _pass(self, tile: _Tile, taken: int) -> None:
        """One pass of a tile, with ``taken`` activation rows of the group before it."""
        config, rng = self.config, self.rng
        # A pass to come has a term at least. One in four has all lanes.
        most = min(config.rows, tile.terms - (tile.steps - 1))
        k = most if tile.whole or rng.random() < 0.25 else int(rng.integers(1, most + 1))
        tile.terms -= k
        x_format, w_format = (str(name) for name in rng.choice(config.formats, 2))
        out_format, saturate = str(rng.choice(list(FORMATS))), int(rng.integers(2))
        first, last = tile.taken is None, tile.steps == 1
        farthest = config.store_latency if first else min(config.store_latency, taken - tile.taken)
        command = command_layout(config).pack(
            tile_m=tile.m,
            tile_k=k,
            tile_n=tile.n,
            base=tile.base,
            distance=int(rng.integers(1, farthest + 1)),
            first=int(first),
            last=int(last),
            x_format=FORMATS[x_format].select,
            w_format=FORMATS[w_format].select,
            out_format=FORMATS[out_format].select,
            saturate=saturate,
        )
        x, w = random_operands(rng, (tile.m, k, config.cols), x_format, w_format, tile.kind)
        beats = config.load_cycles(k)
        self.commands.append(command)
        self.weights.append(self._lanes(w, w_format, beats * config.rows_per_load_cycle).reshape(beats, -1))
        self.activations.append(self._lanes(x.T, x_format, config.rows).T)
        x, w = decode_operands(x, x_format, config), decode_operands(w, w_format, config)
        for row in range(k):
            tile.sums = add_products(tile.sums, multiply(x[:, row, None], w[row], config), config)
        if last:
            codes = read_out(tile.sums, config, out_format, saturate=bool(saturate))
            codes[:, tile.n :] = 0
            self.expected.append(codes)

    def _lanes(self, codes: np.ndarray, fmt: str, count: int) -> np.ndarray:
        """The codes as the first of so many lanes; the other lanes, and what lies above a code, are random."""
        dtype = code_dtype(self.config.lane_format)
        lanes = self.rng.integers(0, 1 << self.config.code_bits, (count, codes.shape[1]), dtype=dtype)
        above = dtype.type(np.iinfo(dtype).max & ~np.iinfo(code_dtype(fmt)).max)
        lanes[: len(codes)] = lanes[: len(codes)] & above | codes
        return lanes

    def beats(self, first: int = 0) -> Beats:
        """Those from a pass on, as ``golden.tensor.engine.TensorEngine.offer`` takes them."""
        dtype = np.uint64 if command_layout(self.config).width <= 64 else object
        weights, activations = np.concatenate(self.weights[first:]), np.concatenate(self.activations[first:])
        return np.array(self.commands[first:], dtype), weights, activations

    def check(self, model: TensorEngine) -> None:
        """Compare a cycle model that has worked on all beats with the arithmetic of each term.

        Raises
        ------
        GoldenModelError
            If it is not through, or its results are others.
        """
        if not model.done:
            raise GoldenModelError(f"the golden model is at work after {FOREVER:,} cycles")
        results, expected = model.results, np.concatenate(self.expected)
        if results.shape != expected.shape:
            raise GoldenModelError(f"the golden model gave {len(results)} result rows, {len(expected)} were due")
        wrong = np.argwhere(results != expected)
        if len(wrong):
            row, col = wrong[0]
            actual, due = results[row, col], expected[row, col]
            raise GoldenModelError(f"result row {row}, column {col} of the golden model is {actual:#x}, not {due:#x}")


def traffic_trace(config: EngineConfig, rng: np.random.Generator, groups: int, **pace) -> np.ndarray:
    """A trace of random traffic to its end, as ``TensorEngine.run`` gives it.

    Raises
    ------
    GoldenModelError
        If the results in it are not those of the arithmetic of each term.
    """
    traffic, model = Traffic(config, rng), TensorEngine(config)
    traffic.groups(groups)
    model.offer(*traffic.beats())
    trace = model.run(FOREVER, until_done=True, **pace)
    traffic.check(model)
    return trace
