"""Fused multiply-add and SIMD vectors for Numba kernels: LLVM has them, Numba's Python does not.

A vector is a row of ``LANES[dtype]`` elements held in one register; each operation acts on every lane
alone, so that a vectorised loop has the bits of the scalar one. Nothing here reorders arithmetic.
"""

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

__all__ = ["LANES", "fma", "vector_fma", "vector_load", "vector_splat", "vector_store"]


def _has_64_byte_registers() -> bool:
    """Whether Numba compiles for AVX-512: the host, unless its NUMBA_CPU_* settings name another target."""
    if config.CPU_NAME or config.CPU_FEATURES:
        return "+avx512f" in (config.CPU_FEATURES or "")
    return bool(binding.get_host_cpu_features().get("avx512f"))


# 12 accumulators of a 6 x 2 tile, 2 weights and a broadcast fit 32 registers of 64 bytes (AVX-512),
# 16 of 32 (AVX2) and 32 pairs of 16 (NEON). The choice changes the speed, never a result.
_VECTOR_BYTES = 64 if _has_64_byte_registers() else 32
LANES = {np.dtype(np.float32): _VECTOR_BYTES // 4, np.dtype(np.float64): _VECTOR_BYTES // 8}


class _Vector(types.Type):
    def __init__(self, dtype):
        self.dtype = dtype
        self.lanes = _VECTOR_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype}, {self.lanes})")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        element = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


def _pointer(context, builder, array_type, array, indices, vector_type):
    """The address of ``array[i, j]`` as a pointer to a vector. No bounds check."""
    array = context.make_array(array_type)(context, builder, array)
    item = cgutils.get_item_pointer(context, builder, array_type, array, indices, wraparound=False)
    return builder.bitcast(item, vector_type.as_pointer())


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
def vector_load(typing_context, array, i, j):
    """``array[i, j : j + lanes]`` of a C-contiguous array; the caller keeps it in bounds."""
    vector = _Vector(array.dtype)

    def emit(context, builder, signature, args):
        kind = context.get_value_type(vector)
        loaded = builder.load(_pointer(context, builder, array, args[0], args[1:3], kind), typ=kind)
        loaded.align = array.dtype.bitwidth // 8
        return loaded

    return vector(array, types.intp, types.intp), emit


@intrinsic
def vector_store(typing_context, array, i, j, vector):
    """``array[i, j : j + lanes] = vector`` in a C-contiguous array; the caller keeps it in bounds."""

    def emit(context, builder, signature, args):
        pointer = _pointer(context, builder, array, args[0], args[1:3], context.get_value_type(vector))
        builder.store(args[3], pointer).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, vector), emit


@intrinsic
def vector_splat(typing_context, scalar):
    """A vector with ``scalar`` in every lane."""
    if not _is_float(scalar):
        return None
    vector = _Vector(scalar)

    def emit(context, builder, signature, args):
        undefined = ir.Constant(context.get_value_type(vector), ir.Undefined)
        index = ir.IntType(32)
        first = builder.insert_element(undefined, args[0], index(0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(index, vector.lanes), None))

    return vector(scalar), emit


@intrinsic
def vector_fma(typing_context, a, b, c):
    """``a * b + c`` in every lane, rounded once."""
    if not (isinstance(a, _Vector) and a == b == c):
        return None

    def emit(context, builder, signature, args):
        kind = context.get_value_type(a)
        name = f"llvm.fma.v{a.lanes}f{a.dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, args)

    return a(a, a, a), emit
