"""Read-out rounding of one column: a partial sum becomes an fp32 code, then a code of the result format."""

from itertools import groupby

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FORMATS, FP32, SELECT_BITS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout
from hw.lib.blocks import place, struct

__all__ = ["Narrower", "Rounder", "narrow_stages", "round_stages"]

#: Registers beyond those of a read-out of 4 stages, in the order in which they shorten the longest path most: between
#: normalising and rounding an exact sum, before the conversion's shifter, behind PSUM, within normalising, behind the
#: conversion's rounding, behind its shifter, within normalising a second time.
_EXTRA = ("normalised", "shift", "word", "coarse", "rounded", "moved", "fine")


def _extra(config: EngineConfig) -> tuple[str, ...]:
    return _EXTRA[: config.readout_latency - 4]


def round_stages(config: EngineConfig) -> int:
    """Registers from a sum to its fp32 code."""
    return 2 + len({"normalised", "word", "coarse", "fine"} & set(_extra(config)))


def narrow_stages(config: EngineConfig) -> int:
    """Registers within the conversion of an fp32 code to the result format."""
    return len({"shift", "rounded", "moved"} & set(_extra(config)))


class _Stages:
    """Registers that move together while ``enable`` is high."""

    def __init__(self, m: Module, enable: Value):
        self._m, self._enable = m, enable

    def __call__(self, name: str, *values: Value) -> list[Signal]:
        """The values an enabled cycle later, in registers named after the stage."""
        registers = [Signal(len(value), name=f"{name}_{index}") for index, value in enumerate(values)]
        with self._m.If(self._enable):
            self._m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
        return registers


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

    Latency: ``narrow_stages(config)`` cycles in which ``i_en`` is high, by default 0 (combinational).

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
    #: Narrow formats by ``select``; fp32's place is taken by any, since it is passed through.
    TARGETS = tuple(
        next((fmt for fmt in FORMATS.values() if fmt.select == select and fmt is not FP32), FORMATS["bf16"])
        for select in range(4)
    )

    def __init__(self, config: EngineConfig):
        self.config = config
        enable = {} if self.COMBINATIONAL else {"i_en": In(1)}
        super().__init__(
            enable | {"i_fp32": In(32), "i_select": In(SELECT_BITS), "i_saturate": In(1), "o_code": Out(32)}
        )

    @property
    def COMBINATIONAL(self) -> bool:
        """Without registers."""
        return narrow_stages(self.config) == 0

    def _fact(self, select: Value, shape, facts) -> Value:
        """A fact of the selected format."""
        return self._selected(select, [Const(fact, shape) for fact in facts])

    def _selected(self, select: Value, values: list[Value]) -> Value:
        """The one of four values that belongs to the selected format."""
        low, high = (Mux(select[0], odd, even) for even, odd in (values[:2], values[2:]))
        return Mux(select[1], high, low)

    def elaborate(self, platform):
        m = Module()
        targets = self.TARGETS
        stage = None if self.COMBINATIONAL else _Stages(m, self.i_en)
        fp32, select, saturate = self.i_fp32, self.i_select, self.i_saturate

        # How far to shift. Every format drops as many bits of the significand as ``least``, or more. In the target
        # format an exponent field below ``lowest`` is subnormal; an fp32 subnormal has that of the smallest normal.
        drops = [FP32.man_bits - fmt.man_bits for fmt in targets]
        lowest = [1 - fmt.bias + FP32.bias for fmt in targets]
        least, most = min(drops), 25
        field, fraction = fp32[23:31], fp32[:23]
        biased = Cat(field[0] | ~field.any(), field[1:])
        exponent = Signal(signed(9))
        below = Signal(signed(10))
        shift = Signal(range(most - least + 1))
        m.d.comb += [
            # What the target's field is too high by: the hidden bit is added to it.
            exponent.eq(biased - self._fact(select, 8, lowest)),
            # 25 places leave nothing but the sticky bit.
            below.eq(
                self._fact(select, 9, [low + drop - least for low, drop in zip(lowest, drops, strict=True)]) - biased
            ),
        ]
        subnormal = exponent[-1]
        with m.If(~subnormal):
            m.d.comb += shift.eq(self._fact(select, 4, [drop - least for drop in drops]))
        with m.Elif(below > most - least):
            m.d.comb += shift.eq(most - least)
        with m.Else():
            m.d.comb += shift.eq(below)
        # The hidden bit of a normal number adds one to the exponent field; so does a carry out of rounding.
        base = Signal(16)
        fields = [exponent[:8] << fmt.man_bits for fmt in targets]
        m.d.comb += base.eq(Mux(subnormal, 0, self._selected(select, fields)))
        if narrow_stages(self.config) > 0:
            base, shift, fp32, select, saturate = stage("shift", base, shift, fp32, select, saturate)
            field, fraction = fp32[23:31], fp32[:23]

        # The bits that can be kept, the guard bit below them, and one that collects what falls off.
        significand = Cat(fraction, field.any())
        jammed = Cat(significand[: least - 1].any(), significand[least - 1 :])
        for level in reversed(range(len(shift))):
            places = 1 << level
            lost = jammed[: places + 1].any()
            moved = Signal(len(jammed), name=f"moved_{level}")
            m.d.comb += moved.eq(Mux(shift[level], Cat(lost, jammed[places + 1 :]), jammed))
            jammed = moved
        if narrow_stages(self.config) > 2:
            jammed, base, fp32, select, saturate = stage("moved", jammed, base, fp32, select, saturate)
            field, fraction = fp32[23:31], fp32[:23]
        kept, guard, rest = jammed[2:], jammed[1], jammed[0]
        rounded = Signal(17)
        m.d.comb += rounded.eq(base + kept + (guard & (rest | kept[0])))
        # What an Inf or a NaN becomes, and a number too large; where that is NaN, its sign is positive.
        max_code, over, nan, instead = (Signal(16, name=name) for name in ("max_code", "over", "nan", "instead"))
        special, is_nan, positive = (Signal(name=name) for name in ("special", "is_nan", "positive"))
        m.d.comb += [
            max_code.eq(self._fact(select, 16, [fmt.max_code for fmt in targets])),
            over.eq(self._fact(select, 16, [fmt.inf if fmt.has_inf else fmt.nan for fmt in targets])),
            nan.eq(self._fact(select, 16, [fmt.nan for fmt in targets])),
            special.eq(field.all()),
            is_nan.eq(special & fraction.any()),
            instead.eq(Mux(is_nan, nan, Mux(saturate, max_code, over))),
            positive.eq(is_nan | ~(saturate | self._fact(select, 1, [fmt.has_inf for fmt in targets]))),
        ]
        if narrow_stages(self.config) > 1:
            rounded, special, instead, positive, fp32, select = stage(
                "rounded", rounded, special, instead, positive, fp32, select
            )

        replaced = Signal()
        magnitude = Signal(16)
        sign = Signal()
        m.d.comb += [
            replaced.eq(special | self._selected(select, [_exceeds(rounded, fmt.max_code) for fmt in targets])),
            magnitude.eq(Mux(replaced, instead, rounded[:16])),
            sign.eq(fp32[31] & ~(replaced & positive)),
        ]
        codes = [magnitude | (sign << (fmt.bits - 1)) for fmt in targets]
        m.d.comb += self.o_code.eq(Mux(select == FP32.select, fp32, self._selected(select, codes)))
        return m


