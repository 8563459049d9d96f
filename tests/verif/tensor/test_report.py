"""What a divergence says: register contents and places in words, against texts written by hand."""

import numpy as np
import pytest

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from arch.tensor.signals import engine_fields
from verif.tensor.decode import decode_field
from verif.tensor.report import LISTED, Difference, Divergence, Input, place

TINY, FP8 = PRESETS["tiny"], PRESETS["fp8"]
BF16 = EngineConfig(rows=2, cols=2, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=16)


def bits(*fields: tuple[int, int]) -> int:
    """Values and widths, the lowest field first, put side by side."""
    packed, at = 0, 0
    for value, width in fields:
        assert 0 <= value < 1 << width
        packed |= value << at
        at += width
    return packed


def field_of(config: EngineConfig, name: str) -> Field:
    return next(f for f in engine_fields(config) if f.name == name)


def e4m3(significand, exponent, sign=0, nan=0):
    """An operand of ``tiny``: 4 bits of significand in units of 2**(exponent - 9)."""
    return bits((significand, 4), (exponent, 4), (sign, 1), (nan, 1))


def fp8(significand, exponent, sign=0, nan=0, inf=0):
    """An operand of ``fp8``: e5m2's subnormals make the unit 2**(exponent - 16)."""
    return bits((significand, 4), (exponent, 5), (sign, 1), (nan, 1), (inf, 1))


def bf16(significand, exponent, sign=0, nan=0, inf=0):
    """An operand of an array with bf16: 8 bits of significand, the top one set, in units of 2**(exponent - 140)."""
    return bits((significand, 8), (exponent, 9), (sign, 1), (nan, 1), (inf, 1))


