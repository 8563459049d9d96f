"""What a wrong value is, where that is certain from the values around it."""

import numpy as np

from arch.formats import FORMATS
from arch.layout import Layout
from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import (
    beat_layout,
    finish_layout,
    operand_layout,
    product_layout,
    psum_layout,
    read_layout,
    readout_layout,
    result_layout,
    seed_layout,
    store_layout,
)
from golden.numerics.conversions import code_dtype
from golden.tensor.arithmetic import decode_operands
from verif.tensor.decode import psum_integer, weight_pipes
from verif.tensor.window import Window

__all__ = ["hint"]


def _weights(config: EngineConfig) -> Layout:
    return operand_layout(config) if config.rows_per_load_cycle == 1 else weight_pipes(config)


#: Fields whose parts are told apart.
LAYOUTS = {
    "beat": beat_layout,
    "west": beat_layout,
    "weight": _weights,
    "shadow": operand_layout,
    "active": operand_layout,
    "north": _weights,
    "product": product_layout,
    "psum": psum_layout,
    "seed": psum_layout,
    "stored": psum_layout,
    "read": psum_layout,
    "seed_request": seed_layout,
    "store": store_layout,
    "read_request": read_layout,
    "finish": finish_layout,
    "finishing": readout_layout,
    "o_result__payload": result_layout,
}


def _at_another_time(window: Window, field: Field, cycle: int, actual: int) -> str:
    if field.row is None and field.col is None:
        return ""
    for other, text in (
        (cycle - 1, "one cycle earlier: late, or not taken over"),
        (cycle + 1, "one cycle later"),
    ):
        if window.has(other, field) and window.value(other, field) == actual:
            return f"the value due {text}"
    return ""


def _in_another_place(window: Window, field: Field, cycle: int, actual: int) -> str:
    """The same kind of signal of another lane or column, on the same wavefront."""
    config = window.config
    if field.name not in ("beat", "west", "weight", "shadow", "active", "north", "product") or not actual:
        return ""
    found = []
    for row in range(config.rows) if field.row is not None else (None,):
        for col in range(config.cols) if field.col is not None else (None,):
            away = ((row or 0) - (field.row or 0)) * config.add_latency + (col or 0) - (field.col or 0)
            other = window.field(field.name, row, col)
            if away and window.has(cycle + away, other) and window.value(cycle + away, other) == actual:
                found.append((row, col))
    if len(found) != 1:
        return ""
    row, col = found[0]
    if field.row is None or (field.col is not None and col != field.col and row == field.row):
        return f"what column {col} should have"
    return f"what lane {row} should have" if field.col is None or col == field.col else ""


def _north_sum(window: Window, field: Field, cycle: int) -> int:
    above = window.field("psum", field.row - 1, field.col) if field.row else window.field("seed", None, field.col)
    return window.value(cycle, above)


def _wrong_sum(window: Window, field: Field, cycle: int, expected: int, actual: int) -> str:
    """How a psum register's addition went wrong."""
    config = window.config
    added = cycle - config.add_latency
    incoming = _north_sum(window, field, added)
    register = window.field("product", field.row, field.col)
    product = product_layout(config).unpack(window.value(added + 1 - config.product_latency, register))
    if not product["valid"]:
        return "no row is there: the sum should not change"
    if product["enable"] and actual == incoming:
        return "the incoming sum alone: the product was not added"
    if not config.exact:
        return ""
    flags = config.acc_bits
    if expected >> flags != actual >> flags:
        return "its NaN and Inf flags are wrong"
    value = (-1) ** product["sign"] * product["magnitude"] << product["exponent"]
    got, before = psum_integer(config, actual), psum_integer(config, incoming)
    if not product["enable"]:
        return "the lane is not in use, and yet its product was added" if got == before + value else ""
    guesses = {
        value: "the product alone: the incoming sum was not added",
        before - value: "the product was subtracted",
        -before + value: "the incoming sum was negated",
    }
    if abs(got - psum_integer(config, expected)) == 1:
        return "off by one unit, the last place of the sum"
    return guesses.get(got, "")


