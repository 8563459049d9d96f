"""Vectors of words: rotation by a number of places that is not constant, and a mask from one word to another."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.utils import exact_log2

__all__ = ["rotated", "span"]


def rotated(m: Module, name: str, vector: Value, amount: Value, width: int) -> Value:
    """Words of ``width`` bits moved down: word i of the result is word ``(i + amount) mod N`` of ``vector``.

    N, the number of words, is a power of two; of ``amount`` the lowest bits count.
    """
    bits = exact_log2(len(vector) // width)
    if len(amount) < bits:
        raise ValueError(f"amount must have {bits} bits or more, not {len(amount)}")
    for place in range(bits):
        moved = width << place
        stage = Signal(len(vector), name=f"{name}_{place}")
        m.d.comb += stage.eq(Mux(amount[place], Cat(vector[moved:], vector[:moved]), vector))
        vector = stage
    return vector


def span(first: Value, last: Value, count: int) -> Value:
    """``count`` bits, those from number ``first`` to number ``last`` set; both are below ``count``."""
    ones = Const(-1, count)
    return (ones << first)[:count] & ~(Const(-2, count) << last)[:count]
