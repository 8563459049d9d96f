"""Random passes for benches of the engine: whatever a command may say, without a pause between tiles."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from golden.numerics.conversions import code_dtype
from golden.tensor.arithmetic import add_products, decode_operands, multiply, psum_words, read_out
from golden.tensor.engine import TensorEngine
from verif.tensor.operands import CLASSES, random_operands

__all__ = ["Stretch", "Traffic", "session", "traffic_trace"]

#: Passes of one tile, at most; tiles whose passes interleave.
STEPS, TILES = 3, 4


class Traffic:
    """Random legal passes without a pause between tiles, each with formats of its own; lanes not in use hold anything.

    Tiles of a group interleave at random. ``expected`` are the result rows, from the arithmetic of each term.
    """

    def __init__(self, config: EngineConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.commands, self.weights, self.activations, self.expected = [], [], [], []
        self.base = 0

    def groups(self, count: int, most: int | None = None) -> None:
        """So many groups, each of one to four tiles with as many rows as PSUM has, or ``most``, among them."""
        for _ in range(count):
            sizes, free = [], min(self.config.psum_depth, most or self.config.psum_depth)
            while free and len(sizes) < TILES:
                sizes.append(int(self.rng.integers(1, free + 1)) if self.rng.random() < 0.7 else free)
                free -= sizes[-1]
            self.group(sizes)

    def group(self, sizes: Sequence[int], steps: int | None = None) -> None:
        """Tiles of so many rows each, no more than PSUM has; each of so many passes, or of one to three."""
        tiles = [self._tile(m, steps) for m in sizes]
        # First passes in ring order, last passes in ring order, anything between.
        started, finished, taken = 0, 0, 0
        while finished < len(tiles):
            choices = [
                index
                for index, tile in enumerate(tiles)
                if tile["steps"] and index <= started and (tile["steps"] > 1 or index == finished)
            ]
            index = int(self.rng.choice(choices))
            tile = tiles[index]
            self._pass(tile, taken)
            tile["at"], taken = taken, taken + tile["m"]
            tile["steps"] -= 1
            started = max(started, index + 1)
            finished += not tile["steps"]

    def _tile(self, m: int, steps: int | None) -> dict:
        config, rng = self.config, self.rng
        # Terms that a sum may still have.
        terms = config.k_max if config.exact else STEPS * config.rows
        tile = {
            "m": m,
            "n": int(rng.integers(1, config.cols + 1)),
            "steps": min(terms, steps or int(rng.integers(1, STEPS + 1))),
            "terms": terms,
            "kind": str(rng.choice(CLASSES)),
            "base": self.base,
            "at": None,
            "psums": np.zeros((m, config.cols, psum_words(config)), np.uint32),
        }
        self.base = (self.base + m) % config.psum_depth
        return tile

    def _pass(self, tile: dict, taken: int) -> None:
        config, rng = self.config, self.rng
        m, n = tile["m"], tile["n"]
        # Each pass to come has a term at least; one in four passes has all lanes.
        top = min(config.rows, tile["terms"] - (tile["steps"] - 1))
        k = top if rng.random() < 0.25 else int(rng.integers(1, top + 1))
        tile["terms"] -= k
        x_format, w_format = (str(name) for name in rng.choice(config.formats, 2))
        out_format, saturate = str(rng.choice(list(FORMATS))), int(rng.integers(2))
        first, last = tile["at"] is None, tile["steps"] == 1
        most = config.hazard_latency if first else min(config.hazard_latency, taken - tile["at"])
        command = command_layout(config).pack(
            tile_m=m,
            tile_k=k,
            tile_n=n,
            base=tile["base"],
            distance=int(rng.integers(1, most + 1)),
            first=int(first),
            last=int(last),
            x_format=FORMATS[x_format].select,
            w_format=FORMATS[w_format].select,
            out_format=FORMATS[out_format].select,
            saturate=saturate,
        )
        x, w = random_operands(rng, (m, k, config.cols), x_format, w_format, tile["kind"])
        beats = config.load_cycles(k)
        self.commands.append(command)
        self.weights.append(self._lanes(w, w_format, beats * config.rows_per_load_cycle).reshape(beats, -1))
        self.activations.append(self._lanes(x.T, x_format, config.rows).T)
        x, w = decode_operands(x, x_format, config), decode_operands(w, w_format, config)
        for lane in range(k):
            tile["psums"] = add_products(tile["psums"], multiply(x[:, lane, None], w[lane], config), config)
        if last:
            codes = read_out(tile["psums"], config, out_format, saturate=bool(saturate))
            codes[:, n:] = 0
            self.expected.append(codes)

    def _lanes(self, codes: np.ndarray, fmt: str, count: int) -> np.ndarray:
        """The codes as the first of so many lanes; the other lanes, and what lies above a code, are random."""
        lane = np.dtype(np.uint8 if self.config.code_bits == 8 else np.uint16)
        lanes = self.rng.integers(0, 1 << self.config.code_bits, (count, codes.shape[1]), dtype=lane)
        code = np.iinfo(code_dtype(fmt)).max
        lanes[: len(codes)] = lanes[: len(codes)] & ~lane.type(code) | codes
        return lanes

    def offer(self, model: TensorEngine) -> None:
        """Hand every beat to the cycle model."""
        commands = command_layout(self.config).width
        kind = np.uint64 if commands <= 64 else object
        model.offer(np.array(self.commands, kind), np.concatenate(self.weights), np.concatenate(self.activations))

    def check(self, model: TensorEngine) -> None:
        """Raises RuntimeError if the cycle model is not through, or its results are not those expected."""
        expected = np.concatenate(self.expected)
        if not model.done or not np.array_equal(model.results, expected):
            raise RuntimeError("the cycle model and the arithmetic of each term must give the same results")


def traffic_trace(config: EngineConfig, rng: np.random.Generator, groups: int, **pace) -> np.ndarray:
    """A trace of random traffic to its end; its results were checked against the arithmetic of each term."""
    traffic, model = Traffic(config, rng), TensorEngine(config)
    traffic.groups(groups)
    traffic.offer(model)
    trace = model.run(100_000, until_done=True, **pace)
    traffic.check(model)
    return trace


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Traffic between two resets.

    Parameters
    ----------
    groups : int
        Of tiles.
    ring : bool
        A tile of as many rows as PSUM has comes first.
    most : int or None
        Rows of a group's tiles together, at most.
    idle, stall : float
        As for ``TensorEngine.run``.
    held : int
        So many cycles in which no result is taken come first.
    cut : int or None
        Ends in this cycle, whatever is under way. None: to the end, and results are checked.
    reset : int
        Cycles of the reset behind it, in which beats are offered.
    """

    groups: int
    ring: bool = False
    most: int | None = None
    idle: float = 0.0
    stall: float = 0.0
    held: int = 0
    cut: int | None = None
    reset: int = 1


