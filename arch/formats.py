"""Number formats as data: the only place that says what a code's bits are."""

from dataclasses import dataclass

__all__ = ["ACCUMULATIONS", "BF16", "E4M3", "E5M2", "FORMATS", "FP32", "OPERAND_FORMATS", "SELECT_BITS", "Format"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A binary floating-point format, sign-exponent-mantissa from the most significant bit down.

    A finite code with biased exponent field ``e`` and mantissa field ``f`` stands for
    ``(-1)**sign * (f + 2**man_bits * (e > 0)) * 2**(max(e, 1) - bias - man_bits)``: subnormals count.

    Parameters
    ----------
    name : str
        The name used on the command line and in configurations.
    select : int
        The code of the format in a command's ``x_format``, ``w_format`` and ``out_format`` fields.
    exp_bits, man_bits, bias : int
        Field widths and exponent bias.
    has_inf : bool
        True: the top exponent is kept for Inf (``f == 0``) and NaN (``f != 0``), as in IEEE 754.
        False: the top exponent holds finite numbers, but for the all-ones code of each sign, a NaN.
    nan : int
        The one code that results carry for NaN.
    """

    name: str
    select: int
    exp_bits: int
    man_bits: int
    bias: int
    has_inf: bool
    nan: int

    @property
    def bits(self) -> int:
        """Width of a code, sign included."""
        return 1 + self.exp_bits + self.man_bits

    @property
    def bytes(self) -> int:
        """Bytes of one code in memory."""
        return self.bits // 8

    @property
    def exp_mask(self) -> int:
        """The exponent field of all ones."""
        return (1 << self.exp_bits) - 1

    @property
    def max_exp(self) -> int:
        """Biased exponent of the largest finite number."""
        return self.exp_mask - 1 if self.has_inf else self.exp_mask

    @property
    def max_code(self) -> int:
        """Code of the largest finite number."""
        mantissa = (1 << self.man_bits) - 1
        return self.max_exp << self.man_bits | (mantissa if self.has_inf else mantissa - 1)

    @property
    def max_value(self) -> float:
        """The largest finite number."""
        significand = (1 << self.man_bits) + (self.max_code & ((1 << self.man_bits) - 1))
        return significand * 2.0 ** (self.max_exp - self.bias - self.man_bits)

    @property
    def lsb_exp(self) -> int:
        """Exponent (of two) of the least significant bit of a subnormal: every number is a multiple of it."""
        return 1 - self.bias - self.man_bits

    @property
    def inf(self) -> int | None:
        """Code of +Inf, or None where the format has none."""
        return self.exp_mask << self.man_bits if self.has_inf else None


FP32 = Format(name="fp32", select=0, exp_bits=8, man_bits=23, bias=127, has_inf=True, nan=0x7FC00000)
BF16 = Format(name="bf16", select=1, exp_bits=8, man_bits=7, bias=127, has_inf=True, nan=0x7FC0)
E4M3 = Format(name="e4m3", select=2, exp_bits=4, man_bits=3, bias=7, has_inf=False, nan=0x7F)
E5M2 = Format(name="e5m2", select=3, exp_bits=5, man_bits=2, bias=15, has_inf=True, nan=0x7F)

#: Every format by name. Operands are any but fp32; results may be any.
FORMATS = {fmt.name: fmt for fmt in (FP32, BF16, E4M3, E5M2)}
#: Width of ``Format.select``.
SELECT_BITS = max(fmt.select for fmt in FORMATS.values()).bit_length()
#: ``exact``: fixed point, never rounds before read-out. ``fp32``: a chain of fused multiply-adds.
ACCUMULATIONS = ("exact", "fp32")
#: Formats an array can be built for, in the order every listing uses.
OPERAND_FORMATS = ("e4m3", "e5m2", "bf16")
