"""What operations of the engines have in common: their operands, and where results go."""

import struct
from dataclasses import dataclass

from kernels.language.errors import KernelError
from kernels.language.tiles import Psum, Tile
from kernels.language.trace import current
from kernels.language.views import Strided

__all__ = [
    "Target",
    "broadcast",
    "check_choice",
    "check_first_lane",
    "check_lane_operand",
    "check_source",
    "issue",
    "number",
    "place_of",
    "require",
    "strides",
]


@dataclass(frozen=True)
class Target:
    """What an operation gives: the tile or the type of one, and the reduced numbers."""

    lanes: int
    shape: tuple[int, ...]
    out: Tile | None
    dtype: str | None
    write: bool
    reduction: str
    reduced: Tile | bool | None

    def tile(self, default: str) -> Tile:
        """Where y goes."""
        return target("out", self.out, (self.lanes, *self.shape), self.dtype, default)

    def reduced_tile(self) -> Tile:
        """Where the reduced numbers go."""
        dtype = "u32" if self.reduction == "argmax" else "fp32"
        given = self.reduced if isinstance(self.reduced, Tile) else None
        if given is not None and given.dtype != dtype:
            raise KernelError(f"reduced numbers must go to {dtype}, not {given.dtype}")
        return target("the reduced numbers' tile", given, (self.lanes, 1), None, dtype)


def target(name: str, out: Tile | None, shape: tuple[int, ...], dtype: str | None, default: str) -> Tile:
    if out is None:
        return current().tile(shape, dtype or default)
    require(out, Tile, name, "a tile")
    if dtype not in (None, out.dtype):
        raise KernelError(f"dtype must be {out.dtype}, that of {name}, or not be given, not {dtype}")
    if out.shape != shape:
        raise KernelError(f"{name} must have shape {shape}, not {out.shape}")
    check_first_lane(name, out)
    return out


def issue(
    name: str, x: Tile | Psum, view: Strided, fields: dict, places: dict, result: Target
) -> Tile | tuple[Tile, Tile]:
    """The instruction, once its operands beside x are known."""
    trace = current()
    if isinstance(x, Psum):
        trace.take_rows(x)
        fields["x_source"] = "psum"
    else:
        trace.read(x, f"{name}_x", "x")
        places["x_address"] = x.buffer, view.offset
        fields |= {"x_type": x.dtype} | strides("x", view)
    given = []
    if not result.write and result.out is not None:
        raise KernelError("out must not be given where the result is not written")
    if result.reduction == "none" and result.reduced is not None:
        raise KernelError("a tile for reduced numbers must not be given where nothing is reduced")
    if result.write:
        y = result.tile("u32" if x.dtype == "u32" else "fp32")
        trace.write(y, name)
        places["y_address"] = place_of(y)
        fields |= {"write": "yes", "y_type": y.dtype} | strides("y", y.view)
        given.append(y)
    if result.reduction != "none":
        reduced = result.reduced_tile()
        trace.write(reduced, name)
        places["r_address"] = place_of(reduced)
        given.append(reduced)
    if not given:
        raise KernelError("an operation must write its result or reduce it")
    counts = (1,) * (3 - len(view.shape)) + view.shape
    trace.emit(name, places, lanes=x.lanes, **fields, count0=counts[2], count1=counts[1], count2=counts[0])
    return given[0] if len(given) == 1 else tuple(given)


def broadcast(x: Tile | Psum, tensor: Tile | None) -> tuple[Strided, Strided | None]:
    """The free dimensions of x and of a tensor operand, each as long as the other's."""
    if tensor is None:
        return x.view, None
    check_first_lane("a tensor operand", tensor)
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
            raise KernelError(
                f"a tensor operand must not have more than the rows of PSUM {x.shape}, not {tensor.shape}"
            )
        return Strided(shape, (0,) * length), tensor.view.broadcast_to(shape)
    return x.view.broadcast_to(shape), tensor.view.broadcast_to(shape)


def strides(name: str, view: Strided) -> dict[str, int]:
    padded = (0,) * (3 - len(view.strides)) + view.strides
    return {f"{name}_stride{dim}": padded[2 - dim] for dim in range(3)}


def place_of(tile: Tile) -> tuple:
    return tile.buffer, tile.view.offset


def check_source(x: Tile | Psum) -> None:
    require(x, Tile | Psum, "x", "a tile or rows of PSUM")
    if isinstance(x, Tile):
        check_first_lane("x", x)
    if not 1 <= len(x.view.shape) <= 3:
        raise KernelError(f"x must have one to three free dimensions, not {len(x.view.shape)}: {x.shape}")


def check_lane_operand(name: str, tile: Tile, x: Tile | Psum) -> None:
    check_first_lane(name, tile)
    if tile.dtype != "fp32" or set(tile.view.shape) != {1} or tile.lanes != x.lanes:
        raise KernelError(f"{name} must be a number or fp32 ({x.lanes}, 1), not {tile}")


def check_first_lane(name: str, tile: Tile) -> None:
    if tile.lane:
        raise KernelError(f"{name} must begin at lane 0, not {tile.lane}: dma_copy moves lanes")


def require(value: object, kind: type, name: str, wanted: str) -> None:
    if not isinstance(value, kind):
        raise KernelError(f"{name} must be {wanted}, not {value!r}")


def check_choice(name: str, value: object, names: tuple[str, ...]) -> None:
    if value not in names:
        raise KernelError(f"{name} must be {', '.join(names)}, not {value!r}")


def number(name: str, value: object) -> float:
    try:
        # What fp32 makes of it.
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except (TypeError, ValueError, OverflowError, struct.error):
        raise KernelError(f"{name} must be a number that fp32 holds, not {value!r}") from None
