"""The float blocks against their oracles, and benches of the benches."""

import os
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from verif.core.blocks.units import BENCHES, CELL_BENCHES, mantissas_bench
from verif.simulation.replay import replay
from verif.simulation.simulator import build
from verif.simulation.unit_bench import Bundle

SEED = int(os.environ.get("SEED", 41))
#: A bench, then a pattern within a module of it that must occur once, and what replaces it.
BUGS = {
    "adder: no sticky bit of the last shift": (
        "float_adder",
        "float_adder",
        r"(_\d+_ =) \| aligned_8\[15:0\];",
        r"\1 0;",
    ),
    "adder: subnormal numbers have the exponent 0": (
        "float_adder",
        "float_adder",
        r"exponent = swap \? \{ i_b\[30:24\], \w+ \}",
        "exponent = swap ? i_b[30:23]",
    ),
    "adder: Inf - Inf is Inf": ("float_adder", "float_adder", r"(= _\d+_ &) opposite;", r"\1 1'h0;"),
    "adder: the sum of opposites has the sign of the larger": (
        "float_adder",
        "float_adder",
        r"(assign _\d+_ = added_3 &) _\d+_;",
        r"\1 1'h0;",
    ),
    "adder: ties go away from zero": (
        "float_adder",
        "float_adder",
        r"(assign _\d+_ = normal_1 \|) normal_0\[1\];",
        r"\1 1'h1;",
    ),
    "adder: a stage moves while it stands": (
        "float_adder",
        "float_adder",
        r"if \(i_en\) (added_1 <=)",
        r"\1",
    ),
    "multiplier: a sticky bit is lost": (
        "float_multiplier",
        "float_multiplier",
        r"(assign _\d+_ =) \| moved_32\[16:0\];",
        r"\1 1'h0;",
    ),
    "multiplier: small products are not subnormal": (
        "float_multiplier",
        "float_multiplier",
        r"(assign free_4 =) .*;",
        r"\1 1'h1;",
    ),
    "multiplier: too large a product wraps": (
        "float_multiplier",
        "float_multiplier",
        r"assign over = .*;",
        "assign over = 1'h0;",
    ),
    "multiplier: a NaN is Inf": (
        "float_multiplier",
        "float_multiplier",
        r"(normal_6 <=) product_4;",
        r"\1 1'h0;",
    ),
    "interpolator: half a unit of log2(e)": (
        "interpolator",
        "interpolator",
        r"35'h5c551d94b",
        "35'h5c551d94c",
    ),
    "interpolator: exp's argument is cut off": (
        "interpolator",
        "interpolator",
        r"(assign _\d+_ = fixed_1)\[0\] \^ scaled_5;",
        r"\1[0] & scaled_5;",
    ),
    "interpolator: a coefficient": (
        "interpolator",
        "interpolator",
        r"(\\?rom ?\[700\] = 59'h)(\w)(\w*);",
        lambda m: f"{m[1]}{int(m[2], 16) ^ 1:x}{m[3]};",
    ),
    "interpolator: a slope below 0 is none": (
        "interpolator",
        "interpolator",
        r"(assign _\d+_ = read_2 &) \{.*\};",
        r"\1 18'h0;",
    ),
    "interpolator: a subnormal result is cut off": (
        "interpolator",
        "interpolator",
        r"(assign lost_2 =) .*;",
        r"\1 1'h0;",
    ),
    "interpolator: a subnormal argument has no parity": (
        "interpolator",
        "interpolator",
        r"assign negated = scaled_3 -",
        "assign negated = { scaled_3[4:1], 1'h0 } -",
    ),
    "widener: a subnormal number of e4m3": ("widener", "widener", r"8'h77", "8'h76"),
    "widener: a u32 that looks like a NaN": (
        "widener",
        "widener",
        r"(assign o =) _\d+_ \?",
        r"\1 &code[30:23] & |code[22:0] ?",
    ),
    "element narrower: wraps instead of saturating": (
        "element_narrower",
        "element_narrower",
        r"i_saturate\(1'h1\)",
        "i_saturate(1'h0)",
    ),
    "element narrower: a bf16 is an fp32": ("element_narrower", "element_narrower", r"\? 2'h1 :", "? 2'h0 :"),
    "order: -0 is less than +0": ("float_order", "float_order", r"(assign same = _\d+_) \| \w+;", r"\1;"),
    "order: a NaN is less": ("float_order", "float_order", r"(assign o_less = _\d+_) & \w+;", r"\1;"),
}


