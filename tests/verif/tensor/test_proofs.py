"""Proofs: each property holds, and a bug planted in the emitted Verilog makes it fail with the values that show it."""

import re
import signal
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest

from arch.environment import EnvironmentFault
from verif.modules import module_text
from verif.proofs import prover
from verif.proofs.prover import prove
from verif.proofs.yosys import FormalError
from verif.tensor.proofs.properties import PROPERTIES


def planted(module: str, pattern: str, replacement: str):
    """A rewrite of one place in one module."""

    def rewrite(text: str) -> str:
        body = module_text(text, module)
        changed, found = re.subn(pattern, replacement, body)
        assert found == 1, f"{module}: {pattern!r} occurs {found} times, not once: the bug no longer fits"
        return text.replace(body, changed)

    return rewrite


EXPONENT = "decoder", r"i_code\[6:3\] - ", "i_code[6:3] + "
PRODUCT = "multiplier", r"(i_x\[\d+:\d+\]) \+ (i_w\[\d+:\d+\])", r"\1 | \2"
TRUNCATED = "multiplier", r"= i_x\[17:0\] \* ", "= i_x[16:0] * "
EXTENSION = "exact_adder", r"\? \{ \{(\d+)\{aligner__o\[\d+\]\}\},", r"? { \1'h0,"
INVERSION = "aligner", r"\^ \{ \{(\d+)\{i_product\[\d+\]\}\} \}", r"^ \1'h0"
SHORT = "exact_adder", r"= \{ 15'h0000, i_product\[35:0\] \}", "= { 16'h0000, i_product[34:0] }"
TIE = r"(assign _\w+ = \w+(\[0\])?) \| (normal|moved)_0\[\d+\];", r"\1;"
STICKY = "fused_adder", r"assign lost_4 = lost_2 \| \w+;", "assign lost_4 = lost_2;"
DROPPED = "readout", r"assign o_advance = .*;", "assign o_advance = 1'h1;"
WAITING = "sequencer", r"assign o_weight_ready = (.*);", r"assign o_weight_ready = \1 & i_weight_valid;"

BEHIND = r"(= stages\[\d+\] & row_)(\d+)\[2\];", lambda m: f"{m[1]}{int(m[2]) - 1}[2];"

#: Property -> a bug that it must see, and the assertion that fails.
BUGS = {
    "stream-held-exact": (DROPPED, "valid_kept|payload_held"),
    "stream-independent-exact": (WAITING, "weight_ready"),
    "stream-held-fp32": (DROPPED, "valid_kept|payload_held"),
    "stream-independent-fp32": (WAITING, "weight_ready"),
    # A command is taken while the loader holds one: that pass is dropped.
    "sequencer-passes": (("sequencer", r"assign i_command__ready = .*;", "assign i_command__ready = 1'h1;"), "ready"),
    # An odd number of weight rows, two to a beat: the last is not waited for.
    "sequencer-passes-together": (
        ("sequencer", r"(i_command__payload\[6:5\] \+ 1'h)1;", r"\g<1>0;"),
        "ready|weights",
    ),
    # A row more than ``distance`` in flight.
    "sequencer-seeds": (("sequencer", r"remain < running\[", "remain <= running["), "seed_after_store|seed_request"),
    # In the cycle in which column 0 is stored.
    "sequencer-ring": (
        ("sequencer", r"o_finished = finished_line\[4\]", "o_finished = finished_line[2]"),
        "read_after",
    ),
    # The row behind ends its tile.
    "readout-order": (("readout", *BEHIND), "last_as_ordered"),
    "readout-order-long": (("readout", *BEHIND), "last_as_ordered"),
    # A column that is not in use stores.
    "psum_bank": (("psum_bank", r"write__en\(i_store\[\d+\]\)", "write__en(i_store[0])"), "read_out|seed_given"),
    **{f"decoder-{key}": (EXPONENT, "value") for key in ("e4m3", "fp8", "e4m3_integer", "bf16", "fp8_fp32")},
    **{f"multiplier-{key}": (PRODUCT, "value") for key in ("e4m3", "fp8", "bf16", "fp8_fp32")},
    "multiplier-e4m3_integer": (TRUNCATED, "value"),
    "exact_adder-e4m3": (EXTENSION, "exact"),
    "exact_adder-fp8": (INVERSION, "exact"),
    "exact_adder-e4m3_integer": (SHORT, "exact"),
    **{f"rounder-{key}": (("rounder", *TIE), "rounded_once") for key in ("e4m3", "fp8")},
    "narrower": (("narrower", *TIE), "narrowed"),
    **{f"fused_adder-{key}": (STICKY, "sum") for key in ("bf16", "fp8_fp32")},
}
#: Both colours in every test run; the others' green is what ``make formal`` prints.
QUICK = ("readout-order", "decoder-e4m3", "multiplier-bf16", "stream-independent-exact")


