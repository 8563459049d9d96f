"""What one instruction may not be: each rule by its message, beside the legal instruction that it is a change of."""

import re
from dataclasses import replace

import pytest

from arch.core.instructions import Instruction
from arch.core.presets import CORES
from arch.core.rules import check_fields, check_instruction
from arch.formats import FP32

TINY, FP8 = CORES["tiny"], CORES["fp8"]
DMA = dict(lanes=2, size="2", count0=3, count1=2, source_stride=8, source_pitch=16, sink_stride=8)
LOAD = DMA | {"sink_space": "sbuf", "sink_address": 64}
COPY = DMA | {"source_space": "sbuf", "sink_space": "sbuf", "source_pitch": 0, "sink_address": 64}
GATHER = LOAD | {"indirect": "source", "index_address": 4, "index_limit": 9}
MATMUL = dict(lanes=3, depth=6, w_stride=1, w_tile_stride=4, x_stride0=1, x_stride1=8, x_tile_stride=32, count0=5)
MATMUL |= {"count1": 2, "x_address": 100}
STREAM = dict(lanes=4, count0=3, count1=2, count2=2, x_stride0=1, x_stride1=3, x_stride2=6, write="yes", y_type="fp32")
STREAM |= {"y_address": 64, "y_stride0": 4, "y_stride1": 12, "y_stride2": 24}
VECTOR = STREAM | {"op0": "add", "t_address": 32, "t_stride0": 1, "r_address": 48, "fill": 0x7FC00000}
SCALAR = STREAM | {"r_address": 48}
U32 = STREAM | {"x_type": "u32", "x_stride0": 4, "x_stride1": 12, "x_stride2": 24, "x_address": 256, "y_type": "u32"}
BASES = {"load": ("dma", LOAD), "copy": ("dma", COPY), "gather": ("dma", GATHER), "matmul": ("matmul", MATMUL)}
BASES |= {"vector": ("vector", VECTOR), "scalar": ("scalar", SCALAR), "u32": ("vector", U32)}

