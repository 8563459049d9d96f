"""The kernel language: what kernels are written with, as ``from kernels import kernel, language as nl``."""

from kernels.language.compute import (
    Mask,
    activation,
    affine_select,
    memset,
    ndarray,
    tensor_copy,
    tensor_reduce,
    tensor_scalar,
    tensor_tensor,
)
from kernels.language.errors import KernelError, Source
from kernels.language.memory import constant, iota, output, scratch
from kernels.language.moves import dma_copy, dma_transpose, gather, load, load_folded, scatter, store
from kernels.language.order import blocks, config, lanes, pipeline
from kernels.language.products import matmul
from kernels.language.program import Kernel, Place, Program
from kernels.language.tiles import Psum, Tensor, Tile

__all__ = [
    "Kernel",
    "KernelError",
    "Mask",
    "Place",
    "Program",
    "Psum",
    "Source",
    "Tensor",
    "Tile",
    "activation",
    "affine_select",
    "blocks",
    "config",
    "constant",
    "dma_copy",
    "dma_transpose",
    "gather",
    "iota",
    "lanes",
    "load",
    "load_folded",
    "matmul",
    "memset",
    "ndarray",
    "output",
    "pipeline",
    "scatter",
    "scratch",
    "store",
    "tensor_copy",
    "tensor_reduce",
    "tensor_scalar",
    "tensor_tensor",
]
