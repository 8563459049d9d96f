"""Conversion of one column's results: an fp32 code becomes a code of the result format."""

from itertools import groupby
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FORMATS, FP32, SELECT_BITS
from arch.tensor.config import EngineConfig
from hw.arithmetic.stages import Stages, narrow_stages

__all__ = ["Narrower"]

#: Narrow formats by ``select``; fp32's place is taken by any, since it is passed through.
TARGETS = tuple(
    next((fmt for fmt in FORMATS.values() if fmt.select == select and fmt is not FP32), FORMATS["bf16"])
    for select in range(1 << SELECT_BITS)
)
#: Bits of the widest narrow code.
WIDTH = max(fmt.bits for fmt in TARGETS)
#: Bits of fp32's significand that a format drops at least: the others, and a guard bit, are shifted from there.
DROPPED = [FP32.man_bits - fmt.man_bits for fmt in TARGETS]
LEAST = min(DROPPED)
#: A significand of 24 bits, moved so far, has nothing left but the sticky bit.
MOST = FP32.man_bits + 2


class _Code(NamedTuple):
    """An fp32 code and what is to become of it."""

    fp32: Value
    select: Value
    saturate: Value

    @property
    def field(self) -> Value:
        """The biased exponent."""
        return self.fp32[FP32.man_bits : FP32.bits - 1]

    @property
    def fraction(self) -> Value:
        """The significand without its hidden bit."""
        return self.fp32[: FP32.man_bits]


def _selected(select: Value, values: list[Value]) -> Value:
    """The value that belongs to the selected format."""
    for bit in select:
        values = [Mux(bit, odd, even) for even, odd in zip(values[::2], values[1::2], strict=True)]
    return values[0]


def _fact(select: Value, shape: ShapeLike, facts: list[int]) -> Value:
    """A fact of the selected format."""
    return _selected(select, [Const(fact, shape) for fact in facts])


def _exceeds(value: Value, limit: int) -> Value:
    """``value > limit`` without a carry chain: a limit is a few runs of equal bits."""
    exceeds: Value = Const(0, 1)
    low = 0
    for one, run in groupby(limit >> index & 1 for index in range(len(value))):
        high = low + len(list(run))
        exceeds = value[low:high].all() & exceeds if one else value[low:high].any() | exceeds
        low = high
    return exceeds


