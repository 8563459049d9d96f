"""Random chains of the library's kernels in one program: what one stores is what the next one loads."""

import numpy as np

from kernels import kernel
from kernels import language as nl
from kernels.language.trace import current
from kernels.library.attention import attention
from kernels.library.choose import topk
from kernels.library.elementwise import add
from kernels.library.gather import gather_rows
from kernels.library.gemm import ACTIVATIONS, gemm, gemm_stationary_weights
from kernels.library.hadamard import hadamard
from kernels.library.moe import mixture_of_experts
from kernels.library.quantize import quantize_tensor, quantize_tokens
from kernels.library.softmax import softmax
from kernels.library.transposition import transpose

__all__ = ["LINKS", "chain"]


def _stored(function, *tensors, **constants) -> list:
    """The outputs of a kernel that is called in another one."""
    trace = current()
    before = len(trace.regions)
    function(*tensors, **constants)
    return [nl.Tensor(region, region.view) for region in trace.regions[before:] if region.kind == "output"]


def _codes(rng, x):
    function = (quantize_tokens, quantize_tensor)[rng.integers(2)]
    return _stored(function, x)[0]


def _weights(rng, *shape):
    """Codes of e4m3 of numbers up to 1 or so, none of them NaN."""
    return nl.constant(rng.integers(0, 2, shape) * 128 + rng.integers(0, 56, shape), "e4m3")


def _add(rng, x):
    return _stored(add, x, x)[0]


def _softmax(rng, x):
    return _stored(softmax, x, scale=float(np.float32(rng.uniform(0.1, 2))))[0]


def _transpose(rng, x):
    return _stored(transpose, x)[0]


def _gather_rows(rng, x):
    ids = nl.constant(rng.integers(0, x.shape[0], int(rng.integers(1, 10))), "u32")
    return _stored(gather_rows, x, ids)[0]


def _hadamard(rng, x):
    width = 1 << (x.shape[1].bit_length() - 1)
    signs = rng.choice([-1.0, 1.0], width).tolist()
    return _stored(hadamard, x[:, :width], signs=signs, scale=0.5)[0]


def _topk(rng, x):
    """The largest of each row; or those columns of x, as rows, that row 0 has its largest in."""
    values, indices = _stored(topk, x, k=int(rng.integers(1, min(x.shape[1], 4) + 1)))
    return values if rng.random() < 0.5 else _stored(gather_rows, _stored(transpose, x)[0], indices[0])[0]


def _gemm(rng, x):
    function, columns = (gemm, gemm_stationary_weights)[rng.integers(2)], int(rng.integers(1, 12))
    given = [_codes(rng, x), _weights(rng, x.shape[1], columns)]
    if rng.random() < 0.5:
        given.append(nl.constant(rng.standard_normal(columns).astype(np.float32)))
    return _stored(function, *given, activation=str(rng.choice(ACTIVATIONS)))[0]


def _attention(rng, x):
    codes = _codes(rng, x).reshape(1, *x.shape)
    return _stored(attention, codes, codes, codes, scale=0.25, causal=bool(rng.integers(2)))[0][0]


def _mixture_of_experts(rng, x):
    count, depth, between = int(rng.integers(1, 4)), x.shape[1], int(rng.integers(1, 6))
    shapes = (depth, count), (count, depth, between), (count, depth, between), (count, between, depth)
    given = [_codes(rng, x[:2]), *(_weights(rng, *shape) for shape in shapes)]
    return _stored(mixture_of_experts, *given, k=int(rng.integers(1, count + 1)))[0]


LINKS = (_add, _softmax, _transpose, _gather_rows, _hadamard, _topk, _gemm, _attention, _mixture_of_experts)


@kernel
def chain(x, *, links, seed):
    """fp32[M, N] through the kernels of ``LINKS`` of some numbers, one after another."""
    rng = np.random.default_rng(seed)
    for number in links:
        x = LINKS[number](rng, x)
