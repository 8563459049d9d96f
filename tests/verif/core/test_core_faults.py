"""Programs with a fault in each: what they stop a core with; and RTL and golden model agree on them."""

import os
import re
import shutil
from collections import Counter

import numpy as np
import pytest

from arch.core.instructions import OPCODES, Instruction
from arch.core.layouts import ERRORS
from arch.core.presets import CORES
from verif.core.faults import FAULTS, faulty_job
from verif.core.regress import draw_config
from verif.core.stops import run_with_resets, stretches

SEED = int(os.environ.get("SEED", 5))
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
TINY = CORES["tiny"]
PACES = ({}, {"latency": 40}, {"latency": 5, "idle": 0.3, "stall": 0.4})


def faulty_jobs(config, seed, count):
    """So many programs, of each fault in turn."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    return [faulty_job(config, rng, FAULTS[number % len(FAULTS)]) for number in range(count)]


def test_every_error_is_met_in_every_instruction():
    """Where it can be: the instruction that is at fault is the one of that number in the program."""
    met = Counter()
    jobs = faulty_jobs(TINY, SEED, 80 * len(FAULTS))
    for job, (_, core) in zip(jobs, stretches(TINY, jobs, **PACES[2]), strict=True):
        if core.stop is None:
            met["none"] += 1
            continue
        error, number = core.stop
        # Of a limit, all may have left.
        each = job.program[number] if number < len(job.program) else None
        met[error, each.name if isinstance(each, Instruction) else "none"] += 1
    print(met)
    assert 0 < met["none"] < len(jobs) / 3
    of_engines = {(error, name) for error in ("illegal", "sbuf") for name in OPCODES}
    of_fetches = {(error, name) for error in ("memory", "bus", "limit") for name in OPCODES}
    assert set(met) - {"none"} >= of_engines | of_fetches | {("illegal", "none"), ("index", "dma")}
    assert {error for error, _ in set(met) - {"none"}} == set(ERRORS)


def test_the_same_seed_gives_the_same_jobs():
    one, two, three = (faulty_jobs(TINY, seed, len(FAULTS)) for seed in (1, 1, 2))
    assert one == two != three


def test_a_stretch_ends_in_a_reset():
    jobs = faulty_jobs(TINY, SEED, 4)
    for records, core in stretches(TINY, jobs):
        assert records[:, 0].tolist() == [0] * (len(records) - 1) + [1]
        assert core.done and not records[-1, 1:2].any()


def check_agrees(config, jobs, simulator, **pace):
    run = run_with_resets(config, jobs, simulator=simulator, pace=pace)
    assert not run.mismatches, "\n".join(run.lines())
    assert run.compared_cycles > 50 * len(jobs)


def test_faulty_programs():
    check_agrees(TINY, faulty_jobs(TINY, SEED, 2 * len(FAULTS)), SHORT, seed=SEED, **PACES[2])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PACES)))
def test_many_faulty_programs(number):
    check_agrees(TINY, faulty_jobs(TINY, SEED + number, 40 * len(FAULTS)), "verilator", seed=SEED, **PACES[number])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6))
def test_faulty_programs_of_other_cores(number):
    config = draw_config(np.random.default_rng([SEED, number]))
    check_agrees(config, faulty_jobs(config, SEED + number, 4 * len(FAULTS)), SHORT, seed=SEED, **PACES[number % 3])


@pytest.mark.parametrize(
    "number", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_a_block_that_does_not_hear_of_it_is_seen(number):
    """One of SBUF, the dispatcher and the memory port goes on when the core stops."""

    def goes_on(text: str) -> str:
        parts = re.split(r"(?<=\.i_stopped\()o_stop\[0\]", text)
        assert len(parts) == 4
        return "o_stop[0]".join(parts[: number + 1]) + "1'h0" + "o_stop[0]".join(parts[number + 1 :])

    run = run_with_resets(TINY, faulty_jobs(TINY, SEED, 3 * len(FAULTS)), simulator=SHORT, rewrite=goes_on)
    first = r"RTL and golden model differ first in cycle \d+ of program \d+, \d+ instructions at 0x"
    assert run.mismatches and re.match(first, run.failures[0]), run.failures
