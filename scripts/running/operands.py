"""What tensors from the command line must be to become the engine's operands."""

import numpy as np

from arch.tensor.config import EngineConfig
from golden.numerics.conversions import code_dtype, encode
from golden.tensor.schedule import gemm_cycles
from scripts.ground.errors import InputError

__all__ = ["check_sizes", "check_values", "codes_of"]


#: What numpy.save makes of ml_dtypes' 8- and 16-bit floats, and what their codes are.
_LOST = {"|V1": "uint8", "|V2": "uint16"}


def check_sizes(shape: tuple[int, int, int], config: EngineConfig) -> None:
    """InputError unless the engine takes a product of this shape."""
    try:
        gemm_cycles(*shape, config)
    except ValueError as error:
        raise InputError(str(error)) from None


def codes_of(array: np.ndarray, name: str, fmt: str) -> np.ndarray:
    """Codes of ``fmt``: float32 is converted (scale 1, saturating), codes of the format's own dtype are kept."""
    if array.dtype == np.float32:
        return encode(array, fmt)
    if array.dtype == code_dtype(fmt):
        return array
    needs = f"float32 values or {code_dtype(fmt)} codes of {fmt}"
    raise InputError(f"{name}: dtype {array.dtype}; needs {needs}{_lost_type(array, code_dtype(fmt))}")


def check_values(purpose: str, **tensors: np.ndarray) -> None:
    """InputError unless tensors that get a scale are float32 and finite."""
    for name, array in tensors.items():
        if array.dtype != np.float32:
            raise InputError(f"{name}: dtype {array.dtype}; {purpose} needs float32 values{_lost_type(array)}")
        if not np.isfinite(array).all():
            raise InputError(f"{name}: has NaN or Inf; a scale needs finite values")


def _lost_type(array: np.ndarray, codes: np.dtype | None = None) -> str:
    """What to do about a type that a .npy file cannot hold, where ``codes`` or float32 values are wanted."""
    if str(array.dtype) not in _LOST:
        return ""
    advice = f".view(numpy.{codes})" if _LOST[str(array.dtype)] == str(codes) else ".astype(numpy.float32)"
    return f" (an .npy file loses the types of ml_dtypes: save the array's {advice})"
