"""Runs of random cores: what they are drawn from, and their verdicts."""

import re
import shutil
from dataclasses import replace

import pytest

from verif.core import runs
from verif.core.covering import VALUES
from verif.core.faults import FAULTS
from verif.core.regress import CoreRun, execute
from verif.registry.regress import CORES_EVERY, draw_run
from verif.tensor.regress import RUNS_PER_CONFIG, Run

SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"
RUNS = [CoreRun.draw(5, index, index // RUNS_PER_CONFIG) for index in range(240)]
#: Small and soon over.
RUN = min(
    RUNS, key=lambda run: (len(run.resets), run.config.lanes, run.programs, run.work, run.latency, run.idle, run.stall)
)


def test_cores_are_drawn_among_engines():
    drawn = [draw_run(5, index) for index in range(2 * CORES_EVERY * RUNS_PER_CONFIG)]
    cores = [run for run in drawn if isinstance(run, CoreRun)]
    assert len(cores) * CORES_EVERY == len(drawn) and {type(run) for run in drawn} == {Run, CoreRun}
    assert len({run.config for run in cores}) == 2
    assert draw_run(5, cores[0].index) == cores[0] != draw_run(6, cores[0].index)
    assert all(run.name == f"5:{index}" for index, run in enumerate(drawn))


def test_every_choice_is_made():
    configs = {run.config for run in RUNS}
    assert len(configs) > 50
    assert {config.lanes for config in configs} == {4, 8, 16}
    assert {config.lane_bytes for config in configs} == {1 << n for n in range(10, 19)}
    assert {config.banks for config in configs} == {2, 4, 8, 16}
    assert {config.beat_bytes for config in configs} == {1 << n for n in range(2, 9)}
    assert {config.dma_queues for config in configs} == {1, 2, 3, 4}
    assert {config.queue_depth for config in configs} == set(range(2, 9))
    assert {config.reads_in_flight for config in configs} == {1 << n for n in range(7)}
    for name in ("formats", "accumulation", "k_max", "product_latency", "add_latency", "readout_latency"):
        assert {getattr(config.engine, name) for config in configs} == set(VALUES[name]), name
    assert {config.engine.integer_operands for config in configs} == {True, False}
    assert {fault for run in RUNS for fault in run.faults} == set(FAULTS)
    assert {len(run.resets) for run in RUNS} == {0, 1, 2}
    assert {run.latency for run in RUNS} == {1, 2, 5, 20, 50} and {run.programs for run in RUNS} == {1, 2, 3}
    unhindered = sum(not any((*run.idle, *run.stall)) for run in RUNS)
    assert 0.2 < unhindered / len(RUNS) < 0.5


def test_all_that_is_drawn_is_told():
    run = RUNS[-1]
    engine = run.config.engine
    for value in (
        engine.add_latency,
        engine.readout_latency,
        run.config.lane_bytes,
        run.config.beat_bytes,
        run.config.queue_depth,
        run.latency,
        run.stall[1],
    ):
        assert re.search(rf"\b{value:g}\b", str(run)), value


def lost_bytes(text: str) -> str:
    changed, count = re.subn(r"(assign fill_enable = ).*;", r"\1 4'h7;", text)
    assert count == 1
    return changed


def test_a_verdict():
    """A run passes; with a byte of each word lost on its way from memory it fails."""
    verdict = execute(RUN, SIMULATOR)
    assert verdict.passed and verdict.cycles > 100 and verdict.signals > 50, verdict.report
    verdict = execute(RUN, SIMULATOR, lost_bytes)
    assert verdict.failed and verdict.report[0].startswith("RTL and golden model differ first in cycle")


def test_memory_that_is_not_the_executors_fails(monkeypatch):
    due = runs.result_of

    def other(*given):
        memory = due(*given).copy()
        memory[7] ^= 1
        return memory

    monkeypatch.setattr(runs, "result_of", other)
    (line,) = execute(RUN, SIMULATOR).report
    assert f"1 bytes of memory are not the executor's, the first at {RUN.drawn()[-1].base + 7:#x}" in line


def kept_in_a_reset(text: str) -> str:
    """One DMA queue's number of instructions that are not complete."""
    changed, count = re.subn(r"if \(rst\) o_outstanding__3 <= [^;]*;\s*else ", "", text)
    assert count == 1
    return changed


@pytest.mark.slow
def test_resets_and_faults_are_run():
    """A fault that only a reset in mid-run shows."""
    run = min((run for run in RUNS if run.resets), key=lambda run: (run.config.lanes, run.programs, *run.stall))
    run = replace(run, resets=(100,), latency=20)
    verdict = execute(run, SIMULATOR)
    assert verdict.passed, verdict.report
    assert execute(replace(run, resets=(), faults=()), SIMULATOR, kept_in_a_reset).passed
    verdict = execute(run, SIMULATOR, kept_in_a_reset)
    assert verdict.failed and "of program 1, " in verdict.report[0]
