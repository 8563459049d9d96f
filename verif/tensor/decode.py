"""Contents of the fields of a record, in words."""

from collections.abc import Sequence

import numpy as np

from arch.formats import FORMATS
from arch.layout import Layout
from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import (
    beat_layout,
    command_layout,
    finish_layout,
    operand_layout,
    product_layout,
    psum_layout,
    read_layout,
    readout_layout,
    result_layout,
    seed_layout,
    store_layout,
)
from golden.numerics.conversions import code_dtype, decode

__all__ = ["decode_field", "in_hex", "psum_integer", "weight_pipes"]

#: Decoded as a request: "valid" and what comes with it.
REQUESTS = {"seed_request": seed_layout, "store": store_layout, "read_request": read_layout, "finish": finish_layout}


def in_hex(field: Field, bits: int) -> str:
    """All digits of a field."""
    return f"0x{bits:0{-(-field.width // 4)}x}"


def weight_pipes(config: EngineConfig) -> Layout:
    """A column's weights where it has several pipes; one alone is its operand."""
    width = operand_layout(config).width
    return Layout(**{f"pipe {index}": width for index in range(config.rows_per_load_cycle)})


def psum_integer(config: EngineConfig, bits: int) -> int:
    """An exact sum, in units of ``2**product_lsb_exp``; its flags left out."""
    acc = bits & (1 << config.acc_bits) - 1
    return acc - (acc >> config.acc_bits - 1 << config.acc_bits)


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
    special = psum_layout(config).unpack(bits)["special"]
    acc = psum_integer(config, bits)
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


def _result(config: EngineConfig, bits: int, out_format: str, columns: Sequence[int] | None) -> str:
    f = result_layout(config).unpack(bits)
    codes = np.array([f["codes"] >> 32 * col & 0xFFFFFFFF for col in range(config.cols)], np.uint32)
    codes = codes.astype(code_dtype(out_format))
    if not columns:
        return f"[{', '.join(str(value) for value in decode(codes, out_format))}]{' last' if f['last'] else ''}"
    digits = FORMATS[out_format].bits // 4
    return ", ".join(f"column {c}: 0x{codes[c]:0{digits}x} {decode(codes[c : c + 1], out_format)[0]}" for c in columns)


def _mode(f: dict[str, int]) -> str:
    fmt = next(fmt.name for fmt in FORMATS.values() if fmt.select == f["select"])
    saturate = ", saturating" if f["saturate"] else ""
    return f"{f['columns']} columns to {fmt}{saturate}{', last row' if f['end'] else ''}"


def _request(f: dict[str, int]) -> str:
    if not f["valid"]:
        return "none"
    if f.get("first"):
        return "start from zero"
    return f"PSUM row {f['address']}" + (f", {_mode(f)}" if "select" in f else "")


def decode_field(
    config: EngineConfig, field: Field, bits: int, out_format: str = "fp32", columns: Sequence[int] | None = None
) -> str:
    """The contents of a field of an engine's record, for a person.

    Results are codes of ``out_format``: those of ``columns``, with their code, or all of them.
    """
    if field.name in ("weight", "north") and config.rows_per_load_cycle > 1:
        return ", ".join(_operand(config, pipe) for pipe in weight_pipes(config).unpack(bits).values())
    if field.name in ("weight", "shadow", "active", "north"):
        return _operand(config, bits)
    if field.name in ("beat", "west"):
        return _beat(config, bits)
    if field.name in ("psum", "seed", "stored", "read"):
        return _psum(config, bits)
    if field.name == "product":
        return _product(config, bits)
    if field.name in REQUESTS:
        layout = REQUESTS[field.name](config)
        return _request(layout.unpack(bits))
    if field.name == "finishing":
        return _mode(readout_layout(config).unpack(bits)) if bits else "none"
    if field.name == "o_result__payload":
        return _result(config, bits, out_format, columns)
    if field.name == "i_command__payload":
        return " ".join(f"{name}={value}" for name, value in command_layout(config).unpack(bits).items())
    return str(bits)
