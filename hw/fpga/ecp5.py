"""Cells of Lattice ECP5 parts spelt out where yosys leaves half of them unused.

That is the four-input logic before a carry, the register behind a hard multiplier, and the global nets beside those of
clocks. A ``CCU2C`` is two bits of a chain. Of each bit, ``LUT4(A, B, C, D)`` is the propagate and ``LUT2(A, B)``, the
same table at C = D = 0, the generate signal: ``S = LUT4 ^ CIN``, ``COUT = LUT4 ? CIN : LUT2`` (Lattice, ECP5 family
data sheet; yosys ``techlibs/ecp5/cells_sim.v``). So ``A + f(B, C, D)`` takes no logic but its chain where
``f(B, 0, 0)`` is always 0.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, ResetSignal, Signal, Value

__all__ = [
    "ECP5",
    "Half",
    "add_inverted",
    "add_selected",
    "chain",
    "multiply",
    "multiply_constant",
    "multiply_hard",
    "multiply_wide",
    "spread",
]

#: The target's name on the command line.
ECP5 = "ecp5"


class Half(NamedTuple):
    """One bit of a chain: its table and its inputs."""

    table: int
    a: Value
    b: Value = Const(0, 1)
    c: Value = Const(0, 1)
    d: Value = Const(0, 1)


def _table(propagate: Callable[[int, int, int, int], int]) -> int:
    """Contents of a LUT4, A the lowest bit of the address."""
    return sum(propagate(n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3) << n for n in range(16))


#: Carries its A into the chain: propagate is 0 at D = 1, generate is A. What comes in as carry does not matter.
_CARRY_IN = _table(lambda a, b, c, d: a & (d ^ 1))
_PLUS_SELECTED = _table(lambda a, b, c, d: a ^ (b if d else c))
_PLUS_INVERTED = _table(lambda a, b, c, d: a ^ (d & (b ^ c)))
_PLUS_AND = _table(lambda a, b, c, d: a ^ (b & c))
_TWO_ANDS = _table(lambda a, b, c, d: (a & b) ^ (c & d))
_ONE = Const(1, 1)


def chain(m: Module, name: str, halves: Sequence[Half]) -> Value:
    """The sums of a carry chain, as many bits as halves, lowest first. The first half must not need a carry."""
    sums, carry = [], Const(0, 1)
    for index in range(0, len(halves), 2):
        pair = (*halves[index : index + 2], Half(0, Const(0, 1)))[:2]
        low, high, after = (Signal(name=f"{name}_{kind}_{index}") for kind in ("low", "high", "carry"))
        ports = {"i_CIN": carry, "o_S0": low, "o_S1": high, "o_COUT": after}
        for place, half in enumerate(pair):
            ports |= {f"p_INIT{place}": Const(half.table, 16), f"p_INJECT1_{place}": "NO"}
            ports |= {f"i_{letter}{place}": value for letter, value in zip("ABCD", half[1:], strict=True)}
        m.submodules[f"{name}_{index}"] = Instance("CCU2C", **ports)
        sums += [low, high]
        carry = after
    return Cat(sums[: len(halves)])


def add_selected(m: Module, name: str, total: Value, select: Value, one: Value, zero: Value, carry: Value) -> Value:
    """``total + (select ? one : zero) + carry``, as wide as all three; half a cell a bit and no more."""
    halves = [Half(_CARRY_IN, carry, d=_ONE)]
    halves += [Half(_PLUS_SELECTED, a, b, c, select) for a, b, c in zip(total, one, zero, strict=True)]
    return chain(m, name, halves)[1:]


def add_inverted(m: Module, name: str, total: Value, addend: Value, invert: Value) -> Value:
    """``invert ? total - addend : total + addend``, as wide as both."""
    halves = [Half(_CARRY_IN, invert, d=_ONE)]
    halves += [Half(_PLUS_INVERTED, a, b, invert, _ONE) for a, b in zip(total, addend, strict=True)]
    return chain(m, name, halves)[1:]


def multiply(m: Module, name: str, x: Value, w: Value) -> Value:
    """``x * w``, unsigned, of equal widths. Two partial products make one chain, and are added to those before."""
    width = len(x)
    total = None
    for place in range(0, width, 2):
        low, high = w[place], w[place + 1] if place + 1 < width else Const(0, 1)
        above, below = Cat(x[1:], Const(0, 1)), x
        halves = [Half(0, Const(0, 1))]
        halves += [Half(_TWO_ANDS, a, low, b, high) for a, b in zip(above, below, strict=True)]
        row = chain(m, f"{name}_row_{place}", [*halves, Half(0, Const(0, 1))])[1:]
        if total is None:
            total = Cat(x[0] & low, row)
            continue
        # The lowest bit of the row, an AND, is made in the chain that adds it.
        ones = [x[0], *row]
        others = [low, *[_ONE] * len(row)]
        kept = Cat(total[place:], Const(0, 2))
        halves = [Half(_PLUS_AND, a, b, c) for a, b, c in zip(kept, ones, others, strict=True)]
        total = Cat(total[:place], chain(m, f"{name}_sum_{place}", [Half(0, Const(0, 1)), *halves])[1:])
    return total[: 2 * width]


class _Row(NamedTuple):
    """A summand: its bits, and the place of the lowest."""

    bits: Value
    place: int


def _add_rows(m: Module, name: str, low: _Row, high: _Row) -> _Row:
    """The sum of two, of which ``high`` has the higher place; below that, ``low`` is as it was."""
    start = high.place - low.place
    upper = low.bits[start:]
    width = max(len(upper), len(high.bits))
    one, other = (Cat(bits, Const(0, width - len(bits))) for bits in (upper, high.bits))
    halves = [Half(_PLUS_AND, a, b, _ONE) for a, b in zip(one, other, strict=True)]
    total = chain(m, name, [Half(0, Const(0, 1)), *halves, Half(0, Const(0, 1))])[1:]
    return _Row(Cat(low.bits[:start], total), low.place)


def _sum_rows(m: Module, name: str, rows: list[_Row]) -> _Row:
    """The sum of all, lowest place first, in a tree: neighbours are added first."""
    level = 0
    while len(rows) > 1:
        pairs = [rows[index : index + 2] for index in range(0, len(rows), 2)]
        rows = [
            _add_rows(m, f"{name}_sum_{level}_{index}", *pair) if len(pair) == 2 else pair[0]
            for index, pair in enumerate(pairs)
        ]
        level += 1
    return rows[0]


def multiply_wide(m: Module, name: str, x: Value, w: Value) -> Value:
    """``x * w``, unsigned. As ``multiply``, two partial products to a chain, but chains are added in a tree: of many
    of them that takes fewer levels, and half a cell more for each."""
    rows = []
    for place in range(0, len(w), 2):
        low, high = w[place], w[place + 1] if place + 1 < len(w) else Const(0, 1)
        halves = [
            Half(_TWO_ANDS, a, low, b, high) for a, b in zip(Cat(x, Const(0, 1)), Cat(Const(0, 1), x), strict=True)
        ]
        ends = Half(0, Const(0, 1))
        rows.append(_Row(chain(m, f"{name}_row_{place}", [ends, *halves, ends])[1:], place))
    return _sum_rows(m, name, rows).bits[: len(x) + len(w)]


def multiply_constant(m: Module, name: str, x: Value, constant: int) -> Value:
    """``x * constant``, unsigned, for a constant above 0: the sum of its hexadecimal digits' multiples of x, in a
    tree."""
    multiples: dict[int, Value] = {}

    def multiple(digit: int) -> Value:
        """A digit times x; that of an odd digit is made once."""
        if digit % 2 == 0:
            return Cat(Const(0, 1), multiple(digit // 2))
        if digit not in multiples:
            top = 1 << digit.bit_length() - 1
            multiples[digit] = (
                x
                if digit == 1
                else _add_rows(
                    m, f"{name}_times_{digit}", _Row(multiple(digit - top), 0), _Row(x, top.bit_length() - 1)
                ).bits
            )
        return multiples[digit]

    digits = [constant >> place & 15 for place in range(0, constant.bit_length(), 4)]
    rows = [_Row(multiple(digit), 4 * index) for index, digit in enumerate(digits) if digit]
    total = _sum_rows(m, name, rows)
    return Cat(Const(0, total.place), total.bits)[: len(x) + constant.bit_length()]


def spread(m: Module, name: str, signal: Value) -> Value:
    """``signal`` on a global net, which reaches clock enables and resets all over the device in the same short time.

    The global nets are there for high fan-outs of all three kinds (Lattice, ECP5 sysCLOCK user guide).
    """
    everywhere = Signal(name=f"{name}_everywhere")
    m.submodules[f"{name}_buffer"] = Instance("DCCA", i_CLKI=signal, i_CE=_ONE, o_CLKO=everywhere)
    return everywhere


def multiply_hard(m: Module, name: str, x: Value, w: Value, enable: Value) -> Value:
    """``enable ? x * w : 0`` a cycle later, unsigned, of up to 18 bits each: a hard multiplier and its own register."""
    product = Signal(len(x) + len(w), name=name)
    ports = {
        "p_REG_INPUTA_CLK": "NONE",
        "p_REG_INPUTB_CLK": "NONE",
        "p_REG_OUTPUT_CLK": "CLK0",
        "p_REG_OUTPUT_CE": "CE0",
        "p_REG_OUTPUT_RST": "RST0",
        "p_RESETMODE": "SYNC",
        "p_GSR": "DISABLED",
        "i_CLK0": ClockSignal(),
        "i_CE0": _ONE,
        "i_RST0": ResetSignal() | ~enable,
    }
    for letter, factor in (("A", x), ("B", w)):
        ports |= {f"i_SIGNED{letter}": Const(0, 1), f"i_SOURCE{letter}": Const(0, 1)}
        ports |= {f"i_{letter}{bit}": factor[bit] if bit < len(factor) else Const(0, 1) for bit in range(18)}
    ports |= {f"o_P{bit}": product[bit] for bit in range(len(product))}
    m.submodules[f"{name}_cell"] = Instance("MULT18X18D", **ports)
    return product
