"""Leading-zero count, as a tree of halves."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

__all__ = ["leading_zeros"]


def leading_zeros(m: Module, value: Value, name: str) -> Signal:
    """Number of zeros above the highest set bit of ``value``, as a signal of ``m`` named after ``name``.

    The value is padded below to a power of two with ones, so that a zero of width w counts as w.
    """
    width = len(value)
    size = 1 << (width - 1).bit_length()
    padded = Cat(Const((1 << (size - width)) - 1, size - width), value) if size > width else value
    count = Signal(range(width + 1), name=f"{name}_zeros")
    bits = []
    level = 0
    while size > 1:
        half = size // 2
        rest = Signal(half, name=f"{name}_half_{level}")
        empty = Signal(name=f"{name}_empty_{level}")
        m.d.comb += [
            empty.eq(~padded[half:].any()),
            rest.eq(Mux(empty, padded[:half], padded[half:])),
        ]
        bits.insert(0, empty)
        padded, size, level = rest, half, level + 1
    # `padded` is one bit now: zero only for a value of a power-of-two width that is zero.
    m.d.comb += count.eq(Cat(bits) + ~padded[0])
    return count
