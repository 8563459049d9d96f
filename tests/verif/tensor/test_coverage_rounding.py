"""Cases of rounding, against Python's fractions."""

from fractions import Fraction

import numpy as np
import pytest

from arch.formats import FORMATS, Format
from verif.tensor.coverage.rounding import CASES, RANGES, exact_sum, rounding


def by_fractions(value: Fraction, fmt: Format) -> tuple[str, str]:
    """The case and range of a number other than zero, by searching the neighbours in the format."""
    value = abs(value)
    place = Fraction(2) ** fmt.lsb_exp
    subnormal = value < place * 2**fmt.man_bits
    while value >= place * 2 ** (fmt.man_bits + 1):
        place *= 2
    below = value // place
    rest = value / place - below
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)
    size = RANGES[0] if subnormal else RANGES[1]
    largest = Fraction(fmt.max_value)
    if below * place > largest:
        return "beyond the range", size
    if (below + up) * place > largest:
        return "overflow by rounding", size
    if (
        up
        and below + 1 in (2**fmt.man_bits, 2 ** (fmt.man_bits + 1))
        and not (below + 1 == 2**fmt.man_bits) ^ subnormal
    ):
        return "carry into the exponent", size
    if rest == 0:
        return "exact", size
    if rest == Fraction(1, 2):
        return ("tie, up to even" if up else "tie, down to even"), size
    return ("above half" if up else "below half"), size


def check(high: np.ndarray, low: np.ndarray, fmt: Format) -> set[tuple[str, str]]:
    cases, sizes = rounding(high, low, fmt)
    seen = set()
    for a, b, case, size in zip(high.tolist(), low.tolist(), cases, sizes, strict=True):
        expected = by_fractions(Fraction(a) + Fraction(b), fmt)
        assert (CASES[case], RANGES[size]) == expected, (a, b, fmt.name)
        seen.add(expected)
    return seen


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_halves_and_quarters_between_all_neighbours(fmt):
    rng = np.random.default_rng(1)
    codes = rng.integers(1, fmt.max_code + 1, 300)
    codes = np.unique([*codes, 1, 2, 3, (1 << fmt.man_bits) - 1, 1 << fmt.man_bits, fmt.max_code - 1, fmt.max_code])
    exponent = np.maximum(codes >> fmt.man_bits, 1)
    significand = (codes & (1 << fmt.man_bits) - 1) + (codes >> fmt.man_bits != 0) * (1 << fmt.man_bits)
    places = exponent - fmt.bias - fmt.man_bits
    values = np.ldexp(significand[:, None] + np.array([0, 0.25, 0.5, 0.75]), places[:, None]).ravel()
    signs = rng.choice([-1.0, 1.0], values.shape)
    seen = check(signs * values, np.zeros_like(values), fmt)
    # Far above: only formats that end below fp32's end.
    seen |= check(np.array([2.0 * 2.0 ** (fmt.max_exp - fmt.bias)]) * 2, np.zeros(1), fmt)
    assert {case for case, _ in seen} == set(CASES)
    assert {"carry into the exponent", "tie, up to even", "tie, down to even", "above half"} <= {
        case for case, size in seen if size == "subnormal"
    }


def test_sums_that_no_float64_holds():
    seed = np.random.default_rng().integers(1 << 31)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    fmt = FORMATS["fp32"]
    # A number or a midpoint of fp32, and a term so small that it only breaks the tie.
    base = (1 << 24) + 2.0 * rng.integers(0, 1 << 23, 500) + rng.integers(0, 2, 500)
    tiny = rng.choice([-1.0, 0.0, 1.0], 500) * 2.0 ** -rng.integers(1, 100, 500)
    high, low = exact_sum(base * rng.choice([-1.0, 1.0], 500), tiny)
    seen = {case for case, _ in check(high, low, fmt)}
    assert seen >= {"exact", "below half", "above half", "tie, up to even", "tie, down to even"}
    # Just below a power of two all places are ones.
    assert check(np.array([2.0**24, -(2.0**24)]), np.array([-(2.0**-60), 2.0**-60]), fmt) == {
        ("carry into the exponent", "normal")
    }


def test_zero_is_not_rounded():
    case, size = rounding(np.zeros(1), np.zeros(1), FORMATS["bf16"])
    assert case == size == [-1]
