"""Read-out rounding of one column: a partial sum becomes an fp32 code, then a code of the result format."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FP32, SELECT_BITS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout
from hw.arithmetic.narrower import Narrower
from hw.arithmetic.stages import Stages, extra_stages, narrow_stages, round_stages
from hw.lib.blocks import place, struct

__all__ = ["Rounder"]

#: Bits of an fp32 significand, hidden bit included.
SIGNIFICAND = FP32.man_bits + 1
#: What rounding looks at: a guard bit, and a sticky bit for all below it.
KEPT = SIGNIFICAND + 2


class _Sum(NamedTuple):
    """A sum on its way: its size, how many places it was moved up by (bits, lowest first), its sign, and its flags."""

    size: Value
    moved: Value
    sign: Value
    special: Value


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
        self.extra = extra_stages(config)
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
        stage = Stages(m, self.i_en)
        if self.config.exact:
            value = self._normalised(m, stage, self._sign_and_size(m, stage))
            if "normalised" in self.extra:
                value = _Sum(*stage("normalised", *value))
            fp32 = self._rounded(m, value)
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

    def _sign_and_size(self, m: Module, stage: Stages) -> _Sum:
        """A register behind them. |acc| < 2**(acc_bits - 1) within k_max."""
        psum = Signal(struct(psum_layout(self.config)))
        (word,) = stage("word", self.i_psum) if "word" in self.extra else (self.i_psum,)
        m.d.comb += psum.eq(word)
        width = self.config.acc_bits - 1
        acc = psum.acc.as_signed()
        sign, magnitude = Signal(name="sign"), Signal(width, name="magnitude")
        special = Signal(self.config.special_bits)
        with m.If(self.i_en):
            m.d.sync += [sign.eq(acc < 0), magnitude.eq(Mux(acc < 0, -acc, acc)), special.eq(psum.special)]
        # Padded below, so that the narrowest sum has a guard and a sticky bit.
        return _Sum(Cat(Const(0, max(0, KEPT - width)), magnitude), Const(0, 0), sign, special)

    def _normalised(self, m: Module, stage: Stages, value: _Sum) -> _Sum:
        """Moved up until its top bit is set: by half of its bits if those are empty, then by a quarter, and so on."""
        levels = range((len(value.size) - 1).bit_length())
        # The levels with a register behind them. The first one looks at half of all bits, which takes as long as the
        # two levels after it: of two registers, one stands behind it and one behind those two.
        cuts = {}
        if "fine" in self.extra:
            cuts = {len(levels) - 1: "coarse", len(levels) - 3: "fine"}
        elif "coarse" in self.extra:
            cuts = {len(levels) // 2: "coarse"}
        # Of the level before, unless a register is between: what it was given, and whether it moves that.
        above: tuple[Value, Value] | None = None
        for level in reversed(levels):
            given = value.size
            empty, size = self._level(m, level, given, above)
            value = value._replace(size=size, moved=Cat(empty, value.moved))
            above = given, empty
            if level in cuts:
                value, above = _Sum(*stage(cuts[level], *value)), None
        return value

    def _level(self, m: Module, level: int, size: Value, above: tuple[Value, Value] | None) -> tuple[Value, Value]:
        """Whether the top ``2**level`` bits are empty, and the size moved up by as many places if they are."""
        places = 1 << level
        empty, moved = Signal(name=f"empty_{level}"), Signal(len(size), name=f"normal_{level}")
        found = ~size[-places:].any()
        if above:
            # While the level above still decides, both of what it may give are looked at; then the right one counts.
            given, is_moved = above
            below = given[: -2 * places][-places:]
            found = Mux(is_moved, ~below.any(), ~given[-places:].any())
        m.d.comb += [
            empty.eq(found),
            moved.eq(Mux(empty, Cat(Const(0, places), size)[: len(size)], size)),
        ]
        # The levels below move by less than ``places`` in all: bits that this cannot bring up to the guard bit are
        # collected in the lowest, which is the sticky bit.
        excess = len(moved) - (KEPT - 1 + places)
        return empty, Cat(moved[: excess + 1].any(), moved[excess + 1 :]) if excess > 0 else moved

    def _rounded(self, m: Module, value: _Sum) -> Signal:
        """The fp32 code, a register. Every sum is a normal number: a multiple of 2**product_lsb_exp, below 2**127."""
        size, special = value.size, value.special
        guard, rest = size[-KEPT + 1], size[: -KEPT + 1].any()
        increment = guard & (rest | size[-SIGNIFICAND])
        exponent = Signal(FP32.exp_bits)
        # The hidden bit and the carry of rounding are added to it.
        top = FP32.bias + self.config.product_lsb_exp + self.config.acc_bits - 3
        m.d.comb += exponent.eq(top - value.moved)
        code = Signal(FP32.bits)
        m.d.comb += code.eq(Cat(Const(0, FP32.man_bits), exponent) + size[-SIGNIFICAND:] + increment)
        fp32 = Signal(FP32.bits)
        with m.If(self.i_en):
            with m.If(special.all()):
                m.d.sync += fp32.eq(FP32.nan)
            with m.Elif(special.any()):
                m.d.sync += fp32.eq(Cat(Const(FP32.inf, FP32.bits - 1), special[-1]))
            with m.Elif(~size[-1]):
                m.d.sync += fp32.eq(0)
            with m.Else():
                m.d.sync += fp32.eq(Cat(code[:-1], value.sign))
        return fp32
