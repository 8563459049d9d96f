"""What the vector and scalar engines do."""

from dataclasses import dataclass

from arch.core.instructions import FUNCTION_NAMES, OPERATIONS, REDUCTIONS
from kernels.language.errors import KernelError
from kernels.language.moves import load
from kernels.language.operands import (
    Target,
    broadcast,
    check_choice,
    check_lane_operand,
    check_source,
    issue,
    number,
    place_of,
    require,
    strides,
)
from kernels.language.tiles import Psum, Tile
from kernels.language.trace import current

__all__ = [
    "Mask",
    "activation",
    "affine_select",
    "memset",
    "ndarray",
    "tensor_copy",
    "tensor_reduce",
    "tensor_scalar",
    "tensor_tensor",
]

#: Adding it changes no number, not even -0.
_NOTHING = -0.0


@dataclass(frozen=True)
class Mask:
    """Which elements keep their value: those whose index i in the last dimension is right; the others become ``fill``.

    keep : ``"at_most"``, ``"at_least"`` or ``"equal"`` what follows
    base, lane : in lane p, ``base + lane * p``
    """

    keep: str
    base: int = 0
    lane: int = 0
    fill: float = 0.0


def ndarray(shape: tuple[int, ...], dtype: str = "fp32", *, address: int | None = None) -> Tile:
    """A tile that nothing was written to: lanes, then one to three free dimensions. Its rows begin at words.

    ``address``: where it lies in each lane. Default: where there is room while it is in use.
    """
    return current().tile(shape, dtype, address)


def memset(tile: Tile, value: float) -> Tile:
    """Write one number to every element of a tile, and give the tile. Of u32, an integer."""
    trace = current()
    require(tile, Tile, "what is set", "a tile")
    if tile.dtype == "u32":
        if not isinstance(value, int) or not 0 <= value < 1 << 32:
            raise KernelError(f"value must be an integer below 2**32 where a tile is u32, not {value!r}")
        word = trace.constant((1, 1), "u32", value.to_bytes(4, "little"))
        return tensor_copy(_repeated(load(word.broadcast_to((tile.lanes, 1))), tile), out=tile)
    return affine_select(_repeated(trace.zero(), tile), Mask("at_most", -1, 0, value), out=tile)


def _repeated(word: Tile, like: Tile) -> Tile:
    """A tile's one element in each place of another."""
    ones = (1,) * len(like.view.shape)
    return word[: like.lanes].reshape(like.lanes, *ones).broadcast_to(like.shape)


def activation(
    function: str,
    x: Tile | Psum,
    *,
    scale: float | Tile = 1.0,
    bias: float | Tile = _NOTHING,
    sum: bool | Tile = False,
    out: Tile | None = None,
    dtype: str | None = None,
    write: bool = True,
) -> Tile | tuple[Tile, Tile]:
    """``function(x * scale + bias)``, by the scalar engine.

    Parameters
    ----------
    function : str
        identity, exp, reciprocal or rsqrt.
    x : Tile or Psum
    scale, bias : float or Tile
        A number, or fp32[lanes, 1].
    sum : bool or Tile
        Also give the sum of each lane, fp32[lanes, 1], written to a tile that is given.
    out, dtype : Tile, str, optional
        Where the result goes; or the type of a new tile for it, fp32 if none is named.
    write : bool
        False: give the sum alone.

    Returns
    -------
    Tile
        Of x's shape; with a sum both, or the sum alone.
    """
    trace = current()
    check_choice("function", function, FUNCTION_NAMES)
    check_source(x)
    fields, places = {"function": function}, {}
    for name, value in (("scale", scale), ("bias", bias)):
        if isinstance(value, Tile):
            check_lane_operand(name, value, x)
            fields |= {f"{name}_kind": "lane"}
            places[name] = place_of(value)
            trace.read(value, "scalar_x", name)
        else:
            fields[name] = number(name, value)
    reduction = "sum" if sum is not False else "none"
    result = Target(x.lanes, x.view.shape, out, dtype, write, reduction, sum if reduction == "sum" else None)
    return issue("scalar", x, x.view, fields | {"sum": "yes" if reduction == "sum" else "no"}, places, result)


