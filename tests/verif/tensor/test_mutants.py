"""Mutants: the right bench kills them, a proof clears those that are no faults and no others, the rest is reported."""

import re
import shutil

import pytest

from verif.tensor.mutants import assumptions as mutant_assumptions
from verif.tensor.mutants import equivalence
from verif.tensor.mutants.assumptions import Guard
from verif.tensor.mutants.benches import EngineTraffic, Units
from verif.tensor.mutants.equivalence import broken_promises, prove
from verif.tensor.mutants.fates import judge
from verif.tensor.mutants.mutants import Mutant, Mutation, modules_of

#: Builds in a second; the mutants below die within a few cycles.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
NAME = "small_fp32"
#: Of some modules: the bench that kills their mutants first, and a wire of which a bit inverted is seen soon.
KILLED = {
    "decoder": ("unit", "bf16_scaled"),
    "rounder": ("unit", "psum_1_0"),
    "psum_bank": ("unit", "o_psum"),
    "pe": ("unit", "product"),
    "sequencer": ("engine", "full"),
    "readout": ("engine", "o__payload"),
}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Mutants from which the tests pick by what they change."""
    return Mutation(NAME, 9 * 150, 5, root=tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="module")
def mutation(many, tmp_path_factory):
    """One mutant of each module in ``KILLED``."""
    chosen = [pick(many, module, wire) for module, (_, wire) in KILLED.items()]
    return Mutation(NAME, 0, 0, tmp_path_factory.mktemp("few"), tuple(mutant.command for mutant in chosen))


@pytest.fixture(scope="module")
def units(mutation):
    return Units(mutation, SHORT)


@pytest.fixture(scope="module")
def engine(mutation):
    return EngineTraffic(mutation, SHORT)


def pick(mutation: Mutation, module: str, wire: str) -> Mutant:
    """The first mutant that inverts a bit of a wire."""
    for mutant in mutation.mutants:
        if (mutant.module, mutant.option("mode"), mutant.option("wire")) == (module, "inv", wire):
            return mutant
    raise AssertionError(f"no mutant of {module} inverts a bit of {wire}")


def at_column(mutation: Mutation, column: int) -> Mutant:
    """Results of a column that is not in use are read out."""
    lines = (mutation.directory / "engine.v").read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if re.search(rf"row_\d\[\d:0\] > 1'h{column};", line)]
    cell = next(m.option("cell") for m in mutation.mutants if re.search(rf"-src engine.v:{number}\.", m.command))
    return Mutant(9000 + column, f"mutate -mode const1 -module readout -cell {cell} -port Y -portbit 0")


def test_every_module_has_its_share(tmp_path):
    first, again, other = (Mutation(NAME, 30, seed, root=tmp_path / str(i)) for i, seed in enumerate((1, 1, 2)))
    assert [mutant.number for mutant in first.mutants] == list(range(1, 31))
    counts = [sum(mutant.module == module for mutant in first.mutants) for module in modules_of(first.config)]
    assert set(counts) == {3, 4}
    assert first.mutants == again.mutants != other.mutants


def test_place_names_module_cell_net_and_line():
    mutant = Mutant(
        7,
        "mutate -mode cnot0 -module pe -cell $and$engine.v:3$1 -port Y -portbit 2 -ctrlbit 4 -wire sum -wirebit 2 "
        "-src engine.v:1.1-1.2 -src engine.v:3.4-3.9",
    )
    assert mutant.place == "pe: cnot0 at $and$engine.v:3$1.Y[2] by bit 4, net sum[2], engine.v:3.4-3.9"


@pytest.mark.slow
def test_benches_are_green_without_a_mutant(mutation, engine):
    assert engine.run("pe") is None
    # Verilator, as in the campaign: a bank that has read nothing yet gives undefined bits, which Icarus Verilog has.
    units = Units(mutation)
    assert [module for module in KILLED if units.covers(module) and units.run(module)] == []


@pytest.mark.parametrize("module", KILLED)
def test_killed_by_the_right_bench(mutation, units, engine, module):
    mutant = mutation.mutants[list(KILLED).index(module)]
    fate = judge(mutant, mutation, (units, engine))
    print(mutant.place, fate.reason)
    assert (fate.killed_by, fate.equivalent, fate.survived) == (KILLED[module][0], False, False)
    assert fate.reason
    # What a bench has seen, no proof may explain away.
    assert not prove(mutant, mutation).equivalent


def test_column_zero_is_always_in_use(many):
    """Not without the invariant, and not of any other column."""
    verdict = prove(at_column(many, 0), many)
    assert verdict.equivalent
    assert re.fullmatch(r"induction over \d+ of \d+ register bits", verdict.how)
    assert not prove(at_column(many, 1), many).equivalent


def test_invariant_that_does_not_hold_proves_nothing(many, monkeypatch):
    monkeypatch.setattr(equivalence, "invariant", lambda module, config: "stages == 0")
    assert not prove(at_column(many, 0), many).equivalent


def test_a_fault_undone_is_equivalent(mutation):
    mutant = mutation.mutants[list(KILLED).index("sequencer")]
    assert not prove(mutant, mutation).equivalent
    twice = Mutant(mutant.number, f"{mutant.command}\n{mutant.command}")
    assert prove(twice, mutation).equivalent


def test_what_proofs_rest_on_is_proved(mutation, monkeypatch):
    assert broken_promises(mutation) == []
    wrong = Guard("input", "i_store", 1, 4, "i_store[1]")
    monkeypatch.setattr(
        "verif.tensor.mutants.equivalence.guards", lambda module, config: [wrong] if module == "psum_bank" else []
    )
    monkeypatch.setattr(
        "verif.tensor.mutants.equivalence.promise", lambda module, config: "o == 0" if module == "decoder" else "1"
    )
    broken = [line.partition(":")[0] for line in broken_promises(mutation)]
    assert {"decoder", "psum_bank"} <= set(broken)
    assert "multiplier" not in broken


def test_inputs_that_proofs_rule_out_are_reported(mutation, monkeypatch):
    rules = dict.fromkeys(("narrower",), "i_fp32 == 0")
    monkeypatch.setattr(mutant_assumptions, "assumption", lambda module, config: rules.get(module, "1'b1"))
    assert EngineTraffic(mutation, SHORT).run("pe") == "inputs that proofs rule out: narrower"