class Narrower(wiring.Component):
    """Converts an fp32 code to the format selected: to nearest even, subnormals included. fp32 passes unchanged.

    ``saturate``: overflow and Inf become the largest finite number. Otherwise overflow becomes Inf, or NaN in a
    format without Inf. NaN becomes the format's canonical code, with a positive sign.

    Latency: ``narrow_stages(config)`` cycles in which ``i_en`` is high, by default 0 (combinational), as without a
    configuration.

    Members
    -------
    i_en : ``In(1)``
        Moves the pipeline; only where there is one.
    i_fp32 : ``In(32)``
        The fp32 code; a NaN is the canonical one.
    i_select : ``In(SELECT_BITS)``
        ``Format.select`` of the result.
    i_saturate : ``In(1)``
        See above.
    o_code : ``Out(32)``
        The result's code, zero-extended.
    """

    module_name = "narrower"

    def __init__(self, config: EngineConfig | None = None):
        self.config = config
        enable = {} if self.COMBINATIONAL else {"i_en": In(1)}
        ports = {"i_fp32": In(32), "i_select": In(SELECT_BITS), "i_saturate": In(1), "o_code": Out(32)}
        super().__init__(enable | ports)

    @property
    def COMBINATIONAL(self) -> bool:
        """Without registers."""
        return narrow_stages(self.config) == 0

    def elaborate(self, platform):
        m = Module()
        stages = narrow_stages(self.config)
        stage = None if self.COMBINATIONAL else Stages(m, self.i_en)
        code = _Code(self.i_fp32, self.i_select, self.i_saturate)
        base, shift = self._aim(m, code)
        if stages > 0:
            base, shift, *carried = stage("shift", base, shift, *code)
            code = _Code(*carried)
        jammed = self._shifted(m, code, shift)
        if stages > 2:
            jammed, base, *carried = stage("moved", jammed, base, *code)
            code = _Code(*carried)
        kept, guard, rest = jammed[2:], jammed[1], jammed[0]
        # A bit more than a code: the carry of a number too large.
        rounded = Signal(WIDTH + 1)
        m.d.comb += rounded.eq(base + kept + (guard & (rest | kept[0])))
        special, instead, positive = self._instead(m, code)
        fp32, select, _ = code
        if stages > 1:
            rounded, special, instead, positive, fp32, select = stage(
                "rounded", rounded, special, instead, positive, fp32, select
            )
        self._result(m, rounded, special, instead, positive, fp32, select)
        return m

    def _aim(self, m: Module, code: _Code) -> tuple[Value, Value]:
        """The exponent field in its place of the target's code, and how far the significand is shifted."""
        # In the target format an exponent field below ``lowest`` is subnormal; an fp32 subnormal has that of the
        # smallest normal.
        lowest = [1 - fmt.bias + FP32.bias for fmt in TARGETS]
        biased = Cat(code.field[0] | ~code.field.any(), code.field[1:])
        exponent = Signal(signed(9))
        below = Signal(signed(10))
        shift = Signal(range(MOST - LEAST + 1))
        m.d.comb += [
            # What the target's field is too high by: the hidden bit is added to it.
            exponent.eq(biased - _fact(code.select, 8, lowest)),
            below.eq(
                _fact(code.select, 9, [low + drop - LEAST for low, drop in zip(lowest, DROPPED, strict=True)]) - biased
            ),
        ]
        subnormal = exponent[-1]
        with m.If(~subnormal):
            m.d.comb += shift.eq(_fact(code.select, 4, [drop - LEAST for drop in DROPPED]))
        with m.Elif(below > MOST - LEAST):
            m.d.comb += shift.eq(MOST - LEAST)
        with m.Else():
            m.d.comb += shift.eq(below)
        # The hidden bit of a normal number adds one to the exponent field; so does a carry out of rounding.
        base = Signal(WIDTH)
        fields = [exponent[:8] << fmt.man_bits for fmt in TARGETS]
        m.d.comb += base.eq(Mux(subnormal, 0, _selected(code.select, fields)))
        return base, shift

    def _shifted(self, m: Module, code: _Code, shift: Value) -> Value:
        """The bits that can be kept, the guard bit below them, and one that collects what falls off."""
        significand = Cat(code.fraction, code.field.any())
        jammed = Cat(significand[: LEAST - 1].any(), significand[LEAST - 1 :])
        for level in reversed(range(len(shift))):
            places = 1 << level
            lost = jammed[: places + 1].any()
            moved = Signal(len(jammed), name=f"moved_{level}")
            m.d.comb += moved.eq(Mux(shift[level], Cat(lost, jammed[places + 1 :]), jammed))
            jammed = moved
        return jammed

    def _instead(self, m: Module, code: _Code) -> tuple[Value, Value, Value]:
        """Whether the code is an Inf or a NaN; what that or a number too large becomes; whether that has no sign."""
        select = code.select
        max_code, over, nan, instead = (Signal(WIDTH, name=name) for name in ("max_code", "over", "nan", "instead"))
        special, is_nan, positive = (Signal(name=name) for name in ("special", "is_nan", "positive"))
        m.d.comb += [
            max_code.eq(_fact(select, WIDTH, [fmt.max_code for fmt in TARGETS])),
            over.eq(_fact(select, WIDTH, [fmt.inf if fmt.has_inf else fmt.nan for fmt in TARGETS])),
            nan.eq(_fact(select, WIDTH, [fmt.nan for fmt in TARGETS])),
            special.eq(code.field.all()),
            is_nan.eq(special & code.fraction.any()),
            instead.eq(Mux(is_nan, nan, Mux(code.saturate, max_code, over))),
            # A NaN is positive, and so is what overflows to one.
            positive.eq(is_nan | ~(code.saturate | _fact(select, 1, [fmt.has_inf for fmt in TARGETS]))),
        ]
        return special, instead, positive

    def _result(
        self, m: Module, rounded: Value, special: Value, instead: Value, positive: Value, fp32: Value, select: Value
    ) -> None:
        """The number, or what is there instead; its sign; or the fp32 code as it came."""
        replaced = Signal()
        magnitude = Signal(WIDTH)
        sign = Signal()
        m.d.comb += [
            replaced.eq(special | _selected(select, [_exceeds(rounded, fmt.max_code) for fmt in TARGETS])),
            magnitude.eq(Mux(replaced, instead, rounded[:WIDTH])),
            sign.eq(fp32[31] & ~(replaced & positive)),
        ]
        codes = [magnitude | (sign << (fmt.bits - 1)) for fmt in TARGETS]
        m.d.comb += self.o_code.eq(Mux(select == FP32.select, fp32, _selected(select, codes)))