def plant(text: str) -> str:
    """Each bug, in the block of its own that it has in ``BROKEN``."""
    for index, (_, module, pattern, replacement) in enumerate(BUGS.values()):
        (body,) = re.findall(rf"^module unit_{index}_{module}\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
        changed, found = re.subn(pattern, replacement, body)
        assert found == 1, f"{pattern!r} occurs {found} times"
        text = text.replace(body, changed)
    return text


@cache
def stimulus(name: str) -> dict[str, np.ndarray]:
    """Those of a bench, made once for all its bugs."""
    return BENCHES[name].values(np.random.default_rng(SEED))


BROKEN = tuple(
    replace(BENCHES[name], name=bug, values=lambda _, name=name: stimulus(name)) for bug, (name, *_) in BUGS.items()
)
ALL = Bundle((*BROKEN, *BENCHES.values()), plant)
CELLS = Bundle(tuple(CELL_BENCHES.values()))


@pytest.fixture(scope="module")
def blocks():
    """The broken blocks and the sound ones in one simulation."""
    return build([ALL.verilog()], ALL.harness, opt_level=0)


@pytest.fixture(scope="module")
def cell_blocks():
    """Those that have cells of their own."""
    return build([CELLS.verilog()], CELLS.harness, opt_level=0)


def passes(simulation, bundle: Bundle, bench) -> None:
    print(f"seed {SEED}")
    outcome = replay(simulation, bundle.records(bench, np.random.default_rng(SEED)))
    assert outcome.passed, "\n".join(bundle.describe(bench, mismatch) for mismatch in outcome.mismatches)
    assert outcome.compared_cycles >= 100_000


@pytest.mark.parametrize("name", BENCHES)
def test_block(blocks, name):
    passes(blocks, ALL, BENCHES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", CELL_BENCHES)
def test_block_of_cells(cell_blocks, name):
    passes(cell_blocks, CELLS, CELL_BENCHES[name])


@pytest.fixture(scope="module")
def interpolator():
    """Alone."""
    bundle = Bundle((BENCHES["interpolator"],))
    return build([bundle.verilog()], bundle.harness, opt_level=1)


#: Exponent fields where a function turns: exp's largest arguments, 1 and less, and those that round to a last place;
#: for reciprocal and rsqrt every way in which exponents count, subnormal arguments and subnormal results.
TURNS = [
    *((1, sign << 8 | field) for sign in (0, 1) for field in (133, 132, 127, 104)),
    *((2, field) for field in (0, 1, 256 + 127, 253, 254)),
    *((3, field) for field in (0, 127, 128)),
]


@pytest.mark.slow
@pytest.mark.parametrize("function, above", TURNS)
def test_every_mantissa(interpolator, function, above):
    bundle = Bundle((mantissas_bench(function, above),))
    (bench,) = bundle.benches
    outcome = replay(interpolator, bundle.records(bench, np.random.default_rng(0)))
    assert outcome.passed, "\n".join(bundle.describe(bench, mismatch) for mismatch in outcome.mismatches)
    assert outcome.compared_cycles > 1 << 23


@pytest.mark.parametrize("bench", BROKEN, ids=lambda bench: bench.name)
def test_planted_bug(blocks, bench):
    outcome = replay(blocks, ALL.records(bench, np.random.default_rng(SEED)))
    (mismatch,) = outcome.mismatches
    print(ALL.describe(bench, mismatch))
    assert not outcome.passed
