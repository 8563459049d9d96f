"""Labels of the bins, and the limits between them: what the plan declares and sampling counts by."""

from collections.abc import Mapping
from itertools import pairwise, product

import numpy as np

from arch.tensor.config import EngineConfig

SIGNS = ("+", "-")
#: Of an operand or a result; ``normal`` but for the largest, which is ``max``.
CLASSES = ("zero", "subnormal", "normal", "max", "Inf", "NaN")
SIGNED_CLASSES = tuple(f"{sign}{name}" for sign, name in product(SIGNS, CLASSES))
#: Results: NaN has one code.
RESULT_CLASSES = (*(name for name in SIGNED_CLASSES if not name.endswith("NaN")), "NaN")
#: Of an addend.
TERMS = ("+0", "-0", "finite", "+Inf", "-Inf", "NaN")
#: fp32 exponent of the sum less that of the product; the adder keeps 24 bits and 3 below them.
FARTHEST = 27
DISTANCES = tuple(
    f"{d} or {'less' if d < 0 else 'more'}" if abs(d) == FARTHEST else str(d) for d in range(-FARTHEST, FARTHEST + 1)
)
#: Ranges are given by their least value.
RUNS = {"1": 1, "2": 2, "3 to 7": 3, "8 or more": 8}
GAPS = {"none": 0, "1": 1, "2 to 7": 2, "8 or more": 8}
BESIDES = {"before": -(1 << 62), "same cycle": 0, "after": 1}
AFTER_SWAP = {"with the swap": 0, "next cycle": 1, "later": 2}
WAITS = ("no pass", "sum under way", "PSUM full")
RING = ("begins at 0 once more", "ends at the last row", "wraps inside")


def within(ranges: Mapping[str, int], values: np.ndarray) -> np.ndarray:
    """The index of the range each value is in, -1 below the first."""
    return np.searchsorted(list(ranges.values()), values, "right") - 1


def ends(size: int) -> dict[str, int]:
    """The first, the middle ones, the last of so many."""
    return {"first": 0} | ({"middle": 1} if size > 2 else {}) | ({"last": size - 1} if size > 1 else {})


def used(size: int) -> dict[str, int]:
    """Lanes in use, of so many."""
    return {"1": 1} | ({"2 or more": 2} if size > 3 else {}) | {str(n): n for n in (size - 1, size) if n > 1}


def heights(config: EngineConfig) -> dict[str, int]:
    """Activation rows of a pass, beside the R rows of the array."""
    rows = config.rows
    below = {"below R": 2} if rows > 2 else {}
    return {"1": 1} | below | {"R": rows, "above R": rows + 1, "the most": config.tile_m}


def terms(config: EngineConfig) -> tuple[str, ...]:
    """The kinds of addends that a configuration has."""
    return tuple(term for term in TERMS if config.has_inf or "Inf" not in term)


def largest_exponent(config: EngineConfig) -> int:
    """The decoded exponent of the largest operand; 0 where operands are integers."""
    if config.integer_operands:
        return 0
    facts = config.operand_formats
    shift = [0 if config.exact else config.significand_bits - 1 - fmt.man_bits for fmt in facts]
    return max(f.max_exp - 1 + f.lsb_exp - s - config.operand_lsb_exp for f, s in zip(facts, shift, strict=True))


def product_exponents(config: EngineConfig) -> dict[str, int]:
    """fp32 accumulation: ranges of the sum of two decoded exponents."""
    top = 2 * largest_exponent(config)
    # The last range is not shorter than the others, or too few products fall in it.
    starts = [1, *range(64, top - 63, 64)]
    return {"0": 0} | {f"{low} to {high - 1}": low for low, high in pairwise([*starts, top])} | {f"{top}": top}
