"""What went into a value of an engine's record."""

from collections.abc import Iterator, Sequence

import numpy as np

from arch.record import Field
from arch.tensor.layouts import finish_layout, read_layout
from golden.numerics.conversions import code_dtype, decode
from verif.tensor.decode import decode_field, in_hex
from verif.tensor.report import Input, place
from verif.tensor.terms import taken
from verif.tensor.window import Window

__all__ = ["inputs"]


def _shown(window: Window, cycle: int, name: str, row: int | None = None, col: int | None = None) -> Iterator[Input]:
    field = window.field(name, row, col)
    if window.has(cycle, field):
        bits = window.value(cycle, field)
        yield Input(cycle, place(field), f"{in_hex(field, bits)}  {decode_field(window.config, field, bits)}")


def _code(window: Window, cycle: int, port: str, lane: int, fmt: str) -> Iterator[Input]:
    """A lane of an input port, as it is offered."""
    if not window.has(cycle, window.field(f"{port}__payload")):
        return
    bits = window.config.code_bits
    code = window.port(cycle, f"{port}__payload") >> lane * bits & (1 << bits) - 1
    offered = window.port(cycle, f"{port}__valid")
    moves = offered and window.port(cycle, f"{port}__ready")
    value = decode(np.array([code]).astype(code_dtype(fmt)), fmt)[0]
    text = (
        f"0x{code:0{bits // 4}x}  {value} ({fmt}, {'taken' if moves else 'not taken'})"
        if offered
        else "nothing offered"
    )
    yield Input(cycle, f"{port}, lane {lane}", text)


def _column_codes(window: Window, cycle: int, col: int) -> Iterator[Input]:
    """A column's codes in a beat of weights."""
    config = window.config
    for lane in range(col, config.rows_per_load_cycle * config.cols, config.cols):
        yield from _code(window, cycle, "i_weight", lane, window.w_format)


def _west_inputs(window: Window, cycle: int, row: int) -> Iterator[Input]:
    yield from _code(window, cycle, "i_activation", row, window.x_format)
    if taken(window.weights, cycle) is not None:
        yield Input(cycle, "i_weight", "a weight row is taken")


def _from_west(window: Window, cycle: int, row: int, col: int) -> Iterator[Input]:
    return _shown(window, cycle, "beat", row, col - 1) if col else _shown(window, cycle, "west", row)


def _from_north(window: Window, cycle: int, row: int, col: int) -> Iterator[Input]:
    return _shown(window, cycle, "weight", row - 1, col) if row else _shown(window, cycle, "north", None, col)


def _sum_from_north(window: Window, cycle: int, row: int, col: int) -> Iterator[Input]:
    return _shown(window, cycle, "psum", row - 1, col) if row else _shown(window, cycle, "seed", None, col)


def _pe_inputs(window: Window, field: Field, cycle: int) -> Iterator[Input]:
    row, col, before, config = field.row, field.col, cycle - 1, window.config
    if field.name == "psum":
        added = cycle - config.add_latency
        yield from _sum_from_north(window, added, row, col)
        made = added + 1 - config.product_latency
        yield from _shown(window, made, "product", row, col)
        # The product's own factors, a cycle earlier.
        yield from _shown(window, made - 1, "beat", row, col)
        yield from _shown(window, made - 1, "active", row, col)
    elif field.name == "product":
        yield from _shown(window, before, "beat", row, col)
        yield from _shown(window, before, "active", row, col)
    else:
        if field.name in ("weight", "shadow"):
            late = config.add_latency if field.name == "weight" else 1
            yield from _from_north(window, cycle - late, row, col)
        if field.name != "weight":
            yield from _from_west(window, before, row, col)
        if field.name in ("shadow", "active"):
            yield from _shown(window, before, "shadow", row, col)
        if field.name == "active":
            yield from _shown(window, before, "active", row, col)


def _result_inputs(window: Window, cycle: int, columns: Sequence[int]) -> Iterator[Input]:
    """The sums of a row on the result port, and how they were to be read out."""
    # Moves of the read-out since it read column 0.
    moves = window.config.readout_latency + window.config.cols - 2
    if not window.registers:
        return
    yield from _shown(window, window.moved(cycle, moves), "read_request")
    for col in columns:
        yield from _shown(window, window.moved(cycle, moves - col) + 1, "read", None, col)
    yield from _shown(window, window.moved(cycle, moves - 1) + 1, "finishing")


def _psum_inputs(window: Window, field: Field, cycle: int) -> Iterator[Input]:
    col = field.col
    if field.name in ("seed_request", "store"):
        if col:
            yield from _shown(window, cycle - 1, field.name, None, col - 1)
        else:
            latency = window.config.store_latency if field.name == "store" else 1
            yield from _shown(window, cycle - latency, "i_activation__valid")
            yield from _shown(window, cycle - latency, "i_activation__ready")
    elif field.name == "seed":
        yield from _shown(window, cycle - window.config.product_latency, "seed_request", None, col)
    elif field.name == "stored":
        yield from _shown(window, cycle - 1, "store", None, col)
        yield from _shown(window, cycle - 1, "psum", window.config.rows - 1, col)
    else:
        yield from _shown(window, window.moved(cycle, col), "read_request")


def _finish_inputs(window: Window, cycle: int) -> Iterator[Input]:
    """The read that found how a row is read out, and the order given when the row was taken."""
    read = window.moved(cycle, 1)
    field, order = window.field("read_request"), window.field("finish")
    if not window.has(read, field):
        return
    yield from _shown(window, read, "read_request")
    address = read_layout(window.config).unpack(window.value(read, field))["address"]
    for at in range(read - 1, window.start - 1, -1):
        found = finish_layout(window.config).unpack(window.value(at, order))
        if found["valid"] and found["address"] == address:
            yield from _shown(window, at, "finish")
            return


def inputs(window: Window, field: Field, cycle: int, columns: Sequence[int] = (0,)) -> list[Input]:
    """What a field's value was made of; ``columns`` are those of a result row that matter."""
    if field.row is not None and field.col is not None:
        found = _pe_inputs(window, field, cycle)
    elif field.name == "west":
        found = _west_inputs(window, cycle - field.row * window.config.add_latency, field.row)
    elif field.name == "north":
        found = _column_codes(window, cycle - field.col, field.col)
    elif field.col is not None:
        found = _psum_inputs(window, field, cycle)
    elif field.name == "finishing":
        found = _finish_inputs(window, cycle)
    elif field.name == "o_result__payload":
        found = _result_inputs(window, cycle, columns)
    elif field.name.endswith("__ready"):
        found = _shown(window, cycle, field.name.replace("__ready", "__valid"))
    else:
        found = iter(())
    return list(found)
