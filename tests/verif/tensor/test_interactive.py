"""The interactive benches: the RTL passes them, planted bugs do not."""

import re
import shutil
from collections.abc import Callable

import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from verif.modules import module_text
from verif.simulation.simulator import SimulatorError
from verif.tensor.interactive.resets import RESET_STATES
from verif.tensor.interactive.run import run_interactive

HAS_ICARUS = shutil.which("iverilog") is not None
needs_icarus = pytest.mark.skipif(not HAS_ICARUS, reason="Icarus Verilog is not installed")

#: Few PSUM rows, so that the ring goes round often and is soon full.
SMALL = EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=16)
FUSED = EngineConfig(rows=2, cols=3, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=32)


@pytest.mark.parametrize(
    ("config", "simulator"),
    [
        pytest.param(PRESETS["tiny"], "verilator", id="tiny-verilator"),
        pytest.param(FUSED, "verilator", id="fused-verilator"),
        pytest.param(PRESETS["tiny"], "icarus", id="tiny-icarus", marks=[needs_icarus, pytest.mark.slow]),
    ],
)
def test_rtl_passes(config, simulator, capsys):
    run = run_interactive(config, simulator=simulator)
    assert f"seed {run.seed} " in capsys.readouterr().out
    assert len(run.failures) == 13
    assert run.passed, run.lines()
    assert {state for reset in run.resets for state in reset.states} == set(RESET_STATES)
    assert {reset.cycles for reset in run.resets} == {1, 2, 3}


def _replaced(module: str, pattern: str, by: str) -> Callable[[str], str]:
    """A rewrite of the emitted Verilog in one place of one module."""

    def rewrite(text: str) -> str:
        body = module_text(text, module)
        changed, count = re.subn(pattern, by, body)
        assert count == 1, f"{pattern} is in {module} {count} times"
        return text.replace(body, changed)

    return rewrite


#: A bug, a bench that must see it, and what that bench must say.
BUGS = {
    "payload changes while stalled": (
        _replaced("stalling_delay", r"else if \(en\) line", "else line"),
        "random_gemms/idle=0.0/stall=0.5",
        r"o_result: payload changed in cycle \d+ while stalled",
    ),
    "valid dropped": (
        _replaced("readout", r"(if \(o_advance\) o__valid <= .*;)", r"\1 else o__valid <= 1'h0;"),
        "back_pressure/k_tiles=1",
        r"o_result: valid dropped in cycle \d+",
    ),
    "valid waits for ready": (
        _replaced("readout", r"assign o_advance = .*;", "assign o_advance = o__ready;"),
        "back_pressure/k_tiles=2",
        r"the engine holds 16 rows, it has room for 20",
    ),
    "last row of the ring is not read out": (
        _replaced("readout", r"(stages <= .*) row_waits", r"\1 row_waits & ~&o_read_address"),
        "random_gemms/idle=0.5/stall=0.0",
        # What comes in its place may be wrong, or late where it is right by chance.
        r"result row \d+: (0x[0-9a-f]+|\d+ cycles), expected",
    ),
    "PSUM address off by one": (
        _replaced("psum_bank", r"write__address\((i_store\[\S+\])\)", r"write__address(\1 + 1'b1)"),
        "cycle_counts",
        r"result row \d+: 0x[0-9a-f]+, expected 0x",
    ),
    "one row more than PSUM has": (
        _replaced("sequencer", r"occupied < (_\w+);", r"occupied < \1 + 1'h1;"),
        "back_pressure/k_tiles=1",
        r"the engine holds 21 rows, it has room for 20",
    ),
    "occupied rows survive reset": (
        _replaced("sequencer", r"if \(rst\) occupied <= 5'h00;\s+else (occupied <= .*;)", r"if (!rst) \1"),
        "reset_when_full",
        r"the engine holds \d+ rows, it has room for 20",
    ),
    "a partial sum waits a cycle too long": (
        _replaced(
            "sequencer",
            r"(?s)remain < (\w+\[\S+\]);(.*)remain < (\w+\[\S+\]);",
            r"(~|remain | remain + 1'b1 < \1);\2(~|remain | remain + 1'b1 < \3);",
        ),
        "cycle_counts",
        r"measured 0: \d+ cycles, expected \d+: \d+ late",
    ),
    "lanes not in use take part": (
        _replaced("west_edge", r"= told_1\[\d:\d\] > 1'h1;", "= 1'b1;"),
        "unused_lanes",
        r"result row \d+: 0x[0-9a-f]+, expected 0x",
    ),
}


#: The others are run with the slow tests.
QUICK = (
    "payload changes while stalled",
    "valid dropped",
    "last row of the ring is not read out",
    "PSUM address off by one",
)


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=() if bug in QUICK else pytest.mark.slow, id=bug.replace(" ", "-")) for bug in BUGS]
)
def test_planted_bugs_are_found(bug, tmp_path):
    rewrite, bench, message = BUGS[bug]
    simulator = "icarus" if HAS_ICARUS else "verilator"
    run = run_interactive(SMALL, simulator=simulator, rewrite=rewrite, root=tmp_path)
    assert not run.passed
    assert re.search(message, run.failures[bench] or "passed"), run.lines()


@pytest.mark.slow
def test_crash_is_not_a_pass(tmp_path):
    rewrite = _replaced("readout", r"(if \(o_advance\)) (o__valid <= .*;)", r"\1 begin \2 if (o__valid) $finish; end")
    simulator = "icarus" if HAS_ICARUS else "verilator"
    run = run_interactive(SMALL, simulator=simulator, rewrite=rewrite, root=tmp_path)
    assert not run.passed


def test_hung_simulator_is_stopped():
    simulator = "icarus" if HAS_ICARUS else "verilator"
    with pytest.raises(SimulatorError, match=r"the simulator did not end within 0\.1 s"):
        run_interactive(SMALL, simulator=simulator, timeout=0.1)


def test_seed_comes_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("SEED", "seven")
    with pytest.raises(ValueError, match="seven"):
        run_interactive(SMALL)
