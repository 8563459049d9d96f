"""Several weight rows in a cycle: RTL, cycle model and closed form agree, results do not change, bugs are seen."""

import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from golden.numerics.conversions import code_dtype
from golden.tensor.jobs import Gemm
from golden.tensor.schedule import gemm_cycles
from verif.modules import module_text
from verif.simulation.replay import replay
from verif.tensor.coverage.recording import Recorder
from verif.tensor.engine import build_engine, simulate
from verif.tensor.interactive.run import run_interactive
from verif.tensor.workload.traffic import traffic_trace

SEED = int(os.environ.get("SEED", 8))
#: Icarus builds in a second, Verilator runs what takes many cycles.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
EXACT = EngineConfig(rows=4, cols=3, formats=("e4m3", "e5m2"), accumulation="exact", psum_depth=32)
#: Seven rows: every number of rows but one and seven leaves the last beat of a full tile filled in part.
TALL = EngineConfig(rows=7, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=32)
CHAIN = EngineConfig(rows=5, cols=2, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=32)
#: Configuration and rows per load cycle.
CASES = [(EXACT, 2), (EXACT, 4), (TALL, 2), (TALL, 4), (TALL, 7), (CHAIN, 2), (CHAIN, 5)]
PACES = [(0.0, 0.0), (0.4, 0.3)]


def generator(*key: int) -> np.random.Generator:
    print("seed", SEED, *key)
    return np.random.default_rng([SEED, *key])


def random_jobs(config: EngineConfig, rng: np.random.Generator, count: int) -> list[Gemm]:
    """Mostly few activation rows; K around every multiple of the beats."""
    jobs = []
    for index in range(count):
        m = 1 if index % 2 else int(rng.integers(1, 3 * config.rows))
        k, n = (int(rng.integers(1, 3 * lanes + 2)) for lanes in (config.rows, config.cols))
        x_format, w_format = (str(name) for name in rng.choice(config.formats, 2))
        x, w = (
            rng.integers(0, 1 << FORMATS[fmt].bits, shape, dtype=code_dtype(fmt))
            for shape, fmt in (((m, k), x_format), ((k, n), w_format))
        )
        jobs.append(Gemm(x=x, w=w, x_format=x_format, w_format=w_format, out_format="fp32", saturate=True))
    return jobs


@pytest.mark.parametrize(
    ("config", "together"),
    [pytest.param(*case, marks=pytest.mark.slow if at % 2 else ()) for at, case in enumerate(CASES)],
    ids=lambda value: getattr(value, "rows", value),
)
def test_rtl_equals_the_model_in_every_cycle(config, together):
    config = replace(config, rows_per_load_cycle=together)
    for index, (idle, stall) in enumerate(PACES):
        jobs = random_jobs(config, generator(index, together), 40)
        run = simulate(config, jobs, simulator=SHORT, seed=index, idle=idle, stall=stall)
        assert not run.mismatches, "\n".join(run.lines())
        assert len(run.results) == len(jobs)
        if not index:
            assert run.cycles == [gemm_cycles(*job.shape, config) for job in jobs]


@pytest.mark.parametrize("config", [EXACT, CHAIN], ids=["exact", "fp32"])
def test_results_are_the_same_and_cycles_fewer(config):
    jobs = random_jobs(config, generator(9), 15)
    runs = []
    for together in (1, 2, config.rows):
        runs.append(simulate(replace(config, rows_per_load_cycle=together), jobs, simulator=SHORT))
        assert not runs[-1].mismatches, "\n".join(runs[-1].lines())
    for run in runs[1:]:
        for result, expected in zip(run.results, runs[0].results, strict=True):
            assert (result == expected).all()
        assert sum(run.cycles) < sum(runs[0].cycles)
    one, _, most = (run.cycles for run in runs)
    for job, slow, fast in zip(jobs, one, most, strict=True):
        # Each tile takes one cycle to load; the first did so alone.
        assert slow - fast >= min(job.shape[1], config.rows) - 1


