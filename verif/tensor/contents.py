"""What the signals of a tensor engine hold, in words."""

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import (
    beat_layout,
    operand_layout,
    order_layout,
    pipes_layout,
    product_layout,
    psum_layout,
    read_layout,
    readout_layout,
    result_layout,
    seed_layout,
    store_layout,
)
from golden.numerics.conversions import code_dtype, decode
from verif.simulation.window import Moment, in_hex

__all__ = [
    "beat",
    "columns",
    "operand",
    "order",
    "order_read",
    "pipes",
    "product",
    "psum",
    "psum_integer",
    "read_request",
    "result",
    "seed_request",
    "shown_result",
    "store",
]

#: Columns of a result row that are shown.
SHOWN = 4


def psum_integer(config: EngineConfig, bits: int) -> int:
    """An exact sum, in units of ``2**product_lsb_exp``; its flags left out."""
    acc = bits & (1 << config.acc_bits) - 1
    return acc - (acc >> config.acc_bits - 1 << config.acc_bits)


def _scaled(sign: int, integer: int, exponent: int) -> str:
    """``(-1)**sign * integer * 2**exponent``, as a float; exponents beyond float64 stay in the text."""
    value = float(integer) * 2.0**exponent if -1000 < exponent < 900 else f"{integer} * 2**{exponent}"
    return f"{'-' if sign else ''}{value}"


def operand(config: EngineConfig, bits: int) -> str:
    """A decoded operand."""
    f = operand_layout(config).unpack(bits)
    if f["nan"]:
        return "nan"
    if f.get("inf"):
        return "-inf" if f["sign"] else "inf"
    return _scaled(f["sign"], f["significand"], f["exponent"] + config.operand_lsb_exp)


def _fp32(bits: int) -> str:
    return str(np.uint32(bits).view(np.float32))


def pipes(config: EngineConfig, bits: int) -> str:
    """A column's weights on their way."""
    if config.rows_per_load_cycle == 1:
        return operand(config, bits)
    return ", ".join(operand(config, pipe) for pipe in pipes_layout(config).unpack(bits).values())


def psum(config: EngineConfig, bits: int) -> str:
    """A partial sum."""
    if not config.exact:
        return _fp32(bits)
    special = psum_layout(config).unpack(bits)["special"]
    acc = psum_integer(config, bits)
    if special == (1 << config.special_bits) - 1:
        return "nan"
    if special:
        return "-inf" if special == 2 else "inf"
    return _scaled(int(acc < 0), abs(acc), config.product_lsb_exp)


def product(config: EngineConfig, bits: int) -> str:
    """A product and its tags."""
    f = product_layout(config).unpack(bits)
    tags = " ".join(name for name in ("valid", "enable") if f[name]) or "idle"
    if config.exact:
        nan, inf = f["special"] == (1 << config.special_bits) - 1, f["special"]
    else:
        nan, inf = f["nan"], f.get("inf")
    value = _scaled(f["sign"], f["magnitude"], f["exponent"] + config.product_lsb_exp)
    return f"{'nan' if nan else ('-inf' if f['sign'] else 'inf') if inf else value} ({tags})"


def beat(config: EngineConfig, bits: int) -> str:
    """An activation and its tags."""
    f = beat_layout(config).unpack(bits)
    tags = " ".join(name for name in ("valid", "enable", "swap", "load") if f[name]) or "idle"
    return f"{operand(config, f['operand'])} ({tags})"


def _codes(config: EngineConfig, bits: int) -> list[int]:
    codes = result_layout(config).unpack(bits)["codes"]
    return [codes >> 32 * col & 0xFFFFFFFF for col in range(config.cols)]


def _value(code: int, out_format: str) -> str:
    """A result's code as a number, if it has no bits beside the format's."""
    if code >> FORMATS[out_format].bits:
        return f"no {out_format} code"
    return str(decode(np.array([code]).astype(code_dtype(out_format)), out_format)[0])


def result(config: EngineConfig, bits: int, out_format: str = "fp32") -> str:
    """A whole result row, its codes of ``out_format``."""
    last = " last" if result_layout(config).unpack(bits)["last"] else ""
    return f"[{', '.join(_value(code, out_format) for code in _codes(config, bits))}]{last}"


def columns(at: Moment) -> list[int]:
    """The columns of a result row that differ."""
    return [col for col in range(at.config.cols) if at.differs >> 32 * col & 0xFFFFFFFF]


def shown_result(at: Moment, bits: int) -> str:
    """The columns of a result row that differ, with their codes; the row where none does."""
    out_format, wrong = at.window.jobs[at.window.job].out_format, columns(at)
    if not wrong:
        return f"{in_hex(at.field, bits)}  {result(at.config, bits, out_format)}"
    codes, digits = _codes(at.config, bits), FORMATS[out_format].bits // 4
    texts = [f"column {c}: 0x{codes[c]:0{digits}x} {_value(codes[c], out_format)}" for c in wrong[:SHOWN]]
    more = f", {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return f"{', '.join(texts)}{more}"


def _row(f: dict[str, int]) -> str:
    return f"PSUM row {f['address']}" if f["valid"] else "none"


def seed_request(config: EngineConfig, bits: int) -> str:
    """A request for a seed."""
    f = seed_layout(config).unpack(bits)
    return "start from zero" if f["valid"] and not f["adds"] else _row(f)


def store(config: EngineConfig, bits: int) -> str:
    """A request to store."""
    return _row(store_layout(config).unpack(bits))


def read_request(config: EngineConfig, bits: int) -> str:
    """The read-out's request."""
    return _row(read_layout(config).unpack(bits))


def _mode(f: dict[str, int]) -> str:
    fmt = next(fmt.name for fmt in FORMATS.values() if fmt.select == f["select"])
    saturate = ", saturating" if f["saturate"] else ""
    return f"{f['columns']} columns to {fmt}{saturate}{', last row' if f['end'] else ''}"


def order(config: EngineConfig, bits: int) -> str:
    """An order to read a row out."""
    f = order_layout(config).unpack(bits)
    return f"{_row(f)}, {_mode(f)}" if f["valid"] else "none"


def order_read(config: EngineConfig, bits: int) -> str:
    """The order as the read-out finds it."""
    return _mode(readout_layout(config).unpack(bits)) if bits else "none"
