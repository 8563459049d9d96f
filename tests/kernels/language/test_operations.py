"""Each operation computes what its words say: random shapes and views against NumPy, on executor and cycle model."""

import os

import numpy as np
import pytest

from golden import decode, encode, exp, reciprocal
from golden.core.lanes import add_up
from kernels import kernel
from kernels import language as nl
from scripts.running.kernels import run

SEED = int(os.environ.get("SEED", 5))
OPS = {
    "add": np.add,
    "subtract": np.subtract,
    "rsubtract": lambda x, a: a - x,
    "multiply": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "equal": lambda x, a: (x == a).astype(np.float32),
    "less": lambda x, a: (x < a).astype(np.float32),
    "less_equal": lambda x, a: (x <= a).astype(np.float32),
}


@pytest.fixture(scope="module")
def rng():
    print("seed", SEED)
    return np.random.default_rng(SEED)


def numbers(rng, *shape):
    return rng.integers(-3, 4, shape).astype(np.float32) + rng.choice([0, 0.25], shape).astype(np.float32)


def outputs(function, arrays, **options):
    """The outputs of a kernel on tiny, the same from executor and cycle model."""
    results = [run(kernel(function), arrays, config="tiny", backend=b, **options) for b in ("golden", "cycles")]
    for first, second in zip(*(result.outputs for result in results), strict=True):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first.view(f"u{first.itemsize}"), second.view(f"u{first.itemsize}"))
    return results[0].outputs


@pytest.mark.parametrize("op", OPS)
def test_vector_operands(rng, op):
    def kinds(x, t, each):
        a, b, lane = nl.load(x), nl.load(t), nl.load(each)
        for number, result in enumerate(
            [
                nl.tensor_scalar(a, op, 0.25, "multiply", 3.0),
                nl.tensor_scalar(a, op, lane, "add", b),
                nl.tensor_tensor(a, b, op),
                nl.tensor_scalar(a, "add", b, op, lane),
                # A row of the free dimensions, for each of them.
                nl.tensor_tensor(a, b[:, :1], op),
                nl.tensor_tensor(a[:, 1:2], b, op),
                nl.tensor_scalar(a, op, -0.25, absolute=True),
            ]
        ):
            nl.store(outs[number], result)

    def whole(x, t, each):
        nonlocal outs
        outs = [nl.output(x.shape) for _ in range(7)]
        kinds(x, t, each)

    outs, function = [], OPS[op]
    x, t, each = numbers(rng, 3, 4, 5), numbers(rng, 3, 4, 5), numbers(rng, 3, 1)
    lane = each[:, :, None]
    expected = [
        function(x, np.float32(0.25)) * np.float32(3),
        function(x, lane) + t,
        function(x, t),
        function(x + t, lane),
        function(x, t[:, :1]),
        function(x[:, 1:2], t),
        function(abs(x), np.float32(-0.25)),
    ]
    for actual, due in zip(outputs(whole, [x, t, each]), expected, strict=True):
        np.testing.assert_array_equal(actual, due)


def test_reductions(rng):
    def reduce(x):
        tile = nl.load(x)
        for op in ("add", "max", "absmax", "argmax"):
            nl.store(nl.output((x.shape[0], 1), "u32" if op == "argmax" else "fp32"), nl.tensor_reduce(op, tile))
        maxima = nl.ndarray((x.shape[0], 3))
        for column in range(3):
            y, _ = nl.tensor_scalar(tile, "add", float(column), reduce="max", reduce_out=maxima[:, column])
        nl.store(nl.output(y.shape), y)
        nl.store(nl.output(maxima.shape), maxima)
        nl.store(nl.output((x.shape[0], 1)), nl.activation("exp", tile, sum=True, write=False))

    x = numbers(rng, 4, 2, 9)
    flat = x.reshape(4, -1)
    total, largest, magnitude, index, y, maxima, exps = outputs(reduce, [x])
    np.testing.assert_array_equal(total[:, 0], add_up(flat))
    np.testing.assert_array_equal(largest[:, 0], flat.max(1))
    np.testing.assert_array_equal(magnitude[:, 0], abs(flat).max(1))
    np.testing.assert_array_equal(index[:, 0], flat.argmax(1))
    np.testing.assert_array_equal(y, x + 2)
    np.testing.assert_array_equal(maxima, flat.max(1)[:, None] + np.arange(3))
    np.testing.assert_array_equal(exps[:, 0], add_up(exp(flat)))


