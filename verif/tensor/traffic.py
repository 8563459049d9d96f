"""Random passes for benches of the engine: whatever a command may say, without a pause between tiles."""

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from golden.numerics.conversions import code_dtype
from golden.tensor.arithmetic import add_products, decode_operands, multiply, psum_words, read_out
from golden.tensor.engine import TensorEngine

__all__ = ["Traffic", "traffic_trace"]


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
        config, rng = self.config, self.rng
        rows, free = [], config.psum_depth
        while free and len(rows) < 4:
            rows.append(int(rng.integers(1, free + 1)) if rng.random() < 0.7 else free)
            free -= rows[-1]
        tiles = []
        for m in rows:
            steps = int(rng.integers(1, 4))
            zeros = np.zeros((m, config.cols, psum_words(config)), np.uint32)
            n = int(rng.integers(self.narrowest, config.cols + 1))
            tiles.append({"m": m, "n": n, "steps": steps, "base": self.base, "at": None, "psums": zeros})
            self.base = (self.base + m) % config.psum_depth
        # First passes in ring order, last passes in ring order, anything between.
        started, finished, taken = 0, 0, 0
        while finished < len(tiles):
            choices = [
                index
                for index, tile in enumerate(tiles)
                if tile["steps"] and index <= started and (tile["steps"] > 1 or index == finished)
            ]
            index = int(rng.choice(choices))
            tile = tiles[index]
            self._pass(tile, taken)
            tile["at"], taken = taken, taken + tile["m"]
            tile["steps"] -= 1
            started = max(started, index + 1)
            finished += not tile["steps"]

    def _pass(self, tile: dict, taken: int) -> None:
        config, rng = self.config, self.rng
        m, n, k = tile["m"], tile["n"], int(rng.integers(1, config.rows + 1))
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
        lane = code_dtype(config.lane_format)
        beats = config.load_cycles(k)
        x, w = (
            rng.integers(0, 1 << config.code_bits, (count, lanes), dtype=lane)
            for count, lanes in ((m, config.rows), (beats * config.rows_per_load_cycle, config.cols))
        )
        self.commands.append(command)
        self.weights.append(w.reshape(beats, -1))
        self.activations.append(x)
        x, w = x[:, :k].astype(code_dtype(x_format)), w.astype(code_dtype(w_format))
        x, w = decode_operands(x, x_format, config), decode_operands(w, w_format, config)
        for lane in range(k):
            tile["psums"] = add_products(tile["psums"], multiply(x[:, lane, None], w[lane], config), config)
        if last:
            codes = read_out(tile["psums"], config, out_format, saturate=bool(saturate))
            codes[:, n:] = 0
            self.expected.append(codes)

    def offer(self, model: TensorEngine) -> None:
        """Hand every beat to the cycle model."""
        commands = np.array(self.commands, np.uint64)
        model.offer(commands, np.concatenate(self.weights), np.concatenate(self.activations))


def traffic_trace(config, rng, groups, *, whole=False, **pace):
    """A trace of random traffic to its end; its results were checked against the arithmetic of each term.

    ``whole``: every tile has all columns.
    """
    traffic, model = Traffic(config, rng, groups, whole), TensorEngine(config)
    traffic.offer(model)
    trace = model.run(100_000, until_done=True, **pace)
    assert model.done
    assert (model.results == np.concatenate(traffic.expected)).all()
    return trace
