"""The library's kernels: edge shapes, against golden functions; bits and cycles alike on every backend."""

import importlib
import os
import pkgutil

import numpy as np
import pytest

import kernels.library
from arch.core.presets import CORES
from arch.elements import ELEMENTS
from golden import encode, exp, gemm, quantize, reciprocal
from golden.core.lanes import add_up
from golden.core.races import check_races
from kernels.language import Kernel
from kernels.library.attention import attention
from kernels.library.choose import topk
from kernels.library.elementwise import add
from kernels.library.gather import gather_rows
from kernels.library.gemm import gemm as gemm_kernel
from kernels.library.gemm import gemm_stationary_weights
from kernels.library.hadamard import hadamard
from kernels.library.moe import mixture_of_experts
from kernels.library.quantize import quantize_tensor, quantize_tokens
from kernels.library.softmax import softmax
from kernels.library.transposition import transpose
from scripts.running.kernels import run
from tests.kernels.waits import superfluous

SEED = int(os.environ.get("SEED", 5))


def edges(core: str) -> list[int]:
    lanes = CORES[core].lanes
    return [1, lanes - 1, lanes, lanes + 1, 3 * lanes + 7]


def sizes(core: str, count: int, cases: int) -> list[tuple[int, ...]]:
    """Edge sizes in every place, and random ones."""
    rng, each = np.random.default_rng(SEED), edges(core)
    drawn = [
        tuple(each[(place * shift + start) % 5] for place in range(count)) for shift in (0, 1) for start in range(5)
    ]
    return drawn + [tuple(int(n) for n in rng.integers(1, 40, count)) for _ in range(cases)]


def numbers(rng, *shape):
    return rng.normal(0, 2, shape).astype(np.float32)


def same(actual: np.ndarray, due: np.ndarray) -> None:
    assert actual.dtype == due.dtype and actual.shape == due.shape
    np.testing.assert_array_equal(actual.view(f"u{due.itemsize}"), due.view(f"u{due.itemsize}"))


def checked(kernel, tensors, due, *, config, backends=("golden", "cycles"), **constants):
    """Run a kernel on each backend; its outputs must be what is due."""
    results = {}
    for backend in backends:
        result = results[backend] = run(kernel, tensors, config=config, backend=backend, **constants)
        for actual, expected in zip(result.outputs, due, strict=True):
            same(actual, expected)
    return results


def softmax_due(x: np.ndarray, scale: float) -> np.ndarray:
    scaled = x * np.float32(scale)
    shift = x.max(1, keepdims=True) * np.float32(-scale)
    numerators = exp(scaled + shift)
    return numerators * reciprocal(add_up(numerators))[:, None]


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_add(core):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    for m, n in sizes(core, 2, 5):
        x, y = numbers(rng, m, n), numbers(rng, m, n)
        checked(add, [x, y], [x + y], config=core)


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_softmax(core):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    for m, n in sizes(core, 2, 5):
        x, scale = numbers(rng, m, n), float(np.float32(rng.uniform(0.1, 3)))
        due = softmax_due(x, scale)
        checked(softmax, [x], [due], config=core, scale=scale)
        assert np.abs(due.sum(1) - 1).max() < 1e-5


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_quantize_tokens(core):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    dtypes = CORES[core].engine.formats
    for number, (m, n) in enumerate(sizes(core, 2, 5)):
        x, dtype = numbers(rng, m, n) * np.float32(10.0 ** rng.integers(-30, 30)), dtypes[number % len(dtypes)]
        x[rng.integers(m)] = 0
        due = quantize(x, dtype, recipe="per-token")
        checked(quantize_tokens, [x], [due.codes, due.scale], config=core, dtype=dtype)


@pytest.mark.parametrize("core", ["tiny", "fp8", "bf16"])
def test_gemm(core):
    print("seed", SEED)
    rng, engine = np.random.default_rng(SEED), CORES[core].engine
    for m, k, n in sizes(core, 3, 6):
        formats = [str(rng.choice(engine.formats)) for _ in "xw"]
        x, w = (encode(numbers(rng, *s), f) for s, f in zip(((m, k), (k, n)), formats, strict=True))
        due = gemm(x, w, x_format=formats[0], w_format=formats[1], accumulation=engine.accumulation)
        checked(gemm_kernel, [(x, formats[0]), (w, formats[1])], [due], config=core)


def test_gemm_of_several_panels():
    """More columns than PSUM has rows, and rows of x that SBUF does not keep."""
    rng = np.random.default_rng(SEED)
    for m, k, n in ((9, 5, 1100), (70, 90, 30), (5, 300, 41)):
        x, w = encode(numbers(rng, m, k), "e4m3"), encode(numbers(rng, k, n), "e4m3")
        due = gemm(x, w, x_format="e4m3", w_format="e4m3", accumulation="exact")
        checked(gemm_kernel, [(x, "e4m3"), (w, "e4m3")], [due], config="tiny", backends=("golden",))


def parameters(core: str) -> list[tuple]:
    """Each kernel with parameters of some size, and its constants."""
    lanes, codes = CORES[core].lanes, CORES[core].engine.formats[0]
    assert ELEMENTS[codes].bytes == 1
    rows, depth, columns = 3 * lanes + 7, 2 * lanes + 3, 3 * lanes + 1
    matrix, heads = ((rows, columns), "fp32"), [((2, lanes + 5, 8), codes)] * 3
    product = [((rows, depth), codes), ((depth, columns), codes), ((columns,), "fp32")]
    experts = [((4, lanes, 8), codes)] * 2 + [((4, 8, lanes), codes)]
    return [
        (add, [matrix] * 2, {}),
        (softmax, [matrix], {}),
        (quantize_tokens, [matrix], {}),
        (quantize_tensor, [matrix], {}),
        (gemm_kernel, product, {"activation": "gelu"}),
        (gemm_stationary_weights, product, {"activation": "silu"}),
        (attention, heads, {"scale": 0.5, "causal": True}),
        (topk, [matrix], {"k": 3}),
        (transpose, [matrix], {}),
        (gather_rows, [matrix, ((rows,), "u32")], {}),
        (hadamard, [((rows, 8), "fp32")], {"signs": [1, -1] * 4, "scale": 0.5}),
        (mixture_of_experts, [((3, lanes), codes), ((lanes, 4), codes), *experts], {"k": 2}),
    ]


def test_every_kernel_is_there():
    """What the library exports as kernels is what these tests go over."""
    found = {
        value
        for module in pkgutil.iter_modules(kernels.library.__path__)
        for value in vars(importlib.import_module(f"kernels.library.{module.name}")).values()
        if isinstance(value, Kernel)
    }
    assert found == {kernel for kernel, _, _ in parameters("tiny")}


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_each_wait_is_needed(core):
    counts = []
    for kernel, given, constants in parameters(core):
        program = kernel.build(CORES[core], given, **constants)
        check_races(program.instructions, program.config)
        count, found = superfluous(program.instructions, program.config)
        assert found == []
        counts.append(count)
    print(f"{sum(counts)} waits of {len(counts)} programs, each missed where it is left out")
    assert min(counts) >= 4, counts


@pytest.mark.slow
def test_on_the_rtl():
    """Bits and cycles as the cycle model has them."""
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    x = numbers(rng, 9, 6)
    results = checked(softmax, [x], [softmax_due(x, 0.5)], config="tiny", backends=("cycles", "rtl"), scale=0.5)
    assert results["rtl"].cycles == results["cycles"].cycles > 0
    assert results["rtl"].engines == results["cycles"].engines
    assert results["rtl"].instructions == results["cycles"].instructions
