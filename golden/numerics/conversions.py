"""Conversions between float32 values and the codes of the formats in ``arch.formats``."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from arch.formats import FORMATS, FP32, Format
from golden.checks import plain
from golden.kernels import kernel

__all__ = [
    "DecodeRule",
    "check_codes",
    "code_dtype",
    "decode",
    "decode_block",
    "encode",
    "known_format",
    "resolve",
    "unit_rule",
    "value_rule",
]

_U32 = np.uint32
_SIGN, _MAGNITUDE = _U32(1 << 31), _U32((1 << 31) - 1)


def resolve(fmt: str | Format) -> Format:
    """The format of that name, or the format itself.

    Raises: ValueError for an unknown name, or a format of one's own whose codes do not fill 8, 16 or 32 bits or whose
    numbers are not all float32.
    """
    if isinstance(fmt, Format):
        _check_convertible(fmt)
        return fmt
    if fmt not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {fmt!r}")
    return FORMATS[fmt]


@cache
def _check_convertible(fmt: Format) -> None:
    if fmt.bits not in (8, 16, 32):
        raise ValueError(f"format must have codes of 8, 16 or 32 bits, not {fmt.bits} as {fmt.name}")
    if fmt.exp_bits < 1 or not 1 <= fmt.man_bits <= FP32.man_bits:
        raise ValueError(f"format must have 1 to {FP32.man_bits} bits of mantissa, and an exponent, not {fmt}")
    # So the least normal number is a normal float32, and what the conversions add to it is finite.
    if not 0 <= fmt.bias <= FP32.bias or fmt.max_exp - fmt.bias > FP32.max_exp - FP32.bias:
        raise ValueError(f"format must have a bias of 0 to {FP32.bias} and no exponent above float32's, not {fmt}")
    if not fmt.max_code < fmt.nan < 1 << fmt.bits - 1 or fmt.nan == fmt.inf:
        raise ValueError(f"format must have a positive code for NaN that no number has, not {fmt}")


def known_format(name: str, fmt: str | Format, names: Sequence[str]) -> Format:
    """The format, if it is one of ``FORMATS`` and its name among those; ValueError otherwise."""
    label = fmt.name if isinstance(fmt, Format) else fmt
    if label not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}, not {label!r}")
    if isinstance(fmt, Format) and fmt != FORMATS[label]:
        raise ValueError(f"{name} must be {FORMATS[label]}, not another format of that name, {fmt}")
    return FORMATS[label]


@cache
def code_dtype(fmt: str | Format) -> np.dtype:
    """The unsigned dtype that holds one code."""
    return np.dtype(f"u{resolve(fmt).bytes}")


def encode(values: np.ndarray, fmt: str | Format, *, saturate: bool = True) -> np.ndarray:
    """Round float32 values to codes of ``fmt``, to nearest even, with gradual underflow.

    Parameters
    ----------
    values : float32[...]
        Any shape. float64 is refused: it would be rounded twice on its way through float32.
    fmt : str or Format
        ``"e4m3"``, ``"e5m2"``, ``"bf16"`` or ``"fp32"``, or a format of one's own that :func:`resolve` takes.
    saturate : bool
        True: overflow and Inf become the largest finite number of that sign.
        False: they become Inf, or NaN where the format has no Inf.
        To fp32 nothing is converted, and Inf stays.

    Returns
    -------
    uint8, uint16 or uint32[...]
        NaN of either sign becomes the one code ``fmt.nan``; zeros keep their sign.

    Raises
    ------
    TypeError
        If ``values`` is not float32, or masked.
    ValueError
        If the format is unknown.
    """
    fmt = resolve(fmt)
    values = plain("values", values)
    if values.dtype != np.float32:
        raise TypeError(f"values must be float32, not {values.dtype}")
    codes = np.empty(values.shape, code_dtype(fmt))
    _encoder(fmt, bool(saturate) and fmt != FP32)(
        np.ascontiguousarray(values).reshape(-1).view(_U32), codes.reshape(-1)
    )
    return codes


def decode(codes: np.ndarray, fmt: str | Format) -> np.ndarray:
    """The float32 values of codes: exact, since every number of every format is a float32.

    Parameters
    ----------
    codes : uint8, uint16 or uint32[...]
        Any shape, of the dtype :func:`code_dtype` gives.
    fmt : str or Format
        As for :func:`encode`.

    Returns
    -------
    float32[...]
        Every NaN code becomes the quiet NaN 0x7FC00000; zeros keep their sign.

    Raises
    ------
    TypeError
        If the dtype is not the format's, or the array is masked.
    ValueError
        If the format is unknown.
    """
    fmt = resolve(fmt)
    codes = plain("codes", codes)
    check_codes("codes", codes, fmt)
    values = np.empty(codes.shape, np.float32)
    decode_block(np.ascontiguousarray(codes).reshape(1, -1), 0, 0, value_rule(fmt), values.reshape(1, 1, -1))
    return values


def check_codes(name: str, codes: np.ndarray, fmt: Format) -> None:
    """Raise TypeError unless an array has the dtype of the format's codes."""
    if codes.dtype != code_dtype(fmt):
        raise TypeError(f"{name} must be {code_dtype(fmt)} codes of {fmt.name}, not {codes.dtype}")


