"""Numbers to codes, with scales that the core finds."""

from arch.formats import FORMATS, FP32
from kernels import kernel
from kernels import language as nl

__all__ = ["quantize_tokens"]


@kernel
def quantize_tokens(x, *, dtype="e4m3"):
    """Each row of fp32[T, D] as codes [T, D] of FP8 and its scale, fp32[T, 1]: ``golden.quantize``'s bits, per token.

    The scale is the largest magnitude times 1 / the largest of the format, at least 2**-126, and 1 of a row of zeros;
    codes are those of ``x * (1 / scale)``.
    """
    codes, scales = nl.output(x.shape, dtype), nl.output((x.shape[0], 1))

    def fetch(rows):
        return nl.load(x[rows])

    def quantize(rows, values):
        largest = nl.tensor_reduce("absmax", values)
        scale = nl.tensor_scalar(largest, "multiply", 1 / FORMATS[dtype].max_value, "max", 2.0 ** (1 - FP32.bias))
        # A row of zeros gets 1.
        scale = nl.tensor_tensor(nl.tensor_scalar(largest, "equal", 0.0), scale, "max")
        inverse = nl.activation("reciprocal", scale)
        nl.store(codes[rows], nl.tensor_scalar(values, "multiply", inverse, dtype=dtype))
        nl.store(scales[rows], scale)

    nl.pipeline([fetch, quantize], nl.blocks(x.shape[0]))
