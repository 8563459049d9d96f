"""Stimulus of the float blocks' benches: binary32 codes where arithmetic goes wrong. Codes are uint32[n]."""

import numpy as np

from arch.elements import ELEMENTS, SELECT_BITS
from arch.formats import FP32, Format
from golden.numerics.conversions import code_dtype, decode

__all__ = ["CORNERS", "arguments", "boundaries", "canonical", "codes", "elements", "factors", "paced", "sums"]

_MAGNITUDE = np.uint32((1 << 31) - 1)
_SIGN = np.uint32(1 << 31)
_LISTED = np.array(
    # Zero, subnormals, the normal numbers next to them, around 1, the largest ones, Inf, and NaN of several kinds.
    [0, 1, 2, 3, 0x400000, 0x7FFFFE, 0x7FFFFF, 0x800000, 0x800001, 0xFFFFFF, 0x1000000, 0x33800000, 0x34000000]
    + [0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3FFFFFFF, 0x40000000, 0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x7EFFFFFF]
    + [0x7F000000, 0x7F7FFFFE, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF],
    np.uint32,
)
#: Special values of both signs; codes of one bit, and Inf's with another one are among them.
_BITS = np.uint32(1) << np.arange(FP32.bits - 1, dtype=np.uint32)
_POSITIVE = np.unique(np.concatenate([_LISTED, _BITS, _BITS | np.uint32(FP32.inf)]))
CORNERS = np.concatenate([_POSITIVE, _POSITIVE | _SIGN])


def canonical(values: np.ndarray) -> np.ndarray:
    """The codes of float32 values, every NaN the one that results carry."""
    bits = values.view(np.uint32)
    return np.where((bits & _MAGNITUDE) > FP32.inf, np.uint32(FP32.nan), bits)


def codes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Any bits; a tenth of them special values, a tenth subnormal, and a fifth of few mantissa bits."""
    any_bits = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    few = any_bits & ~np.uint32((1 << 19) - 1)
    kinds = [any_bits, rng.choice(CORNERS, count), any_bits & ~np.uint32(FP32.inf), few]
    return np.choose(rng.choice(len(kinds), count, p=(0.6, 0.1, 0.1, 0.2)), kinds)


def _close(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    """Codes with an exponent within 30 of that of ``a``, and often a mantissa that differs in few bits."""
    magnitude = (a & _MAGNITUDE).astype(np.int64)
    exponent = (magnitude >> FP32.man_bits) + rng.integers(-30, 31, len(a))
    mantissa = rng.integers(0, 1 << FP32.man_bits, len(a))
    apart = np.clip(exponent, 0, FP32.exp_mask - 1) << FP32.man_bits | mantissa
    near = np.clip(magnitude + rng.integers(-4, 5, len(a)), 0, FP32.inf)
    within = magnitude ^ rng.integers(0, 1 << 24, len(a)) >> rng.integers(0, 25, len(a))
    chosen = np.choose(rng.choice(3, len(a), p=(0.5, 0.2, 0.3)), [apart, near, within])
    return chosen.astype(np.uint32) | (rng.integers(0, 2, len(a), dtype=np.uint32) << np.uint32(31))


def _ties(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    """Half a unit in the last place of ``a``, or of a number beside it, and what is next to such a half."""
    exponent = (a & _MAGNITUDE).astype(np.int64) >> FP32.man_bits
    half = np.clip(exponent - FP32.man_bits - 1 + rng.integers(-2, 2, len(a)), 0, FP32.exp_mask - 1) << FP32.man_bits
    half = np.clip(half + rng.integers(-1, 2, len(a)), 0, FP32.inf)
    return half.astype(np.uint32) | (rng.integers(0, 2, len(a), dtype=np.uint32) << np.uint32(31))


def _pairs() -> tuple[np.ndarray, np.ndarray]:
    """Every pair of special values."""
    return np.repeat(CORNERS, len(CORNERS)), np.tile(CORNERS, len(CORNERS))


def _joined(
    rng: np.random.Generator, a: np.ndarray, kinds: list[np.ndarray], p: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Random pairs, operands in either order, then every pair of special values."""
    b = np.choose(rng.choice(len(kinds), len(a), p=p), kinds)
    swap = rng.random(len(a)) < 0.5
    first, second = _pairs()
    return np.concatenate([np.where(swap, b, a), first]), np.concatenate([np.where(swap, a, b), second])


