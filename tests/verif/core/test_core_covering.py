"""Every pair of values of two parameters of a core, in some configuration, against the golden model in every cycle."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from arch.core.config import CoreConfig
from arch.tensor.config import EngineConfig
from verif.core.covering import VALUES, Case, covering_array, pairs
from verif.core.faults import FAULTS, faulty_job
from verif.core.runs import run_interrupted
from verif.core.workload import random_programs
from verif.simulation.covering import Pair, pairs_of
from verif.simulation.simulate import UnitRun
from verif.tensor.covering import LEAST

SEED = int(os.environ.get("SEED", 11))
#: Icarus builds a core in seconds, Verilator in a minute, and these runs are short.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
CASES = covering_array()
#: What runs with the other tests: some of those that are soon built, others for another seed.
QUICK = [case for case in CASES if case.config.lanes == 4][SEED % 16 :: 16]


def run(case: Case, rewrite: Callable[[str], str] | None = None) -> UnitRun:
    """Two programs with a reset in the midst of each, and two that have a fault, at a pace of memory."""
    print("seed", SEED, case)
    rng = np.random.default_rng([SEED, CASES.index(case)])
    # So long that there is something to wait for in each queue.
    programs = random_programs(case.config, rng, 2, length=4 + 8 * case.config.dma_queues, work=128)
    faulty = [faulty_job(case.config, rng, str(fault)) for fault in rng.choice(FAULTS, 2, replace=False)]
    idle, stall = (float(chance) for chance in rng.choice((0.0, 0.3, 0.7), 2))
    pace = {"seed": SEED, "latency": int(rng.choice((1, 5, 40))), "idle": idle, "stall": stall}
    cuts = [int(cut) for cut in rng.integers(1, 600, 2)]
    return run_interrupted(case.config, programs, cuts, faulty, simulator=SHORT, pace=pace, rewrite=rewrite)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in QUICK else pytest.mark.configs, id=case.name) for case in CASES]
)
def test_random_programs(case):
    outcome = run(case)
    assert not outcome.mismatches, "\n".join(outcome.lines())
    assert outcome.compared_cycles > 200


# ---- the array itself ----------------------------------------------------------------------------


def excluded(pair: Pair) -> bool:
    """Whether no configuration has both values, by the rules of ``EngineConfig``."""
    values = dict(pair)
    formats, integers = values.get("formats", ()), values.get("integer_operands", False)
    needs_exact = values.get("accumulation") == "exact" or values.get("product_latency") == 2 or integers
    needs_fp32 = values.get("accumulation") == "fp32" or values.get("add_latency", 1) > 1 or "bf16" in formats
    return (needs_exact and needs_fp32) or (integers and formats not in ((), ("e4m3",)))


def test_every_pair_is_covered_but_those_that_exclude_each_other():
    covered = {pair for case in CASES for pair in pairs_of(case.choice)}
    for pair in pairs():
        assert (pair in covered) != excluded(pair), pair
    assert len(list(pairs())) > 2000 and len(CASES) < 100


def test_cases_are_what_they_say():
    for case in CASES:
        for name, value in case.choice.items():
            made = getattr(case.config if hasattr(case.config, name) else case.config.engine, name)
            if value == LEAST:
                with pytest.raises(ValueError, match="psum_depth must exceed"):
                    replace(case.config.engine, psum_depth=made // 2)
            else:
                assert made == value
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_parameter_is_crossed():
    """A new parameter must be crossed too. Engines of cores load one weight row per cycle."""
    of_engine = {field.name for field in fields(EngineConfig)} - {"rows", "cols", "rows_per_load_cycle"}
    of_core = {field.name for field in fields(CoreConfig)} - {"engine"}
    assert VALUES.keys() == of_engine | of_core | {"lanes"}
    for name in ("lane_bytes", "banks", "beat_bytes", "dma_queues", "queue_depth", "reads_in_flight"):
        low, high = VALUES[name][0], VALUES[name][-1]
        for beyond in (low // 2 if low > 1 else 0, 2 * high):
            with pytest.raises(ValueError, match=name):
                replace(CASES[0].config, **{name: beyond})


# ---- faults that take a certain configuration, or a reset, to show -------------------------------


def changed(kind: str, pattern: str, replacement: str) -> Callable[[str], str]:
    """A rewrite of the one place in the one module whose name begins so."""

    def rewrite(text: str) -> str:
        (body,) = re.findall(rf"^module {kind}\w*\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
        new, found = re.subn(pattern, replacement, body)
        assert found == 1 and new != body, f"{kind}: {pattern!r} occurs {found} times"
        return text.replace(body, new)

    return rewrite


#: Of each fault: where it shows, and the rewrite that plants it.
PLANTED = {
    "a reset leaves a number of instructions as it is": (
        lambda c: c.dma_queues == 1,
        changed("dispatcher", r"if \(rst\) o_outstanding__3 <= [^;]*;\s*else ", ""),
    ),
    "the last of four DMA queues is not waited for": (
        lambda c: c.dma_queues == 4,
        changed("dispatcher", r"(assign remaining_dma3 =) _\d+_ \? _\d+_\[3:0\] : 4'h0;", r"\1 4'h0;"),
    ),
    "a distance is of sums that take a cycle": (
        lambda c: c.engine.add_latency == 5,
        changed("tensor_front_end", r"= rows < 5'h16;", "= rows < 5'h06;"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", PLANTED)
def test_planted_faults_are_found(fault):
    shows, rewrite = PLANTED[fault]
    case = next(case for case in CASES if case.config.lanes == 4 and shows(case.config))
    found = run(case, rewrite).failures
    assert found and found[0].startswith("RTL and golden model differ first"), found
    print(*found, sep="\n")
