"""Mutants of any design: how they are chosen, judged, and cleared by proofs that rest on what the unit knows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from verif.mutants.campaign import judge, judge_all, wrong_without_mutant
from verif.mutants.equivalence import broken_promises, prove
from verif.mutants.hook import MutantHook
from verif.mutants.known import Guard, Known
from verif.mutants.mutation import Mutant

#: A source of small numbers and a sum of what it is told, which means nothing while nothing is valid.
DESIGN = """\
module source(input [3:0] i, output [3:0] o);
  assign o = i[3] ? 4'd0 : i;
endmodule

module adder(input clk, input rst, input [3:0] i, input i_valid, output [4:0] o, output o_valid);
  reg [4:0] sum;
  reg valid;
  assign o = sum;
  assign o_valid = valid;
  always @(posedge clk) begin
    valid <= i_valid & ~rst;
    if (rst) sum <= 0;
    else if (i_valid) sum <= i + 5'd3;
  end
endmodule
"""
FACTS = {"source": Known(promise="o < 8"), "adder": Known(assumption="i < 8")}


HOOK = MutantHook(
    configs={"only": None},
    modules=lambda _: ("source", "adder"),
    verilog=lambda _: DESIGN,
    known=lambda module, _: FACTS[module],
    benches=lambda _: (),
)


@pytest.fixture(scope="module")
def mutation(tmp_path_factory):
    """Mutants from which the tests pick by what they change."""
    return HOOK.mutation("only", count=160, seed=2, root=tmp_path_factory.mktemp("mutants"))


def pick(mutation, **options: str) -> Mutant:
    for mutant in mutation.mutants:
        if all(mutant.option(name) == value for name, value in options.items()):
            return mutant
    raise AssertionError(f"no mutant with {options}")


def knowing(mutation, **facts: Known):
    return replace(mutation, known=lambda module: facts.get(module, Known()))


def test_every_module_has_its_share(tmp_path):
    first, again, other = (
        HOOK.mutation("only", count=9, seed=seed, root=tmp_path / str(i)) for i, seed in enumerate((1, 1, 2))
    )
    assert [mutant.number for mutant in first.mutants] == list(range(1, 10))
    assert [mutant.module for mutant in first.mutants] == 4 * ["source"] + 5 * ["adder"]
    assert first.mutants == again.mutants != other.mutants


def test_place_names_module_cell_net_and_line():
    mutant = Mutant(
        7,
        "mutate -mode cnot0 -module pe -cell $and$design.v:3$1 -port Y -portbit 2 -ctrlbit 4 -wire sum -wirebit 2 "
        "-src design.v:1.1-1.2 -src design.v:3.4-3.9",
    )
    assert mutant.place == "pe: cnot0 at $and$design.v:3$1.Y[2] by bit 4, net sum[2], design.v:3.4-3.9"


def test_the_number_of_a_fault_comes_with_a_plusarg(mutation):
    text = mutation.mutated["adder"]
    assert '$value$plusargs("mutant=%d", mutant)' in text
    assert "input [15:0] mutant" not in text


def test_what_inputs_never_hold_makes_no_difference(mutation):
    """The fourth bit of the summand: never high, where the assumption says so."""
    mutant = pick(mutation, module="adder", mode="const0", wire="i", wirebit="3")
    verdict = prove(mutant, mutation)
    assert verdict.equivalent, verdict.how
    assert re.fullmatch(r"induction over 6 of 6 register bits", verdict.how)
    assert not prove(mutant, knowing(mutation)).equivalent


def test_a_guarded_output_may_differ_while_its_guard_is_false(mutation):
    """The sum is kept while nothing is valid. To whoever looks at ``valid``, a mutant that does not keep it is none."""
    mutant = pick(mutation, module="adder", mode="inv", port="A", wire="o")
    assert not prove(mutant, mutation).equivalent
    guards = [Guard("output", "o", 0, 5, "o_valid"), Guard("register", "sum", 0, 5, "valid")]
    verdict = prove(mutant, knowing(mutation, adder=replace(FACTS["adder"], guards=guards)))
    assert verdict.equivalent, verdict.how


def test_an_invariant_is_proved_with_what_rests_on_it(mutation):
    """The fifth bit of the sum of a small number and three: low in every state that is reached, if not in any state."""
    stuck = pick(mutation, module="adder", port="Q", wire="o", wirebit="4")
    mutant = Mutant(stuck.number, stuck.command.replace(f"-mode {stuck.option('mode')}", "-mode const0"))
    assert not prove(mutant, mutation).equivalent
    low, wrong, needs_more = (Known(assumption=a, invariant=i) for a, i in INVARIANTS)
    assert prove(mutant, knowing(mutation, adder=low)).equivalent
    assert not prove(mutant, knowing(mutation, adder=wrong)).equivalent
    assert not prove(mutant, knowing(mutation, adder=needs_more)).equivalent


#: One that holds; one that a step breaks; one that holds of small numbers only, where numbers may be large.
INVARIANTS = (("i < 8", "sum < 16"), ("i < 8", "sum < 5"), ("1'b1", "sum < 16"))


def test_a_fault_undone_is_equivalent(mutation):
    mutant = pick(mutation, module="adder", mode="inv")
    assert not prove(mutant, mutation).equivalent
    assert prove(Mutant(mutant.number, f"{mutant.command}\n{mutant.command}"), mutation).equivalent


def test_what_proofs_rest_on_is_proved(mutation):
    assert broken_promises(mutation) == []
    broken = broken_promises(knowing(mutation, source=Known(promise="o < 4"), adder=FACTS["adder"]))
    assert len(broken) == 1 and broken[0].startswith("source: what proofs rest on does not hold: not equivalent")
    # An input that is declared not to matter, and does.
    unseen = Known(guards=[Guard("input", "i", 0, 4, "i_valid && i[0]")])
    assert [line.partition(":")[0] for line in broken_promises(knowing(mutation, adder=unseen))] == ["adder"]
    unseen = Known(guards=[Guard("input", "i", 0, 4, "i_valid")])
    assert broken_promises(knowing(mutation, adder=unseen)) == []


#: A memory whose bytes are written apart; and around it a module that is told of nothing.
STORE = """\
module store(input clk, input [1:0] we, input re, input [2:0] a, b, input [15:0] d, output reg [15:0] q);
  reg [15:0] words [0:7];
  always @(posedge clk) begin
    if (we[0]) words[a][7:0] <= d[7:0];
    if (we[1]) words[a][15:8] <= d[15:8];
    if (re) q <= words[b];
  end