@pytest.mark.parametrize(
    ("config", "name", "packed", "text"),
    [
        (TINY, "weight", e4m3(0, 0), "0.0"),
        (TINY, "weight", e4m3(1, 0), "0.001953125"),
        (TINY, "shadow", e4m3(14, 14, 1), "-448.0"),
        (TINY, "active", e4m3(0, 0, nan=1), "nan"),
        (FP8, "active", fp8(0, 0, inf=1), "inf"),
        (FP8, "active", fp8(0, 0, 1, inf=1), "-inf"),
        (FP8, "weight", fp8(1, 0), str(2.0**-16)),
        (FP8, "weight", fp8(7, 29), "57344.0"),
        (BF16, "active", bf16(0x80, 133), "1.0"),
        (BF16, "active", bf16(0x80, 0), str(2.0**-133)),
        (BF16, "active", bf16(0xFF, 260, 1), "-3.3895313892515355e+38"),
        (BF16, "active", bf16(0, 0, inf=1), "inf"),
        (TINY, "beat", e4m3(0, 0) << 4, "0.0 (idle)"),
        (TINY, "beat", e4m3(12, 7) << 4 | 0b0011, "3.0 (valid enable)"),
        (TINY, "beat", e4m3(8, 6, 1) << 4 | 0b1101, "-1.0 (valid swap load)"),
        (FP8, "beat", fp8(0, 0, 1, inf=1) << 4 | 0b0011, "-inf (valid enable)"),
        (TINY, "product", bits((0b11, 2), (64, 8), (12, 5), (0, 1), (0, 1)), "1.0 (valid enable)"),
        (TINY, "product", bits((0b01, 2), (225, 8), (28, 5), (1, 1), (0, 1)), "-230400.0 (valid)"),
        (TINY, "product", bits((0b00, 2), (0, 8), (0, 5), (0, 1), (1, 1)), "nan (idle)"),
        (FP8, "product", bits((0b11, 2), (0, 8), (0, 6), (0, 1), (1, 2)), "inf (valid enable)"),
        (FP8, "product", bits((0b11, 2), (0, 8), (0, 6), (1, 1), (2, 2)), "-inf (valid enable)"),
        (FP8, "product", bits((0b11, 2), (0, 8), (0, 6), (0, 1), (3, 2)), "nan (valid enable)"),
        (BF16, "product", bits((0b11, 2), (0x4000, 16), (266, 10), (1, 1), (0, 1), (0, 1)), "-1.0 (valid enable)"),
        (BF16, "product", bits((0b11, 2), (0, 16), (0, 10), (1, 1), (0, 1), (1, 1)), "-inf (valid enable)"),
        (BF16, "product", bits((0b11, 2), (0, 16), (0, 10), (0, 1), (1, 1), (0, 1)), "nan (valid enable)"),
        (TINY, "psum", 0, "0.0"),
        (TINY, "psum", 1, str(2.0**-18)),
        (TINY, "psum", (1 << 51) - 3, str(-3 * 2.0**-18)),
        (TINY, "psum", 1 << 51, "nan"),
        (TINY, "psum", 1 << 50, str(-(2.0**32))),
        (FP8, "psum", 1 << FP8.acc_bits, "inf"),
        (FP8, "psum", 2 << FP8.acc_bits, "-inf"),
        (FP8, "psum", 3 << FP8.acc_bits | 5, "nan"),
        (FP8, "psum", 448 << 32, "448.0"),
        (BF16, "psum", 0x3F800001, "1.0000001"),
        (BF16, "psum", 0x80000000, "-0.0"),
        (BF16, "psum", 0x00000001, "1e-45"),
        (BF16, "psum", 0xFF800000, "-inf"),
        (BF16, "psum", 0x7FC00000, "nan"),
        (TINY, "west", e4m3(12, 7) << 4 | 0b0011, "3.0 (valid enable)"),
        (TINY, "north", e4m3(14, 14, 1), "-448.0"),
        (TINY, "seed_request", bits((0, 1), (0, 1), (0, 10)), "none"),
        (TINY, "seed_request", bits((1, 1), (1, 1), (0, 10)), "start from zero"),
        (TINY, "seed_request", bits((1, 1), (0, 1), (5, 10)), "PSUM row 5"),
        (TINY, "seed", 1 << 18, "1.0"),
        (TINY, "store", bits((1, 1), (1023, 10)), "PSUM row 1023"),
        (TINY, "stored", 3 << 17, "1.5"),
        (TINY, "read", 1 << 51, "nan"),
        (TINY, "read_request", bits((0, 1), (0, 10)), "none"),
        (TINY, "read_request", bits((1, 1), (7, 10)), "PSUM row 7"),
        (
            TINY,
            "finish",
            bits((1, 1), (7, 10), (4, 3), (1, 1), (3, 2), (1, 1)),
            "PSUM row 7, 4 columns to e5m2, saturating, last row",
        ),
        (TINY, "finishing", bits((2, 3), (0, 1), (0, 2), (0, 1)), "2 columns to fp32"),
        (TINY, "finishing", 0, "none"),
        (BF16, "o_result__payload", bits((0x3F800000, 32), (0x7E, 32), (1, 1)), "[1.0, 1.77e-43] last"),
        (BF16, "o_result__payload", bits((0, 32), (0xFFFFFFFF, 32), (0, 1)), "[0.0, nan]"),
        (BF16, "i_weight__ready", 1, "1"),
        (
            BF16,
            "i_command__payload",
            bits((3, 5), (2, 2), (1, 2), (15, 4), (4, 3), (1, 1), (0, 1), (1, 2), (2, 2), (3, 2), (1, 1)),
            "tile_m=3 tile_k=2 tile_n=1 base=15 distance=4 first=1 last=0 "
            "x_format=1 w_format=2 out_format=3 saturate=1",
        ),
    ],
)
def test_contents_in_words(config, name, packed, text):
    item = field_of(config, name)
    assert packed < 1 << item.width
    assert decode_field(config, item, packed) == text


def test_sum_wider_than_a_float64_loses_only_digits():
    """A sum of more bits than a float64 has is shown to the nearest one, and the hexadecimal digits tell the rest."""
    item = field_of(FP8, "psum")
    packed = (1 << 70) + 1
    assert decode_field(FP8, item, packed) == str(np.ldexp(1.0, 70 - 32))
    lines = Divergence(FP8, 3, [Difference(item, packed, packed - 1)]).lines()
    assert [line.split()[1] for line in lines[-2:]] == [f"0x{packed:021x}", f"0x{packed - 1:021x}"]


def test_report_of_one_register():
    item = Field("psum", 52, row=2, col=3)
    report = Divergence(
        TINY,
        1234,
        [Difference(item, 1 << 18, 3 << 17)],
        gemm="GEMM (number 8)",
        term="pass 4, m = 5, n = 6, k = 7",
        inputs=[Input(1233, "PE(1, 3).psum", "0x1  one"), Input(99, "PE(2, 3).product", "0x2  two")],
        hint="it is a bug",
        files=["waves     some.fst"],
    )
    assert report.lines() == [
        "RTL and golden model differ first in cycle 1234, at PE(2, 3).psum",
        "  stage     accumulation: hw/arithmetic/exact_adder.py, hw/arithmetic/aligner.py, hw/tensor/pe.py",
        "  gemm      GEMM (number 8)",
        "  term      pass 4, m = 5, n = 6, k = 7",
        "  expected  0x0000000040000  1.0",
        "  actual    0x0000000060000  1.5",
        "  hint      it is a bug",
        "  from, as in both:",
        "    cycle 1233  PE(1, 3).psum   0x1  one",
        "    cycle 99  PE(2, 3).product  0x2  two",
        "  waves     some.fst",
    ]


