"""Norms, activation functions, rotary positions, attention, choices, experts: against NumPy in the same order."""

import os

import numpy as np
import pytest

from arch.core.presets import CORES
from golden import attention as golden_attention
from golden import encode, exp, gemm, quantize, reciprocal, rsqrt
from golden.core.lanes import add_up
from golden.numerics.hadamard import inverse_sqrt, rotate, rotation_signs
from kernels import kernel
from kernels import language as nl
from kernels.library.attention import attention
from kernels.library.choose import Largest, topk
from kernels.library.gather import gather_rows
from kernels.library.gemm import gemm as gemm_kernel
from kernels.library.gemm import gemm_stationary_weights
from kernels.library.hadamard import hadamard
from kernels.library.mlp import gelu, silu_times
from kernels.library.moe import mixture_of_experts
from kernels.library.norm import layer_norm, rms_norm
from kernels.library.quantize import quantize_tensor
from kernels.library.rope import PAIRINGS, rope
from kernels.library.transposition import transpose
from scripts.running.kernels import run
from tests.kernels.library.test_library import checked, edges, numbers, sizes

SEED = int(os.environ.get("SEED", 6))
F = np.float32


def rng() -> np.random.Generator:
    print("seed", SEED)
    return np.random.default_rng(SEED)


def by_rows(function):
    """A kernel of a function of tiles."""

    @kernel
    def over_rows(*tensors, **options):
        out = nl.output(tensors[0].shape)
        for rows in nl.blocks(tensors[0].shape[0]):
            nl.store(out[rows], function(*(nl.load(each[rows]) for each in tensors), **options))

    return over_rows


def rms_due(x: np.ndarray, eps: float) -> np.ndarray:
    return x * rsqrt(add_up(x * x) * F(1 / x.shape[1]) + F(eps))[:, None]


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_norms(core):
    draw = rng()
    for m, n in sizes(core, 2, 2):
        x = numbers(draw, m, n)
        checked(by_rows(rms_norm), [x], [rms_due(x, 1e-5)], config=core, eps=1e-5)
        centred = x + (add_up(x) * F(-1 / n))[:, None]
        checked(by_rows(layer_norm), [x], [rms_due(centred, 1e-5)], config=core, eps=1e-5)


def sigmoid_due(x: np.ndarray) -> np.ndarray:
    return reciprocal(exp(-x) + F(1))


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_activation_functions(core):
    draw = rng()
    for m, n in sizes(core, 2, 2):
        x, y = numbers(draw, m, n), numbers(draw, m, n)
        checked(by_rows(silu_times), [x, y], [y * x * sigmoid_due(x)], config=core)
        factor = 2 * np.sqrt(2 / np.pi)
        argument = (x * x * F(0.044715 * factor) + F(factor)) * x
        due = x * sigmoid_due(argument)
        checked(by_rows(gelu), [x], [due], config=core)
        wide = x.astype(np.float64)
        assert np.abs(due - wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))) / 2).max() < 1e-5


@kernel
def turned(x, cosines, sines, *, pairing):
    out = nl.output(x.shape)
    for rows in nl.blocks(x.shape[0]):
        tile = nl.ndarray((rows.stop - rows.start, *x.shape[1:]))
        rope(nl.load(x[rows]), nl.load(cosines[rows]), nl.load(sines[rows]), pairing, out=tile)
        nl.store(out[rows], tile)


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_rope(core, pairing):
    draw = rng()
    for tokens, heads in sizes(core, 2, 2):
        x, half = numbers(draw, tokens, min(heads, 9), 8), 4
        angles = numbers(draw, tokens, half)
        cosines, sines = np.cos(angles), np.sin(angles)
        parts = (slice(0, half), slice(half, 8)) if pairing == "halves" else (slice(0, 8, 2), slice(1, 8, 2))
        a, b = (x[..., part] for part in parts)
        c, s = cosines[:, None], sines[:, None]
        due = np.empty_like(x)
        due[..., parts[0]], due[..., parts[1]] = a * c - b * s, b * c + a * s
        checked(turned, [x, cosines, sines], [due], config=core, pairing=pairing)


