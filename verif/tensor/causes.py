"""What the signals of the engine are made of: of a moment, the moments before it that went in."""

from collections.abc import Iterator

import numpy as np

from golden.numerics.conversions import code_dtype, decode
from verif.simulation.window import Input, Moment
from verif.tensor.contents import columns
from verif.tensor.terms import moved, taken

__all__ = [
    "active",
    "beat",
    "north",
    "order_read",
    "product",
    "product_added",
    "psum",
    "read",
    "ready",
    "request",
    "result",
    "seed",
    "shadow",
    "stored",
    "sum_from_north",
    "weight",
    "west",
]


def _codes(at: Moment, cycle: int, port: str, lane: int) -> Iterator[Input]:
    """A lane of an input port, as it is offered."""
    window, bits = at.window, at.config.code_bits
    field = window.unit.record.field(f"{port}__payload")
    if not window.has(cycle, field):
        return
    job = window.jobs[window.job]
    fmt = job.x_format if port == "i_activation" else job.w_format
    code = window.value(cycle, field) >> lane * bits & (1 << bits) - 1
    offered = window.port(cycle, f"{port}__valid")
    moves = offered and window.port(cycle, f"{port}__ready")
    value = decode(np.array([code]).astype(code_dtype(fmt)), fmt)[0]
    text = (
        f"0x{code:0{bits // 4}x}  {value} ({fmt}, {'taken' if moves else 'not taken'})"
        if offered
        else "nothing offered"
    )
    yield Input(cycle, f"{port}, lane {lane}", text, field)


def west(at: Moment) -> Iterator[Input]:
    """A lane of an activation row, or the tag of a weight row."""
    entered = at.cycle - at.row * at.config.add_latency
    yield from _codes(at, entered, "i_activation", at.row)
    if taken(at.window.events["i_weight"], entered) is not None:
        yield Input(entered, "i_weight", "a weight row is taken")


def north(at: Moment) -> Iterator[Input]:
    """A column's codes in a beat of weights."""
    config = at.config
    for lane in range(at.col, config.rows_per_load_cycle * config.cols, config.cols):
        yield from _codes(at, at.cycle - at.col, "i_weight", lane)


def _from_west(at: Moment) -> Moment:
    return at.at("beat", at.row, at.col - 1, ago=1) if at.col else at.at("west", at.row, ago=1)


def _from_north(at: Moment, ago: int) -> Moment:
    return at.at("weight", at.row - 1, at.col, ago=ago) if at.row else at.at("north", None, at.col, ago=ago)


def sum_from_north(at: Moment) -> Moment:
    """What a psum register's addition added to."""
    ago = at.config.add_latency
    return at.at("psum", at.row - 1, at.col, ago=ago) if at.row else at.at("seed", None, at.col, ago=ago)


def product_added(at: Moment) -> Moment:
    """The product that a psum register's addition added."""
    return at.same("product", ago=at.config.add_latency + at.config.product_latency - 1)


def weight(at: Moment) -> list[Moment]:
    """The weight farther north."""
    return [_from_north(at, at.config.add_latency)]


def shadow(at: Moment) -> list[Moment]:
    """What may be loaded, the beat that says so, and the register itself."""
    return [_from_north(at, 1), _from_west(at), at.ago(1)]


def active(at: Moment) -> list[Moment]:
    """The beat that says whether to swap, and both planes."""
    return [_from_west(at), at.same("shadow", ago=1), at.ago(1)]


def beat(at: Moment) -> list[Moment]:
    """The beat farther west."""
    return [_from_west(at)]


def product(at: Moment) -> list[Moment]:
    """Its factors."""
    return [at.same("beat", ago=1), at.same("active", ago=1)]


def psum(at: Moment) -> list[Moment]:
    """The incoming sum, the product, and the product's own factors."""
    made = product_added(at)
    return [sum_from_north(at), made, *product(made)]


def request(at: Moment) -> list[Moment]:
    """A request to a bank: that of the bank before; into column 0 it comes with an activation row."""
    if at.col:
        return [at.at(at.field.name, None, at.col - 1, ago=1)]
    late = at.config.store_latency if at.field.name == "store" else 1
    return [at.at("i_activation__valid", ago=late), at.at("i_activation__ready", ago=late)]


def seed(at: Moment) -> list[Moment]:
    """What was requested."""
    return [at.same("seed_request", ago=at.config.product_latency)]


def stored(at: Moment) -> list[Moment]:
    """The request, and the sum that left the array."""
    return [at.same("store", ago=1), at.at("psum", at.config.rows - 1, at.col, ago=1)]


def _at_cycle(at: Moment, cycle: int, name: str, col: int | None = None) -> Moment:
    return at.at(name, None, col, ago=at.cycle - cycle)


def read(at: Moment) -> list[Moment]:
    """What was requested when the read-out last moved in this column."""
    return [_at_cycle(at, moved(at.window, at.cycle, at.col), "read_request")]


def order_read(at: Moment) -> Iterator[Moment]:
    """The read that found the order, and the order given when the row was taken."""
    request = _at_cycle(at, moved(at.window, at.cycle, 1), "read_request")
    if not request.known:
        return
    yield request
    address = request.parts["address"]
    for cycle in range(request.cycle - 1, at.window.start - 1, -1):
        given = _at_cycle(at, cycle, "order")
        if given.parts["valid"] and given.parts["address"] == address:
            yield given
            return


def result(at: Moment) -> Iterator[Moment]:
    """The sums of a row on the result port, of the columns that differ, and how they were to be read out."""
    if "read" not in at.window.unit.record.layouts:
        return
    # Moves of the read-out since it read column 0.
    moves = at.config.readout_latency + at.config.cols - 2
    yield _at_cycle(at, moved(at.window, at.cycle, moves), "read_request")
    for col in columns(at):
        yield _at_cycle(at, moved(at.window, at.cycle, moves - col) + 1, "read", col)
    yield _at_cycle(at, moved(at.window, at.cycle, moves - 1) + 1, "order_read")


def ready(at: Moment) -> list[Moment]:
    """Whether anything is offered."""
    return [at.at(at.field.name.replace("__ready", "__valid"))]
