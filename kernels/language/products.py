"""Products, by the tensor engine."""

from kernels.language.errors import KernelError
from kernels.language.operands import check_first_lane, place_of, require
from kernels.language.tiles import Psum, Tile
from kernels.language.trace import Trace, current

__all__ = ["matmul"]


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
        require(tile, Tile, name, "a tile")
        if tile.dtype not in trace.config.engine.formats:
            raise KernelError(f"{name} must be {' or '.join(trace.config.engine.formats)}, not {tile.dtype}")
        check_first_lane(name, tile)
    depth, w = _stationary(stationary, lanes)
    tiles = -(-depth // lanes)
    (blocks, x_tile_stride), *rows = _moving(moving, tiles)
    if tiles != blocks or moving.lanes != min(depth, lanes):
        wanted = f"lanes {min(depth, lanes)}" + (f", then {tiles} blocks of them" if tiles > 1 else "")
        raise KernelError(f"moving must have the {depth} values of k that stationary has: {wanted}; not {moving.shape}")
    if len(rows) > 2:
        raise KernelError(f"moving must have at most two dimensions of rows, not {moving.shape}")
    for tile, name in ((stationary, "stationary"), (moving, "moving")):
        _read_operand(trace, tile, name, depth, lanes)
    rows = rows or [(1, 0)]
    (count1, stride1), (count0, stride0) = rows if len(rows) == 2 else [(1, 0), *rows]
    psum = trace.put_rows(stationary.lanes, tuple(count for count, _ in rows))
    places = {"w_address": place_of(stationary), "x_address": place_of(moving)}
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
