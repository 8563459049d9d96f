"""Random chains of library kernels: each wait is needed, and all backends have the same bits."""

import os

import numpy as np
import pytest

from kernels import kernel
from kernels import language as nl
from scripts.running.kernels import build, run
from tests.kernels.library.chains import LINKS, chain
from tests.kernels.library.test_library import checked
from tests.kernels.waits import superfluous

SEED = int(os.environ.get("SEED", 7))


def drawn(number: int, most: int) -> tuple[np.ndarray, dict]:
    """What chain ``number`` is given: links one after another, so that some of them have all, the others at random."""
    rng = np.random.default_rng([SEED, number])
    shape = rng.integers(1, 10, 2)
    links = [number % len(LINKS), *rng.integers(0, len(LINKS), int(rng.integers(1, most))).tolist()]
    return rng.standard_normal(shape).astype(np.float32), {"links": links, "seed": int(rng.integers(1 << 30))}


def compared(numbers, core: str, backends: tuple[str, ...], most: int = 4) -> None:
    """Chains have the executor's bits on other backends, and the cycle model's cycles on the RTL."""
    print("seed", SEED)
    for number in numbers:
        x, options = drawn(number, most)
        due = run(chain, [x], config=core, **options).outputs
        results = checked(chain, [x], due, config=core, backends=backends, **options)
        assert len({result.cycles for result in results.values()}) == 1, number


@pytest.mark.parametrize("core", ["tiny", "fp8"])
def test_the_cycle_model_has_the_executors_bits(core):
    compared(range(len(LINKS)), core, ("cycles",))


@pytest.mark.slow
def test_a_hundred_on_the_cycle_model():
    compared(range(100, 200), "tiny", ("cycles",))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_the_rtl_has_the_executors_bits(part):
    """A hundred of them, in four parts."""
    compared(range(25 * part, 25 * part + 25), "tiny", ("cycles", "rtl"))


def test_each_wait_is_needed():
    print("seed", SEED)
    waits = 0
    for number in (1, 3, 4, 5):
        x, options = drawn(number, 2)
        program = build(chain, [(x.shape, "fp32")], config="tiny", **options)
        count, found = superfluous(program.instructions, program.config)
        assert found == []
        waits += count
    assert waits > 20


@kernel
def turned_over(table, index):
    """Rows of a table, by their numbers, plus one; to where they came from."""
    out = nl.output(table.shape)
    nl.store(out, nl.load(table))
    numbers = nl.load(index)
    nl.scatter(out, numbers, nl.tensor_scalar(nl.gather(table, numbers), "add", 1.0))


@kernel
def one_column(x):
    """Bytes that lie a word apart, by way of a reshape, in one lane."""
    column = x.reshape(1, *x.shape)[0].T
    out = nl.output(column.shape, x.dtype)
    nl.store(out, nl.load(column))


def test_a_column_of_bytes_becomes_a_lane():
    codes = np.arange(1, 10, dtype=np.uint8)[:, None]
    checked(one_column, [(codes, "e4m3")], [codes.T.copy()], config="tiny")


@kernel
def from_a_row(table, index):
    """The only row of a table, by way of a reshape, in each lane."""
    rows = nl.gather(table.reshape(1, table.shape[-1]), nl.load(index))
    out = nl.output(rows.shape, rows.dtype)
    nl.store(out, rows)


def test_a_table_of_one_row_is_chosen_from():
    codes, index = np.arange(1, 6, dtype=np.uint8)[None, None], np.zeros((3, 1), np.uint32)
    checked(from_a_row, [(codes, "e4m3"), index], [codes[0].repeat(3, axis=0)], config="tiny")


@pytest.mark.slow
@pytest.mark.parametrize("core", ["tiny", "bf16"])
def test_indirect_transfers_on_the_rtl(core):
    rng = np.random.default_rng(SEED)
    table, index = rng.standard_normal((4, 5)).astype(np.float32), np.array([[2], [0], [3]], np.uint32)
    due = table.copy()
    due[index[:, 0]] += np.float32(1)
    results = checked(turned_over, [table, index], [due], config=core, backends=("golden", "cycles", "rtl"))
    assert results["rtl"].cycles == results["cycles"].cycles
