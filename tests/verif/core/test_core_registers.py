"""The registers of a core in every cycle against plain Python, resets at any time, and bugs that are seen."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest

from arch.core.presets import CORES
from arch.core.registers import OKAY, SLVERR, registers
from verif.core.blocks.registers import CYCLES, registers_bench
from verif.simulation.replay import replay
from verif.simulation.simulator import build
from verif.simulation.unit_bench import Bundle

SEED = int(os.environ.get("SEED", 61))
BENCH = registers_bench(CORES["tiny"])
#: A pattern that must occur once in the module, and what replaces it.
BUGS = {
    "a write does not wait for its data": (r"(assign _\d+_ =) address_there & data_there;", r"\1 address_there;"),
    "an answer is written over": (r"(assign write = _\d+_ &) _\d+_;", r"\1 1'h1;"),
    "strobes do not matter": (r"(assign _\d+_ =) & strobes;", r"\1 1'h1;"),
    "a running core is written to": (r"(assign accepted = _\d+_ &) _\d+_;", r"\1 1'h1;"),
    "a stopped core is started": (r"(assign _\d+_ =) ~ i_stop\[0\];", r"\1 1'h1;"),
    "a program begins anywhere": (r"! \{ 26'h0000000, data\[5:0\] \}", "1'h1"),
    "a count is cut": (r"! \{ data\[31:24\], 24'h000000 \}", "1'h1"),
    "a stop is no interrupt": (r"assign o_interrupt = done \| i_stop\[0\];", "assign o_interrupt = done;"),
    "an end is no interrupt": (r"assign o_interrupt = done \| i_stop\[0\];", "assign o_interrupt = i_stop[0];"),
    "a program that is offered does not run": (r"(assign running =) o_program__valid \|", r"\1"),
    "cycles are counted after the end": (r"else if \(i_running\) cycles <=", "else cycles <="),
    "beats are counted after the end": (r"(assign _\d+_ =) i_running & i_written;", r"\1 i_written;"),
    "a queue counts for another": (r"i_doing\[5:3\] == 1'h1", "i_doing[2:0] == 1'h1"),
    "a read is written over": (r"assign i_ar__ready = ~ o_r__valid;", "assign i_ar__ready = 1'h1;"),
    "done outlives a reset": (r"if \(rst\) done <=", "if (1'h0) done <="),
    "a program outlives a reset": (r"if \(rst\) under_way <=", "if (1'h0) under_way <="),
    "limits outlive a reset": (r"if \(rst\) limit <=", "if (1'h0) limit <="),
    "a reset is never over": (r"else o_reset <= ", "else o_reset <= o_reset | "),
}


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
            (body,) = re.findall(
                rf"^module unit_{index}_core_registers\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE
            )
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


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug(simulation, bundle, bug):
    bench = bundle.benches[1 + list(BUGS).index(bug)]
    outcome = replay(simulation, bundle.records(bench, None))
    (mismatch,) = outcome.mismatches
    print(bundle.describe(bench, mismatch))


def test_traffic_meets_every_case(values):
    """Of every channel: transfers, waiting and stalls; every register read and written, with either response."""
    valid, ready = ({name.partition("__")[0]: values[name] != 0 for name in values if name.endswith(end)}
                    for end in ("__valid", "__ready"))  # fmt: skip
    outside = values["i_reset"] == 0
    for stream in valid:
        for wanted in (valid[stream] & ready[stream], valid[stream] & ~ready[stream], ~valid[stream]):
            assert np.count_nonzero(wanted & outside) > 100, stream
        assert (valid[stream] & (values["i_reset"] != 0)).any(), stream
    reads, answers = _responses(values, "i_ar", "o_r", 32), _responses(values, "i_aw", "o_b", 0)
    for register in registers(CORES["tiny"]):
        assert (register.address, OKAY if register.readable else SLVERR) in reads, register
        assert (register.address, SLVERR) in answers, register
        assert ((register.address, OKAY) in answers) == bool(register.writable), register


def _responses(values: dict[str, np.ndarray], asks: str, answers: str, at: int) -> set[tuple[int, int]]:
    """Addresses with the responses to them: an answer is to the address taken last before it is first offered."""
    found, address, waits = set(), None, False
    for cycle in range(CYCLES):
        offered = bool(values[f"{answers}__valid"][cycle])
        if offered and not waits:
            found.add((address, int(values[f"{answers}__payload"][cycle]) >> at))
        waits = offered
        if values[f"{asks}__valid"][cycle] and values[f"{asks}__ready"][cycle]:
            address = int(values[f"{asks}__payload"][cycle])
    return found