REFUSED = [
    # Of all instructions.
    ("vector", {"lanes": 5}, "lanes must be at most 4, not 5"),
    ("vector", {"wait_vector": 1}, "wait_vector must be 0, which is its own queue, not 1"),
    ("matmul", {"wait_tensor": 3}, "wait_tensor must be 0, which is its own queue, not 3"),
    ("load", {"queue": 1, "wait_dma1": 2}, "wait_dma1 must be 0, which is its own queue, not 2"),
    ("load", {"wait_dma2": 15}, "wait_dma2 must be 0, a queue that the core has not, not 15"),
    # Of a dma.
    ("load", {"queue": 2}, "queue must be 0..1, not 2"),
    ("load", {"sink_lane": 3}, "sink_lane must be at most 2, not 3"),
    ("copy", {"source_lane": 5}, "source_lane must be at most 2, not 5"),
    ("load", {"sink_pitch": -4}, "sink_pitch must be 0 in SBUF, not -4"),
    ("load", {"sink_transposed": "yes"}, "sink_transposed must be no in SBUF, not yes"),
    ("gather", {"indirect": "sink"}, "source_space must be sbuf where sink is indirect, not memory"),
    ("copy", {"indirect": "sink", "index_limit": 1}, "sink_space must be memory where it is indirect, not sbuf"),
    ("copy", {"sink_address": 1 << 18}, "sink_address must be at most 262143 in SBUF, not 262144"),
    ("load", {"sink_address": 1 << 20}, "sink_address must be at most 262143 in SBUF, not 1048576"),
    ("gather", {"source_transposed": "yes"}, "source_transposed must be no where it is indirect, not yes"),
    ("gather", {"index_address": 6}, "index_address must be a multiple of 4, not 6"),
    ("gather", {"index_address": 4096}, "index must lie in bytes 0..4095 of its lanes, not 4096..4099"),
    ("gather", {"index_limit": 0}, "index_limit must be above 0 where a side is indirect, not 0"),
    ("gather", {"lanes": 1, "source_pitch": 2}, "source_pitch must be a multiple of 4, not 2"),
    ("load", {"source_address": 2}, "source_address must be a multiple of 4, not 2"),
    ("load", {"sink_address": 1}, "sink_address must be a multiple of 4, not 1"),
    ("load", {"source_pitch": -6}, "source_pitch must be a multiple of 4, not -6"),
    ("load", {"source_pitch": 6, "source_transposed": "yes"}, "source_pitch must be a multiple of 4, not 6"),
    ("load", {"source_stride": 6}, "source_stride must be a multiple of 4, not 6"),
    ("load", {"sink_stride": 4}, "sink must have each element at bytes of its own, not at 64..73"),
    ("load", {"sink_stride": 4064}, "sink must lie in bytes 0..4095 of its lanes, not 64..4133"),
    ("load", {"source_stride": -8}, "source must lie in bytes 0..1099511627775 of memory, not -8..21"),
    ("load", {"source_address": (1 << 40) - 4}, "source must lie in bytes 0..1099511627775 of memory, not "),
    ("gather", {"source_pitch": -16}, "source must lie in bytes 0..1099511627775 of memory, not -128..13"),
    (
        "gather",
        {"index_limit": 1 << 31, "source_pitch": 516},
        "source must lie in bytes 0..1099511627775 of memory, not",
    ),
    (
        "copy",
        {"sink_address": 12},
        "sink must lie exactly on source or apart from it, not at 12..25 with source at 0..13",
    ),
    (
        "copy",
        {"sink_address": 0, "sink_lane": 1},
        "sink must lie exactly on source or apart from it, not at 0..13 with",
    ),
    # Of a matmul.
    ("matmul", {"w_type": "e5m2"}, "w_type must be e4m3, not e5m2"),
    ("matmul", {"x_type": "fp32"}, "x_type must be e4m3, not fp32"),
    ("matmul", {"count0": 513}, "count0 * count1 must be at most 1024, PSUM's rows, not 1026"),
    ("matmul", {"depth": 16385}, "depth must be at most 16384, not 16385"),
    ("matmul", {"w_stride": -1}, "w must lie in bytes 0..4095 of its lanes, not -3..0"),
    ("matmul", {"w_tile_stride": 4095}, "w must lie in bytes 0..4095 of its lanes, not 4095..4096"),
    ("matmul", {"x_tile_stride": -101}, "x must lie in bytes 0..4095 of its lanes, not -1..11"),
    # Of a vector.
    ("vector", {"write": "no"}, "write must be yes where reduce is none, not no"),
    ("vector", {"op0": "bypass", "a_kind": "lane"}, "a_kind must be immediate where op0 is bypass, not lane"),
    ("vector", {"b_kind": "tensor"}, "b_kind must be immediate where op1 is bypass, not tensor"),
    ("vector", {"a_kind": "lane", "a": 6}, "a must be a multiple of 4, not 6"),
    ("vector", {"a_kind": "lane", "a": 4096}, "a must lie in bytes 0..4095 of its lanes, not 4096..4099"),
    ("vector", {"op1": "max", "b_kind": "lane", "b": 1}, "b must be a multiple of 4, not 1"),
    (
        "vector",
        {"op1": "max", "a_kind": "tensor", "b_kind": "tensor"},
        "a_kind and b_kind must not both be tensor, not tensor and tensor",
    ),
    ("vector", {"y_type": "u32"}, "y_type must be a number format where x is not u32, not u32"),
    ("vector", {"y_type": "u32", "x_source": "psum"}, "y_type must be a number format where x is not u32, not u32"),
    ("vector", {"a_kind": "tensor", "t_type": "u32"}, "t_type must be a number format, not u32"),
    ("vector", {"mask": "equal", "fill": 0xFFC00000}, "fill must be no NaN but 0x7fc00000, not 0xffc00000"),
    ("vector", {"y_address": 66}, "y_address must be a multiple of 4, not 66"),
    ("vector", {"y_stride2": 26}, "y_stride2 must be a multiple of 4, not 26"),
    ("vector", {"x_type": "bf16"}, "x_stride0 must be a multiple of 2, not 1"),
    ("vector", {"x_type": "bf16", "x_address": 1}, "x_address must be a multiple of 2, not 1"),
    ("vector", {"a_kind": "tensor", "t_type": "fp32"}, "t_stride0 must be a multiple of 4, not 1"),
    ("vector", {"reduce": "max", "r_address": 2}, "r_address must be a multiple of 4, not 2"),
    ("vector", {"reduce": "max", "r_address": 4096}, "r must lie in bytes 0..4095 of its lanes, not 4096..4099"),
    ("vector", {"reduce": "max", "r_address": 72}, "r must lie apart from y, not at 72..75 with y at 64..111"),
    ("vector", {"x_stride2": -1}, "x must lie in bytes 0..4095 of its lanes, not -1..5"),
    ("vector", {"y_address": 4052}, "y must lie in bytes 0..4095 of its lanes, not 4052..4099"),
    ("vector", {"a_kind": "tensor", "t_stride1": -40}, "t must lie in bytes 0..4095 of its lanes, not -8..34"),
    ("vector", {"y_stride1": 0}, "y must have each element at bytes of its own, not at 64..99"),
    ("vector", {"y_address": 4}, "y must lie exactly on x or apart from it, not at 4..51 with x at 0..11"),
    ("vector", {"y_address": 0, "y_type": "e4m3"}, "y must lie exactly on x or apart from it, not at 0..44 with x at"),
    (
        "vector",
        {"a_kind": "tensor", "t_address": 110, "t_stride1": 1},
        "y must lie exactly on t or apart from it, not at 64..111 with t at 110..113",
    ),
    *(
        ("u32", {field: value}, f"{field} must be {due} where x is u32, not {value}")
        for field, value, due in [
            ("op0", "add", "bypass"),
            ("op1", "min", "bypass"),
            ("absolute", "yes", "no"),
            ("mask", "at_most", "none"),
            ("reduce", "argmax", "none"),
            ("y_type", "fp32", "u32"),
        ]
    ),
    # Of a scalar.
    ("scalar", {"write": "no"}, "write must be yes where sum is no, not no"),
    ("scalar", {"x_type": "u32"}, "x_type must be a number format, not u32"),
    ("scalar", {"y_type": "u32"}, "y_type must be a number format, not u32"),
    ("scalar", {"scale_kind": "lane", "scale": 3}, "scale must be a multiple of 4, not 3"),
    ("scalar", {"bias_kind": "lane", "bias": 4096}, "bias must lie in bytes 0..4095 of its lanes, not 4096..4099"),
    (
        "scalar",
        {"bias_kind": "lane", "bias": 1 << 31},
        "bias must be at most 262143 where it is an address, not 2",
    ),
    ("vector", {"a_kind": "lane", "a": 1 << 18}, "a must be at most 262143 where it is an address, not 262144"),
    ("scalar", {"sum": "yes", "r_address": 108}, "r must lie apart from y, not at 108..111 with y at 64..111"),
    ("scalar", {"y_stride0": 0}, "y must have each element at bytes of its own, not at 64..103"),
]


