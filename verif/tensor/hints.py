"""What a wrong value of the engine is, where that is certain: guesses that know its arithmetic and its formats."""

import numpy as np

from arch.formats import FORMATS, FP32
from arch.tensor.layouts import beat_layout
from golden.numerics.conversions import code_dtype
from golden.tensor.arithmetic import decode_operands
from verif.simulation.hints import code_hint
from verif.simulation.window import Moment
from verif.tensor.causes import product_added, sum_from_north
from verif.tensor.contents import columns, psum_integer

__all__ = ["fp32_sum", "never_stored", "other_format", "result_codes", "start_from_zero", "wrong_sum"]


def wrong_sum(at: Moment) -> str:
    """How a psum register's addition went wrong."""
    config, before, added = at.config, sum_from_north(at), product_added(at)
    if not (before.known and added.known):
        return ""
    incoming, product = before.bits, added.parts
    if not product["valid"]:
        return "no row is there: the sum should not change"
    if product["enable"] and at.actual == incoming:
        return "the incoming sum alone: the product was not added"
    if not config.exact:
        return ""
    if at.bits >> config.acc_bits != at.actual >> config.acc_bits:
        return "its NaN and Inf flags are wrong"
    value = (-1) ** product["sign"] * product["magnitude"] << product["exponent"]
    got, base = psum_integer(config, at.actual), psum_integer(config, incoming)
    if not product["enable"]:
        return "the lane is not in use, and yet its product was added" if got == base + value else ""
    guesses = {
        value: "the product alone: the incoming sum was not added",
        base - value: "the product was subtracted",
        -base + value: "the incoming sum was negated",
    }
    if abs(got - psum_integer(config, at.bits)) == 1:
        return "off by one unit, the last place of the sum"
    return guesses.get(got, "")


def fp32_sum(at: Moment) -> str:
    """A sum that is a code."""
    return "" if at.config.exact else code_hint(FP32, at.bits, at.actual)


def result_codes(at: Moment) -> str:
    """The codes of a result row, each in the format that they are read out to, if one thing is true of all."""
    fmt = FORMATS[at.window.jobs[at.window.job].out_format]
    pairs = [[bits >> 32 * col & 0xFFFFFFFF for bits in (at.bits, at.actual)] for col in columns(at)]
    texts = {code_hint(fmt, *pair) for pair in pairs}
    return texts.pop() if len(texts) == 1 else ""


def start_from_zero(at: Moment) -> str:
    """A seed of zero."""
    return "" if at.actual else "zero: a start from zero, or a sum that was never stored"


def never_stored(at: Moment) -> str:
    """A word of memory that is zero."""
    return "" if at.actual else "zero: nothing was ever stored there"


def other_format(at: Moment) -> str:
    """An operand decoded from its code by the rules of another format."""
    config, window, west = at.config, at.window, at.field.name == "west"
    if not west and config.rows_per_load_cycle > 1:
        return ""
    job = window.jobs[window.job]
    port, lane, fmt = ("i_activation", at.row, job.x_format) if west else ("i_weight", at.col, job.w_format)
    late = lane * at.window.unit.skew[0 if west else 1]
    operand = at.actual >> beat_layout(config).offset("operand") if west else at.actual
    offered = at.at(f"{port}__payload", ago=late)
    if not offered.known or not operand:
        return ""
    code = offered.bits >> lane * config.code_bits
    for other in config.formats:
        if other != fmt:
            number = np.array([code & (1 << FORMATS[other].bits) - 1]).astype(code_dtype(other))
            if decode_operands(number, other, config)[0] == operand:
                return f"the code decoded as {other} instead of {fmt}"
    return ""