def test_undefined_bits_are_shown_as_they_are():
    item = Field("o_result__valid", 1)
    assert Divergence(TINY, 0, [Difference(item, 0, "X")]).lines() == [
        "RTL and golden model differ first in cycle 0, at port o_result__valid",
        "  stage     read-out: hw/tensor/readout.py",
        "  expected  0x0  0",
        "  actual    0bX  undefined",
    ]


def test_results_are_shown_by_column():
    item = field_of(FP8, "o_result__payload")
    actual = sum(0x38 << 32 * c for c in range(2, 8))
    report = Divergence(FP8, 0, [Difference(item, 0, actual)], out_format="e4m3")
    assert report.columns == [2, 3, 4, 5, 6, 7]
    assert report.lines()[2:] == [
        "  expected  column 2: 0x00 0.0, column 3: 0x00 0.0, column 4: 0x00 0.0, column 5: 0x00 0.0, 2 more",
        "  actual    column 2: 0x38 1.0, column 3: 0x38 1.0, column 4: 0x38 1.0, column 5: 0x38 1.0, 2 more",
    ]
    # Not the codes, but the mark of the last row: all of it is shown.
    assert Divergence(FP8, 0, [Difference(item, 1 << 512, 0)]).lines()[-1].endswith("0.0]")


@pytest.mark.parametrize(
    ("config", "name", "row", "col", "bits", "stage"),
    [
        (BF16, "psum", 0, 0, 1, "accumulation: hw/arithmetic/fused_adder.py, hw/tensor/pe.py"),
        (TINY, "west", 1, None, 1, "activation entry: hw/tensor/edges.py, hw/tensor/sequencer.py"),
        (TINY, "store", None, 0, 1, "PSUM store: hw/tensor/sequencer.py"),
        (TINY, "store", None, 1, 1, "PSUM store: hw/tensor/bank.py"),
        (TINY, "i_weight__ready", None, None, 1, "handshake: hw/tensor/sequencer.py"),
        (
            TINY,
            "west",
            1,
            None,
            16,
            "activation entry: hw/tensor/edges.py, hw/arithmetic/decoder.py; its format: hw/tensor/sequencer.py",
        ),
    ],
)
def test_stage_names_the_files_of_the_block(config, name, row, col, bits, stage):
    item = Field(name, 14, row=row, col=col)
    assert Divergence(config, 0, [Difference(item, 0, bits)]).stage == stage


def test_every_field_has_a_place_of_its_own():
    fields = [f for f in engine_fields(TINY) if not f.drive]
    assert len({place(f) for f in fields}) == len(fields)


def test_first_place_is_the_earliest_on_the_way_of_the_data():
    """A wrong handshake lets a wrong row in; of PEs the one nearest the north-west corner; ports behind all."""
    order = [
        ("i_activation__ready", None, None),
        ("west", 0, None),
        ("west", 2, None),
        ("beat", 1, 1),
        ("psum", 2, 0),
        ("psum", 0, 3),
        ("stored", None, 0),
        ("read", None, 1),
        ("o_result__valid", None, None),
    ]
    differences = [Difference(Field(name, 14, row=row, col=col), 0, 1) for name, row, col in order]
    # PE(1, 1) and PE(2, 0) are as near, and so is no other: the upper one.
    for start in range(len(order)):
        shuffled = [differences[index] for index in np.random.default_rng(start).permutation(range(start, len(order)))]
        assert Divergence(TINY, 9, shuffled).first is differences[start]


@pytest.mark.parametrize("count", [1, 2, LISTED, LISTED + 1, LISTED + 2, 100])
def test_many_differences_are_counted(count):
    differences = [Difference(Field("weight", 10, row=index, col=0), 0, 1) for index in range(count)]
    also = [line for line in Divergence(TINY, 9, differences).lines() if line.startswith("  also")]
    others = [f"PE({index}, 0).weight" for index in range(1, min(count, LISTED + 1))]
    more = f", {count - 1 - LISTED} more" if count > LISTED + 1 else ""
    assert also == ([f"  also      {'; '.join(others)}{more}"] if others else [])


def test_ports_only_is_said():
    lines = Divergence(PRESETS["mxu"], 9, [Difference(Field("o_result__valid", 1), 0, 1)], ports_only=True).lines()
    assert "compared at its ports only" in lines[2]
