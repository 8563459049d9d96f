"""The arithmetic of one PE and of the read-out, bit for bit, on the packed layouts of ``arch.tensor.layouts``."""

from functools import cache
from typing import NamedTuple

import numpy as np

from arch.formats import FORMATS, Format
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import operand_layout, product_layout, psum_layout
from golden.checks import plain
from golden.numerics.conversions import check_codes, known_format
from golden.tensor import rounding

__all__ = ["add_products", "decode_operands", "multiply", "psum_words", "read_out", "round_psums"]


class Widths(NamedTuple):
    """The numbers of a configuration that the kernels compute with."""

    exact: int
    has_inf: int
    significand_bits: int
    exponent_bits: int
    product_exponent_bits: int
    product_lsb_exp: int
    acc_bits: int
    special_bits: int
    product_words: int
    psum_words: int


@cache
def widths(config: EngineConfig) -> Widths:
    """What the kernels need to know of a configuration."""
    return Widths(
        exact=int(config.exact),
        has_inf=int(config.has_inf),
        significand_bits=config.significand_bits,
        exponent_bits=config.exponent_bits,
        product_exponent_bits=config.product_exponent_bits,
        product_lsb_exp=config.product_lsb_exp,
        acc_bits=config.acc_bits if config.exact else 32,
        special_bits=config.special_bits if config.exact else 0,
        product_words=(product_layout(config).width + 31) // 32,
        psum_words=psum_words(config),
    )


def psum_words(config: EngineConfig) -> int:
    """32-bit words of one packed partial sum."""
    return (psum_layout(config).width + 31) // 32


@cache
def operand_table(fmt: Format, config: EngineConfig) -> np.ndarray:
    """The packed operand of every code: uint32[2**fmt.bits], read-only."""
    layout = operand_layout(config)
    codes = np.arange(1 << fmt.bits, dtype=np.int64)
    sign = codes >> (fmt.bits - 1)
    exponent = codes >> fmt.man_bits & fmt.exp_mask
    mantissa = codes & ((1 << fmt.man_bits) - 1)
    top = exponent == fmt.exp_mask
    if fmt.has_inf:
        inf, nan = top & (mantissa == 0), top & (mantissa != 0)
    else:
        inf, nan = np.zeros_like(top), top & (mantissa == (1 << fmt.man_bits) - 1)
    significand = np.where(inf | nan, 0, mantissa + (exponent > 0) * (1 << fmt.man_bits))
    exponent = np.maximum(exponent, 1) - fmt.bias - fmt.man_bits - config.operand_lsb_exp
    if config.integer_operands:
        significand, exponent = significand << exponent, np.zeros_like(exponent)
    elif not config.exact:
        hidden = 1 << (config.significand_bits - 1)
        for _ in range(config.significand_bits):
            low = (significand != 0) & (significand < hidden)
            significand, exponent = np.where(low, 2 * significand, significand), exponent - low
    fields = {
        "significand": significand,
        "exponent": np.where(significand == 0, 0, exponent),
        "sign": np.where(nan, 0, sign),
        "nan": nan,
        "inf": inf,
    }
    packed = sum(fields[name].astype(np.int64) << layout.offset(name) for name in layout.fields)
    table = packed.astype(np.uint32)
    table.flags.writeable = False
    return table


def decode_operands(codes: np.ndarray, fmt: str | Format, config: EngineConfig) -> np.ndarray:
    """Operands as the PEs hold them.

    Parameters
    ----------
    codes : uint8 or uint16[...]
        Codes of ``fmt``, of the dtype :func:`golden.numerics.conversions.code_dtype` gives.
    fmt : str or Format
        One of the formats of the configuration.

    Returns
    -------
    uint32[...]
        Packed by ``operand_layout``.
    """
    fmt = known_format("format", fmt, config.formats)
    codes = plain("codes", codes)
    check_codes("codes", codes, fmt)
    return operand_table(fmt, config)[codes]