def sums(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Addends: unrelated, near in size, near to opposites, and ties."""
    a = codes(rng, count)
    return _joined(rng, a, [codes(rng, count), _close(rng, a), _ties(rng, a)], (0.3, 0.5, 0.2))


def factors(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors: unrelated, with products around the smallest numbers or the largest, and of few bits, which tie."""
    a = codes(rng, count)
    exponent = (a & _MAGNITUDE).astype(np.int64) >> FP32.man_bits
    # Products with the exponent field of a subnormal number or a little below or above; and at the top.
    mantissa = rng.integers(0, 1 << FP32.man_bits, count) & (-1 << rng.integers(0, 24, count))
    small = np.clip(FP32.bias - exponent + rng.integers(-27, 4, count), 0, FP32.exp_mask - 1)
    large = np.clip(FP32.bias + 254 - exponent + rng.integers(-2, 3, count), 0, FP32.exp_mask - 1)
    sign = rng.integers(0, 2, count, dtype=np.uint32) << np.uint32(31)
    low, high = ((field << FP32.man_bits | mantissa).astype(np.uint32) | sign for field in (small, large))
    few = codes(rng, count) & ~np.uint32((1 << 11) - 1)
    kept = np.where(rng.random(count) < 0.2, a & ~np.uint32((1 << 11) - 1), a)
    return _joined(rng, kept, [codes(rng, count), low, high, few], (0.2, 0.5, 0.1, 0.2))


def arguments(rng: np.random.Generator, count: int, functions: int) -> tuple[np.ndarray, np.ndarray]:
    """Arguments and the numbers of their functions: any, of exponents of which exp is neither 1 nor Inf nor 0, around
    those of which it is Inf, 0 or subnormal, and powers of two; each of few bits at times; then every special value
    with every function."""
    any_code = codes(rng, count)
    sized = rng.integers(FP32.bias - 28, FP32.bias + 8, count) << FP32.man_bits | rng.integers(0, 1 << 23, count)
    ends = rng.choice(np.array([88.72284, 103.97208, 87.33654, 128.0], np.float32), count)
    ends = (ends * rng.uniform(0.98, 1.02, count)).astype(np.float32).view(np.uint32)
    powers = any_code & np.uint32(FP32.inf)
    kinds = [any_code, sized.astype(np.uint32), ends, powers]
    chosen = np.choose(rng.choice(len(kinds), count, p=(0.5, 0.3, 0.1, 0.1)), kinds)
    few = np.where(rng.random(count) < 0.1, chosen & (np.uint32(FP32.inf) | 0x7F0000), chosen)
    signed = (few & _MAGNITUDE) | (rng.integers(0, 2, count, dtype=np.uint32) << np.uint32(31))
    x = np.concatenate([signed, np.tile(CORNERS, functions)])
    function = np.repeat(np.arange(functions), len(CORNERS))
    return x, np.concatenate([rng.integers(0, functions, count), function])


def paced(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A pipeline's cycles: whether it moves, bool[cycles], and which of ``count`` vectors is at its inputs.

    Each is there once while it moves, in random order, in stretches of a thousand at a pace of their own. While it
    stands, it is any.
    """
    pace = np.repeat(rng.choice([1.0, 0.9, 0.7, 0.3], -(-count // 1000)), 1000)[:count]
    moves = np.cumsum(rng.geometric(pace)) - 1
    enable = np.zeros(moves[-1] + 1, bool)
    enable[moves] = True
    offered = rng.integers(0, count, len(enable))
    offered[moves] = rng.permutation(count)
    return enable, offered


def _all_codes(fmt: Format) -> np.ndarray:
    return np.arange(1 << fmt.bits, dtype=code_dtype(fmt))


def elements(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Elements, zero-extended, and the numbers of their types: all codes of up to 16 bits, ``count`` of 32, and as many
    of types that do not exist."""
    parts, types = [], []
    for element in ELEMENTS.values():
        short = element.format and element.bytes < 4
        parts.append(_all_codes(element.format) if short else np.concatenate([codes(rng, count), CORNERS]))
        types.append(np.full(len(parts[-1]), element.select))
    parts.append(codes(rng, count))
    types.append(rng.integers(len(ELEMENTS), 1 << SELECT_BITS, count))
    return np.concatenate(parts).astype(np.uint32), np.concatenate(types)


def boundaries(fmt: Format) -> np.ndarray:
    """Every number of a short format, what lies in the middle of two, and the codes beside each."""
    numbers = decode(_all_codes(fmt)[: fmt.max_code + 1], fmt)
    middles = ((numbers[:-1].astype(np.float64) + numbers[1:]) / 2).astype(np.float32)
    # From the largest number half a step on: in one binade codes are in steps as the numbers are.
    last = 2 * numbers.view(np.uint32)[-1:] - middles.view(np.uint32)[-1:]
    points = np.concatenate([numbers.view(np.uint32), middles.view(np.uint32), last])
    points = np.concatenate([np.maximum(points, 1) - 1, points, points + 1])
    return canonical(np.concatenate([points, points | _SIGN]).view(np.float32))
