"""AXI's rules on traces of the core: those of random programs keep them, and each that breaks one is seen."""

import os
import shutil

import numpy as np
import pytest

from arch.core.layouts import burst_layout, write_beat_layout
from arch.core.presets import CORES
from arch.core.signals import core_record
from golden.core.model import Core
from verif.core.axi_rules import AxiRules
from verif.core.unit import core_unit
from verif.core.workload import random_jobs
from verif.simulation.simulate import simulate_unit

SEED = int(os.environ.get("SEED", 91))
#: Icarus builds in seconds.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
CONFIG = CORES["tiny"]
RECORD = core_record(CONFIG)


@pytest.fixture(scope="module")
def trace() -> np.ndarray:
    print(f"seed {SEED}")
    core = Core(CONFIG)
    core.offer(*random_jobs(CONFIG, np.random.default_rng(SEED), 4, length=12, work=256))
    return core.run(100_000, latency=6, idle=0.3, stall=0.4, seed=SEED, until_done=True)


def watch(trace: np.ndarray) -> AxiRules:
    """In pieces of a length that divides nothing."""
    rules = AxiRules(CONFIG)
    for start in range(0, len(trace), 97):
        rules.see(trace[start : start + 97])
    return rules


def test_random_programs_keep_them(trace):
    rules = watch(trace)
    assert not rules.broken and min(rules.transfers.values()) > 20, (rules.broken, rules.transfers)


def _cycles(trace: np.ndarray, name: str, ready: bool) -> np.ndarray:
    """Those in which a channel's payload is taken, or waits."""
    flags = [trace[:, RECORD.at(f"{name}__{end}").start] != 0 for end in ("valid", "ready")]
    return np.flatnonzero(flags[0] & (flags[1] == ready))


def _change(trace: np.ndarray, cycle: int, name: str, layout, **fields: int) -> None:
    """Other fields in a payload, from a cycle on as long as it is offered."""
    at = RECORD.at(f"{name}__payload")
    # What waited before must change as well: it would not be held else.
    valid, ready = (trace[:, RECORD.at(f"{name}__{end}").start] for end in ("valid", "ready"))
    first = cycle
    while first and valid[first - 1] and not ready[first - 1]:
        first -= 1
    for row in range(first, cycle + 1):
        values = layout.unpack(int.from_bytes(trace[row, at].tobytes(), "little")) | fields
        bits = layout.pack(**values)
        trace[row, at] = [bits >> 32 * word & 0xFFFFFFFF for word in range(at.stop - at.start)]


def _drop_valid(name):
    def change(trace):
        trace[_cycles(trace, name, False)[3] + 1, RECORD.at(f"{name}__valid")] = 0

    return change


def _change_waiting(name):
    def change(trace):
        trace[_cycles(trace, name, False)[3], RECORD.at(f"{name}__payload").start] ^= 1 << 8

    return change


def _burst(name, **fields):
    return lambda trace: _change(trace, _cycles(trace, name, True)[5], name, burst_layout(CONFIG), **fields)


def _beat(number, **fields):
    def change(trace):
        _change(trace, _cycles(trace, "o_w", True)[number], "o_w", write_beat_layout(CONFIG), **fields)

    return change


def _early_data(trace):
    """A beat one cycle after the address, of a burst of its own, comes with the address."""
    first = _cycles(trace, "o_aw", True)[0]
    for end, value in (("valid", 1), ("ready", 1)):
        trace[first, RECORD.at(f"o_w__{end}")] = value


def _early_answer(trace):
    first = _cycles(trace, "o_aw", True)[0]
    for end in ("valid", "ready"):
        trace[first, RECORD.at(f"i_b__{end}")] = 1


#: What becomes of a trace, and what is said of it.
BUGS = {
    "a burst goes": (_drop_valid("o_ar"), "o_ar changed before"),
    "a burst changes": (_change_waiting("o_aw"), "o_aw changed before"),
    "a beat goes": (_drop_valid("o_w"), "o_w changed before"),
    "a beat changes": (_change_waiting("o_w"), "o_w changed before"),
    "across 4 KiB": (_burst("o_ar", address=4096 - 8, beats=1), "o_ar crosses 4096 bytes"),
    "within a beat": (_burst("o_aw", address=12), "o_aw begins within a beat"),
    "a burst is longer": (_burst("o_aw", address=0, beats=255), "o_w has last 1"),
    "a last too many": (_beat(0, last=1), "o_w has last 1"),
    "data beside the strobes": (_beat(1, data=1 << 63, strobes=0x7F), "data without a strobe"),
    "data with its address": (_early_data, "o_w has a beat of no burst"),
    "an answer to nothing": (_early_answer, "an answer to no burst"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_trace_that_breaks_one_is_seen(trace, bug):
    change, message = BUGS[bug]
    wrong = trace.copy()
    change(wrong)
    (found,) = watch(wrong).broken
    assert message in found


def test_a_run_fails_with_its_rules(monkeypatch):
    """Whatever RTL and model agree in."""
    monkeypatch.setattr("verif.core.axi_rules._BOUNDARY", 16)
    jobs = random_jobs(CONFIG, np.random.default_rng(SEED), 1, length=4, work=64)
    run = simulate_unit(core_unit(CONFIG), jobs, simulator=SHORT, pace={})
    assert run.mismatches == 1 and "crosses 16 bytes" in run.failures[0], run.lines()