def test_activations_and_types(rng):
    def activate(x, scales):
        tile, scale = nl.load(x), nl.load(scales)
        bias = nl.tensor_copy(scale, out=nl.ndarray((4, 1)))
        nl.store(nl.output(x.shape), nl.activation("exp", tile, scale=scale, bias=bias))
        nl.store(nl.output(x.shape), nl.activation("reciprocal", tile, scale=0.5, bias=7.0))
        for dtype in ("bf16", "e4m3", "e5m2"):
            for engine in ("vector", "scalar"):
                codes = nl.tensor_copy(tile, dtype=dtype, engine=engine)
                nl.store(nl.output(x.shape, dtype), codes)
                nl.store(nl.output(x.shape), nl.tensor_copy(codes))

    x, scales = rng.normal(0, 2, (4, 7)).astype(np.float32), numbers(rng, 4, 1)
    exps, reciprocals, *rest = outputs(activate, [x, scales])
    np.testing.assert_array_equal(exps, exp(x * scales + scales))
    np.testing.assert_array_equal(reciprocals, reciprocal(x * np.float32(0.5) + np.float32(7)))
    for number, dtype in enumerate(("bf16", "bf16", "e4m3", "e4m3", "e5m2", "e5m2")):
        codes, back = rest[2 * number : 2 * number + 2]
        np.testing.assert_array_equal(codes, encode(x, dtype))
        np.testing.assert_array_equal(back, decode(codes, dtype))


