"""Queue, register slice, arbiter and memory against their models, and benches of the benches."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest

from verif.lib.units import BENCHES
from verif.simulation.replay import replay
from verif.simulation.simulator import build
from verif.simulation.unit_bench import Bundle

SEED = int(os.environ.get("SEED", 31))
#: A bench, then a pattern within a module of it that must occur once, and what replaces it.
BUGS = {
    "queue: takes one too many": (
        "stream_queue-5",
        "stream_queue__fifo",
        r"(assign w_rdy = inner_level != 3'h)4",
        r"\g<1>5",
    ),
    "queue: an offer that stalls is replaced": (
        "stream_queue-5",
        "stream_queue__fifo",
        r"(assign r_port__en = inner_r_rdy &) \w+;",
        r"\1 1'h1;",
    ),
    "slice: what was spare is lost": (
        "register_slice",
        "register_slice",
        r"(= spare_valid \?) spare :",
        r"\1 i__payload :",
    ),
    "slice: keeps its payload at a reset": (
        "register_slice",
        "register_slice",
        r"if \(rst\) o__valid <= 1'h0;\n    else if",
        "if",
    ),
    "arbiter: the first input does not come first": (
        "arbiter-2",
        "arbiter",
        r"= i__1__valid & \w+;",
        "= i__1__valid;",
    ),
    "arbiter: an offer that stalls is replaced": ("arbiter-3", "arbiter", r"= \| stalled;", "= 1'h0;"),
    "memory: a read in the cycle of a write gives the new word": (
        "memory-one_read",
        "memory",
        r"<= (words\[reads__0__address\]);",
        r"<= write__en && write__address == reads__0__address ? write__data : \1;",
    ),
    "memory: the upper granule follows the lower one": (
        "memory-granules",
        "memory",
        r"if \(write__en\[2\]\)",
        "if (write__en[0])",
    ),
    "memory: data does not hold": ("memory-two_reads", "memory", r"if \(reads__1__en\)", "if (1'h1)"),
}


def plant(text: str) -> str:
    """Each bug, in the unit of its own that it has in ``BROKEN``."""
    for index, (_, module, pattern, replacement) in enumerate(BUGS.values()):
        (body,) = re.findall(rf"^module unit_{index}_{module}\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
        changed, found = re.subn(pattern, replacement, body)
        assert found == 1, f"{pattern!r} occurs {found} times"
        text = text.replace(body, changed)
    return text


BROKEN = tuple(replace(BENCHES[name], name=bug) for bug, (name, *_) in BUGS.items())
ALL = Bundle((*BROKEN, *BENCHES.values()), plant)


@pytest.fixture(scope="module")
def units():
    """The broken units and the sound ones in one simulation."""
    return build([ALL.verilog()], ALL.harness, opt_level=0)


@pytest.mark.parametrize("name", BENCHES)
def test_unit(units, name):
    print(f"seed {SEED}")
    bench = BENCHES[name]
    outcome = replay(units, ALL.records(bench, np.random.default_rng(SEED)))
    assert outcome.passed, "\n".join(ALL.describe(bench, mismatch) for mismatch in outcome.mismatches)
    assert outcome.compared_cycles == 12_000


@pytest.mark.parametrize("bench", BROKEN, ids=lambda bench: bench.name)
def test_planted_bug(units, bench):
    outcome = replay(units, ALL.records(bench, np.random.default_rng(SEED)))
    (mismatch,) = outcome.mismatches
    print(ALL.describe(bench, mismatch))
    assert not outcome.passed
