"""Configurations: what is accepted, and the widths that follow."""

from fractions import Fraction

import pytest

from arch.formats import BF16, E4M3, E5M2, FORMATS, FP32, OPERAND_FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS

GOOD = {"rows": 4, "cols": 4, "formats": ("e4m3",), "accumulation": "exact"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rows": 0}, ValueError, r"rows must be in 1..256, not 0"),
        ({"cols": 257}, ValueError, r"cols must be in 1..256, not 257"),
        ({"rows": 4.0}, TypeError, r"rows must be an int, not 4.0"),
        ({"rows": True}, TypeError, r"rows must be an int, not True"),
        ({"formats": ["e4m3"]}, TypeError, r"formats must be a tuple of names"),
        ({"formats": ("fp4",)}, ValueError, r"formats must be among e4m3, e5m2, bf16, not 'fp4'"),
        ({"formats": ()}, ValueError, r"at least one, not \(\)"),
        ({"formats": ("e4m3", "e4m3")}, ValueError, r"each format once"),
        ({"accumulation": "fp16"}, ValueError, r"accumulation must be exact or fp32, not 'fp16'"),
        ({"formats": ("bf16",)}, ValueError, r"bf16 needs accumulation fp32"),
        ({"k_max": 0}, ValueError, r"k_max must be in 1..65536, not 0"),
        ({"psum_depth": 1000}, ValueError, r"psum_depth must be a power of two, not 1000"),
        ({"product_latency": 3}, ValueError, r"product_latency must be in 1..2, not 3"),
        ({"add_latency": 2}, ValueError, r"add_latency must be 1 under exact accumulation, not 2"),
        ({"accumulation": "fp32", "add_latency": 6}, ValueError, r"add_latency must be in 1..5, not 6"),
        ({"accumulation": "fp32", "product_latency": 2}, ValueError, r"must be 1 under fp32 accumulation, not 2"),
        ({"readout_latency": 3}, ValueError, r"readout_latency must be in 4..11, not 3"),
        ({"integer_operands": 1}, TypeError, r"integer_operands must be a bool, not 1"),
        ({"integer_operands": True, "accumulation": "fp32"}, ValueError, r"needs accumulation exact"),
        ({"integer_operands": True, "formats": ("e5m2",)}, ValueError, r"at most 18 bits as integers, not 32 as e5m2"),
        ({"rows_per_load_cycle": 0}, ValueError, r"rows_per_load_cycle must be in 1..4, not 0"),
        ({"rows_per_load_cycle": 5}, ValueError, r"rows_per_load_cycle must be in 1..4, not 5"),
        ({"rows_per_load_cycle": 2.0}, TypeError, r"rows_per_load_cycle must be an int, not 2.0"),
        ({"psum_depth": 8}, ValueError, r"psum_depth must exceed the 12 rows in flight, not 8"),
    ],
)
def test_illegal_configuration(change, error, message):
    with pytest.raises(error, match=message):
        EngineConfig(**GOOD | change)


def test_equal_format_sets_are_equal_configurations():
    assert EngineConfig(**GOOD | {"formats": ("e5m2", "e4m3")}) == EngineConfig(**GOOD | {"formats": ("e4m3", "e5m2")})


def test_a_lane_is_as_wide_as_the_widest_code():
    bf16 = EngineConfig(**GOOD | {"formats": ("e4m3", "bf16", "e5m2"), "accumulation": "fp32"})
    assert (bf16.lane_format, bf16.code_bits) == (BF16, 16)
    assert EngineConfig(**GOOD).lane_format == E4M3


def test_format_facts():
    assert [fmt.max_value for fmt in (E4M3, E5M2)] == [448, 57344]
    assert BF16.max_value == float.fromhex("0x1.fep127")
    assert FP32.max_value == float.fromhex("0x1.fffffep127")
    assert [fmt.max_code for fmt in (E4M3, E5M2, BF16, FP32)] == [0x7E, 0x7B, 0x7F7F, 0x7F7FFFFF]
    assert [fmt.inf for fmt in (E4M3, E5M2, BF16, FP32)] == [None, 0x7C, 0x7F80, 0x7F800000]
    assert [fmt.lsb_exp for fmt in (E4M3, E5M2, BF16, FP32)] == [-9, -16, -133, -149]


@pytest.mark.parametrize("formats", [("e4m3",), ("e5m2",), ("e4m3", "e5m2")])
@pytest.mark.parametrize("k_max", [1, 1000, 16384])
def test_accumulator_just_holds_k_max_largest_products(formats, k_max):
    config = EngineConfig(**GOOD | {"formats": formats, "k_max": k_max})
    largest = max(Fraction(FORMATS[name].max_value) for name in formats)
    total = largest**2 * k_max / Fraction(2) ** config.product_lsb_exp
    assert total.denominator == 1
    assert total < 2 ** (config.acc_bits - 1) <= 2 * total


@pytest.mark.parametrize("formats", [("e4m3",), ("e5m2",), ("e4m3", "e5m2"), ("bf16",), ("e4m3", "bf16")])
def test_sums_in_range(formats):
    config = EngineConfig(**GOOD | {"formats": formats, "accumulation": "fp32"})
    least = min(Fraction(2) ** FORMATS[name].lsb_exp for name in formats) ** 2
    largest = max(Fraction(FORMATS[name].max_value) for name in formats) ** 2
    # Sums are multiples of the least product; from where half an ulp exceeds every product no sum grows, and one that
    # has not come there is within a product of it.
    in_range = least >= Fraction(1, 2**63) and largest * 2**24 + largest <= 2**65
    assert config.sums_in_range == in_range == ("bf16" not in formats)


def test_operands_span_every_format():
    for accumulation in ("exact", "fp32"):
        for name in OPERAND_FORMATS:
            if accumulation == "exact" and name == "bf16":
                continue
            config = EngineConfig(**GOOD | {"formats": (name,), "accumulation": accumulation})
            fmt = FORMATS[name]
            top = (2**config.significand_bits - 1) * Fraction(2) ** (2**config.exponent_bits - 1)
            assert top * Fraction(2) ** config.operand_lsb_exp >= Fraction(fmt.max_value)
            assert Fraction(2) ** config.operand_lsb_exp <= Fraction(2) ** fmt.lsb_exp


def test_presets():
    assert {name: (c.rows, c.cols, c.formats, c.accumulation) for name, c in PRESETS.items()} == {
        "tiny": (4, 4, ("e4m3",), "exact"),
        "fp8": (16, 16, ("e4m3", "e5m2"), "exact"),
        "bf16": (8, 8, ("e4m3", "e5m2", "bf16"), "fp32"),
        "mxu": (128, 128, ("e4m3",), "exact"),
    }
    assert all(config.psum_depth >= 512 and config.tile_m == 512 for config in PRESETS.values())


@pytest.mark.parametrize("rows", [1, 2, 255, 256])
@pytest.mark.parametrize("cols", [1, 3, 256])
def test_extreme_arrays_are_legal(rows, cols):
    config = EngineConfig(**GOOD | {"rows": rows, "cols": cols})
    assert config.tile_m >= 500