def test_a_pairing_that_there_is_not():
    given = [np.zeros((2, 1, 8), F), np.zeros((2, 4), F), np.zeros((2, 4), F)]
    with pytest.raises(nl.KernelError, match="pairing must be halves or adjacent, not 'thirds'"):
        run(turned, given, config="tiny", pairing="thirds")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_attention(core, causal):
    """Grouped heads; more keys than half of PSUM has rows, once."""
    draw, accumulation = rng(), CORES[core].engine.accumulation
    for size in [*edges(core), 600 if core == "fp8" else 13]:
        queries, keys = (size, size) if size < 600 else (5, size)
        tensors = [numbers(draw, *shape) for shape in ((4, queries, 8), (2, keys, 8), (2, keys, 8))]
        ones = {"q_scale": np.ones(4, F), "k_scale": np.ones(2, F), "v_scale": np.ones((2, 8), F)}
        due = golden_attention(*tensors, accumulation=accumulation, causal=causal, **ones)
        codes = [(encode(tensor, "e4m3"), "e4m3") for tensor in tensors]
        backends = ("golden", "cycles") if size < 20 else ("golden",)
        options = {"scale": float(inverse_sqrt(8)), "causal": causal}
        checked(attention, codes, [due], config=core, backends=backends, **options)


# ---- choices -----------------------------------------------------------------------------------------


@kernel
def largest(x, *, size):
    out = nl.output((x.shape[0], 1), "u32")
    for rows in nl.blocks(x.shape[0]):
        parts = list(nl.blocks(x.shape[1], size))
        found = Largest(rows.stop - rows.start, x.shape[1], size)
        for number, part in enumerate(parts):
            found.see(number, nl.load(x[rows, part]))
        nl.store(out[rows], found.index())


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_the_largest_of_many_parts(core):
    draw = rng()
    for m, n in sizes(core, 2, 4):
        # Few different numbers: the first of those that are the same.
        x = draw.integers(-3, 4, (m, n)).astype(F)
        checked(largest, [x], [x.argmax(1)[:, None].astype(np.uint32)], config=core, size=int(draw.integers(1, n + 1)))


def test_an_index_of_many_bits():
    x = np.zeros((1, 70000), F)
    x[0, 69999] = 1
    checked(largest, [x], [np.array([[69999]], np.uint32)], config="fp8", backends=("golden",), size=7000)
    with pytest.raises(nl.KernelError, match="count must be at most 8388608, not 8388609"):
        largest.build(CORES["fp8"], [((1, (1 << 23) + 1), "fp32")], size=1 << 20)


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_topk(core):
    draw = rng()
    for m, n in sizes(core, 2, 2):
        x, k = draw.integers(-5, 6, (m, n)).astype(F), int(draw.integers(1, min(n, 6) + 1))
        order = np.argsort(-x, axis=1, kind="stable")[:, :k]
        due = np.take_along_axis(x, order, 1), order.astype(np.uint32)
        checked(topk, [x], due, config=core, k=k)
    with pytest.raises(nl.KernelError, match="k must be 1 to the 3 columns of x, not 4"):
        run(topk, [np.zeros((2, 3), F)], config="tiny", k=4)


# ---- moves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_transpose(core):
    draw = rng()
    for m, n in sizes(core, 2, 2):
        for dtype, unsigned in (("fp32", np.uint32), ("bf16", np.uint16), ("e4m3", np.uint8)):
            x = draw.integers(0, 1 << 8 * np.dtype(unsigned).itemsize, (m, n), unsigned)
            x = x.view(F) if dtype == "fp32" else x
            checked(transpose, [x if dtype == "fp32" else (x, dtype)], [np.ascontiguousarray(x.T)], config=core)


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_gather_rows(core):
    draw = rng()
    for count, width in sizes(core, 2, 2):
        table, ids = numbers(draw, 50, width), draw.integers(0, 50, count, np.uint32)
        checked(gather_rows, [table, ids], [table[ids]], config=core)


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_hadamard(core):
    draw = rng()
    for m in edges(core):
        for width in (1, 2, 32):
            x = numbers(draw, m, width)
            options = {"signs": rotation_signs(width).tolist(), "scale": float(inverse_sqrt(width))}
            checked(hadamard, [x], [rotate(x)], config=core, **options)
    with pytest.raises(nl.KernelError, match="a power of two of columns, not 3"):
        run(hadamard, [np.zeros((2, 3), F)], config="tiny", signs=[1] * 3, scale=1.0)


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_quantize_tensor(core):
    draw = rng()
    for m, n in sizes(core, 2, 3):
        x = numbers(draw, m, n) * F(10.0 ** draw.integers(-30, 30))
        due = quantize(x, "e4m3", recipe="per-tensor")
        checked(quantize_tensor, [x], [due.codes, due.scale], config=core)


