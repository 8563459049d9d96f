"""Read-out rounding of one column: a partial sum becomes an fp32 code, then a code of the result format."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import psum_layout
from golden.spec.formats import FORMATS, FP32
from hw.arithmetic.leading_zeros import leading_zeros
from hw.blocks import place, struct

__all__ = ["Narrower", "Rounder"]


class Narrower(wiring.Component):
    """Converts an fp32 code to the format selected: to nearest even, subnormals included. fp32 passes unchanged.

    ``saturate``: overflow and Inf become the largest finite number. Otherwise overflow becomes Inf, or NaN in a
    format without Inf. NaN becomes the format's canonical code, with a positive sign.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_fp32 : ``In(32)``
        The fp32 code; a NaN is the canonical one.
    i_select : ``In(2)``
        ``Format.select`` of the result.
    i_saturate : ``In(1)``
        See above.
    o_code : ``Out(32)``
        The result's code, zero-extended.
    """

    module_name = "narrower"
    COMBINATIONAL = True
    #: Narrow formats by ``select``; fp32's place is taken by any, since it is passed through.
    TARGETS = tuple(
        next((fmt for fmt in FORMATS.values() if fmt.select == select and fmt is not FP32), FORMATS["bf16"])
        for select in range(4)
    )

    def __init__(self):
        super().__init__({"i_fp32": In(32), "i_select": In(2), "i_saturate": In(1), "o_code": Out(32)})

    def _choose(self, m: Module, name: str, shape, facts) -> Signal:
        """A fact of the selected format, as a signal."""
        chosen = Signal(shape, name=name)
        m.d.comb += chosen.eq(self._selected([Const(fact, shape) for fact in facts]))
        return chosen

    def _selected(self, values: list[Value]) -> Value:
        """The one of four values that belongs to the selected format."""
        low, high = (Mux(self.i_select[0], odd, even) for even, odd in (values[:2], values[2:]))
        return Mux(self.i_select[1], high, low)

    def elaborate(self, platform):
        m = Module()
        targets = self.TARGETS
        bias = self._choose(m, "bias", 8, [fmt.bias for fmt in targets])
        dropped = self._choose(m, "dropped", 5, [FP32.man_bits - fmt.man_bits for fmt in targets])
        max_code = self._choose(m, "max_code", 16, [fmt.max_code for fmt in targets])
        over = self._choose(m, "over", 16, [fmt.inf if fmt.has_inf else fmt.nan for fmt in targets])
        nan = self._choose(m, "nan", 16, [fmt.nan for fmt in targets])

        field, fraction = self.i_fp32[23:31], self.i_fp32[:23]
        exponent = Signal(signed(10))
        subnormal = Signal()
        shift = Signal(5)
        below = Signal(signed(10))
        m.d.comb += [
            # Biased exponent in the target format; an fp32 subnormal has that of the smallest normal.
            exponent.eq(Mux(field.any(), field, 1) - FP32.bias + bias),
            subnormal.eq(exponent < 1),
            below.eq(Mux(subnormal, 1 - exponent, 0)),
            # 25 places leave nothing but the sticky bit.
            shift.eq(Mux(below + dropped > 25, 25, below + dropped)),
        ]
        # 24 bits of significand above 25 bits that collect what is dropped.
        shifted = Signal(49)
        m.d.comb += shifted.eq(Cat(Const(0, 25), fraction, field.any()) >> shift)
        kept, guard, rest = shifted[25:], shifted[24], shifted[:24].any()

        # The hidden bit of a normal number adds one to the exponent field; so does a carry out of rounding.
        base = Signal(16)
        m.d.comb += base.eq(
            Mux(
                subnormal,
                0,
                self._selected([(exponent - 1)[:8] << fmt.man_bits for fmt in targets]),
            )
        )
        rounded = Signal(25)
        m.d.comb += rounded.eq(base + kept + (guard & (rest | kept[0])))

        magnitude = Signal(16)
        sign = self.i_fp32[31]
        is_inf = field.all() & ~fraction.any()
        is_nan = field.all() & fraction.any()
        m.d.comb += magnitude.eq(Mux(is_inf | (rounded > max_code), Mux(self.i_saturate, max_code, over), rounded[:16]))
        # A NaN's sign is positive, that of an overflow in a format without Inf included.
        signed_codes = [magnitude | ((sign & (magnitude != nan)) << (fmt.bits - 1)) for fmt in targets]
        with m.If(self.i_select == FP32.select):
            m.d.comb += self.o_code.eq(self.i_fp32)
        with m.Elif(is_nan):
            m.d.comb += self.o_code.eq(nan)
        with m.Else():
            m.d.comb += self.o_code.eq(self._selected(signed_codes))
        return m


class Rounder(wiring.Component):
    """Rounds finished sums of one column.

    An exact sum is rounded to fp32 once, to nearest even; zero is +0, NaN canonical. An fp32 sum passes. The fp32 code
    is then converted to the result format.

    Latency: 2 cycles in which ``i_en`` is high, from ``i_psum`` to ``o_code``.
    Throughput: one sum per cycle with ``i_en`` high.

    Members
    -------
    i_en : ``In(1)``
        Moves the pipeline.
    i_psum : ``In(psum_layout(config))``
        The sum.
    i_select, i_saturate : ``In``
        See ``Narrower``; taken 2 enabled cycles after ``i_psum``, with the code.
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
                "i_select": In(2),
                "i_saturate": In(1),
                "o_code": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fp32 = Signal(32)
        if self.config.exact:
            self._round_exact(m, fp32)
        else:
            stage = Signal(32)
            with m.If(self.i_en):
                m.d.sync += [stage.eq(self.i_psum), fp32.eq(stage)]
        narrower = place(m, "narrower", Narrower, i_fp32=fp32, i_select=self.i_select, i_saturate=self.i_saturate)
        m.d.comb += self.o_code.eq(narrower.o_code)
        return m

    def _round_exact(self, m: Module, fp32: Signal) -> None:
        config = self.config
        psum = Signal(struct(psum_layout(config)))
        m.d.comb += psum.eq(self.i_psum)

        # Stage 1: sign and magnitude. |acc| < 2**(acc_bits - 1) within k_max.
        width = config.acc_bits - 1
        acc = psum.acc.as_signed()
        sign, magnitude = Signal(name="sign"), Signal(width, name="magnitude")
        special = Signal(config.special_bits)
        with m.If(self.i_en):
            m.d.sync += [sign.eq(acc < 0), magnitude.eq(Mux(acc < 0, -acc, acc)), special.eq(psum.special)]

        # Stage 2: normalise and round. Padded so that guard and sticky bits exist in the narrowest sum.
        frame = max(width, 26)
        zeros = leading_zeros(m, magnitude, "magnitude")
        shifted = Signal(frame)
        m.d.comb += shifted.eq((magnitude << (frame - width)) << zeros)
        guard, rest = shifted[-25], shifted[:-25].any()
        increment = guard & (rest | shifted[-24])
        # Every sum is a normal fp32 number: multiples of 2**product_lsb_exp, below 2**127.
        exponent = Signal(8)
        m.d.comb += exponent.eq(FP32.bias + config.product_lsb_exp + width - 2 - zeros)
        code = Signal(32)
        m.d.comb += code.eq(Cat(Const(0, 23), exponent) + shifted[-24:] + increment)
        nan = special.all()
        with m.If(self.i_en):
            with m.If(nan):
                m.d.sync += fp32.eq(FP32.nan)
            with m.Elif(special.any()):
                m.d.sync += fp32.eq(Cat(Const(FP32.inf, 31), special[-1]))
            with m.Elif(~magnitude.any()):
                m.d.sync += fp32.eq(0)
            with m.Else():
                m.d.sync += fp32.eq(Cat(code[:31], sign))