def _parts(config: EngineConfig, field: Field, expected: int, actual: int) -> str:
    """The only part of a packed field that differs."""
    layout = LAYOUTS[field.name](config)
    names = [n for n in layout.fields if layout.unpack(expected)[n] != layout.unpack(actual)[n]]
    if len(names) != 1 or len(layout.fields) == 1:
        return ""
    name = names[0]
    wanted, found = layout.unpack(expected)[name], layout.unpack(actual)[name]
    if name in ("operand", "significand", "exponent", "magnitude", "acc", "codes"):
        return ""
    return f"only {name} differs: {wanted} expected, {found} actual"


def _codes(expected: int, actual: int) -> str:
    """Two fp32 codes."""
    if expected ^ actual == 1 << 31:
        return "only the sign differs"
    if (
        expected >> 31 == actual >> 31
        and abs(expected - actual) == 1
        and max(expected, actual) & 0x7FFFFFFF <= 0x7F800000
    ):
        return "one unit in the last place: rounding"
    return ""


def _results(config: EngineConfig, expected: int, actual: int) -> str:
    columns = [c for c in range(config.cols) if (expected ^ actual) >> 32 * c & 0xFFFFFFFF]
    pairs = [tuple(bits >> 32 * c & 0xFFFFFFFF for bits in (expected, actual)) for c in columns]
    texts = {_codes(*pair) for pair in pairs}
    return texts.pop() if len(texts) == 1 else ""


def _other_format(window: Window, field: Field, cycle: int, actual: int) -> str:
    """An operand decoded from its code by the rules of another format."""
    config = window.config
    if field.name == "north" and config.rows_per_load_cycle > 1:
        return ""
    port, lane, fmt = (
        ("i_activation", field.row, window.x_format)
        if field.name == "west"
        else ("i_weight", field.col, window.w_format)
    )
    operand = actual >> beat_layout(config).offset("operand") if field.name == "west" else actual
    if not window.has(cycle - lane, window.field(f"{port}__payload")) or not operand:
        return ""
    code = window.port(cycle - lane, f"{port}__payload") >> lane * config.code_bits
    for other in config.formats:
        if other != fmt:
            number = np.array([code & (1 << FORMATS[other].bits) - 1]).astype(code_dtype(other))
            if decode_operands(number, other, config)[0] == operand:
                return f"the code decoded as {other} instead of {fmt}"
    return ""


def _zero(field: Field) -> str:
    if field.name == "seed":
        return "zero: a start from zero, or a sum that was never stored"
    return "zero: nothing was ever stored there"


def hint(window: Window, field: Field, cycle: int, expected: int, actual: int | str) -> str:
    """One line on the difference, empty where nothing is certain."""
    if isinstance(actual, str):
        return "undefined bits (X or Z)"
    if field.name not in LAYOUTS:
        return ""
    config = window.config
    sums = field.name in ("psum", "seed", "stored", "read")
    guesses = (
        lambda: _wrong_sum(window, field, cycle, expected, actual) if field.name == "psum" else "",
        lambda: _codes(expected, actual) if sums and not config.exact else "",
        lambda: _results(config, expected, actual) if field.name == "o_result__payload" else "",
        lambda: _zero(field) if sums and field.name != "psum" and not actual else "",
        lambda: "" if sums else _parts(config, field, expected, actual),
        lambda: _at_another_time(window, field, cycle, actual),
        lambda: _in_another_place(window, field, cycle, actual),
        lambda: _other_format(window, field, cycle, actual) if field.name in ("west", "north") else "",
        lambda: (
            f"only bit {(expected ^ actual).bit_length() - 1} differs" if (expected ^ actual).bit_count() == 1 else ""
        ),
    )
    return next((text for guess in guesses if (text := guess())), "")
