"""Fused multiply-add and register tiles for Numba kernels: LLVM has them, Numba's Python does not.

A tile is a block of ``TILE_M`` rows of ``TILE_VECTORS`` SIMD vectors that stays in registers. Each operation acts on
every element alone, so that a tiled loop has the bits of the scalar one. Nothing here reorders arithmetic.
"""

from collections.abc import Iterator

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

__all__ = ["TILE_M", "fma", "tile_fma", "tile_fold", "tile_load", "tile_store", "tile_width", "tile_zero"]


def _has_64_byte_registers() -> bool:
    """Whether Numba compiles for AVX-512: the host, unless its NUMBA_CPU_* settings name another target."""
    if config.CPU_NAME or config.CPU_FEATURES:
        return "+avx512f" in (config.CPU_FEATURES or "")
    return bool(binding.get_host_cpu_features().get("avx512f"))


# 12 accumulators of a 6 x 2 tile, 2 weights and a broadcast fit 32 registers of 64 bytes (AVX-512),
# 16 of 32 (AVX2) and 32 pairs of 16 (NEON). The choice changes the speed, never a result.
_VECTOR_BYTES = 64 if _has_64_byte_registers() else 32
TILE_M, TILE_VECTORS = 6, 2


def tile_width(dtype: np.dtype | type) -> int:
    """Columns of a tile."""
    return TILE_VECTORS * _VECTOR_BYTES // np.dtype(dtype).itemsize


class _Tile(types.Type):
    """``dtype[TILE_M, tile_width]`` as an LLVM array of vectors, which LLVM takes apart into registers."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.lanes = _VECTOR_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Tile({dtype}, {TILE_M}, {TILE_VECTORS}, {self.lanes})")


@register_model(_Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager, tile):
        element = manager.lookup(tile.dtype).get_value_type()
        vectors = ir.ArrayType(ir.VectorType(element, tile.lanes), TILE_M * TILE_VECTORS)
        super().__init__(manager, tile, vectors)


class _Rows:
    """Emits addresses within a C-contiguous array of rows. No bounds check."""

    def __init__(self, context, builder, array_type, array):
        self.context, self.builder, self.type = context, builder, array_type
        self.array = context.make_array(array_type)(context, builder, array)
        self.align = array_type.dtype.bitwidth // 8

    def element(self, i, j):
        """The address of element ``[i, j]``."""
        return cgutils.get_item_pointer(self.context, self.builder, self.type, self.array, [i, j], wraparound=False)

    def vector(self, i, v: int, kind):
        """The address of vector ``v`` of row ``i``."""
        first = self.element(i, ir.Constant(i.type, v * kind.count))
        return self.builder.bitcast(first, kind.as_pointer())

    def load(self, i, v: int, kind):
        """Vector ``v`` of row ``i``."""
        value = self.builder.load(self.vector(i, v, kind), typ=kind)
        value.align = self.align
        return value

    def store(self, i, v: int, value):
        """Vector ``v`` of row ``i`` becomes ``value``."""
        self.builder.store(value, self.vector(i, v, value.type)).align = self.align

    def splat(self, i, j, kind):
        """A vector with element ``[i, j]`` in every lane."""
        undefined, index = ir.Constant(kind, ir.Undefined), ir.IntType(32)
        first = self.builder.insert_element(undefined, self.builder.load(self.element(i, j)), index(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(index, kind.count), None))


def _vectors(builder, i) -> Iterator[tuple[int, object, int]]:
    """``(index within the tile, row of the array, vector of the row)`` of a tile whose first row is ``i``."""
    for row in range(TILE_M):
        at = builder.add(i, ir.Constant(i.type, row))
        for v in range(TILE_VECTORS):
            yield row * TILE_VECTORS + v, at, v


def _is_float(kind):
    return kind in (types.float32, types.float64)


@intrinsic
def fma(typing_context, a, b, c):
    """``a * b + c`` rounded once; three float32 or three float64."""
    if not (_is_float(a) and a == b == c):
        return None

    def emit(context, builder, signature, args):
        return builder.fma(*args)

    return a(a, a, a), emit


@intrinsic
def tile_load(typing_context, array, i):
    """Rows ``i`` to ``i + TILE_M - 1`` of ``array[H, tile_width]``; the caller keeps it in bounds."""
    tile = _Tile(array.dtype)

    def emit(context, builder, signature, args):
        kind = context.get_value_type(tile)
        rows, value = _Rows(context, builder, array, args[0]), ir.Constant(kind, ir.Undefined)
        for index, row, v in _vectors(builder, args[1]):
            value = builder.insert_value(value, rows.load(row, v, kind.element), index)
        return value

    return tile(array, types.intp), emit


@intrinsic
def tile_zero(typing_context, array):
    """A tile of +0 for ``array[H, tile_width]``."""
    tile = _Tile(array.dtype)

    def emit(context, builder, signature, args):
        return ir.Constant(context.get_value_type(tile), None)

    return tile(array), emit


@intrinsic
def tile_store(typing_context, array, i, tile):
    """Rows ``i`` to ``i + TILE_M - 1`` of ``array[H, tile_width]`` become the tile; the caller keeps it in bounds."""

    def emit(context, builder, signature, args):
        rows = _Rows(context, builder, array, args[0])
        for index, row, v in _vectors(builder, args[1]):
            rows.store(row, v, builder.extract_value(args[2], index))
        return context.get_dummy_value()

    return types.none(array, types.intp, tile), emit


@intrinsic
def tile_fma(typing_context, tile, x, i, w, k):
    """``fma(x[i + row, k], w[k, column], tile[row, column])`` for ``x[H, K]`` and ``w[K, tile_width]``."""

    def emit(context, builder, signature, args):
        value, _, i, _, k = args
        kind = context.get_value_type(tile).element
        x_rows, w_rows = _Rows(context, builder, x, args[1]), _Rows(context, builder, w, args[3])
        name = f"llvm.fma.v{tile.lanes}f{tile.dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        weights = [w_rows.load(k, v, kind) for v in range(TILE_VECTORS)]
        for index, row, v in _vectors(builder, i):
            if v == 0:
                activation = x_rows.splat(row, k, kind)
            total = builder.call(function, [activation, weights[v], builder.extract_value(value, index)])
            value = builder.insert_value(value, total, index)
        return value

    return tile(tile, x, types.intp, w, types.intp), emit


@intrinsic
def tile_fold(typing_context, tile, high, i, magic):
    """``part = (tile + magic) - magic`` is added to rows ``i`` on of ``high[H, tile_width]``, taken from the tile."""

    def emit(context, builder, signature, args):
        value, _, i, magic = args
        kind = context.get_value_type(tile).element
        rows, undefined, index32 = (
            _Rows(context, builder, high, args[1]),
            ir.Constant(kind, ir.Undefined),
            ir.IntType(32),
        )
        lanes = ir.Constant(ir.VectorType(index32, tile.lanes), None)
        magic = builder.shuffle_vector(builder.insert_element(undefined, magic, index32(0)), undefined, lanes)
        for index, row, v in _vectors(builder, i):
            total = builder.extract_value(value, index)
            part = builder.fsub(builder.fadd(total, magic), magic)
            rows.store(row, v, builder.fadd(rows.load(row, v, kind), part))
            value = builder.insert_value(value, builder.fsub(total, part), index)
        return value

    return tile(tile, high, types.intp, tile.dtype), emit
