"""Random operands: classes of codes, each of which shows faults that the others hide."""

import numpy as np

from arch.formats import FORMATS
from golden.numerics.conversions import code_dtype

__all__ = ["CLASSES", "random_codes", "random_operands"]

#: Operands of a GEMM, see ``random_codes`` and ``random_operands``.
CLASSES = ("bits", "finite", "medium", "subnormal", "cancellation")


def random_codes(rng: np.random.Generator, shape: tuple[int, int], fmt: str, kind: str) -> np.ndarray:
    """Codes of a kind, each drawn by itself.

    ``bits``: uniformly random bit patterns, NaN and Inf among them. ``finite``: the same, but NaN and Inf become the
    largest finite number of their sign. ``medium``: random signs and mantissas, exponents within 12 of 1.0, so that
    long fp32 chains neither overflow nor lose their small terms. ``subnormal``: half of them subnormal or zero, the
    others medium, so that products and sums are small without all vanishing.
    """
    facts = FORMATS[fmt]
    codes = rng.integers(0, 1 << facts.bits, shape, dtype=code_dtype(fmt))
    if kind == "bits":
        return codes
    if kind in ("medium", "subnormal"):
        exponents = rng.integers(max(0, facts.bias - 12), min(facts.max_exp, facts.bias + 12) + 1, shape)
        if kind == "subnormal":
            exponents[rng.random(shape) < 0.5] = 0
        others = codes.astype(np.int64) & ~(facts.exp_mask << facts.man_bits)
        codes = (others | exponents << facts.man_bits).astype(codes.dtype)
    return _finite(codes, fmt)


def _finite(codes: np.ndarray, fmt: str) -> np.ndarray:
    """The codes, with the largest finite number of the same sign for NaN and Inf."""
    facts = FORMATS[fmt]
    magnitude = codes & ((1 << facts.bits - 1) - 1)
    return (codes - np.maximum(magnitude, facts.max_code) + facts.max_code).astype(code_dtype(fmt))


def random_operands(
    rng: np.random.Generator, shape: tuple[int, int, int], x_format: str, w_format: str, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """X[M, K] and W[K, N] of a class in ``CLASSES``.

    ``cancellation``: medium codes in which the lanes of K form pairs with opposite products; of every fourth
    weight in a second lane the last bit is flipped, so that sums cancel to zero or to a few low bits. The others are
    ``random_codes``.
    """
    m, k, n = shape
    codes_kind = "medium" if kind == "cancellation" else kind
    x, w = random_codes(rng, (m, k), x_format, codes_kind), random_codes(rng, (k, n), w_format, codes_kind)
    if kind == "cancellation":
        first, second = rng.permutation(k)[: k // 2 * 2].reshape(2, -1)
        x[:, second] = x[:, first] ^ x.dtype.type(1 << FORMATS[x_format].bits - 1)
        flips = (rng.random((len(second), n)) < 0.25).astype(w.dtype)
        w[second] = _finite(w[first] ^ flips, w_format)
    return x, w
