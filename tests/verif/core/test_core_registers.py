"""The registers of a core in every cycle against plain Python, resets at any time, and bugs that are seen."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest

from arch.core.presets import CORES
from arch.core.registers import OKAY, SLVERR, counters, registers
from arch.record import Field
from verif.core.blocks.registers import CYCLES, registers_bench
from verif.simulation.replay import replay
from verif.simulation.simulator import build
from verif.simulation.unit_bench import Bundle

SEED = int(os.environ.get("SEED", 61))
BENCH = registers_bench(CORES["tiny"])
#: A pattern that must occur once in the module, and what replaces it.
BUGS = {}


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    print(f"seed {SEED}")
    return BENCH.values(np.random.default_rng(SEED))


@pytest.fixture(scope="module")
def bundle(values) -> Bundle:
    """The sound block, then the broken ones."""
    benches = [replace(BENCH, name=name, values=lambda _: values) for name in ("sound", *BUGS)]

    def plant(text: str) -> str:
        for index, (pattern, replacement) in enumerate(BUGS.values(), 1):
            (body,) = re.findall(rf"^module unit_{index}_core_registers\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
            changed, found = re.subn(pattern, replacement, body)
            assert found == 1, f"{pattern!r} occurs {found} times"
            text = text.replace(body, changed)
        return text

    return Bundle(tuple(benches), plant)


@pytest.fixture(scope="module")
def simulation(bundle):
    return build([bundle.verilog()], bundle.harness, opt_level=0)


def test_every_output_in_every_cycle(simulation, bundle):
    outcome = replay(simulation, bundle.records(bundle.benches[0], None))
    assert outcome.passed, "\n".join(bundle.describe(bundle.benches[0], mismatch) for mismatch in outcome.mismatches)
    assert outcome.compared_cycles == CYCLES
