"""Mistakes in a kernel are refused when it is built, at the line that they are made at."""

import inspect

import numpy as np
import pytest

from arch.core.presets import CORES
from kernels import kernel
from kernels import language as nl
from scripts.running.kernels import build, run

X = ((4, 8), "fp32")
#: The dtypes of parameters beside X.
CODES = ((4, 8), "e4m3")


def nobody_wrote(x):
    tile = nl.ndarray((4, 8))
    nl.store(nl.output((4, 8)), tile)  # here


def nobody_wrote_all_of_it(x):
    tile = nl.ndarray((4, 8))
    nl.load(x[:, :6], out=tile[:, :6])
    nl.tensor_reduce("max", tile[:, 1:7])  # here


def nobody_wrote_a_lane(x):
    tile = nl.ndarray((4, 8))
    nl.load(x[:3], out=tile[:3])
    nl.tensor_reduce("max", tile)  # here


def nobody_wrote_the_lanes_before(x):
    tile = nl.ndarray((4, 8))
    nl.load(x[3:], out=tile[3:])
    nl.tensor_reduce("max", tile)  # here


def output_in_part(x):
    out = nl.output((4, 8))  # here
    nl.store(out[:, :4], nl.load(x)[:, :4])


def scratch_in_part(x):
    spare = nl.scratch((4, 8))
    nl.store(spare[:2], nl.load(x[:2]))
    nl.load(spare)  # here


def other_shapes(x):
    nl.tensor_tensor(nl.load(x), nl.load(x)[:, :7], "add")  # here


def other_lanes(x):
    nl.tensor_tensor(nl.load(x), nl.load(x[:3]), "add")  # here


def other_dtype(x):
    nl.store(nl.output((4, 8), "bf16"), nl.load(x))  # here


def other_result(x):
    nl.activation("exp", nl.load(x), out=nl.ndarray((4, 7)))  # here


def too_many_lanes(x):
    nl.load(x.reshape(8, 4))  # here


def too_large(x):
    nl.ndarray((4, 2000))  # here


def no_shape(x):
    nl.ndarray((4, 0))  # here


def no_integers(x):
    nl.output((4, 2.5))  # here


def no_lanes(x):
    nl.load(x)[4]  # here


def two_tensors(x):
    tile = nl.load(x)
    nl.tensor_scalar(tile, "add", tile, "multiply", tile)  # here


def no_operation(x):
    nl.tensor_scalar(nl.load(x), "divide", 2.0)  # here


def no_function(x):
    nl.activation("tanh", nl.load(x))  # here


def product_of_numbers(x):
    nl.matmul(nl.load(x), nl.load(x))  # here


def product_of_other_depth(x, w):
    nl.matmul(nl.load(w), nl.load_folded(w))  # here


def product_of_what_nobody_wrote(x, w):
    moving = nl.ndarray((4, 2, 8), "e4m3")
    nl.load(w, out=moving[:, 1])
    nl.matmul(nl.load(w)[:, :6], moving)  # here


def product_of_less_than_is_there(x, w):
    moving = nl.ndarray((4, 2, 8), "e4m3")
    nl.load(w, out=moving[:, 0])
    nl.load(w[:1], out=moving[:1, 1])
    nl.matmul(nl.load(w)[:, :6], moving)  # here


def rows_with_gaps(x, w):
    product = nl.matmul(nl.load(w)[:, :4], nl.load(w))
    nl.tensor_copy(product[:, ::2])  # here


def more_than_the_rows(x, w):
    product = nl.matmul(nl.load(w)[:, :4], nl.load(w))
    nl.tensor_tensor(product, nl.memset(nl.ndarray((4, 2, 8)), 1.0), "add")  # here


def product_of_more_lanes(x, w):
    nl.matmul(nl.load(w)[:, :3], nl.load(w))  # here


def operand_of_nothing(x):
    tile = nl.load(x)
    nl.tensor_scalar(tile, "bypass", tile)  # here


def result_of_nothing(x):
    tile = nl.load(x)
    nl.activation("exp", tile, out=tile, sum=True, write=False)  # here


def reduced_to_nothing(x):
    nl.tensor_scalar(nl.load(x), "add", 1.0, reduce_out=nl.ndarray((4, 1)))  # here


def neither_written_nor_reduced(x):
    nl.tensor_scalar(nl.load(x), "add", 1.0, write=False)  # here


