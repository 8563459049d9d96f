"""Every pair of values of two parameters, in some configuration, against the golden model in every cycle."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from verif.modules import module_text
from verif.simulation.covering import Pair
from verif.simulation.replay import ReplayResult
from verif.tensor.covering import ALL_ROWS, LEAST, VALUES, Case, covering_array, pairs
from verif.tensor.passes import run_passes
from verif.tensor.unit import tensor_unit
from verif.tensor.workload.session import Stretch

SEED = int(os.environ.get("SEED", 11))
CASES = covering_array()
HAS_ICARUS = shutil.which("iverilog") is not None
#: Sides up to this one are built by Icarus in a second; in longer ones it takes ages over vectors of all lanes.
SHORT_SIDE, ICARUS_SIDE = 4, 16
SMALL = [case for case in CASES if case.side <= SHORT_SIDE]
#: What runs with the other tests. Verilator takes a quarter of a minute to build each.
QUICK = SMALL if HAS_ICARUS else SMALL[::8]


def run(case: Case, stretches: list[Stretch], rewrite: Callable[[str], str] | None = None) -> ReplayResult:
    """A session of a configuration, every signal compared; of a large array, every port."""
    print("seed", SEED, case)
    icarus = HAS_ICARUS and case.side <= ICARUS_SIDE and case.cost < ICARUS_SIDE**2
    unit = tensor_unit(case.config, registers=icarus or case.side <= SHORT_SIDE, target=case.target)
    # Such runs take less time than an optimised build.
    unit = replace(unit, opt_level=0, hier_blocks=unit.coverage_blocks if case.side > SHORT_SIDE else ())
    simulator = "icarus" if icarus else "verilator"
    return run_passes(unit, np.random.default_rng(SEED), stretches, simulator=simulator, rewrite=rewrite)


def check(case: Case, stretches: list[Stretch]) -> None:
    outcome = run(case, stretches)
    assert outcome.passed, outcome.mismatches or outcome.failure


def short() -> list[Stretch]:
    """Unhindered, hindered each way, and resets of one to three cycles between and within."""
    cuts = np.random.default_rng(SEED).integers(10, 120, 2)
    return [
        Stretch(groups=3, most=24),
        Stretch(groups=3, most=24, idle=0.3, stall=0.3, cut=int(cuts[0]), reset=2),
        Stretch(groups=3, most=24, stall=0.7, reset=3),
        Stretch(groups=3, most=24, idle=0.5, cut=int(cuts[1])),
        Stretch(groups=2, most=24, idle=0.2, stall=0.2),
    ]


def ring(config: EngineConfig) -> list[Stretch]:
    """PSUM filled to its last row and emptied, and the ring begun anew."""
    held = config.psum_depth + config.rows + config.drain_latency + config.readout_latency
    return [Stretch(groups=2, ring=True, most=16, held=held)]


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in QUICK else pytest.mark.configs, id=case.name) for case in CASES]
)
def test_random_passes(case):
    check(case, short())


@pytest.mark.configs
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_full_ring(case):
    check(case, ring(case.config))


# ---- the array itself ----------------------------------------------------------------------------


def excluded(pair: Pair) -> bool:
    """Whether no configuration has both values, by the rules of ``EngineConfig``."""
    values = dict(pair)
    formats, exact = values.get("formats", ()), values.get("accumulation") == "exact"
    needs_exact = exact or values.get("product_latency") == 2 or values.get("integer_operands", False)
    needs_fp32 = values.get("accumulation") == "fp32" or values.get("add_latency", 1) > 1 or "bf16" in formats
    wide = values.get("integer_operands", False) and formats not in ((), ("e4m3",))
    beats = values.get("rows") == 1 and values.get("rows_per_load_cycle") in (2, 3)
    return (needs_exact and needs_fp32) or wide or beats


def test_every_pair_is_covered_but_those_that_exclude_each_other():
    covered = {pair for case in CASES for pair in case.pairs}
    for pair in pairs():
        assert (pair in covered) != excluded(pair), pair
    assert len(list(pairs())) > 1000 and len(CASES) < 80


def test_cases_are_what_they_say():
    for case in CASES:
        for name, value in case.choice.items():
            made = case.target if name == "target" else getattr(case.config, name)
            if value == LEAST:
                with pytest.raises(ValueError, match="psum_depth must exceed"):
                    replace(case.config, psum_depth=made // 2)
            else:
                assert made == (case.config.rows if value == ALL_ROWS else value)
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_parameter_is_crossed():
    """A new parameter, or a new value of one with few values, must be crossed too."""
    assert VALUES.keys() == {field.name for field in fields(EngineConfig)} | {"target"}
    exact = EngineConfig(rows=4, cols=4, formats=("e4m3",), accumulation="exact")
    fp32 = replace(exact, accumulation="fp32")
    for name, base in (("product_latency", exact), ("add_latency", fp32), ("readout_latency", exact)):
        values = VALUES[name]
        assert values == tuple(range(values[0], values[-1] + 1))
        for beyond in (values[0] - 1, values[-1] + 1):
            with pytest.raises(ValueError, match=name):
                replace(base, **{name: beyond})


# ---- faults that take a certain configuration to show --------------------------------------------


def changed(kind: str, pattern: str, replacement: str | Callable[[re.Match], str]) -> Callable[[str], str]:
    """A rewrite of one place in the one module of a kind."""

    def rewrite(text: str) -> str:
        body = module_text(text, kind)
        new, found = re.subn(pattern, replacement, body)
        assert found == 1 and new != body, f"{kind}: {pattern!r} occurs {found} times"
        return text.replace(body, new)

    return rewrite


def last_skew(case: Case) -> Callable[[str], str]:
    cycles = (case.config.rows - 1) * case.config.add_latency
    return changed("west_edge", rf"\.CYCLES\(32'd{cycles}\)", f".CYCLES(32'd{cycles - 1})")


#: Of each fault: where it shows, and the rewrite that plants it.
FAULTS = {
    "weights move a row a cycle": (
        lambda c: c.config.rows_per_load_cycle > 1 < c.config.add_latency,
        lambda _: changed("pe", r"(o_weight = weight)\[(\d+):(\d+)\]", lambda m: f"{m[1]}[{int(m[2]) - int(m[3])}:0]"),
    ),
    "the last lane enters a cycle early": (lambda c: c.config.add_latency > 3 and c.config.rows > 1, last_skew),
    "columns in use are those of the row behind": (
        lambda c: c.config.readout_latency >= 10 and c.config.cols > 1,
        lambda _: changed("readout", r"= row_(\d+)(\S* > 1'h1)", lambda m: f"= row_{int(m[1]) - 1}{m[2]}"),
    ),
    "a table of an ECP5's multiplier, of bf16 alone": (
        lambda c: c.target and "bf16" in c.config.formats,
        lambda _: changed("multiplier", r"INIT0\(16'h7888\)(?=[^;]*product_row_6_low_4)", "INIT0(16'h3888)"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault):
    shows, rewrite = FAULTS[fault]
    case = next(case for case in SMALL if shows(case))
    (mismatch,) = run(case, short(), rewrite(case)).mismatches
    print(mismatch)