def check_bug(name: str, tmp_path):
    bug, label = BUGS[name]
    outcome = prove(PROPERTIES[name], tmp_path / "bad", rewrite=planted(*bug))
    assert outcome.result == "FAILED", outcome.note
    assert re.match(
        rf"(\S+, )*({label})\S*(, \S+)* fails in step \d+ with (\w+=0x[0-9a-f]+ ?)+$", str(outcome.counterexample)
    )


@pytest.mark.parametrize("name", QUICK)
def test_a_bug_is_seen_soon(name, tmp_path):
    check_bug(name, tmp_path)


# ``make formal QUICK=1`` proves them too.
@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_quick_property(name, tmp_path):
    assert prove(PROPERTIES[name], tmp_path / "good").result == "proved"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(PROPERTIES) - set(QUICK)))
def test_planted_bug(name, tmp_path):
    check_bug(name, tmp_path)


@pytest.mark.slow
def test_a_row_that_no_search_comes_to(tmp_path):
    """The row 131,071 after reset has another last: it is not shown to be right, though no run from reset is wrong."""
    counted = (
        "readout",
        r"(tile_ends <= )(\w+);(?=\n  always)",
        r"\1\2 ^ (given == 131070);\n  reg [31:0] given = 0;\n  always @(posedge clk) if (o__valid & o__ready) "
        r"given <= rst ? 0 : given + 1;",
    )
    outcome = prove(PROPERTIES["readout-order"], tmp_path, rewrite=planted(*counted))
    assert outcome.result == "not finished" and outcome.note.startswith("not inductive; from reset nothing fails")


def test_every_property_has_a_bug():
    assert set(BUGS) == set(PROPERTIES)


def test_bug_that_no_longer_fits_is_refused():
    with pytest.raises(AssertionError, match="decoder: 'no such line' occurs 0 times, not once"):
        planted("decoder", "no such line", "")("module decoder(o);\nendmodule\n")


COUNTER = """
module counter(input clk, output reg [3:0] q = 0);
  always @(posedge clk) q <= q == 11 ? 0 : q + 1;
endmodule
"""
HARNESS = """
module proof(input clk);
  wire [3:0] q;
  wire [3:0] d_q;
  counter dut (.clk(clk), .q(q));
  always @* small: assert (q != LIMIT);
  INVARIANT
  (* keep *) wire reached = q == REACHED;
endmodule
"""


def counter(limit: int, *, invariant: str = "", reached: int = 3, depth: int = 12, **changes):
    harness = HARNESS.replace("LIMIT", str(limit)).replace("INVARIANT", invariant).replace("REACHED", str(reached))
    prop = PROPERTIES["sequencer-passes"]
    fields = {"device": lambda: COUNTER, "harness": harness, "depth": depth, "peeks": {"d_q": "dut.q"}}
    return replace(prop, **(fields | changes))


