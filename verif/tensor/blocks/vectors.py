"""Stimulus of the unit benches: operands, products and partial sums where arithmetic goes wrong."""

from itertools import product as pairs

import numpy as np

from arch.formats import FORMATS, FP32
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout
from golden.numerics.conversions import code_dtype
from golden.tensor import arithmetic

__all__ = [
    "VECTORS",
    "all_codes",
    "code_pairs",
    "exact_psums",
    "fp32_psums",
    "narrow_inputs",
    "possible_sums",
    "random_beats",
    "random_operands",
    "random_products",
    "random_psums",
    "random_resets",
]

#: Random vectors of the arithmetic units that cannot be exhausted.
VECTORS = 1_000_000


def all_codes(name: str) -> np.ndarray:
    """Every code of a format."""
    return np.arange(1 << FORMATS[name].bits, dtype=code_dtype(name))


def code_pairs(config: EngineConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Operand pairs: every pair of 8-bit codes, random bit patterns where BF16 takes part, and all its specials."""
    special = np.array([0, 1, 0x7F, 0x80, 0x3F80, 0x7F7F, 0x7F80, 0x7F81, 0x7FC0, 0x7FFF], np.uint16)
    special = np.concatenate([special, special | 0x8000])
    xs, ws = [], []
    for x_name, w_name in pairs(config.formats, repeat=2):
        if "bf16" in (x_name, w_name):
            count = VECTORS if x_name == w_name else VECTORS // 5
            x, w = (rng.integers(0, 1 << FORMATS[n].bits, count, dtype=code_dtype(n)) for n in (x_name, w_name))
            x_corner = special if x_name == "bf16" else all_codes(x_name)
            w_corner = special if w_name == "bf16" else all_codes(w_name)
            x = np.concatenate([x, np.repeat(x_corner, len(w_corner))])
            w = np.concatenate([w, np.tile(w_corner, len(x_corner))])
        else:
            x, w = (grid.reshape(-1) for grid in np.meshgrid(all_codes(x_name), all_codes(w_name)))
        xs.append(arithmetic.decode_operands(x, x_name, config))
        ws.append(arithmetic.decode_operands(w, w_name, config))
    return np.concatenate(xs), np.concatenate(ws)


def random_products(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Products of random operand pairs, specials among them: uint64[count]."""
    x, w = code_pairs(config, rng)
    chosen = rng.integers(0, len(x), count)
    return arithmetic.multiply(x[chosen], w[chosen], config)


def exact_psums(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Sums of every length the accumulator holds, both signs, mostly without flags: uint32[count, words].

    A quarter each: random bits; all ones, so that rounding carries to the next power of two; a tie of the rounding to
    fp32; a tie and one in the last place, which only a sticky bit tells from it.
    """
    width = config.acc_bits
    length = rng.integers(0, width, (count, 1))
    place = np.arange(width)
    kind = rng.integers(0, 4, (count, 1))
    below_tie = place < length - 25
    bits = rng.integers(0, 2, (count, width), dtype=np.uint8)
    bits |= kind == 1
    bits |= (kind >= 2) & (place == length - 25)
    bits &= ~((kind >= 2) & below_tie)
    bits |= (kind == 3) & (place == 0)
    bits |= place == length - 1
    bits &= place < length
    # Two's complement: every bit above the lowest one set is inverted.
    lowest = np.where(bits.any(axis=1), bits.argmax(axis=1), width)[:, None]
    bits ^= (rng.random((count, 1)) < 0.5) & (place > lowest)
    flags = rng.integers(0, 2, (count, config.special_bits), dtype=np.uint8) & (rng.random((count, 1)) < 0.1)
    return _packed(np.concatenate([bits, flags], axis=1))


def _packed(bits: np.ndarray) -> np.ndarray:
    """Rows of bits, lowest first, as 32-bit words."""
    padded = np.zeros((len(bits), -(-bits.shape[1] // 32) * 32), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint32)


def _product_values(products: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Finite products as float64, exactly; 0 for specials."""
    bits = 2 * config.significand_bits
    magnitude = (products & np.uint64((1 << bits) - 1)).astype(np.float64)
    exponent = (products >> np.uint64(bits) & np.uint64((1 << config.product_exponent_bits) - 1)).astype(np.int64)
    sign = products >> np.uint64(bits + config.product_exponent_bits) & np.uint64(1)
    return np.ldexp(np.where(sign, -magnitude, magnitude), exponent + config.product_lsb_exp)


def fp32_psums(products: np.ndarray, config: EngineConfig, rng: np.random.Generator) -> np.ndarray:
    """fp32 codes, half of them any bits; near the negated product; ties with it; near it in size; corners."""
    count = len(products)
    value = _product_values(products, config)
    with np.errstate(over="ignore", under="ignore"):
        near = (-value).astype(np.float32).view(np.uint32).astype(np.int64) + rng.integers(-3, 4, count)
        # A power of two 24 or 25 places above the product makes it a tie or half of one.
        tie = np.ldexp(np.where(rng.random(count) < 0.5, value, -value), rng.integers(16, 28, count))
        tie = tie.astype(np.float32).view(np.uint32) & ~np.uint32((1 << 8) - 1)
        sized = np.ldexp(rng.uniform(-2, 2, count), np.frexp(value)[1] + rng.integers(-30, 31, count))
        sized = sized.astype(np.float32).view(np.uint32)
    corners = np.array(
        [0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x7F7FFFFF, 0x7F7FFFFE, 0x7F800000, 0x7FC00000], np.uint32
    )
    corners = np.concatenate([corners, corners | 0x80000000])
    kinds = [
        rng.integers(0, 1 << 32, count, dtype=np.uint32),
        (near & 0xFFFFFFFF).astype(np.uint32),
        tie,
        sized,
        corners[rng.integers(0, len(corners), count)],
    ]
    return np.choose(rng.choice(len(kinds), count, p=(0.5, 0.15, 0.15, 0.1, 0.1)), kinds)


def random_psums(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Partial sums that products of the configuration may meet: uint32[count, words]."""
    if config.exact:
        return exact_psums(config, rng, count)
    return possible_sums(fp32_psums(random_products(config, rng, count), config, rng), config)[:, None]


def random_resets(rng: np.random.Generator, cycles: int) -> np.ndarray:
    """Cycles in which a block is reset, one in a hundred: bool[cycles]."""
    return rng.random(cycles) < 0.01


def random_operands(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Operands of every format of the configuration, mixed: uint64[count]."""
    choices = [arithmetic.decode_operands(rng.permutation(all_codes(n)), n, config) for n in config.formats]
    choices = [np.resize(operands, count) for operands in choices]
    return np.choose(rng.integers(0, len(choices), count), choices).astype(np.uint64)


def random_beats(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Beats of random operands with every legal combination of tags: uint64[count]."""
    layout = beat_layout(config)
    operands = random_operands(config, rng, count)
    valid = rng.random(count) < 0.7
    tags = {
        "valid": valid,
        "enable": valid & (rng.random(count) < 0.8),
        "swap": valid & (rng.random(count) < 0.1),
        "load": rng.random(count) < 0.3,
    }
    beats = operands << np.uint64(layout.offset("operand"))
    for name, tag in tags.items():
        beats |= tag.astype(np.uint64) << np.uint64(layout.offset(name))
    return beats


def narrow_inputs(rng: np.random.Generator) -> np.ndarray:
    """fp32 codes around every boundary of the narrow formats, and random ones; any NaN is the canonical one."""
    codes = []
    for name in ("e4m3", "e5m2", "bf16"):
        fmt = FORMATS[name]
        # Every code, the midpoints above it, and the fp32 neighbours of both, in the fp32 bit pattern.
        operand = np.arange(1 << (fmt.bits - 1), dtype=np.int64)
        exponent, fraction = operand >> fmt.man_bits, operand & ((1 << fmt.man_bits) - 1)
        value = np.ldexp(
            (fraction + (exponent > 0) * (1 << fmt.man_bits)).astype(np.float64),
            np.maximum(exponent, 1) - fmt.bias - fmt.man_bits,
        )
        with np.errstate(over="ignore"):
            points = np.concatenate([value, (value[:-1] + value[1:]) / 2]).astype(np.float32).view(np.uint32)
        codes += [points - np.uint32(1), points, points + np.uint32(1)]
    codes.append(rng.integers(0, 1 << 32, VECTORS // 8, dtype=np.uint32))
    codes = np.concatenate(codes)
    codes = np.concatenate([codes, codes ^ np.uint32(0x80000000)])
    return _canonical(codes)


def possible_sums(codes: np.ndarray, config: EngineConfig) -> np.ndarray:
    """fp32 codes with every NaN the canonical one, and exponents that sums of the configuration can have."""
    codes = _canonical(codes)
    if not config.sums_in_range:
        return codes
    exponent = codes >> FP32.man_bits & FP32.exp_mask
    possible = (exponent >= 64) & (exponent < 192) | (exponent == FP32.exp_mask)
    return np.where(possible, codes, np.where(codes & 0x7FFFFFFF, codes ^ np.uint32(1 << 30), np.uint32(0)))


def _canonical(codes: np.ndarray) -> np.ndarray:
    """fp32 codes with every NaN the canonical one, as the array leaves it."""
    return np.where((codes & 0x7FFFFFFF) > FP32.inf, np.uint32(FP32.nan), codes)
