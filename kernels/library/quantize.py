"""Numbers to codes, with scales that the core finds."""

from arch.formats import FORMATS, FP32
from kernels import kernel
from kernels import language as nl
from kernels.library.lanes import across_lanes

__all__ = ["quantize_tensor", "quantize_tokens", "to_codes"]


def to_codes(values: nl.Tile, dtype: str, largest: nl.Tile | None = None) -> tuple[nl.Tile, nl.Tile]:
    """A tile's numbers as codes of FP8, and each lane's scale, fp32[T, 1].

    The scale is the largest magnitude times 1 / the largest of the format, at least 2**-126, and 1 of a row of zeros;
    codes are those of ``x * (1 / scale)``. ``largest``: each lane's largest magnitude, if it is known.
    """
    scale, inverse = _scale(nl.tensor_reduce("absmax", values) if largest is None else largest, dtype)
    return nl.tensor_scalar(values, "multiply", inverse, dtype=dtype), scale


def _scale(largest: nl.Tile, dtype: str) -> tuple[nl.Tile, nl.Tile]:
    """The scale of numbers of which the largest magnitude is known, and 1 over it."""
    scale = nl.tensor_scalar(largest, "multiply", 1 / FORMATS[dtype].max_value, "max", 2.0 ** (1 - FP32.bias))
    # A row of zeros gets 1.
    scale = nl.tensor_tensor(nl.tensor_scalar(largest, "equal", 0.0), scale, "max")
    return scale, nl.activation("reciprocal", scale)


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


@kernel
def quantize_tensor(x, *, dtype="e4m3"):
    """fp32[T, D] as codes [T, D] and one scale, fp32[1, 1]: ``golden.quantize``'s bits, per tensor. x is read twice."""
    codes, out = nl.output(x.shape, dtype), nl.output((1, 1))
    blocks = list(nl.blocks(x.shape[0]))
    maxima = nl.ndarray((min(x.shape[0], nl.lanes()), len(blocks)))
    if x.shape[0] % nl.lanes():
        # The last tile does not reach all lanes.
        nl.memset(maxima[:, -1:], 0.0)
    for number, rows in enumerate(blocks):
        tile = nl.load(x[rows])
        nl.tensor_reduce("absmax", tile, out=maxima[: tile.lanes, number : number + 1])
    scale, inverse = _scale(across_lanes("max", nl.tensor_reduce("max", maxima), maxima.lanes), dtype)
    nl.store(out, scale[:1])
    for rows in blocks:
        tile = nl.load(x[rows])
        nl.store(codes[rows], nl.tensor_scalar(tile, "multiply", inverse[: tile.lanes], dtype=dtype))