# ---- products ----------------------------------------------------------------------------------------


def finished(sums: np.ndarray, bias: np.ndarray | None, activation: str) -> np.ndarray:
    y = sums if bias is None else sums + bias
    if activation == "relu":
        return np.maximum(y, F(0))
    if activation == "silu":
        return y * sigmoid_due(y)
    if activation == "gelu":
        factor = 2 * np.sqrt(2 / np.pi)
        return y * sigmoid_due((y * y * F(0.044715 * factor) + F(factor)) * y)
    return y


@pytest.mark.parametrize("function", [gemm_kernel, gemm_stationary_weights])
@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_gemm_with_bias_and_activation(core, function):
    draw, engine = rng(), CORES[core].engine
    for number, (m, k, n) in enumerate(sizes(core, 3, 2)):
        x, w = encode(numbers(draw, m, k), "e4m3"), encode(numbers(draw, k, n), "e4m3")
        bias, activation = numbers(draw, n) if number % 3 else None, ("none", "relu", "gelu", "silu")[number % 4]
        sums = gemm(x, w, x_format="e4m3", w_format="e4m3", accumulation=engine.accumulation)
        given = [(x, "e4m3"), (w, "e4m3"), *([] if bias is None else [bias])]
        checked(function, given, [finished(sums, bias, activation)], config=core, activation=activation)
    with pytest.raises(nl.KernelError, match="activation must be none, relu, gelu, silu, not 'tanh'"):
        run(function, [(x, "e4m3"), (w, "e4m3")], config=core, activation="tanh")


def test_gemm_of_more_k_than_sums_hold():
    draw = rng()
    x, w = encode(numbers(draw, 5, 700), "e4m3"), encode(numbers(draw, 700, 9), "e4m3")
    parts = [slice(0, 512), slice(512, 700)]
    sums = [gemm(x[:, p], w[p], x_format="e4m3", w_format="e4m3", accumulation="exact") for p in parts]
    checked(gemm_kernel, [(x, "e4m3"), (w, "e4m3")], [sums[1] + sums[0]], config="tiny")


@pytest.mark.parametrize(("core", "dtype"), [("tiny", "e4m3"), ("fp8", "e4m3"), ("bf16", "bf16")])
def test_mixture_of_experts(core, dtype):
    draw, lanes = rng(), CORES[core].lanes
    accumulation = CORES[core].engine.accumulation

    def product(a, b):
        return gemm(a, b, x_format=dtype, w_format=dtype, accumulation=accumulation)

    for tokens, width, hidden, experts, k in ((1, 8, 12, 3, 1), (lanes + 1, lanes + 4, 2 * lanes + 4, 5, 2)):
        shapes = (tokens, width), (width, experts), *[(experts, width, hidden)] * 2, (experts, hidden, width)
        x, router, gate, up, down = (encode(numbers(draw, *shape) / F(2), dtype) for shape in shapes)
        scores = product(x, router)
        chosen = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, chosen, 1)
        powers = exp(best + best[:, :1] * F(-1))
        weights = powers * reciprocal(add_up(powers))[:, None]
        due = np.zeros((tokens, width), F)
        for token in range(tokens):
            for place, expert in enumerate(chosen[token]):
                mine = x[token : token + 1]
                gated = product(mine, gate[expert])
                between = product(mine, up[expert]) * gated * sigmoid_due(gated)
                if dtype == "bf16":
                    result = product(encode(between, dtype), down[expert])
                else:
                    codes = quantize(between, dtype, recipe="per-token")
                    result = product(codes.codes, down[expert]) * codes.scale
                result = result * weights[token, place]
                due[token] = result if place == 0 else due[token] + result
        given = [(each, dtype) for each in (x, router, gate, up, down)]
        checked(mixture_of_experts, given, [due], config=core, k=k)