endmodule

module around(input clk, input [1:0] we, input re, input [2:0] a, b, input [15:0] d, output [15:0] o);
  wire [15:0] q;
  store inner(.clk(clk), .we(we), .re(re), .a(a), .b(b ^ 3'd1), .d(d), .q(q));
  assign o = ~q;
endmodule
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    hook = replace(HOOK, modules=lambda _: ("store", "around"), verilog=lambda _: STORE, known=lambda *_: Known())
    return hook.mutation("only", count=400, seed=1, root=tmp_path_factory.mktemp("stores"))


@pytest.mark.parametrize(
    "where",
    [
        {"mode": "inv", "wire": "d"},
        {"mode": "inv", "port": "WR_EN"},
        {"mode": "cnot0", "port": "WR_ADDR"},
        {"mode": "inv", "port": "RD_ADDR"},
        {"mode": "inv", "port": "RD_DATA"},
    ],
)
def test_a_memory_is_told_the_same_and_says_the_same(stores, where):
    mutant = pick(stores, module="store", **where)
    assert not prove(mutant, stores).equivalent
    verdict = prove(Mutant(mutant.number, f"{mutant.command}\n{mutant.command}"), stores)
    assert verdict.equivalent, verdict.how


def test_what_an_instance_is_told_is_compared_and_what_it_does_is_not_looked_at(stores):
    told = pick(stores, module="around", mode="inv", cell="inner", port="b")
    assert not prove(told, stores).equivalent
    gate = pick(stores, module="around", mode="inv", port="A")
    assert prove(Mutant(gate.number, f"{gate.command}\n{gate.command}"), stores).equivalent
    # The memory within was no part of that question.
    assert not (stores.directory / f"proof_{gate.number}_flat.json").exists()
    assert "WR_EN" not in (stores.directory / f"proof_{gate.number}.v").read_text(encoding="utf-8")


@dataclass
class Heard:
    """A bench that says what it was told to, and keeps account of what it was asked."""

    name: str
    parts: Mapping[str, str]
    answers: Mapping[int, str]

    def __post_init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def part(self, module: str) -> str | None:
        return self.parts.get(module)

    def run(self, part: str, number: int = 0) -> str | None:
        self.asked.append((part, number))
        return self.answers.get(number)


def test_benches_come_before_proofs_and_only_those_that_see_the_module(mutation):
    mutant = pick(mutation, module="adder", mode="const0", wire="i", wirebit="3")
    blind, deaf = Heard("blind", {"source": "all"}, {mutant.number: "?"}), Heard("deaf", {"adder": "sum"}, {})
    hears, later = Heard("hears", {"adder": "sum"}, {mutant.number: "o differs"}), Heard("later", {"adder": "sum"}, {})
    fate = judge(mutant, mutation, (blind, deaf, hears, later))
    assert (fate.killed_by, fate.reason, fate.survived, fate.verdict) == (
        "hears",
        "o differs",
        False,
        "killed by hears",
    )
    assert (blind.asked, later.asked) == ([], [])
    assert deaf.asked == hears.asked == [("sum", mutant.number)]
    cleared = judge(mutant, mutation, (blind, deaf))
    assert (cleared.killed_by, cleared.verdict, cleared.survived) == (None, "equivalent", False)
    left = judge(mutant, knowing(mutation), (blind, deaf))
    assert (left.killed_by, left.verdict, left.survived) == (None, "survived", True)
    assert left.reason.startswith("not equivalent under what is known of the inputs")
    fates = list(judge_all([mutant, mutant], mutation, (hears,)))
    assert [fate.killed_by for fate in fates] == ["hears", "hears"]


def test_a_bench_that_is_red_by_itself_is_told_before(mutation):
    red, green = Heard("red", {"adder": "all", "source": "all"}, {0: "o differs"}), Heard("green", {"adder": "sum"}, {})
    assert wrong_without_mutant(mutation.mutants, mutation, (red, green)) == ["o differs"]
    # Each part once, however many modules and mutants it sees.
    assert red.asked == [("all", 0)] and green.asked == [("sum", 0)]