class Rounder(wiring.Component):
    """Rounds finished sums of one column.

    An exact sum is rounded to fp32 once, to nearest even; zero is +0, NaN canonical. An fp32 sum passes. The fp32 code
    is then converted to the result format.

    Latency: ``round_stages(config) + narrow_stages(config)`` cycles in which ``i_en`` is high, from ``i_psum`` to
    ``o_code``; by default 2.
    Throughput: one sum per cycle with ``i_en`` high.

    Members
    -------
    i_en : ``In(1)``
        Moves the pipeline.
    i_psum : ``In(psum_layout(config))``
        The sum.
    i_select, i_saturate : ``In``
        See ``Narrower``; taken ``round_stages(config)`` enabled cycles after ``i_psum``, with the fp32 code.
    o_code : ``Out(32)``
        The result.
    """

    module_name = "rounder"

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "i_en": In(1),
                "i_psum": In(psum_layout(config).width),
                "i_select": In(SELECT_BITS),
                "i_saturate": In(1),
                "o_code": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        stage = _Stages(m, self.i_en)
        if self.config.exact:
            fp32 = self._round_exact(m, stage)
        else:
            fp32 = self.i_psum
            for index in range(round_stages(self.config)):
                (fp32,) = stage(f"psum_{index}", fp32)
        enable = {"i_en": self.i_en} if narrow_stages(self.config) else {}
        narrower = place(
            m,
            "narrower",
            Narrower,
            self.config,
            i_fp32=fp32,
            i_select=self.i_select,
            i_saturate=self.i_saturate,
            **enable,
        )
        m.d.comb += self.o_code.eq(narrower.o_code)
        return m

    def _round_exact(self, m: Module, stage: _Stages) -> Signal:
        config = self.config
        psum = Signal(struct(psum_layout(config)))
        (word,) = stage("word", self.i_psum) if "word" in _extra(config) else (self.i_psum,)
        m.d.comb += psum.eq(word)

        # Sign and magnitude. |acc| < 2**(acc_bits - 1) within k_max.
        width = config.acc_bits - 1
        acc = psum.acc.as_signed()
        sign, magnitude = Signal(name="sign"), Signal(width, name="magnitude")
        special = Signal(config.special_bits)
        with m.If(self.i_en):
            m.d.sync += [sign.eq(acc < 0), magnitude.eq(Mux(acc < 0, -acc, acc)), special.eq(psum.special)]

        # Normalise, level by level. Padded so that guard and sticky bits exist in the narrowest sum; what no shift to
        # come can bring above the guard bit is collected in the lowest.
        value = Cat(Const(0, max(0, 26 - width)), magnitude)
        levels = range((len(value) - 1).bit_length())
        empties: list[Value] = []
        # Registers behind these levels: whether half of the bits are empty takes as long as two levels further on.
        cuts = {}
        if "fine" in _extra(config):
            cuts = {len(levels) - 1: "coarse", len(levels) - 3: "fine"}
        elif "coarse" in _extra(config):
            cuts = {len(levels) // 2: "coarse"}
        # Of the level before, if no register is between: its input and what was found.
        above: tuple[Value, Value] | None = None
        for level in reversed(levels):
            places = 1 << level
            empty, moved = Signal(name=f"empty_{level}"), Signal(len(value), name=f"normal_{level}")
            found = ~value[-places:].any()
            if above:
                # Looked for in both of what the level before may give, beside its choice.
                before, shifted = above
                below = before[: -2 * places][-places:]
                found = Mux(shifted, ~below.any(), ~before[-places:].any())
            m.d.comb += [
                empty.eq(found),
                moved.eq(Mux(empty, Cat(Const(0, places), value)[: len(value)], value)),
            ]
            above = value, empty
            empties.insert(0, empty)
            excess = len(moved) - (25 + places)
            value = Cat(moved[: excess + 1].any(), moved[excess + 1 :]) if excess > 0 else moved
            if level in cuts:
                value, empty_bits, sign, special = stage(cuts[level], value, Cat(empties), sign, special)
                empties = list(empty_bits)
                above = None
        zeros = Cat(empties)
        if "normalised" in _extra(config):
            value, zeros, sign, special = stage("normalised", value, zeros, sign, special)

        # Round. Every sum is a normal fp32 number: multiples of 2**product_lsb_exp, below 2**127.
        guard, rest = value[-25], value[:-25].any()
        increment = guard & (rest | value[-24])
        exponent = Signal(8)
        m.d.comb += exponent.eq(FP32.bias + config.product_lsb_exp + width - 2 - zeros)
        code = Signal(32)
        m.d.comb += code.eq(Cat(Const(0, 23), exponent) + value[-24:] + increment)
        fp32 = Signal(32)
        with m.If(self.i_en):
            with m.If(special.all()):
                m.d.sync += fp32.eq(FP32.nan)
            with m.Elif(special.any()):
                m.d.sync += fp32.eq(Cat(Const(FP32.inf, 31), special[-1]))
            with m.Elif(~value[-1]):
                m.d.sync += fp32.eq(0)
            with m.Else():
                m.d.sync += fp32.eq(Cat(code[:31], sign))
        return fp32
