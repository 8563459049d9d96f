"""Every block below the tensor engine against the golden model: exhaustive where it can be, else a million vectors."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest

from verif.simulation.replay import replay
from verif.simulation.simulator import build
from verif.simulation.unit_bench import Bundle
from verif.tensor.blocks.units import BENCHES

SEED = int(os.environ.get("SEED", 20))
#: The longest: all codes of all formats; the fused adder at more depths than one; what the other formats do on an ECP5.
LONG = (
    r"narrower|fused_adder-\w+_[234]_stages|fused_adder-fp8_fp32$|multiplier-bf16$|(multiplier|pe)-(bf16|e4m3_\w+)-ecp5"
)
ALL = Bundle(tuple(BENCHES.values()))


@pytest.fixture(scope="module")
def units():
    """All units in one simulation."""
    return build([ALL.verilog()], ALL.harness, opt_level=1)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if re.match(LONG, name) else ()) for name in BENCHES]
)
def test_unit(units, name):
    print(f"seed {SEED}")
    bench, records = BENCHES[name], 0

    def counted():
        nonlocal records
        for chunk in ALL.records(bench, np.random.default_rng(SEED)):
            records += len(chunk)
            yield chunk

    outcome = replay(units, counted())
    assert outcome.passed, "\n".join([ALL.describe(bench, mismatch) for mismatch in outcome.mismatches])
    assert outcome.compared_cycles == records
    kind, _, config = name.partition("-")
    if kind == "multiplier":
        assert records >= (1_000_000 if config == "bf16" else 65_536)
    if kind == "fused_adder":
        assert records >= (250_000 if config.endswith("_stages") else 1_000_000)


# Planted bugs: a bench, then a pattern within a module of it that must occur once, and what replaces it.
BUGS = {
    "multiplier: Inf x 0 is Inf": ("multiplier-bf16", "multiplier", r"(= i_x\[19\] &) (\w+);", r"\1 1'h0 & \2;"),
    "multiplier: sign of NaN": ("multiplier-e4m3", "multiplier", r"= ~ nan;", "= 1'h1;"),
    "fused adder: no sticky bit": ("fused_adder-bf16", "fused_adder", r"aligned_16, lost_16", "aligned_16, 1'h0"),
    "fused adder: subnormal sums normalised": ("fused_adder-bf16", "fused_adder", r"(beyond_16 = ).*;", r"\1 1'h1;"),
    "fused adder: -0 + -0 is +0": ("fused_adder-bf16", "fused_adder", r"zero = subtract & ", "zero = "),
    "fused adder: a masked lane adds": ("fused_adder-bf16", "fused_adder", r"& i_enable;", ";"),
    "fused adder: 0 has the exponent of 2": (
        "fused_adder-fp8_fp32",
        "fused_adder",
        r"= i_psum\[29\] \| \w+;(\n  assign \w+ = \$signed)",
        r"= i_psum[29];\1",
    ),
    "fused adder: Inf has a finite exponent": (
        "fused_adder-fp8_fp32",
        "fused_adder",
        r"(assign o_psum\[30\] =) .* \|",
        r"\1",
    ),
    "fused adder: a flag overtakes its sum": (
        "fused_adder-bf16_4_stages",
        "fused_adder",
        r"(add_sign <=) align_2_sign;",
        r"\1 sign;",
    ),
    "fused adder: a stage keeps its value at reset": (
        "fused_adder-fp8_fp32_3_stages",
        "fused_adder",
        r"if \(rst\) normalise_16_negative <= 1'h0;\n    else normalise_16_negative",
        "normalise_16_negative",
    ),
    "exact adder: no carry for the sign": ("exact_adder-e4m3", "exact_adder", r"\+ aligner__o\[24\];", "+ 1'h0;"),
    "aligner: a bit of positive products inverted": (
        "exact_adder-e4m3",
        "aligner",
        r"\^ \{ \{23\{i_product\[13\]\}\} \}",
        "^ { 1'h1, {22{i_product[13]}} }",
    ),
    "exact adder for ECP5: no carry for the sign": (
        "exact_adder-fp8-ecp5",
        "exact_adder",
        r"(?<=16'h00aa)([^;]*)\.D0\(1'h1\)",
        r"\1.D0(1'h0)",
    ),
    "multiplier for ECP5: a table": (
        "multiplier-fp8-ecp5",
        "multiplier",
        r"16'h7888(?=[^;]*product_row_2_4)",
        "16'h3888",
    ),
    "multiplier for ECP5: a table of a wide one": (
        "multiplier-bf16-ecp5",
        "multiplier",
        r"INIT0\(16'h7888\)(?=[^;]*product_row_6_low_4)",
        "INIT0(16'h3888)",
    ),
    "PE for ECP5: the hard multiplier of a masked lane multiplies": (
        "pe-e4m3_integer-ecp5",
        "pe",
        r"\.RST0\(\w+\)",
        ".RST0(rst)",
    ),
    "rounder: ties go away from zero": ("rounder-e4m3", "rounder", r"(= normal_0\[2\]) & \w+;", r"\1;"),
    "narrower: overflow one code early": ("narrower", "narrower", r"= (_\d+_) & rounded\[0\];", r"= \1;"),
    "decoder: subnormals flushed": (
        "decoder-e4m3",
        "decoder",
        r"\{ (\w+), i_code\[2:0\] \}",
        r"{ \1, i_code[2:0] & {3{\1}} }",
    ),
    "PE: a masked lane multiplies": ("pe-e4m3", "pe", r"if \(_00_\)( product <= 15)", r"if (rst)\1"),
    "PE: the operand of a masked lane is kept": (
        "pe-bf16",
        "pe",
        r"if \(i_beat\[1\]\) operand",
        "if (i_beat[0]) operand",
    ),
    "PSUM bank: a read in the cycle of a write returns the new word": (
        "psum_bank-e4m3",
        "memory_52_1024_2_any",
        r"<= (words\[reads__0__address\]);",
        r"<= write__en && write__address == reads__0__address ? write__data : \1;",
    ),
    "PSUM bank: unused columns stored": (
        "psum_bank-fp8",
        "psum_bank",
        r"write__en\(i_store\[\d+\]\)",
        "write__en(i_store[0])",
    ),
    "grid: rows joined to the row above but one": (
        "grid-fp8",
        "grid",
        r"i_psums\(row_1__o_psums\)",
        "i_psums(row_0__o_psums)",
    ),
}


def plant(text: str) -> str:
    """Each bug, in the unit of its own that it has in ``BROKEN``."""
    for index, (_, module, pattern, replacement) in enumerate(BUGS.values()):
        (body,) = re.findall(rf"^module unit_{index}_{module}\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
        changed, found = re.subn(pattern, replacement, body)
        assert found == 1, f"{pattern!r} occurs {found} times"
        text = text.replace(body, changed)
    return text


BROKEN = Bundle(tuple(replace(BENCHES[name], name=bug) for bug, (name, *_) in BUGS.items()), plant)


@pytest.fixture(scope="module")
def broken_units():
    """Every broken unit in one simulation."""
    return build([BROKEN.verilog()], BROKEN.harness, opt_level=1)


@pytest.mark.parametrize("bench", BROKEN.benches, ids=lambda bench: bench.name)
def test_planted_bug(broken_units, bench):
    outcome = replay(broken_units, BROKEN.records(bench, np.random.default_rng(SEED)))
    (mismatch,) = outcome.mismatches
    report = BROKEN.describe(bench, mismatch)
    print(report)
    assert not outcome.passed
    assert f"{bench.name}, record {mismatch.cycle}: " in report
