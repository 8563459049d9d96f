"""What the tensor, vector and scalar engines do."""

import struct
from dataclasses import dataclass

from arch.core.instructions import FUNCTION_NAMES, OPERATIONS, REDUCTIONS
from kernels.language.errors import KernelError
from kernels.language.moves import load
from kernels.language.tiles import Psum, Tile
from kernels.language.trace import Trace, current
from kernels.language.views import Strided

__all__ = [
    "Mask",
    "activation",
    "affine_select",
    "matmul",
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
    _require(tile, Tile, "what is set", "a tile")
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


def matmul(stationary: Tile, moving: Tile) -> Psum:
    """Rows of PSUM: row m has, in lane n, the sum over k of ``stationary[n, k] * moving[k, m]``.

    Parameters
    ----------
    stationary : Tile
        [N, K], n on lanes; or [N, K / P, P].
    moving : Tile
        [K, M] or [K, M1, M0], k on lanes. Of any K, and always of more than P: [P, ceil(K / P), M], or with M1 and M0,
        with k in lane k % P at index k // P, as ``load_folded`` gives it.

    Returns
    -------
    Psum
        [N, M] or [N, M1, M0] in fp32, to be taken by one vector operation or activation, or by some in order.
    """
    trace, lanes = current(), current().config.lanes
    for name, tile in (("stationary", stationary), ("moving", moving)):
        _require(tile, Tile, name, "a tile")
        if tile.dtype not in trace.config.engine.formats:
            raise KernelError(f"{name} must be {' or '.join(trace.config.engine.formats)}, not {tile.dtype}")
        _at_first_lane(name, tile)
    depth, w = _stationary(stationary, lanes)
    tiles = -(-depth // lanes)
    (blocks, x_tile_stride), *rows = _moving(moving, tiles)
    if tiles != blocks or moving.lanes < min(depth, lanes):
        wanted = f"lanes {min(depth, lanes)}" + (f", then {tiles} blocks of them" if tiles > 1 else "")
        raise KernelError(f"moving must have the {depth} values of k that stationary has: {wanted}; not {moving.shape}")
    if len(rows) > 2:
        raise KernelError(f"moving must have at most two dimensions of rows, not {moving.shape}")
    for tile, name in ((stationary, "stationary"), (moving, "moving")):
        _read_operand(trace, tile, name, depth, lanes)
    rows = rows or [(1, 0)]
    (count1, stride1), (count0, stride0) = rows if len(rows) == 2 else [(1, 0), *rows]
    psum = trace.put_rows(stationary.lanes, tuple(count for count, _ in rows))
    places = {"w_address": _place(stationary), "x_address": _place(moving)}
    x = {"x_type": moving.dtype, "x_stride0": stride0, "x_stride1": stride1, "x_tile_stride": x_tile_stride}
    counts = {"count0": count0, "count1": count1}
    trace.emit("matmul", places, lanes=stationary.lanes, depth=depth, w_type=stationary.dtype, **w, **x, **counts)
    return psum


def _stationary(tile: Tile, lanes: int) -> tuple[int, dict[str, int]]:
    """K, and the strides along it."""
    dims = tile.view.dims
    if len(dims) == 1:
        (depth, stride) = dims[0]
        return depth, {"w_stride": stride, "w_tile_stride": lanes * stride if depth > lanes else 0}
    if len(dims) != 2 or dims[1][0] != lanes:
        raise KernelError(f"stationary must be [N, K] or [N, blocks, {lanes}], not {tile.shape}")
    return dims[0][0] * lanes, {"w_stride": dims[1][1], "w_tile_stride": dims[0][1]}


def _moving(tile: Tile, tiles: int) -> list[tuple[int, int]]:
    """Blocks of k, then the rows: counts and strides."""
    dims = list(tile.view.dims)
    return dims if len(dims) > 1 and (tiles > 1 or dims[0][0] == 1) else [(1, 0), *dims]


def _read_operand(trace: Trace, tile: Tile, name: str, depth: int, lanes: int) -> None:
    """Take note of what a product reads: of a moving operand's last block only some lanes."""
    if name == "stationary" or depth <= lanes:
        used = tile if name == "stationary" else tile[: min(depth, lanes)]
        trace.read(used, name, name)
        return
    whole, rest = divmod(depth, lanes)
    trace.read(tile[:lanes, :whole], name, name)
    if rest:
        trace.read(tile[:rest, whole:], name, name)


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
    _choice("function", function, FUNCTION_NAMES)
    _source(x)
    fields, places = {"function": function}, {}
    for name, value in (("scale", scale), ("bias", bias)):
        if isinstance(value, Tile):
            _lane_operand(name, value, x)
            fields |= {f"{name}_kind": "lane"}
            places[name] = _place(value)
            trace.read(value, "scalar_x", name)
        else:
            fields[name] = _number(name, value)
    reduction = "sum" if sum is not False else "none"
    result = _Result("scalar", x.lanes, x.view.shape, out, dtype, write, reduction, sum if reduction == "sum" else None)
    return _issue("scalar", x, x.view, fields | {"sum": "yes" if reduction == "sum" else "no"}, places, result)


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
    _source(x)
    _choice("reduce", reduce, REDUCTIONS)
    fields: dict[str, object] = {"absolute": "yes" if absolute else "no"}
    places, tensor = {}, None
    for name, operation, value in (("a", "op0", op0), ("b", "op1", op1)):
        _choice(operation, value, OPERATIONS)
    operands = [("a", "op0", op0, a), ("b", "op1", op1, b)]
    for name, field, operation, value in operands:
        fields[field] = operation
        if operation == "bypass":
            continue
        if not isinstance(value, Tile):
            fields[name] = _number(name, value)
        elif value.dtype == "fp32" and set(value.view.shape) == {1}:
            _lane_operand(name, value, x)
            fields[f"{name}_kind"] = "lane"
            places[name] = _place(value)
            trace.read(value, "vector_x", name)
        elif tensor is not None:
            raise KernelError("only one of a and b must be a tile of more than a number for each lane, not both")
        else:
            fields[f"{name}_kind"] = "tensor"
            tensor = value
    view, other = _broadcast(x, tensor)
    if tensor is not None:
        places["t_address"] = tensor.buffer, other.offset
        fields |= {"t_type": tensor.dtype} | _strides("t", other)
        trace.read(tensor, "vector_t", "a tensor operand")
        if isinstance(x, Tile):
            tensor.buffer.partners.add(x.buffer.number)
            x.buffer.partners.add(tensor.buffer.number)
    if mask is not None:
        _choice("mask's keep", mask.keep, ("at_most", "at_least", "equal"))
        fields |= {"mask": mask.keep, "mask_base": mask.base, "mask_lane": mask.lane}
        fields["fill"] = _number("fill", mask.fill)
    result = _Result("vector", x.lanes, view.shape, out, dtype, write, reduce, reduce_out)
    return _issue("vector", x, view, fields | {"reduce": reduce}, places, result)


def tensor_tensor(x: Tile | Psum, y: Tile, op: str, **options: object) -> Tile | tuple[Tile, Tile]:
    """``x op y`` of two tiles, free dimensions of 1 repeated. Options: as ``tensor_scalar`` takes them."""
    _require(y, Tile, "y", "a tile")
    return tensor_scalar(x, op, y, **options)


def tensor_reduce(op: str, x: Tile | Psum, *, absolute: bool = False, out: Tile | None = None) -> Tile:
    """One number for each lane, [lanes, 1]: add, max, absmax in fp32, argmax in u32."""
    _choice("op", op, REDUCTIONS[1:])
    return tensor_scalar(x, "bypass", 0.0, absolute=absolute, reduce=op, reduce_out=out, write=False)


def tensor_copy(x: Tile | Psum, *, dtype: str | None = None, out: Tile | None = None, engine: str = "vector") -> Tile:
    """A tile's elements in another place or type, by the vector or the scalar engine. u32 stays u32."""
    _choice("engine", engine, ("vector", "scalar"))
    if engine == "scalar":
        return activation("identity", x, dtype=dtype, out=out)
    return tensor_scalar(x, "bypass", 0.0, dtype=dtype, out=out)


def affine_select(x: Tile | Psum, mask: Mask, *, out: Tile | None = None, dtype: str | None = None) -> Tile:
    """A tile's elements where a mask keeps them, else its fill."""
    return tensor_scalar(x, "bypass", 0.0, mask=mask, out=out, dtype=dtype)


# ---- what they have in common -------------------------------------------------------------------


@dataclass(frozen=True)
class _Result:
    """What an operation gives: the tile or the type of one, and the reduced numbers."""

    engine: str
    lanes: int
    shape: tuple[int, ...]
    out: Tile | None
    dtype: str | None
    write: bool
    reduction: str
    reduced: Tile | bool | None

    def tile(self, default: str) -> Tile:
        """Where y goes."""
        return _target("out", self.out, (self.lanes, *self.shape), self.dtype, default)

    def reduced_tile(self) -> Tile:
        """Where the reduced numbers go."""
        dtype = "u32" if self.reduction == "argmax" else "fp32"
        given = self.reduced if isinstance(self.reduced, Tile) else None
        if given is not None and given.dtype != dtype:
            raise KernelError(f"reduced numbers must go to {dtype}, not {given.dtype}")
        return _target("the reduced numbers' tile", given, (self.lanes, 1), None, dtype)


def _target(name: str, out: Tile | None, shape: tuple[int, ...], dtype: str | None, default: str) -> Tile:
    if out is None:
        return current().tile(shape, dtype or default)
    _require(out, Tile, name, "a tile")
    if dtype not in (None, out.dtype):
        raise KernelError(f"dtype must be {out.dtype}, that of {name}, or not be given, not {dtype}")
    if out.shape != shape:
        raise KernelError(f"{name} must have shape {shape}, not {out.shape}")
    _at_first_lane(name, out)
    return out


def _issue(
    name: str, x: Tile | Psum, view: Strided, fields: dict, places: dict, result: _Result
) -> Tile | tuple[Tile, Tile]:
    """The instruction, once its operands beside x are known."""
    trace = current()
    if isinstance(x, Psum):
        trace.take_rows(x)
        fields["x_source"] = "psum"
    else:
        trace.read(x, f"{name}_x", "x")
        places["x_address"] = x.buffer, view.offset
        fields |= {"x_type": x.dtype} | _strides("x", view)
    given = []
    if result.write:
        y = result.tile("u32" if x.dtype == "u32" else "fp32")
        trace.write(y, name)
        places["y_address"] = _place(y)
        fields |= {"write": "yes", "y_type": y.dtype} | _strides("y", y.view)
        given.append(y)
    if result.reduction != "none":
        reduced = result.reduced_tile()
        trace.write(reduced, name)
        places["r_address"] = _place(reduced)
        given.append(reduced)
    if not given:
        raise KernelError("an operation must write its result or reduce it")
    counts = (1,) * (3 - len(view.shape)) + view.shape
    trace.emit(name, places, lanes=x.lanes, **fields, count0=counts[2], count1=counts[1], count2=counts[0])
    return given[0] if len(given) == 1 else tuple(given)


def _broadcast(x: Tile | Psum, tensor: Tile | None) -> tuple[Strided, Strided | None]:
    """The free dimensions of x and of a tensor operand, each as long as the other's."""
    if tensor is None:
        return x.view, None
    _at_first_lane("a tensor operand", tensor)
    if tensor.lanes != x.lanes:
        raise KernelError(f"a tensor operand must have x's {x.lanes} lanes, not {tensor.lanes}")
    mine, others = x.view.shape, tensor.view.shape
    length = max(len(mine), len(others))
    mine, others = ((1,) * (length - len(shape)) + shape for shape in (mine, others))
    if any(a != b and 1 not in (a, b) for a, b in zip(mine, others, strict=True)):
        raise KernelError(f"a tensor operand must have x's shape {x.shape}, or 1 in its place, not {tensor.shape}")
    shape = tuple(map(max, mine, others))
    if isinstance(x, Psum):
        if shape != mine:
            raise KernelError(f"a tensor operand must not have more than the rows of PSUM {x.shape}: {tensor.shape}")
        return Strided(shape, (0,) * length), tensor.view.broadcast_to(shape)
    return x.view.broadcast_to(shape), tensor.view.broadcast_to(shape)


def _strides(name: str, view: Strided) -> dict[str, int]:
    padded = (0,) * (3 - len(view.strides)) + view.strides
    return {f"{name}_stride{dim}": padded[2 - dim] for dim in range(3)}


def _place(tile: Tile) -> tuple:
    return tile.buffer, tile.view.offset


def _source(x: Tile | Psum) -> None:
    _require(x, Tile | Psum, "x", "a tile or rows of PSUM")
    if isinstance(x, Tile):
        _at_first_lane("x", x)
    if not 1 <= len(x.view.shape) <= 3:
        raise KernelError(f"x must have one to three free dimensions, not {len(x.view.shape)}: {x.shape}")


def _lane_operand(name: str, tile: Tile, x: Tile | Psum) -> None:
    _at_first_lane(name, tile)
    if tile.dtype != "fp32" or set(tile.view.shape) != {1} or tile.lanes != x.lanes:
        raise KernelError(f"{name} must be a number or fp32 ({x.lanes}, 1), not {tile}")


def _at_first_lane(name: str, tile: Tile) -> None:
    if tile.lane:
        raise KernelError(f"{name} must begin at lane 0, not {tile.lane}: dma_copy moves lanes")


def _require(value: object, kind: type, name: str, wanted: str) -> None:
    if not isinstance(value, kind):
        raise KernelError(f"{name} must be {wanted}, not {value!r}")


def _choice(name: str, value: object, names: tuple[str, ...]) -> None:
    if value not in names:
        raise KernelError(f"{name} must be {', '.join(names)}, not {value!r}")


def _number(name: str, value: object) -> float:
    try:
        # What fp32 makes of it.
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except (TypeError, ValueError, OverflowError, struct.error):
        raise KernelError(f"{name} must be a number that fp32 holds, not {value!r}") from None