def _instruction(base: str, change: dict) -> Instruction:
    name, values = BASES[base]
    return Instruction(name, **(values | change))


@pytest.mark.parametrize("base", BASES)
def test_the_bases_are_legal(base):
    check_instruction(_instruction(base, {}), TINY)


@pytest.mark.parametrize(("base", "change", "message"), REFUSED, ids=[f"{b}-{'-'.join(c)}" for b, c, _ in REFUSED])
def test_a_rule_that_is_broken_is_named(base, change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_instruction(_instruction(base, change), TINY)


@pytest.mark.parametrize(
    ("base", "change"),
    [
        # Strides of one element, and what is not used, may be anything.
        ("load", {"count1": 1, "source_stride": 3, "sink_stride": -5}),
        ("load", {"lanes": 1, "source_pitch": 3}),
        ("load", {"count0": 1, "source_transposed": "yes", "source_pitch": 1}),
        ("load", {"source_lane": 99, "index_address": 5}),
        ("matmul", {"depth": 4, "w_tile_stride": 8191, "x_tile_stride": -8191}),
        ("vector", {"x_source": "psum", "x_type": "u32", "x_address": 8191, "x_stride0": -77}),
        ("vector", {"write": "no", "reduce": "argmax", "y_type": "u32", "y_address": 3}),
        (
            "vector",
            {"t_type": "u32", "t_address": 1, "fill": 0xFFFFFFFF, "r_address": 5, "op0": "bypass"},
        ),
        ("scalar", {"x_source": "psum", "x_type": "u32", "write": "no", "sum": "yes", "y_type": "u32"}),
        # A source may be read several times.
        ("load", {"source_pitch": 0, "source_stride": 0}),
        ("vector", {"x_stride0": 0, "x_stride1": 0, "x_stride2": 0}),
        # In place, exactly; and what is only read may be written afterwards.
        ("copy", {"sink_address": 0}),
        ("copy", {"sink_address": 0, "sink_lane": 2}),
        ("vector", {"x_type": "fp32", "x_address": 64, "x_stride0": 4, "x_stride1": 12, "x_stride2": 24}),
        ("vector", {"reduce": "max", "r_address": 8}),
        ("vector", {"a_kind": "lane", "a": 68, "op1": "add", "b_kind": "lane", "b": 68}),
        ("scalar", {"scale_kind": "lane", "scale": 68, "bias_kind": "lane", "bias": 64}),
        # Elements between each other.
        ("vector", {"x_address": 65, "x_stride0": 4, "x_stride1": 12, "x_stride2": 24, "y_type": "e4m3"}),
        ("vector", {"y_stride0": 6 * 4, "y_stride1": 4, "y_stride2": 4 * 2}),
        ("gather", {"index_limit": 1, "source_pitch": -16}),
        # All of PSUM, of a lane, of memory.
        ("matmul", {"count0": 1024, "count1": 1, "depth": 1}),
        ("vector", {"y_address": 4048}),
        ("load", {"source_address": (1 << 40) - 16, "source_pitch": 0, "count1": 1}),
    ],
)
def test_what_no_rule_forbids_is_legal(base, change):
    check_instruction(_instruction(base, change), TINY)


def test_an_indirect_sink_is_legal():
    values = DMA | {"source_space": "sbuf", "source_pitch": 0, "indirect": "sink", "sink_pitch": 0, "index_limit": 2}
    check_instruction(Instruction("dma", **values), TINY)
    with pytest.raises(ValueError, match=re.escape("sink must have each element at bytes of its own")):
        check_instruction(Instruction("dma", **(values | {"indirect": "none"})), TINY)


def test_rows_of_one_index_lie_apart():
    values = DMA | {"source_space": "sbuf", "source_pitch": 0, "indirect": "sink", "sink_stride": 4, "index_limit": 2}
    with pytest.raises(ValueError, match=r"^sink must have each element at bytes of its own, not at 0\.\.9"):
        check_instruction(Instruction("dma", **values), TINY)


def test_rows_are_not_permuted_in_place():
    values = DMA | {"sink_pitch": 16, "index_limit": 2}
    check_instruction(Instruction("dma", **values), TINY)
    for indirect, other in (("source", "sink"), ("sink", "source")):
        with pytest.raises(ValueError, match=f"^{other}_space must be sbuf where {indirect} is indirect, not memory"):
            check_instruction(Instruction("dma", **values, indirect=indirect), TINY)


def test_rules_follow_the_core():
    """What one core refuses another one takes."""
    check_instruction(_instruction("matmul", {"w_type": "e5m2", "lanes": 16}), FP8)
    check_instruction(_instruction("load", {"wait_dma1": 15, "queue": 2}), replace(TINY, dma_queues=3))
    deep = replace(TINY.engine, accumulation="fp32")
    check_instruction(
        _instruction("matmul", {"depth": 16385, "w_tile_stride": 0, "x_tile_stride": 0}), replace(TINY, engine=deep)
    )
    assert FP32.nan == 0x7FC00000


# What lies outside, or on something else: the core finds out when it gets there, or never.
WHERE = re.compile(r" must (lie in bytes|lie exactly on|lie apart from|have each element at bytes of its own)")


@pytest.mark.parametrize(("base", "change", "message"), REFUSED, ids=[f"{b}-{'-'.join(c)}" for b, c, _ in REFUSED])
def test_what_the_core_itself_refuses(base, change, message):
    """All but where elements lie."""
    instruction = _instruction(base, change)
    if WHERE.search(message):
        check_fields(instruction, TINY)
    else:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            check_fields(instruction, TINY)