def reduced_to_another_type(x):
    nl.tensor_scalar(nl.load(x), "add", 1.0, reduce="argmax", reduce_out=nl.ndarray((4, 1)))  # here


def rows_left(x, w):
    nl.matmul(nl.load(w)[:, :4], nl.load(w))  # here


def rows_taken_twice(x, w):
    product = nl.matmul(nl.load(w)[:, :4], nl.load(w))
    nl.tensor_copy(product)
    nl.tensor_copy(product)  # here


def rows_out_of_order(x, w):
    product = nl.matmul(nl.load(w)[:, :4], nl.load(w))
    nl.tensor_copy(product[:, 1:])  # here


def products_out_of_order(x, w):
    tile = nl.load(w)
    nl.matmul(tile[:, :4], tile)
    second = nl.matmul(tile[:, :4], tile)
    nl.tensor_copy(second)  # here


def too_many_rows(x, w):
    tile = nl.load(w)
    for _ in range(200):
        nl.matmul(tile[:, :4], tile)  # here


def computed_u32(x):
    tile = nl.tensor_reduce("argmax", nl.load(x))
    nl.tensor_scalar(tile, "add", 1.0)  # here


def middle_of_a_word(x, w):
    nl.load(w[:, 1:])  # here


def other_lane(x):
    nl.tensor_copy(nl.load(x)[1:])  # here


def index_of_numbers(x):
    nl.gather(x, nl.load(x[:, 0]))  # here


def overlapping_result(x):
    tile = nl.load(x)
    nl.tensor_copy(tile[:, :6], out=tile[:, 1:7])  # here


def twice_at_a_place(x):
    tile = nl.load(x)
    nl.tensor_copy(tile, out=nl.ndarray((4, 1)).broadcast_to((4, 8)))  # here


def bad_queue(x):
    nl.load(x, queue=2)  # here


def no_number(x):
    nl.tensor_scalar(nl.load(x), "add", 1e40)  # here


def nothing(x):  # here
    pass


CASES = [
    (nobody_wrote, "source must be written before it is read, not the whole of the tile 4x8 fp32 of"),
    (nobody_wrote_all_of_it, "x must be written before it is read, not the whole of the tile 4x8 fp32 of"),
    (nobody_wrote_a_lane, "x must be written before it is read, not the whole of the tile 4x8 fp32 of"),
    (nobody_wrote_the_lanes_before, "x must be written before it is read, not the whole of the tile 4x8 fp32 of"),
    (output_in_part, "an output must be stored whole, not in part: 4x8 fp32"),
    (scratch_in_part, "a tensor in memory must be written before it is loaded, not in part"),
    (other_shapes, "a tensor operand must have x's shape (4, 8), or 1 in its place, not (4, 7)"),
    (other_lanes, "a tensor operand must have x's 4 lanes, not 3"),
    (other_dtype, "a dma changes no element: dtype must be bf16, not fp32; see tensor_copy"),
    (other_result, "out must have shape (4, 8), not (4, 7)"),
    (too_many_lanes, "a tile must have at most 4 lanes, not 8: see blocks"),
    (too_large, "a tile must have at most 4096 bytes a lane, not 8000"),
    (no_shape, "a tile's shape must be integers of 1 or more, not (4, 0)"),
    (no_integers, "a tensor's shape must be integers of 1 or more, not (4, 2.5)"),
    (no_lanes, "lanes must be a slice or an integer below 4, not 4"),
    (two_tensors, "only one of a and b must be a tile of more than a number for each lane, not both"),
    (
        no_operation,
        "op0 must be bypass, add, subtract, rsubtract, multiply, max, min, equal, less, less_equal, not 'div",
    ),
    (no_function, "function must be identity, exp, reciprocal, rsqrt, not 'tanh'"),
    (product_of_numbers, "stationary must be e4m3, not fp32"),
    (product_of_other_depth, "moving must have the 8 values of k that stationary has: lanes 4, then 2 blocks of them"),
    (product_of_what_nobody_wrote, "moving must be written before it is read, not the whole of the tile 4x2x8 e4m3"),
    (product_of_less_than_is_there, "moving must be written before it is read, not the whole of the tile 4x2x8 e4m3"),
    (rows_with_gaps, "rows of PSUM must be taken in order, from row 0 of the product on"),
    (more_than_the_rows, "a tensor operand must not have more than the rows of PSUM (4, 8), not (4, 2, 8)"),
    (product_of_more_lanes, "moving must have the 3 values of k that stationary has: lanes 3; not (4, 8)"),
    (operand_of_nothing, "a must be no tile where op0 is bypass"),
    (result_of_nothing, "out must not be given where the result is not written"),
    (reduced_to_nothing, "a tile for reduced numbers must not be given where nothing is reduced"),
    (neither_written_nor_reduced, "an operation must write its result or reduce it"),
    (reduced_to_another_type, "reduced numbers must go to u32, not fp32"),
    (rows_left, "rows of PSUM must be taken, not left: 8 of 8"),
    (rows_taken_twice, "rows of PSUM must be taken once, not again those of the product of"),
    (rows_out_of_order, "rows of PSUM must be taken in order, from row 0 of the product on"),
    (products_out_of_order, "rows of PSUM must be taken in order, those of the product of"),
    (too_many_rows, "rows of PSUM must be at most 1024, not 1032, of which 1024 were not taken yet"),
    (computed_u32, "vector: op0 must be bypass where x is u32, not add"),
    (middle_of_a_word, "dma: source_address must be a multiple of 4, not"),
    (other_lane, "x must begin at lane 0, not 1: dma_copy moves lanes"),
    (index_of_numbers, "index must be u32 of one element in lanes from 0 on, not tile (4, 1) fp32"),
    (overlapping_result, "vector: y must lie exactly on x or apart from it"),
    (twice_at_a_place, "vector: y must have each element at bytes of its own"),
    (bad_queue, "queue must be 0..1, not 2"),
    (no_number, "a must be a number that fp32 holds, not 1e+40"),
    (nothing, "a kernel must do something"),
]