# numba widens every integer operation to 64 bits: the casts below keep 32-bit lanes.


@cache
def _encoder(fmt: Format, saturate: bool) -> Callable[[np.ndarray, np.ndarray], None]:
    """A kernel ``(bits: uint32[N], codes: uint[N])`` that fills ``codes``.

    Adding just under half a unit, plus the kept part's last bit, and truncating rounds to nearest even;
    a carry out of the mantissa increments the exponent, as it must. Below the smallest normal number the
    unit stops shrinking: adding ``magic``, whose unit in the last place is the format's smallest subnormal,
    makes the float32 adder round there, and the sum's low bits are the code, the first normal included.
    """
    drop = FP32.man_bits - fmt.man_bits
    shift = _U32(drop)
    below_half = _U32((1 << drop >> 1) - 1 if drop else 0)
    lsb = _U32(1 if drop else 0)
    rebias = _U32(FP32.bias - fmt.bias << FP32.man_bits)
    # A format with float32's own exponents needs no second rule: the first rounds subnormals as well.
    subnormal_below = _U32(FP32.bias + 1 - fmt.bias << FP32.man_bits if fmt.bias != FP32.bias else 0)
    magic_bits = _U32(FP32.bias + fmt.lsb_exp + FP32.man_bits << FP32.man_bits if fmt.bias != FP32.bias else 0)
    magic = magic_bits.view(np.float32)
    max_code = _U32(fmt.max_code)
    nan = _U32(fmt.nan)
    over = _U32(fmt.max_code if saturate else fmt.inf if fmt.has_inf else fmt.nan)
    sign_shift = _U32(32 - fmt.bits)
    sign_mask = _U32(1 << fmt.bits - 1)
    inf = _U32(FP32.inf)
    fp32_mask = _U32(0x7FFFFFFF)

    @kernel(nogil=True)
    def encode_bits(bits, codes):
        for i in range(bits.size):
            magnitude = _U32(bits[i] & fp32_mask)
            odd = _U32(_U32(magnitude >> shift) & lsb)
            normal = _U32(_U32(_U32(magnitude - rebias) + _U32(below_half + odd)) >> shift)
            summed = np.float32(_U32(magnitude).view(np.float32) + magic)
            subnormal = _U32(np.float32(summed).view(_U32) - magic_bits)
            code = subnormal if magnitude < subnormal_below else normal
            code = over if code > max_code else code
            code = nan if magnitude > inf else code
            sign = _U32(_U32(bits[i] >> sign_shift) & sign_mask)
            codes[i] = code if code == nan else _U32(code | sign)

    return encode_bits