def test_masks_constants_and_copies(rng):
    def select(x):
        tile = nl.load(x)
        for keep in ("at_most", "at_least", "equal"):
            nl.store(nl.output(x.shape), nl.affine_select(tile, nl.Mask(keep, 1, 2, -1.5)))
        nl.store(nl.output((4, 6)), nl.iota(4, 6, lane_step=10, step=2, start=1))
        nl.store(nl.output((3, 6), "u32"), nl.tensor_copy(nl.iota(3, 6, dtype="u32")))
        for dtype, value in (("fp32", 2.5), ("e4m3", -1.0), ("u32", 77)):
            nl.store(nl.output((4, 2, 3), dtype), nl.memset(nl.ndarray((4, 2, 3), dtype), value))
        nl.store(nl.output((2, 3), "e4m3"), nl.load(nl.constant([[1, 2, 3], [4, 5, 6]], "e4m3")))
        moved = nl.ndarray((4, 5))
        nl.dma_copy(moved[1:], tile[:3, 0])
        nl.dma_copy(moved[0], tile[3, 0])
        nl.store(nl.output((4, 5)), moved)

    x = numbers(rng, 4, 2, 5)
    least, most, equal, ramp, integers, floats, codes, words, given, moved = outputs(select, [x])
    limit, index = 1 + 2 * np.arange(4)[:, None, None], np.arange(5)
    np.testing.assert_array_equal(least, np.where(index <= limit, x, -1.5))
    np.testing.assert_array_equal(most, np.where(index >= limit, x, -1.5))
    np.testing.assert_array_equal(equal, np.where(index == limit, x, -1.5))
    np.testing.assert_array_equal(ramp, 1 + 10 * np.arange(4)[:, None] + 2 * np.arange(6))
    np.testing.assert_array_equal(integers, np.broadcast_to(np.arange(6), (3, 6)))
    assert (floats == 2.5).all() and (codes == 0xB8).all() and (words == 77).all()
    np.testing.assert_array_equal(given, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(moved, np.roll(x[:, 0], 1, axis=0))


def test_products_of_views(rng):
    """Operands with two dimensions, blocks of k, rows of PSUM taken in parts."""

    def multiply(x, w):
        # x[4, 9] as it is, and as blocks of four.
        tile, folded = nl.load(x), nl.load_folded(w)
        product = nl.matmul(tile, folded)
        out = nl.output((4, *w.shape[1:]))
        nl.store(out[:, :1], nl.tensor_copy(product[:, :1]))
        nl.store(out[:, 1:], nl.activation("identity", product[:, 1:]))
        blocks = tile[:, :8].reshape(4, 2, 4)[:, ::-1]
        nl.store(nl.output(out.shape), nl.tensor_copy(nl.matmul(blocks, folded[:, :2])))
        # A stationary operand of fewer lanes, with every other value of k.
        nl.store(nl.output((3, *w.shape[1:])), nl.tensor_copy(nl.matmul(tile[:3, :4:2], folded[:2, 0])))

    x, w = rng.integers(-3, 4, (4, 9)).astype(np.float32), rng.integers(-3, 4, (9, 2, 3)).astype(np.float32)
    whole, most, some = outputs(multiply, [(x, "e4m3"), (w, "e4m3")])
    np.testing.assert_array_equal(whole, np.einsum("nk,kab->nab", x, w))
    np.testing.assert_array_equal(most, np.einsum("nk,kab->nab", x[:, [4, 5, 6, 7, 0, 1, 2, 3]], w[:8]))
    np.testing.assert_array_equal(some, np.einsum("nk,kab->nab", x[:3, :4:2], w[:2]))


def test_moves_of_views(rng):
    """Strides, transpositions and broadcasts, to SBUF and back, in fp32 and, where words allow, in FP8."""

    def views(array):
        yield array[1:5, 2]
        yield array[4:0:-1, 1:, ::2]
        yield array[0].T[2:6]
        yield array[:3, 1, 2:6].T
        yield array[:4].transpose(0, 2, 1)
        yield array.transpose(2, 0, 1)[4:, :, ::-1]
        yield array[1, None, 1]
        yield array[2, 1, 4:]

    def loads(x):
        for view in views(x):
            tile = nl.load(view)
            nl.store(nl.output(tile.shape), tile)
            back = nl.output(tuple(reversed(tile.shape)))
            nl.store(back.T, tile)
        nl.store(nl.output((4, 8)), nl.load(x[0, 0].broadcast_to((4, 8))))
        nl.store(nl.output((4, 5)), nl.dma_transpose(x[:5, 2, 4:]))
        # From memory to memory.
        nl.dma_copy(nl.output((4, 3, 8)), x[2:])
        nl.dma_copy(nl.output((3, 4, 2)).transpose(1, 0, 2), x[2:, :, 3:5])

    x = numbers(rng, 6, 3, 8)
    results = iter(outputs(loads, [x]))
    for view in views(x):
        due = view if view.ndim > 1 else view[:, None]
        np.testing.assert_array_equal(next(results), due)
        np.testing.assert_array_equal(next(results), due.T)
    np.testing.assert_array_equal(next(results), np.broadcast_to(x[0, 0], (4, 8)))
    np.testing.assert_array_equal(next(results), x[:5, 2, 4:].T)
    np.testing.assert_array_equal(next(results), x[2:])
    np.testing.assert_array_equal(next(results), x[2:, :, 3:5].transpose(1, 0, 2))


def test_codes_are_moved_in_words(rng):
    def loads(x):
        nl.store(nl.output((3, 2, 8), "e4m3"), nl.load(x))
        nl.store(nl.output((4, 3), "e4m3"), nl.dma_transpose(x[:, 1, 4:]))
        nl.store(nl.output((4,), "e4m3"), nl.load(x[1, 0, 4:]))
        column = nl.output((3, 4), "e4m3")
        nl.store(column, nl.load(x[:, 0, 4:8]))

    x = rng.integers(0, 256, (3, 2, 8)).astype(np.uint8)
    whole, turned, line, part = outputs(loads, [(x, "e4m3")])
    np.testing.assert_array_equal(whole, x)
    np.testing.assert_array_equal(turned, x[:, 1, 4:].T)
    np.testing.assert_array_equal(line, x[1, 0, 4:])
    np.testing.assert_array_equal(part, x[:, 0, 4:])


def test_a_kernel_in_a_kernel(rng):
    @kernel
    def doubled(tile):
        return nl.tensor_scalar(tile, "multiply", 2.0)

    def twice(x):
        nl.store(nl.output(x.shape), doubled(doubled(nl.load(x))))

    x = numbers(rng, 3, 5)
    np.testing.assert_array_equal(outputs(twice, [x])[0], 4 * x)


def test_gather_and_scatter(rng):
    def move(table, index, cache, line):
        chosen = nl.load(index)
        rows = nl.gather(table, chosen)
        nl.store(nl.output((4, 2, 3)), rows)
        kept = nl.memset(nl.ndarray((4, 2, 3)), -1.0)
        nl.gather(table[:3], chosen, skip=True, out=kept)
        nl.store(nl.output((4, 2, 3)), kept)
        nl.scatter(cache[:, 1], chosen, rows)
        # A table of one element in a row.
        nl.store(nl.output((4, 1)), nl.gather(line, chosen))

    table, cache = numbers(rng, 9, 2, 3), numbers(rng, 9, 2, 2, 3)
    index = np.array([8, 0, 2, 5], np.uint32)
    line = numbers(rng, 9)
    for backend in ("golden", "cycles"):
        result = run(kernel(move), [table, index, cache, line], config="tiny", backend=backend)
        np.testing.assert_array_equal(result.outputs[0], table[index])
        np.testing.assert_array_equal(result.outputs[1], np.where((index < 3)[:, None, None], table[index], -1))
        due = cache.copy()
        due[index, 1] = table[index]
        np.testing.assert_array_equal(result.tensors[2], due)
        np.testing.assert_array_equal(result.outputs[2][:, 0], line[index])
        np.testing.assert_array_equal(result.tensors[0], table)


def test_the_same_bits_as_another_type(rng):
    """Whole numbers are indices after a product, and indices numbers after two; views keep the other type."""

    def counted(x):
        out, back = nl.output(x.shape, "u32"), nl.output(x.shape)
        indices = nl.ndarray(x.shape, "u32")
        bits = indices.bitcast("fp32")
        nl.tensor_scalar(nl.load(x), "multiply", 2.0**-100, "multiply", 2.0**-49, out=bits[:, :])
        nl.store(out, indices)
        nl.store(back, nl.tensor_scalar(bits, "multiply", 2.0**100, "multiply", 2.0**49))

    x = rng.integers(0, 1 << 23, (4, 6)).astype(np.float32)
    counts, numbers_ = outputs(counted, [x])
    np.testing.assert_array_equal(counts, x.astype(np.uint32))
    np.testing.assert_array_equal(numbers_, x)


def test_a_bitcast_of_another_size():
    def narrower(x):
        nl.load(x).bitcast("bf16")

    with pytest.raises(nl.KernelError, match="a bitcast must keep the size of fp32, not give bf16"):
        run(kernel(narrower), [np.zeros((4, 4), np.float32)], config="tiny")