@pytest.mark.parametrize(("function", "message"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_is_refused_at_its_line(function, message):
    lines, first = inspect.getsourcelines(function)
    number = first + next(n for n, line in enumerate(lines) if "# here" in line)
    parameters = [X, CODES][: len(inspect.signature(function).parameters)]
    with pytest.raises(nl.KernelError) as error:
        build(kernel(function), parameters, config="tiny")
    assert f"test_errors.py:{number}: " in str(error.value)
    assert message in str(error.value)
    assert error.value.source.line == number
    assert "\n" not in str(error.value)


def test_the_language_needs_a_kernel():
    with pytest.raises(nl.KernelError, match="the language must be used in a kernel that is being built"):
        nl.output((4, 4))


def test_what_only_shows_when_it_runs_has_its_line_too():
    @kernel
    def chosen(table, index):
        nl.store(nl.output((4, 8)), nl.gather(table, nl.load(index)))

    table, index = np.zeros((6, 8), np.float32), np.array([0, 5, 6, 1], np.uint32)
    line = chosen._function.__code__.co_firstlineno + 2
    with pytest.raises(nl.KernelError, match=rf"test_errors.py:{line}: .*index of lane 2 must be below 6, not 6"):
        run(chosen, [table, index], config="tiny")
    with pytest.raises(nl.KernelError, match=rf"test_errors.py:{line}: instruction 1 stopped the core: index"):
        run(chosen, [table, index], config="tiny", backend="cycles")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([np.zeros((4, 8), np.uint8)], {}, "must be float32, uint32, uint16 (bf16), or a pair with its dtype where"),
        ([np.zeros((4, 8))], {}, "tensor 0 must be float32"),
        ([(np.zeros((4, 8), np.uint8), "fp8")], {}, "tensor 0's dtype must be e4m3, e5m2, bf16, fp32, u32, not 'fp8'"),
        ([(np.zeros((4, 8), np.uint8), "bf16")], {}, "tensor 0 must be codes of 16 bits for bf16, not uint8"),
        ([np.zeros((4, 8), np.float32)], {"backend": "gpu"}, "backend must be golden, cycles, rtl, not 'gpu'"),
        ([np.zeros((4, 8), np.float32)], {"config": "huge"}, "config must be a CoreConfig or tiny"),
    ],
)
def test_what_run_refuses(arguments, options, message):
    with pytest.raises((TypeError, ValueError)) as error:
        run(kernel(nobody_wrote), arguments, **{"config": CORES["tiny"]} | options)
    assert message in str(error.value)