@pytest.mark.parametrize(
    "prop, result, says",
    [
        (counter(12), "proved", ""),
        # 13 follows 12, which never occurs: the claim is true, and an invariant says why.
        (counter(13), "not finished", "not inductive; from reset nothing fails in 12 steps"),
        (counter(13, invariant="always @* inv_q: assert (d_q < 12);"), "proved", ""),
        (counter(11), "FAILED", "small fails in step 11"),
        (counter(11, depth=10), "not finished", "not inductive; from reset nothing fails in 10 steps"),
        (counter(12, reached=11, depth=9), "not finished", "reset does not lead to reached in 9 steps"),
    ],
)
def test_induction(prop, result, says, tmp_path):
    outcome = prove(prop, tmp_path)
    assert (outcome.result, says in f"{outcome.note}{outcome.counterexample}") == (result, True)


CASES = """
module proof(input [1:0] a);
  (* keep *) wire [1:0] split = a;
  always @* small: assert (a != LIMIT);
endmodule
"""


@pytest.mark.parametrize(
    "cases, limit, result",
    [((0, 1, 2, 3), 4, "proved"), ((0, 1, 2), 3, "FAILED"), ((0, 1, 2, -1), 3, "FAILED"), ((0, 1, 3), 4, "proved")],
)
def test_cases(cases, limit, result, tmp_path):
    """A violation is found in a case that is listed, and in one that is not."""
    prop = replace(
        PROPERTIES["narrower"], device=lambda: COUNTER, harness=CASES.replace("LIMIT", str(limit)), cases=cases
    )
    assert prove(prop, tmp_path).result == result


def test_text_that_yosys_refuses(tmp_path):
    prop = counter(12, peeks={"d_q": "dut.no_such_register"})
    with pytest.raises(FormalError, match=r"yosys refuses .*no_such_register"):
        prove(prop, tmp_path)


class Clock:
    """Seconds pass only between queries: at each look at it, so many."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


@pytest.mark.parametrize(
    "prop, queries, note",
    [
        (counter(12), 0, "base not decided"),
        (
            counter(13),
            1,
            "induction not decided; from reset nothing fails in 0 steps; 1 steps not decided",
        ),
        # Base, step, then the search.
        (counter(13), 5, "not inductive; from reset nothing fails in 3 steps; 4 steps not decided"),
        (counter(12), 2, "whether reset does not lead to reached in 12 steps not decided"),
    ],
)
def test_time_limit_of_an_induction(prop, queries, note, tmp_path):
    """It bounds all that is asked, and what is known by then is said."""
    outcome = prove(replace(prop, timeout=6000), tmp_path, clock=Clock(6000 / (queries + 0.5)))
    assert (outcome.result, outcome.note) == ("not finished", f"{note}, 6000 s in all")


def test_step_that_is_too_hard(tmp_path, monkeypatch):
    """The search says how far it came, whether or not the induction had an answer."""
    solve = prover._Question.solve
    monkeypatch.setattr(
        prover._Question, "solve", lambda self, name, *args: None if name == "step" else solve(self, name, *args)
    )
    outcome = prove(counter(13), tmp_path)
    assert outcome.note == "induction not decided; from reset nothing fails in 12 steps"
    outcome = prove(counter(11), tmp_path)
    assert (outcome.result, str(outcome.counterexample)[:23]) == ("FAILED", "small fails in step 11 ")


def test_time_limit_of_cases(tmp_path):
    prop = replace(PROPERTIES["narrower"], device=lambda: COUNTER, harness=CASES.replace("LIMIT", "4"), timeout=6000)
    outcome = prove(replace(prop, cases=(0, 1, 2, 3)), tmp_path, clock=Clock(6000 / 2.5))
    assert outcome.note == "case_2 not decided, 6000 s in all; 2 of 5 cases hold"


def test_solver_that_is_killed(tmp_path, monkeypatch):
    killed = subprocess.CompletedProcess([], -signal.SIGKILL, "", "")
    monkeypatch.setattr(prover.subprocess, "run", lambda command, **options: killed)
    model = SimpleNamespace(folder=tmp_path)
    with pytest.raises(EnvironmentFault, match="the solver was stopped: SIGKILL"):
        prover._Question(counter(12), model, Clock(1)).solve("base", "")
    killed.returncode, killed.stderr = 1, "(error)"
    with pytest.raises(FormalError, match=r"the solver says \(error\)"):
        prover._Question(counter(12), model, Clock(1)).solve("base", "")