def session(
    config: EngineConfig, rng: np.random.Generator, stretches: Iterable[Stretch], *, registers: bool = True
) -> Iterator[np.ndarray]:
    """Records of one stretch after another, a reset behind each; the first word is ``RESET``."""
    model = TensorEngine(config, registers=registers)
    for stretch in stretches:
        pace = {"seed": int(rng.integers(1 << 31)), "idle": stretch.idle}
        traffic = Traffic(config, rng)
        if stretch.ring:
            traffic.group([config.psum_depth], steps=1)
        traffic.groups(stretch.groups, stretch.most)
        traffic.offer(model)
        pieces = [model.run(min(stretch.held, stretch.cut or stretch.held), stall=1.0, **pace)] if stretch.held else []
        left = 1_000_000 if stretch.cut is None else max(0, stretch.cut - stretch.held)
        pieces.append(model.run(left, until_done=True, stall=stretch.stall, **pace))
        if stretch.cut is None:
            traffic.check(model)
        yield _with_reset(np.concatenate(pieces))
        for _ in range(stretch.reset - 1):
            # Nothing of what is offered gets in.
            model.reset()
            traffic.offer(model)
            yield _with_reset(model.run(1, stall=stretch.stall, **pace))
        model.reset()


def _with_reset(trace: np.ndarray) -> np.ndarray:
    """The records with ``RESET`` before them, high in the last."""
    reset = np.zeros((len(trace), 1), np.uint32)
    reset[-1] = 1
    return np.concatenate([reset, trace], axis=1)
