"""What a divergence means: register contents in words, and the term of the GEMM a PE was working on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golden.array import Position
from golden.formats import code_dtype, decode
from golden.spec.config import EngineConfig
from golden.spec.encodings import (
    beat_layout,
    command_layout,
    operand_layout,
    product_layout,
    psum_layout,
    result_layout,
)
from golden.spec.trace import Field

__all__ = ["Difference", "Divergence", "decode_field"]

#: Differences listed in full; those of one cycle beyond it are counted.
LISTED = 6


def _scaled(sign: int, integer: int, exponent: int) -> str:
    """``(-1)**sign * integer * 2**exponent``, as a float; exponents beyond float64 stay in the text."""
    value = float(integer) * 2.0**exponent if -1000 < exponent < 900 else f"{integer} * 2**{exponent}"
    return f"{'-' if sign else ''}{value}"


def _operand(config: EngineConfig, bits: int) -> str:
    f = operand_layout(config).unpack(bits)
    if f["nan"]:
        return "nan"
    if f.get("inf"):
        return "-inf" if f["sign"] else "inf"
    return _scaled(f["sign"], f["significand"], f["exponent"] + config.operand_lsb_exp)


def _fp32(bits: int) -> str:
    return str(np.uint32(bits).view(np.float32))


def _psum(config: EngineConfig, bits: int) -> str:
    if not config.exact:
        return _fp32(bits)
    f = psum_layout(config).unpack(bits)
    acc = f["acc"] - (f["acc"] >> config.acc_bits - 1 << config.acc_bits)
    special = f["special"]
    if special == (1 << config.special_bits) - 1:
        return "nan"
    if special:
        return "-inf" if special == 2 else "inf"
    return _scaled(int(acc < 0), abs(acc), config.product_lsb_exp)


def _product(config: EngineConfig, bits: int) -> str:
    f = product_layout(config).unpack(bits)
    tags = " ".join(name for name in ("valid", "enable") if f[name]) or "idle"
    if config.exact:
        nan, inf = f["special"] == (1 << config.special_bits) - 1, f["special"]
    else:
        nan, inf = f["nan"], f.get("inf")
    value = _scaled(f["sign"], f["magnitude"], f["exponent"] + config.product_lsb_exp)
    return f"{'nan' if nan else ('-inf' if f['sign'] else 'inf') if inf else value} ({tags})"


def _beat(config: EngineConfig, bits: int) -> str:
    f = beat_layout(config).unpack(bits)
    tags = " ".join(name for name in ("valid", "enable", "swap", "load") if f[name]) or "idle"
    return f"{_operand(config, f['operand'])} ({tags})"


def _result(config: EngineConfig, bits: int, out_format: str) -> str:
    f = result_layout(config).unpack(bits)
    codes = np.array([f["codes"] >> 32 * col & 0xFFFFFFFF for col in range(config.cols)], np.uint32)
    values = decode(codes.astype(code_dtype(out_format)), out_format)
    return f"[{', '.join(str(value) for value in values)}]{' last' if f['last'] else ''}"


def decode_field(config: EngineConfig, field: Field, bits: int, out_format: str = "fp32") -> str:
    """The contents of a field of an engine's record, for a person; results are codes of ``out_format``."""
    if field.row is not None:
        decoders = {"beat": _beat, "product": _product, "psum": _psum}
        return decoders.get(field.name, _operand)(config, bits)
    if field.name == "o_result__payload":
        return _result(config, bits, out_format)
    if field.name == "i_command__payload":
        return " ".join(f"{name}={value}" for name, value in command_layout(config).unpack(bits).items())
    return str(bits)


@dataclass(frozen=True)
class Difference:
    """One signal that is not what the golden model says; binary text if the RTL's value has undefined bits."""

    field: Field
    expected: int
    actual: int | str

    @property
    def place(self) -> str:
        """``PE(row, col).register``, or the port's name."""
        if self.field.row is None:
            return f"port {self.field.name}"
        return f"PE({self.field.row}, {self.field.col}).{self.field.name}"


@dataclass(frozen=True)
class Divergence:
    """The first cycle in which RTL and golden model differ.

    Parameters
    ----------
    cycle : int
        Cycles after reset.
    differences : sequence of Difference
        Every signal that differs in it. Registers come before the ports they feed.
    position : Position or None
        The term the first PE's register belongs to.
    pass_offset : int
        Passes before the first of the matrix product in hand.
    gemm, out_format : str
        The matrix product in hand, and how its results are read out.
    """

    config: EngineConfig
    cycle: int
    differences: Sequence[Difference]
    position: Position | None = None
    pass_offset: int = 0
    gemm: str = ""
    out_format: str = "fp32"

    @property
    def first(self) -> Difference:
        """The place to look at: the PE nearest the north-west corner, else the first port."""
        registers = [d for d in self.differences if d.field.row is not None]
        return min(registers, key=lambda d: (d.field.row + d.field.col, d.field.row), default=self.differences[0])

    def lines(self) -> list[str]:
        """The report, a line each."""
        first = self.first
        lines = [f"RTL and golden model differ first in cycle {self.cycle}, at {first.place}"]
        if self.gemm:
            lines.append(f"  working on {self.gemm}")
        if self.position is not None:
            index, m, n, k = self.position
            lines.append(f"  pass {index - self.pass_offset}, m = {m}, n = {n}, k = {k}")
        rest = [d for d in self.differences if d is not first]
        for difference in [first, *rest][:LISTED]:
            digits = -(-difference.field.width // 4)
            lines.append(f"  {difference.place}")
            for name, bits in (("expected", difference.expected), ("actual", difference.actual)):
                if isinstance(bits, str):
                    lines.append(f"    {name:8} 0b{bits}  undefined")
                    continue
                text = decode_field(self.config, difference.field, bits, self.out_format)
                lines.append(f"    {name:8} 0x{bits:0{digits}x}  {text}")
        if len(rest) >= LISTED:
            lines.append(f"  and {len(rest) + 1 - LISTED} more signals in this cycle")
        return lines
