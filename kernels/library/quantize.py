"""Numbers to codes, with scales that the core finds."""

from arch.formats import FORMATS, FP32
from kernels import kernel
from kernels import language as nl

__all__ = ["quantize_tokens", "to_codes"]


def to_codes(values: nl.Tile, dtype: str, largest: nl.Tile | None = None) -> tuple[nl.Tile, nl.Tile]:
    """A tile's numbers as codes of FP8, and each lane's scale, fp32[T, 1].

    The scale is the largest magnitude times 1 / the largest of the format, at least 2**-126, and 1 of a row of zeros;
    codes are those of ``x * (1 / scale)``. ``largest``: each lane's largest magnitude, if it is known.
    """
    largest = nl.tensor_reduce("absmax", values) if largest is None else largest
    scale = nl.tensor_scalar(largest, "multiply", 1 / FORMATS[dtype].max_value, "max", 2.0 ** (1 - FP32.bias))
    # A row of zeros gets 1.
    scale = nl.tensor_tensor(nl.tensor_scalar(largest, "equal", 0.0), scale, "max")
    inverse = nl.activation("reciprocal", scale)
    return nl.tensor_scalar(values, "multiply", inverse, dtype=dtype), scale


@kernel
def quantize_tokens(x, *, dtype="e4m3"):
    """Each row of fp32[T, D] as codes [T, D] and its scale, fp32[T, 1]: ``golden.quantize``'s bits, per token."""
    codes, scales = nl.output(x.shape, dtype), nl.output((x.shape[0], 1))

    def fetch(rows):
        return nl.load(x[rows])

    def quantize(rows, values):
        found, scale = to_codes(values, dtype)
        nl.store(codes[rows], found)
        nl.store(scales[rows], scale)

    nl.pipeline([fetch, quantize], nl.blocks(x.shape[0]))