def test_a_decoding_step_is_not_bound_by_loading():
    """One activation row, many tiles of N: a pass a cycle."""
    config = replace(TALL, rows_per_load_cycle=7)
    x, w = np.full((1, 7), 0x38, np.uint8), np.full((7, 40), 0x38, np.uint8)
    job = Gemm(x=x, w=w, x_format="e4m3", w_format="e4m3", out_format="fp32", saturate=True)
    run = simulate(config, [job], simulator=SHORT)
    assert not run.mismatches, "\n".join(run.lines())
    # A cycle of loading, 20 passes, then store_latency and a column.
    assert run.cycles == [1 + 19 + config.store_latency + 1 + 1]


@pytest.mark.parametrize(("config", "together"), CASES[1:6:2], ids=lambda value: getattr(value, "rows", value))
def test_mixed_passes_back_to_back(config, together):
    """Unused lanes and the unused rows of a last beat hold anything."""
    config = replace(config, rows_per_load_cycle=together)
    simulation, _ = build_engine(config, simulator=SHORT)
    trace = traffic_trace(config, generator(together), 15, idle=0.3, stall=0.3, seed=together)
    outcome = replay(simulation, [trace])
    assert outcome.passed, str(outcome.mismatches[0])
    assert outcome.compared_cycles == len(trace)


@pytest.mark.slow
def test_interactive_benches(tmp_path):
    config = replace(TALL, rows_per_load_cycle=3)
    run = run_interactive(config, simulator=SHORT, root=tmp_path)
    assert run.passed, run.lines()


# ---- planted bugs ---------------------------------------------------------------------------------


def planted(module: str, pattern: str, replacement: str):
    """A rewrite of every such place in one module, of which there must be one."""

    def rewrite(text: str) -> str:
        body = module_text(text, module)
        changed, found = re.subn(pattern, replacement, body)
        assert found, f"{module}: {pattern!r} does not occur: the bug no longer fits"
        return text.replace(body, changed)

    return rewrite


#: What is planted in EXACT with two rows per load cycle, and the signal that shows it first.
BUGS = {
    "pipes do not turn": (
        planted("pe", r"o_weight <= \{ (i_weight\[\S+\]), (i_weight\[\S+\]) \};", r"o_weight <= { \2, \1 };"),
        "weight",
    ),
    "the wrong pipe is loaded": (planted("pe", r"(shadow <= )i_weight\[11:0\];", r"\1i_weight[23:12];"), "shadow"),
    "a row belongs to the next group": (
        planted("west_edge", r"(decoder_1__o, told_1)\[7\]", r"\1[8]"),
        "west",
    ),
    "a beat in part is not waited for": (
        planted("sequencer", r"(load\[8:6\]) \+ 1'h1", r"\1 + 1'h0"),
        "i_weight__ready",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_found(bug):
    rewrite, name = BUGS[bug]
    config = replace(EXACT, rows_per_load_cycle=2)
    run = simulate(config, random_jobs(config, generator(3), 10), simulator=SHORT, rewrite=rewrite)
    assert run.divergence is not None
    assert run.divergence.first.field.name == name
    text = "\n".join(run.lines())
    print(text)
    if name == "shadow":
        assert "pass 0, weight row k = 0, n = 0" in text and "what lane 1 should have" in text
    if name == "weight":
        assert "pass 0, weight row k = 0..1, n = 0" in text


def test_recorded_weights():
    """Coverage sees the codes of every beat and which pass it belongs to."""
    config = replace(TALL, rows_per_load_cycle=3)
    trace = traffic_trace(config, generator(5), 6)
    recorder = Recorder(config)
    recorder.see(trace)
    recording = recorder.recording()
    assert recording.weights.shape == (recording.weight_ends[-1], 6)
    assert len(recording.taken("i_weight")) == recording.weight_ends[-1]
