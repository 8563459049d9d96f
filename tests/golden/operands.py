"""Operands and oracles for the tests of matrix products."""

from itertools import product

import numpy as np

from arch.formats import FORMATS
from golden.numerics.conversions import code_dtype, decode, encode
from golden.numerics.scalar import dot, exact_value, fma

SEED = 7
FP8_PAIRS = list(product(("e4m3", "e5m2"), repeat=2))
PAIRS = list(product(("e4m3", "e5m2", "bf16"), repeat=2))
SHAPES = [(1, 1, 1), (1, 7, 1), (7, 1, 9), (2, 3, 2), (5, 33, 3), (6, 64, 4), (13, 40, 17)]
NAN_BITS = 0x7FC00000
#: x_format, w_format, accumulation.
ENGINES = [
    ("e4m3", "e4m3", "exact"),
    ("e5m2", "e4m3", "exact"),
    ("e5m2", "e5m2", "exact"),
    ("e4m3", "e5m2", "fp32"),
    ("bf16", "bf16", "fp32"),
    ("bf16", "e4m3", "fp32"),
    ("e4m3", "bf16", "fp32"),
]


def rng():
    """A generator whose seed a failing test shows."""
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


def bit_patterns(generator, shape, fmt, finite=False):
    """Uniformly random codes; ``finite`` replaces NaN and Inf by zero."""
    codes = generator.integers(0, 1 << FORMATS[fmt].bits, shape, dtype=code_dtype(fmt))
    if finite:
        codes[~np.isfinite(decode(codes, fmt))] = 0
    return codes


def gaussian(generator, shape, fmt):
    """Codes of N(0, 1)."""
    return encode(generator.standard_normal(shape).astype(np.float32), fmt)


def bits(result):
    """The codes of a float32 result."""
    assert result.dtype == np.float32
    return result.view(np.uint32)


def exact_oracle(x, w, x_format, w_format):
    """uint32[M, N] through Fractions."""
    formats = FORMATS[x_format], FORMATS[w_format]
    return np.array([[dot(row.tolist(), col.tolist(), *formats) for col in w.T] for row in x], np.uint32)


def chain(row, col, x_format, w_format, start):
    """One output of the fused chain, as an fp32 code."""
    for a, b in zip(row.tolist(), col.tolist(), strict=True):
        start = fma(a, b, start, FORMATS[x_format], FORMATS[w_format])
    return start


def chain_oracle(x, w, x_format, w_format, initial=None):
    """uint32[M, N]: the fused chain, a Fraction at a time."""
    start = np.zeros((x.shape[0], w.shape[1]), np.uint32) if initial is None else initial.view(np.uint32)
    rows = range(x.shape[0]), range(w.shape[1])
    values = [[chain(x[m], w[:, n], x_format, w_format, int(start[m, n])) for n in rows[1]] for m in rows[0]]
    return np.array(values, np.uint32)


def integer_dot(x, w, x_format, w_format):
    """The exact dot product of two long vectors of finite codes, from how often each pair of codes occurs."""
    counts = np.bincount(x.astype(np.int64) << 8 | w)
    return sum(
        int(counts[pair])
        * exact_value(int(pair) >> 8, FORMATS[x_format])
        * exact_value(int(pair) & 255, FORMATS[w_format])
        for pair in np.flatnonzero(counts)
    )


def draw(rng, shape, kind):
    """float32 numbers: N(0, 1), N(0, 3), or bit patterns with zeros of both signs and an outlier."""
    if kind != "patterns":
        return rng.normal(0, {"gaussian": 1, "wide": 3}[kind], shape).astype(np.float32)
    # Random bit patterns between 2**-8 and 4, some zeros of both signs, one outlier.
    patterns = rng.integers(0, 1 << 23, shape) | rng.integers(119, 129, shape) << 23
    values = (patterns | rng.integers(0, 2, shape) << 31).astype(np.uint32).view(np.float32)
    values[rng.random(shape) < 0.1] *= np.float32(0)
    values[..., 0, 0] *= np.float32(37)
    return values


# Wide scores: numerators below the smallest normal number of the format.


def case(seed, heads=4, kv_heads=2, queries=6, tokens=6, channels=64):
    """Queries, keys and values."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    shapes = (heads, queries, channels), (kv_heads, tokens, channels), (kv_heads, tokens, channels)
    return [draw(rng, shape, "patterns") for shape in shapes]
