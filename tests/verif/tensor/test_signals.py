"""What a report says of the engine's signals: contents, places, files and hints, against texts written by hand."""

import numpy as np
import pytest

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.tensor.jobs import Gemm
from verif.simulation.hints import hint
from verif.simulation.rerun import describe, differences
from verif.simulation.window import Moment, Window
from verif.tensor.unit import tensor_unit

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


def moment(
    config: EngineConfig, name: str, expected: int, actual: int | str, *, out_format="fp32", row=None, col=None
) -> Moment:
    """A signal that differs in the only cycle of a window, the first signal of that name without a place."""
    unit = tensor_unit(config)
    places = [(f.row, f.col) for f in unit.record.fields if f.name == name]
    item = unit.record.field(name, *(places[0] if row is None and col is None else (row, col)))
    records = np.zeros((1, unit.record.words), np.uint32)
    words = unit.record.at(name, item.row, item.col)
    records[0, words] = [expected >> 32 * word & 0xFFFFFFFF for word in range(item.words)]
    codes = np.zeros((1, 1), np.uint8)
    job = Gemm(x=codes, w=codes, x_format="e4m3", w_format="e4m3", out_format=out_format)
    events = {name: np.zeros(0, np.int64) for name in (*unit.record.streams(inputs=True), "o_result", "read_request")}
    return Moment(Window(unit, records, 0, [job], 0, events), item, 0, actual)


def report(at: Moment):
    """The report on a moment."""
    return describe(at, differences(at.window.unit, [(at.field, at.bits, at.actual)]))


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
        (TINY, "seed_request", bits((1, 1), (0, 1), (0, 10)), "start from zero"),
        (TINY, "seed_request", bits((1, 1), (1, 1), (5, 10)), "PSUM row 5"),
        (TINY, "seed", 1 << 18, "1.0"),
        (TINY, "store", bits((1, 1), (1023, 10)), "PSUM row 1023"),
        (TINY, "stored", 3 << 17, "1.5"),
        (TINY, "read", 1 << 51, "nan"),
        (TINY, "read_request", bits((0, 1), (0, 10)), "none"),
        (TINY, "read_request", bits((1, 1), (7, 10)), "PSUM row 7"),
        (
            TINY,
            "order",
            bits((1, 1), (7, 10), (4, 3), (1, 1), (3, 2), (1, 1)),
            "PSUM row 7, 4 columns to e5m2, saturating, last row",
        ),
        (TINY, "order_read", bits((2, 3), (0, 1), (0, 2), (0, 1)), "2 columns to fp32"),
        (TINY, "order_read", 0, "none"),
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
    at = moment(config, name, 0, packed)
    assert packed < 1 << at.field.width
    assert at.contents(packed) == text


def test_sum_wider_than_a_float64_loses_only_digits():
    """A sum of more bits than a float64 has is shown to the nearest one, and the hexadecimal digits tell the rest."""
    packed = (1 << 70) + 1
    found = report(moment(FP8, "psum", packed, packed - 1))
    text = str(np.ldexp(1.0, 70 - 32))
    assert (found.expected, found.actual) == (f"0x{packed:021x}  {text}", f"0x{packed - 1:021x}  {text}")


def test_results_are_shown_by_column():
    wrong = sum(0x38 << 32 * c for c in range(2, 8))
    found = report(moment(FP8, "o_result__payload", 0, wrong, out_format="e4m3"))
    assert found.expected == "column 2: 0x00 0.0, column 3: 0x00 0.0, column 4: 0x00 0.0, column 5: 0x00 0.0, 2 more"
    assert found.actual == "column 2: 0x38 1.0, column 3: 0x38 1.0, column 4: 0x38 1.0, column 5: 0x38 1.0, 2 more"
    # A bit that no code of the format has.
    found = report(moment(FP8, "o_result__payload", 0x38, 0x38 | 1 << 21, out_format="e4m3"))
    assert (found.expected, found.actual) == ("column 0: 0x38 1.0", "column 0: 0x200038 no e4m3 code")
    # Not the codes, but the mark of the last row: all of it is shown.
    assert report(moment(FP8, "o_result__payload", 1 << 512, 0)).actual.endswith("0.0]")


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
    assert report(moment(config, name, 0, bits, row=row, col=col)).stage == stage


NARROW = [
    # One unit, at the smallest subnormal, in the middle and at the largest number; across zero there are two codes.
    ("e4m3", 0x00, 0x01, "one unit"),
    ("e4m3", 0x7E, 0x7D, "one unit"),
    ("e5m2", 0x3C, 0x3D, "one unit"),
    ("bf16", 0x3F80, 0x3F7F, "one unit"),
    ("fp32", 0x3F800000, 0x3F800001, "one unit"),
    # Infinity is a unit above the largest number, and a NaN, though its code is the next, is not.
    ("e5m2", 0x7B, 0x7C, "one unit"),
    ("fp32", 0x7F7FFFFF, 0x7F800000, "one unit"),
    ("e4m3", 0x7E, 0x7F, ""),
    ("e5m2", 0x7C, 0x7D, ""),
    ("bf16", 0x7F80, 0x7F81, ""),
    # The sign is the top bit of the format's own codes.
    ("e4m3", 0x38, 0xB8, "only the sign"),
    ("bf16", 0x3F80, 0xBF80, "only the sign"),
    ("fp32", 0x3F800000, 0xBF800000, "only the sign"),
    ("e4m3", 0x7F, 0x80, ""),
    ("e4m3", 0x38, 0x3A, ""),
]


@pytest.mark.parametrize(("out_format", "expected", "actual", "text"), NARROW)
def test_results_are_judged_in_their_own_format(out_format, expected, actual, text):
    for column in (0, 1):
        for wanted, found in ((expected, actual), (actual, expected)):
            at = moment(BF16, "o_result__payload", wanted << 32 * column, found << 32 * column, out_format=out_format)
            said = hint(at)
            assert said.startswith(text) if text else not said.startswith(("one unit", "only the sign")), said


def test_every_field_has_a_place_of_its_own():
    unit = tensor_unit(TINY)
    fields = [f for f in unit.record.fields if not f.drive]
    assert len({unit.place(f) for f in fields}) == len(fields)


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
    unit = tensor_unit(TINY)
    fields = [unit.record.field(*place) for place in order]
    # PE(1, 1) and PE(2, 0) are as near, and so is no other: the upper one.
    for start in range(len(order)):
        shuffled = [fields[index] for index in np.random.default_rng(start).permutation(range(start, len(order)))]
        assert differences(unit, [(item, 0, 1) for item in shuffled])[0].field is fields[start]


def test_ports_only_is_said():
    at = moment(TINY, "o_result__valid", 0, 1)
    assert report(at).note == ""
    ports = tensor_unit(TINY, registers=False)
    window = Window(ports, np.zeros((1, ports.record.words), np.uint32), 0, at.window.jobs, 0, at.window.events)
    assert "compared at its ports only" in report(Moment(window, Field("o_result__valid", 1), 0, 1)).note
