"""What instructions of a program may not be to each other, and how messages name them."""

import re

import pytest

from arch.core.instructions import Instruction
from arch.core.presets import CORES
from arch.core.program import check_program, psum_rows

TINY = CORES["tiny"]
MATMUL = Instruction("matmul", lanes=4, count0=600)
TAKE = Instruction("vector", lanes=4, x_source="psum", reduce="add", count0=20, count1=30)
SCALAR = Instruction("scalar", lanes=4, x_source="psum", sum="yes", count0=100, count2=3)


def test_rows_of_psum():
    assert [psum_rows(i) for i in (MATMUL, TAKE, SCALAR)] == [600, -600, -300]
    assert psum_rows(TAKE.replace(x_source="sbuf")) == psum_rows(Instruction("dma", count0=9)) == 0


def test_legal_programs():
    check_program([], TINY)
    full = MATMUL.replace(count0=512, count1=2)
    check_program([full, TAKE.replace(count0=1024, count1=1), full, *[TAKE.replace(count0=512, count1=1)] * 2], TINY)
    check_program([MATMUL, TAKE, MATMUL, SCALAR, SCALAR.replace(wait_vector=1, wait_tensor=2)], TINY)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            [MATMUL, TAKE.replace(lanes=5)],
            "instruction 1 (vector lanes=5 x_source=psum reduce=add count0=20 count1=30): lanes must be at most "
            "4, not 5",
        ),
        (
            [MATMUL.replace(wait_vector=1), TAKE],
            "instruction 0 (matmul lanes=4 wait_vector=1 count0=600): wait_vector must be at most 0, the instructions "
            "of vector before, not 1",
        ),
        (
            [MATMUL, SCALAR, SCALAR.replace(wait_tensor=2)],
            "instruction 2 (scalar lanes=4 wait_tensor=2 x_source=psum sum=yes count0=100 count2=3): wait_tensor must "
            "be at most 1, the instructions of tensor before, not 2",
        ),
        (
            [MATMUL, MATMUL],
            "instruction 1 (matmul lanes=4 count0=600): rows of PSUM that nobody took must be at most 1024, not 1200",
        ),
        (
            [MATMUL, SCALAR, TAKE],
            "instruction 2 (vector lanes=4 x_source=psum reduce=add count0=20 count1=30): rows taken from PSUM must be "
            "at most the 300 that it holds, not 600",
        ),
        ([MATMUL, SCALAR], "a program must take all rows of PSUM, not leave 300"),
    ],
)
def test_a_rule_that_is_broken_is_named(program, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_program(program, TINY)
