"""The arithmetic of the vector and scalar engines on fp32 codes, one at a time: IEEE, and one NaN."""

import numpy as np

from arch.core.instructions import FUNCTION_NAMES, OPERATIONS, REDUCTIONS
from arch.elements import ELEMENTS
from arch.formats import FORMATS, FP32
from golden.kernels import borrowing_kernel
from golden.numerics.conversions import decode
from golden.numerics.functions import exp_codes, reciprocal_codes, rsqrt_codes
from golden.tensor.arithmetic import narrow_table
from golden.tensor.rounding import narrow

__all__ = [
    "ADD",
    "FP32_TYPE",
    "apply",
    "begin_reduction",
    "canonical",
    "convert",
    "element_bytes",
    "finish_reduction",
    "operate",
    "reduce_into",
    "widen",
]

_NAN, _INF, _MAGNITUDE = FP32.nan, FP32.inf, (1 << 31) - 1
_E4M3, _E5M2, _BF16, FP32_TYPE, _U32 = (ELEMENTS[name].select for name in ("e4m3", "e5m2", "bf16", "fp32", "u32"))
_BYTES = np.array([element.bytes for element in ELEMENTS.values()])
_BYPASS, _ADD, _SUBTRACT, _RSUBTRACT, _MULTIPLY, _MAX, _MIN, _EQUAL, _LESS, _LESS_EQUAL = range(len(OPERATIONS))
_NONE, ADD, _LARGEST, _ABSMAX, _ARGMAX = range(len(REDUCTIONS))
_IDENTITY, _EXP, _RECIPROCAL, _RSQRT = range(len(FUNCTION_NAMES))
_ONE = 127 << 23

#: uint32[2, 256]: fp32 codes of the 8-bit types, by ``Element.select``.
_WIDE = np.array(
    [decode(np.arange(256, dtype=np.uint8), ELEMENTS[name].format).view(np.uint32) for name in ("e4m3", "e5m2")]
)
#: int64[3, 5]: how to narrow to each type below fp32, by ``Element.select``.
_NARROW = np.array([narrow_table()[FORMATS[name].select] for name in ("e4m3", "e5m2", "bf16")])


@borrowing_kernel
def element_bytes(kind):
    """Bytes of an element of a type, by ``Element.select``."""
    return _BYTES[kind]


@borrowing_kernel
def canonical(code):
    """A code, the one NaN for each of them."""
    return _NAN if code & _MAGNITUDE > _INF else code


@borrowing_kernel
def widen(word, offset, kind):
    """The fp32 code of the element at a byte of a word; what is u32 stays as it is."""
    code = np.int64(word) >> 8 * offset
    if kind == _U32:
        return code
    if kind == FP32_TYPE:
        return canonical(code)
    if kind == _BF16:
        return canonical((code & 0xFFFF) << 16)
    return np.int64(_WIDE[kind, code & 0xFF])


@borrowing_kernel
def convert(code, kind):
    """A word filled with the element of a type that is nearest to an fp32 code, saturating."""
    if kind == _U32 or kind == FP32_TYPE:
        return code
    if kind == _BF16:
        return narrow(code, _NARROW[kind], 1) * 0x10001
    return narrow(code, _NARROW[kind], 1) * 0x1010101


@borrowing_kernel
def _value(code):
    return np.uint32(code).view(np.float32)


@borrowing_kernel
def _code(value):
    return canonical(np.int64(np.float32(value).view(np.uint32)))


@borrowing_kernel
def _add(x, a):
    return _code(_value(x) + _value(a))


@borrowing_kernel
def _larger(x, a):
    """NaN wins; +0 is above -0."""
    if x & _MAGNITUDE > _INF or a & _MAGNITUDE > _INF:
        return np.int64(_NAN)
    f, g = _value(x), _value(a)
    # Equal numbers have equal codes, but for zeros.
    return x & a if f == g else x if f > g else a


@borrowing_kernel
def operate(op, x, a):
    """``x op a`` on codes, NaN canonical in the operands."""
    if op == _BYPASS:
        return x
    if op == _ADD:
        return _add(x, a)
    f, g = _value(x), _value(a)
    if op == _SUBTRACT:
        return _code(f - g)
    if op == _RSUBTRACT:
        return _code(g - f)
    if op == _MULTIPLY:
        return _code(f * g)
    if op == _MAX:
        return _larger(x, a)
    if op == _MIN:
        if x & _MAGNITUDE > _INF or a & _MAGNITUDE > _INF:
            return np.int64(_NAN)
        return x | a if f == g else x if f < g else a
    holds = f == g if op == _EQUAL else f < g if op == _LESS else f <= g
    return np.int64(_ONE) if holds else np.int64(0)


@borrowing_kernel
def apply(function, codes):
    """A function of the scalar engine, in place."""
    if function == _EXP:
        exp_codes(codes, codes)
    elif function == _RECIPROCAL:
        reciprocal_codes(codes, codes)
    elif function == _RSQRT:
        rsqrt_codes(codes, codes)


@borrowing_kernel
def begin_reduction(partials):
    """Before the first element: partial sums are +0."""
    partials[:] = 0


@borrowing_kernel
def reduce_into(partials, f, code, reduction):
    """Element f of one lane. ``partials``: uint32[8], the sums; or the largest code so far and, behind it, its f."""
    if reduction == ADD:
        partials[f & 7] = _add(np.int64(partials[f & 7]), code)
        return
    if reduction == _ABSMAX and code & _MAGNITUDE <= _INF:
        code &= _MAGNITUDE
    so_far = np.int64(partials[0])
    if f == 0:
        partials[0], partials[1] = code, 0
    elif reduction == _ARGMAX:
        nan = code & _MAGNITUDE > _INF
        if so_far & _MAGNITUDE <= _INF and (nan or _value(code) > _value(so_far)):
            partials[0], partials[1] = code, f
    else:
        partials[0] = _larger(so_far, code)


@borrowing_kernel
def finish_reduction(partials, reduction):
    """The reduced word of one lane."""
    if reduction == ADD:
        s = partials
        first = _add(_add(np.int64(s[0]), np.int64(s[1])), _add(np.int64(s[2]), np.int64(s[3])))
        second = _add(_add(np.int64(s[4]), np.int64(s[5])), _add(np.int64(s[6]), np.int64(s[7])))
        return _add(first, second)
    return np.int64(partials[1] if reduction == _ARGMAX else partials[0])