class DecodeRule(NamedTuple):
    """What ``decode_block`` knows of a format, as it uses it: codes are moved to the top of 32 bits first.

    The sign is then where float32 has it, the exponent ``shift`` bits too high.
    """

    #: Places to the top, and from there down to float32's exponent.
    up: np.uint32
    shift: np.uint32
    #: What a normal number's float32 bits exceed its aligned ones by.
    rebias: np.uint32
    #: The float32 bits of the smallest normal number; magnitudes below which numbers are subnormal.
    hidden: np.uint32
    subnormal_below: np.uint32
    #: Magnitudes that are numbers: below they count as 0; above they are Inf or NaN, with these float32 bits.
    least: np.uint32
    most: np.uint32
    inf: np.uint32
    inf_bits: np.uint32
    nan_bits: np.uint32


@cache
def value_rule(fmt: Format) -> DecodeRule:
    """To the values of the codes, Inf and NaN included."""
    return _rule(fmt, 0, 0, fmt.max_code, FP32.inf if fmt.has_inf else FP32.nan, FP32.nan)


def unit_rule(fmt: Format, least: int, most: int, drop: int = 0) -> DecodeRule:
    """To units of ``2**drop`` of the format's smallest subnormals: whole numbers.

    Codes that are not in ``least`` to ``most``, the sign apart and bounds included, count as +0: NaN and Inf do.
    """
    return _rule(fmt, -fmt.lsb_exp - drop, least, most, 0, 0)


def _rule(fmt: Format, scale_exp: int, least: int, most: int, inf_bits: int, nan_bits: int) -> DecodeRule:
    """To values times ``2**scale_exp``."""
    top = 32 - fmt.bits
    # Numbers of a format with float32's own exponents need no second rule: subnormals are right as they are.
    subnormals = fmt.bias != FP32.bias
    return DecodeRule(
        up=_U32(top),
        shift=_U32(FP32.exp_bits - fmt.exp_bits),
        rebias=_U32(FP32.bias - fmt.bias + scale_exp << FP32.man_bits),
        hidden=_U32(FP32.bias + 1 - fmt.bias + scale_exp << FP32.man_bits if subnormals else 0),
        subnormal_below=_U32(1 << fmt.man_bits + top if subnormals else 0),
        least=_U32(least << top),
        most=_U32(most << top),
        inf=_U32((fmt.inf if fmt.has_inf else fmt.nan) << top & _MAGNITUDE),
        inf_bits=_U32(inf_bits),
        nan_bits=_U32(nan_bits),
    )


@kernel(nogil=True)
def decode_block(codes, row, col, rule, panels):
    """Fill ``panels: float[P, H, W]`` from ``codes: uint[M, N]`` by a ``DecodeRule``.

    ``panels[p, i, j]`` becomes what ``codes[row + i, col + p * W + j]`` stands for, or +0 outside ``codes``.

    A normal number needs its exponent rebiased. A subnormal is put beside the exponent of the format's
    smallest normal number, from which float32 subtracts that number's hidden bit, exactly.

    Rows are read from left to right whatever the panels' width: a panel at a time would jump from row to row.
    """
    count, height, width = panels.shape
    rows = max(0, min(height, codes.shape[0] - row))
    cols = max(0, min(count * width, codes.shape[1] - col))
    buffer = np.zeros(count * width, panels.dtype)
    hidden, has_inf = _U32(rule.hidden).view(np.float32), rule.inf_bits != rule.nan_bits
    for i in range(rows):
        source = codes[row + i, col : col + cols]
        line = panels[0, i] if count == 1 else buffer
        for j in range(cols):
            code = _U32(_U32(source[j]) << rule.up)
            sign, magnitude = _U32(code & _SIGN), _U32(code & _MAGNITUDE)
            aligned = _U32(magnitude >> rule.shift)
            padded = _U32(aligned + rule.hidden).view(np.float32)
            subnormal = np.float32(padded - hidden).view(_U32)
            value = subnormal if magnitude < rule.subnormal_below else _U32(aligned + rule.rebias)
            value = value if magnitude >= rule.least else _U32(0)
            special = _U32(rule.inf_bits | sign) if has_inf and magnitude == rule.inf else rule.nan_bits
            value = _U32(value | sign) if magnitude <= rule.most else special
            line[j] = _U32(value).view(np.float32)
        if count == 1:
            line[cols:] = 0
        else:
            for p in range(count):
                for j in range(width):
                    panels[p, i, j] = line[p * width + j]
    panels[:, rows:] = 0
