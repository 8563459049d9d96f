"""Packed layouts."""

import pytest

from arch.layout import Layout
from arch.record import record_words
from arch.tensor.layouts import beat_layout, command_layout, operand_layout, pe_registers, psum_layout
from arch.tensor.presets import PRESETS
from arch.tensor.signals import engine_fields


def test_pack_and_unpack():
    layout = Layout(low=3, mid=1, high=4)
    assert layout.width == 8
    assert [layout.offset(name) for name in layout.fields] == [0, 3, 4]
    assert layout.pack(low=5, high=9) == 0b1001_0_101
    assert layout.unpack(0b1001_1_101) == {"low": 5, "mid": 1, "high": 9}


def test_a_value_too_large_is_refused():
    with pytest.raises(ValueError, match="low must fit 3 bits, not 8"):
        Layout(low=3).pack(low=8)
    with pytest.raises(ValueError, match="low must fit 3 bits, not -1"):
        Layout(low=3).pack(low=-1)
    with pytest.raises(KeyError):
        Layout(low=3).offset("high")


def test_fp8_has_the_small_multiplier():
    assert operand_layout(PRESETS["tiny"]).fields["significand"] == 4
    assert operand_layout(PRESETS["fp8"]).fields["significand"] == 4
    assert operand_layout(PRESETS["bf16"]).fields["significand"] == 8


def test_infinity_is_built_only_where_a_format_has_one():
    assert "inf" not in operand_layout(PRESETS["tiny"]).fields
    assert "inf" in operand_layout(PRESETS["fp8"]).fields
    assert psum_layout(PRESETS["tiny"]).fields["special"] == 1
    assert psum_layout(PRESETS["fp8"]).fields["special"] == 2
    assert psum_layout(PRESETS["bf16"]).fields == {"fp32": 32}


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_a_record_has_every_port_and_register(config):
    fields = engine_fields(config)
    # A beat into each row; a weight into each column and five signals of its PSUM; three of the read-out.
    assert len(fields) == 12 + 6 * config.rows * config.cols + config.rows + 6 * config.cols + 3
    assert record_words(fields) == sum((field.width + 31) // 32 for field in fields)
    assert [field.name for field in fields if field.row is not None and field.col is not None][:6] == list(
        pe_registers(config)
    )
    assert beat_layout(config).offset("operand") == 4
    command = command_layout(config).fields
    assert 1 << command["tile_m"] > config.psum_depth
    assert 1 << command["tile_k"] > config.rows
    assert 1 << command["tile_n"] > config.cols
    assert 1 << command["distance"] > config.store_latency