def tensor_scalar(
    x: Tile | Psum,
    op0: str,
    a: float | Tile,
    op1: str = "bypass",
    b: float | Tile = 0.0,
    *,
    absolute: bool = False,
    mask: Mask | None = None,
    reduce: str = "none",
    reduce_out: Tile | None = None,
    out: Tile | None = None,
    dtype: str | None = None,
    write: bool = True,
) -> Tile | tuple[Tile, Tile]:
    """``(x op0 a) op1 b``, by the vector engine.

    Parameters
    ----------
    x : Tile or Psum
    op0, op1 : str
        bypass, add, subtract, rsubtract (a - x), multiply, max, min, equal, less, less_equal: comparisons give 1 or 0.
    a, b : float or Tile
        A number, a number for each lane (fp32[lanes, 1]), or, one of them, a tile of x's shape. Free dimensions of 1
        are repeated.
    absolute : bool
        Of x only the magnitude.
    mask : Mask, optional
    reduce : str
        Also give one number for each lane, [lanes, 1]: add, max, absmax (of magnitudes) in fp32, argmax (the index) in
        u32; written to ``reduce_out`` if that is given.
    out, dtype : Tile, str, optional
        Where the result goes; or the type of a new tile for it, fp32 if none is named.
    write : bool
        False: give the reduced numbers alone.

    Returns
    -------
    Tile
        The result; with ``reduce`` both, or the reduced numbers alone.
    """
    trace = current()
    check_source(x)
    check_choice("reduce", reduce, REDUCTIONS)
    fields: dict[str, object] = {"absolute": "yes" if absolute else "no"}
    places, tensor = {}, None
    for name, field, operation, value in (("a", "op0", op0, a), ("b", "op1", op1, b)):
        check_choice(field, operation, OPERATIONS)
        fields[field] = operation
        if operation == "bypass":
            if isinstance(value, Tile):
                raise KernelError(f"{name} must be no tile where {field} is bypass")
            continue
        if not isinstance(value, Tile):
            fields[name] = number(name, value)
        elif value.dtype == "fp32" and set(value.view.shape) == {1}:
            check_lane_operand(name, value, x)
            fields[f"{name}_kind"] = "lane"
            places[name] = place_of(value)
            trace.read(value, "vector_x", name)
        elif tensor is not None:
            raise KernelError("only one of a and b must be a tile of more than a number for each lane, not both")
        else:
            fields[f"{name}_kind"] = "tensor"
            tensor = value
    view, other = broadcast(x, tensor)
    if tensor is not None:
        places["t_address"] = tensor.buffer, other.offset
        fields |= {"t_type": tensor.dtype} | strides("t", other)
        trace.read(tensor, "vector_t", "a tensor operand")
        if isinstance(x, Tile):
            tensor.buffer.partners.add(x.buffer.number)
            x.buffer.partners.add(tensor.buffer.number)
    if mask is not None:
        check_choice("mask's keep", mask.keep, ("at_most", "at_least", "equal"))
        fields |= {"mask": mask.keep, "mask_base": mask.base, "mask_lane": mask.lane}
        fields["fill"] = number("fill", mask.fill)
    result = Target(x.lanes, view.shape, out, dtype, write, reduce, reduce_out)
    return issue("vector", x, view, fields | {"reduce": reduce}, places, result)


def tensor_tensor(x: Tile | Psum, y: Tile, op: str, **options: object) -> Tile | tuple[Tile, Tile]:
    """``x op y`` of two tiles, free dimensions of 1 repeated. Options: as ``tensor_scalar`` takes them."""
    require(y, Tile, "y", "a tile")
    return tensor_scalar(x, op, y, **options)


def tensor_reduce(op: str, x: Tile | Psum, *, absolute: bool = False, out: Tile | None = None) -> Tile:
    """One number for each lane, [lanes, 1]: add, max, absmax in fp32, argmax in u32."""
    check_choice("op", op, REDUCTIONS[1:])
    return tensor_scalar(x, "bypass", 0.0, absolute=absolute, reduce=op, reduce_out=out, write=False)


def tensor_copy(x: Tile | Psum, *, dtype: str | None = None, out: Tile | None = None, engine: str = "vector") -> Tile:
    """A tile's elements in another place or type, by the vector or the scalar engine. u32 stays u32."""
    check_choice("engine", engine, ("vector", "scalar"))
    if engine == "scalar":
        return activation("identity", x, dtype=dtype, out=out)
    return tensor_scalar(x, "bypass", 0.0, dtype=dtype, out=out)


def affine_select(x: Tile | Psum, mask: Mask, *, out: Tile | None = None, dtype: str | None = None) -> Tile:
    """A tile's elements where a mask keeps them, else its fill."""
    return tensor_scalar(x, "bypass", 0.0, mask=mask, out=out, dtype=dtype)
