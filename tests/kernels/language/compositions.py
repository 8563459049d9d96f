"""Random kernels: tiles loaded, worked on, stored in any order, with views, products and scratch in memory."""

import numpy as np

from kernels import kernel
from kernels import language as nl

__all__ = ["composition"]

OPS = ("add", "subtract", "rsubtract", "multiply", "max", "min", "less", "less_equal", "equal")


def _vector(rng, x, tiles):
    """A vector operation on x."""
    options = {}
    if rng.random() < 0.3:
        options["mask"] = nl.Mask(
            str(rng.choice(["at_most", "at_least", "equal"])), int(rng.integers(-2, 5)), int(rng.integers(-1, 2)), 0.5
        )
    if rng.random() < 0.3:
        options["reduce"] = str(rng.choice(["add", "max", "absmax", "argmax"]))
    like = [t for t in tiles if t.shape == x.shape and t.dtype != "u32"]
    second = rng.choice(2)
    a = like[rng.integers(len(like))] if like and second else float(rng.normal())
    b = nl.tensor_reduce("absmax", x) if not isinstance(x, nl.Psum) and rng.random() < 0.3 else 2.0
    ops = [str(rng.choice(OPS)) for _ in range(2)]
    result = nl.tensor_scalar(x, ops[0], a, ops[1], b, absolute=bool(rng.choice(2)), **options)
    return result[0] if isinstance(result, tuple) else result


def _scalar(rng, x):
    function = str(rng.choice(["identity", "exp", "reciprocal", "rsqrt"]))
    if rng.random() < 0.5:
        return nl.activation(function, x, scale=0.5)
    y, total = nl.activation(function, x, scale=0.25, sum=True)
    return nl.activation("identity", y, bias=total)


@kernel
def composition(x, w, *, seed, steps):
    """x: fp32[M, N]; w: e4m3[K, N]. Whatever the seed says, on at most 16 tiles of fp32 or FP8."""
    rng = np.random.default_rng(seed)
    lanes = nl.lanes()
    rows = min(lanes, x.shape[0])
    spare = nl.scratch((rows, x.shape[1]))
    tiles = [nl.load(x[:rows])]
    weights = nl.load_folded(w)
    stores = 0
    out = nl.output((steps, rows, x.shape[1]))
    for _ in range(steps):
        t = tiles[rng.integers(len(tiles))]
        kind = rng.integers(7)
        if kind == 0:
            start = int(rng.integers(x.shape[0] - rows + 1))
            tiles.append(nl.load(x[start : start + rows], queue=int(rng.integers(nl.config().dma_queues))))
        elif kind == 1:
            tiles.append(_vector(rng, t, tiles))
        elif kind == 2:
            tiles.append(_scalar(rng, t))
        elif kind == 3:
            codes = nl.tensor_copy(
                weights_like(t, w.shape[0]), dtype="e4m3", engine=str(rng.choice(["vector", "scalar"]))
            )
            product = nl.matmul(codes, weights)
            tiles.append(_vector(rng, product, tiles) if rng.random() < 0.5 else _scalar(rng, product))
        elif kind == 4:
            nl.store(spare, t)
            tiles.append(nl.load(spare))
        elif kind == 5:
            # In place, in part.
            part = t[:, : max(1, t.shape[1] // 2)]
            nl.tensor_scalar(part, "multiply", 0.5, out=part)
        else:
            other = nl.ndarray(t.shape)
            nl.memset(other, 1.5)
            nl.dma_copy(other[1:], t[:-1]) if t.lanes > 1 else nl.dma_copy(other, t)
            tiles.append(other)
        tiles = tiles[-4:]
        if rng.random() < 0.4:
            nl.store(out[stores], tiles[-1])
            stores += 1
    for number in range(stores, steps):
        nl.store(out[number], tiles[number % len(tiles)])


def weights_like(tile, depth):
    """As many of a tile's elements of each lane as weights have rows."""
    return tile[:, :depth]
