"""Where a kernel's cycles went: every instruction has its line, and each engine's cycles add up."""

import inspect
import os
from itertools import pairwise

import numpy as np
import pytest

from kernels import kernel
from kernels import language as nl
from kernels.library.gemm import gemm
from kernels.library.softmax import softmax
from scripts.running.kernel_times import Spent
from scripts.running.kernels import run

SEED = int(os.environ.get("SEED", 5))


@kernel
def scaled(x, w):
    out = nl.output((x.shape[0], w.shape[1]))
    weights = nl.load(w)  # load
    for rows in nl.blocks(x.shape[0]):
        product = nl.matmul(nl.load(x[rows]), weights)  # multiply
        nl.store(out[rows], nl.activation("exp", product))  # store


def ran(backend="cycles", **options):
    rng = np.random.default_rng(SEED)
    x, w = rng.standard_normal((10, 4)).astype(np.float32), rng.standard_normal((4, 30)).astype(np.float32)
    return run(scaled, [(x, "e4m3"), (w, "e4m3")], config="tiny", backend=backend, **options)


def test_each_instruction_has_its_line():
    lines, first = inspect.getsourcelines(scaled._function)
    marks = {first + n: line.partition("# ")[2].strip() for n, line in enumerate(lines) if "# " in line}
    result = ran()
    found = [(each.instruction.name, marks[each.source.line]) for each in result.instructions]
    block = [("dma", "multiply"), ("matmul", "multiply"), ("scalar", "store"), ("dma", "store")]
    assert found == [("dma", "load"), *block * 3]
    assert [line.text.partition("# ")[2] for line in result.lines()] == ["load", "multiply", "store"]
    assert sum(line.instructions for line in result.lines()) == len(result.instructions) == 13
    assert "dma0+tensor:" in result.report() and f"{result.cycles} cycles" in result.report()


def test_times_follow_each_other_and_add_up():
    result = ran()
    ends: dict[str, int] = {}
    for each in result.instructions:
        assert each.given < each.start < each.end < result.cycles
        assert each.end > ends.get(each.queue, 0)
        ends[each.queue] = each.end
        for queue in result.engines:
            if back := each.instruction.wait(queue):
                waited = [other for other in result.instructions[: each.number] if other.queue == queue][-back]
                assert waited.end <= each.start
    for queue, times in result.engines.items():
        mine = [each for each in result.instructions if each.queue == queue]
        spent = times.spent
        assert spent == sum((each.spent for each in mine), Spent())
        assert spent.busy + spent.stream + spent.conflict + spent.order + times.empty == result.cycles
        # At work: in some instruction's cycles, counted one by one; it is also busy where one starts.
        work = {cycle for each in mine for cycle in range(each.start + 1, each.end + 1)}
        starts = {each.start for each in mine} - work
        assert spent.busy + spent.stream + spent.conflict == len(work) + len(starts)
    assert sum(line.spent.total for line in result.lines()) == sum(t.spent.total for t in result.engines.values())
    assert result.utilization == pytest.approx(10 * 4 * 30 / (result.cycles * 16))


def test_what_a_queue_lacks():
    @kernel
    def products(x, w):
        tile, weights = nl.load(x), nl.load(w)
        found = [nl.matmul(tile, weights) for _ in range(5)]
        for number, product in enumerate(found):
            nl.store(nl.output((4, 12)), nl.tensor_copy(product, engine=("vector", "scalar")[number % 2]))

    x, w = np.ones((4, 4), np.float32), np.ones((4, 12), np.float32)
    result = run(products, [(x, "e4m3"), (w, "e4m3")], config="tiny", backend="cycles")
    # The first of the products waits for both loads, vector for its rows.
    tensor, vector = result.engines["tensor"].spent, result.engines["vector"].spent
    assert tensor.order > 50 and vector.stream > 10
    mine = [each for each in result.instructions if each.queue == "tensor"]
    assert any(after.start < before.end for before, after in pairwise(mine))
    assert mine[0].spent.order > 50


def test_memory_further_away_takes_longer():
    assert ran(latency=200).cycles > ran(latency=1).cycles + 200


def test_the_executor_knows_no_time():
    result = ran("golden")
    assert result.cycles is None and result.utilization is None and result.engines == {}
    assert result.instructions[0].start is None
    with pytest.raises(ValueError, match="a report needs backend cycles or rtl: the executor knows no time"):
        result.report()


@pytest.mark.slow
def test_weights_that_stream_keep_the_array_busy():
    """A layer of MiniLM's sizes: what the tensor engine waits for is the first panel, and its own reading out."""
    x, w = np.zeros((128, 384), np.uint8), np.zeros((384, 1536), np.uint8)
    result = run(gemm, [(x, "e4m3"), (w, "e4m3")], config="fp8", backend="cycles")
    print(result.report(), result.utilization)
    assert result.utilization > 0.95


def test_a_race_is_refused_whoever_made_it(monkeypatch):
    """Waits that are left out do not get by."""
    monkeypatch.setattr("kernels.language.program.Waits.add", lambda self, plain: {})
    with pytest.raises(ValueError, match="must wait for"):
        ran("golden")


def test_an_rtl_that_differs_is_an_error(monkeypatch):
    class Differs:
        mismatches = 1

        def lines(self):
            return ["cycle 3"]

    monkeypatch.setattr("verif.simulation.simulate.simulate_unit", lambda *arguments, **options: Differs())
    with pytest.raises(RuntimeError, match="the RTL differs from the golden model\ncycle 3"):
        ran("rtl")


def test_lines_of_several_files_are_told_with_their_names():
    rows = np.zeros((4, 8), np.float32)

    @kernel
    def softmax_and_store(x):
        softmax(x)
        out = nl.output(x.shape)
        nl.store(out, nl.load(x))

    report = run(softmax_and_store, [rows], config="tiny", backend="cycles").report()
    assert "softmax.py:" in report and "test_kernel_times.py:" in report
