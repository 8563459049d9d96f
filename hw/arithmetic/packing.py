"""What the float blocks have in common: a binary32 code taken apart, normalised, rounded and put together again."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from arch.formats import FP32

__all__ = ["EXPONENT", "SIGNIFICAND", "Normal", "Parts", "finished", "normalised", "parts", "rounded"]

#: Bits of an exponent field.
EXPONENT = FP32.exp_bits
#: Bits of a significand, hidden bit included.
SIGNIFICAND = FP32.man_bits + 1
#: What a result keeps until it is rounded: its significand and a guard bit.
KEPT = SIGNIFICAND + 1


class Parts(NamedTuple):
    """A code's fields.

    exponent : that of the smallest normal number, 1, for subnormal numbers and zero.
    significand : with its hidden bit.
    special, nan, inf : exponent field of all ones; which of the two.
    """

    sign: Value
    exponent: Value
    significand: Value
    special: Value
    nan: Value
    inf: Value


def parts(code: Value) -> Parts:
    """The fields of a code."""
    field, fraction = code[FP32.man_bits : FP32.bits - 1], code[: FP32.man_bits]
    normal, special, some = field.any(), field.all(), fraction.any()
    exponent = Cat(field[0] | ~normal, field[1:])
    return Parts(code[-1], exponent, Cat(fraction, normal), special, special & some, special & ~some)


class Normal(NamedTuple):
    """A normalised number.

    kept : 25 bits, significand and guard bit.
    rest : whether anything lies below.
    places : how far it was moved up.
    """

    kept: Value
    rest: Value
    places: Value


def normalised(m: Module, value: Value, limit: Value, unlimited: Value) -> Normal:
    """``value`` moved up until its top bit is set, by at most ``limit`` places unless ``unlimited``.

    ``limit`` must be able to say how far the smallest value is to be moved. From the highest bit on, the number of
    places is that of the leading zeros until it falls below the limit, which is the limit's until then.
    """
    rest: Value = Const(0, 1)
    places = []
    # From the top, whether four bits have a one: they move with the value.
    count = -(-len(value) // 4)
    ends = [len(value) - 4 * index for index in range(count)]
    groups = Signal(count)
    m.d.comb += groups.eq(Cat(value[max(0, end - 4) : end].any() for end in ends))
    for level in reversed(range(len(limit))):
        step = 1 << level
        empty, select, free = (Signal(name=f"{name}_{step}") for name in ("empty", "select", "free"))
        moved = Signal(len(value), name=f"moved_{step}")
        if step >= 4:
            m.d.comb += empty.eq(~groups[: step // 4].any())
            # Below these, no bit comes to where groups are looked at.
            kept = Signal(min(len(groups), step // 4), name=f"groups_{step}")
            m.d.comb += kept.eq(Mux(select, groups[step // 4 :], groups))
            groups = kept
        else:
            m.d.comb += empty.eq(~value[-step:].any())
        m.d.comb += [
            select.eq(empty & (unlimited | limit[level])),
            free.eq(unlimited | (limit[level] & ~empty)),
            moved.eq(Mux(select, value << step, value)),
        ]
        unlimited = free
        places.insert(0, select)
        # What the steps to come cannot bring up to the guard bit.
        below = max(0, len(value) - (KEPT + step - 1))
        if below:
            rest = rest | moved[:below].any()
        value = moved[below:]
    return Normal(value, rest, Cat(*places))


def rounded(base: Value, kept: Value, rest: Value) -> Value:
    """``kept`` without its lowest bit, the guard bit, to nearest even, added to the exponent field ``base``.

    The hidden bit adds one to the field, and so does a carry out of the significand, infinity's included.
    """
    up = kept[0] & (rest | kept[1])
    return (Cat(Const(0, FP32.man_bits), base) + kept[1:] + up)[: FP32.bits - 1]


def finished(m: Module, sign: Value, limit: Value, normal: Normal, special: Value, nan: Value) -> Value:
    """The code of a normalised number, infinity if it is too large. ``special``: infinity, or ``nan``.

    ``limit`` is how far the number might be moved up until its exponent field is 1, however it was limited.
    """
    base, code = Signal(len(limit), name="base"), Signal(FP32.bits, name="code")
    over, infinite = Signal(name="over"), Signal(name="infinite")
    hidden = normal.kept[-1]
    replaced = Cat(Const(0, FP32.man_bits - 1), nan, Const(FP32.exp_mask, EXPONENT))
    m.d.comb += [
        # Without a hidden bit it is zero, or subnormal.
        base.eq(Mux(hidden, limit - normal.places, 0)),
        over.eq(hidden & (base >= FP32.max_exp)),
        infinite.eq(special | over),
        code.eq(
            Cat(Mux(infinite, replaced, rounded(base[:EXPONENT], normal.kept, normal.rest)), sign & ~nan),
        ),
    ]
    return code