def multiply(x_operands: np.ndarray, w_operands: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Exact products of packed operands.

    Parameters
    ----------
    x_operands, w_operands : uint32[...]
        Packed by ``operand_layout``; the shapes broadcast.

    Returns
    -------
    uint64[...]
        ``product_layout`` without its tags: ``magnitude`` is at bit 0.
    """
    x, w = np.broadcast_arrays(plain("x_operands", x_operands), plain("w_operands", w_operands))
    for name, operands in (("x_operands", x), ("w_operands", w)):
        if operands.dtype != np.uint32:
            raise TypeError(f"{name} must be uint32, not {operands.dtype}")
    payloads = np.empty(x.shape, np.uint64)
    # Copies: NumPy warns of who looks whether a broadcast array may be written to, as Numba does.
    rounding.multiply_all(np.array(x).reshape(-1), np.array(w).reshape(-1), widths(config), payloads.reshape(-1))
    return payloads


def add_products(psums: np.ndarray, products: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Partial sums after one enabled PE: ``psum + product``.

    ``exact``: fixed point, modulo ``2**acc_bits`` (which ``k_max`` products cannot reach), flags combined by OR.
    ``fp32``: one rounding to nearest even of the exact sum, that is ``fma(x, w, psum)``, with subnormals;
    NaN is canonical.

    Parameters
    ----------
    psums : uint32[..., psum_words(config)]
        Packed by ``psum_layout``, least significant word first.
    products : uint64[...]
        As :func:`multiply` returns them.

    Returns
    -------
    uint32[..., psum_words(config)]
    """
    psums, products = _checked_psums(psums, config), plain("products", products)
    if products.dtype != np.uint64:
        raise TypeError(f"products must be uint64, not {products.dtype}")
    shape = np.broadcast_shapes(psums.shape[:-1], products.shape)
    sums = np.array(np.broadcast_to(psums, (*shape, psums.shape[-1])), order="C")
    flat = np.ascontiguousarray(np.broadcast_to(products, shape)).reshape(-1)
    rounding.add_all(sums.reshape(-1, psums.shape[-1]), flat, widths(config))
    return sums


def round_psums(psums: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Finished sums as fp32 codes: exact sums to nearest even, an exact zero as +0, NaN as 0x7FC00000.

    Parameters
    ----------
    psums : uint32[..., psum_words(config)]
        Packed by ``psum_layout``, least significant word first.

    Returns
    -------
    uint32[...]
    """
    psums = _checked_psums(psums, config)
    codes = np.empty(psums.shape[:-1], np.uint32)
    rounding.round_all(np.ascontiguousarray(psums).reshape(-1, psums.shape[-1]), widths(config), codes.reshape(-1))
    return codes


def read_out(psums: np.ndarray, config: EngineConfig, fmt: str | Format, *, saturate: bool = True) -> np.ndarray:
    """Finished sums as the result port shows them: rounded to fp32, and that code rounded to ``fmt``.

    Equals ``golden.numerics.conversions.encode`` on the float32 values of :func:`round_psums`; written on integers
    alone, since the cycle model chooses the format row by row.

    Returns
    -------
    uint32[...]
        Codes of ``fmt``, zero-extended.
    """
    fmt = known_format("format", fmt, tuple(FORMATS))
    codes = round_psums(psums, config)
    rounding.narrow_all(codes.reshape(-1), narrow_table()[fmt.select], int(saturate))
    return codes


@cache
def narrow_table() -> np.ndarray:
    """What a conversion from fp32 needs of each format, by ``Format.select``: int64[4, 5], read-only."""
    table = np.zeros((len(FORMATS), 5), np.int64)
    for fmt in FORMATS.values():
        table[fmt.select] = (fmt.man_bits, fmt.bias, fmt.max_code, fmt.nan, fmt.inf if fmt.has_inf else fmt.nan)
    table.flags.writeable = False
    return table


def _checked_psums(psums: np.ndarray, config: EngineConfig) -> np.ndarray:
    psums = plain("psums", psums)
    words = psum_words(config)
    if psums.dtype != np.uint32:
        raise TypeError(f"psums must be uint32, not {psums.dtype}")
    if psums.ndim < 1 or psums.shape[-1] != words:
        raise ValueError(f"psums must have {words} words along the last axis, not shape {psums.shape}")
    return psums
