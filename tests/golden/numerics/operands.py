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
