"""Mutants: the right bench kills them, a proof clears those that are no faults and no others, the rest is reported."""

import re
import shutil
from dataclasses import replace

import pytest

from verif.mutants.campaign import judge
from verif.mutants.equivalence import broken_promises, prove
from verif.mutants.known import Guard
from verif.mutants.mutation import Mutant, Mutation
from verif.tensor.mutants.benches import EngineTraffic
from verif.tensor.mutants.benches import units as tensor_units
from verif.tensor.mutants.hook import MUTANTS

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
    "readout": ("engine", "rounder_1__o_code"),
}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Mutants from which the tests pick by what they change."""
    return MUTANTS.mutation(
        NAME, count=150 * len(MUTANTS.modules(MUTANTS.configs[NAME])), seed=5, root=tmp_path_factory.mktemp("many")
    )


@pytest.fixture(scope="module")
def mutation(many, tmp_path_factory):
    """One mutant of each module in ``KILLED``."""
    commands = [pick(many, module, wire).command for module, (_, wire) in KILLED.items()]
    return MUTANTS.mutation(NAME, count=0, seed=0, root=tmp_path_factory.mktemp("few"), commands=commands)


@pytest.fixture(scope="module")
def units(mutation):
    return tensor_units(mutation, SHORT)


@pytest.fixture(scope="module")
def engine(mutation):
    return EngineTraffic(mutation, SHORT)


def pick(mutation: Mutation, module: str, wire: str) -> Mutant:
    """The first mutant that inverts a bit of a wire."""
    for mutant in mutation.mutants:
        if (mutant.module, mutant.option("mode"), mutant.option("wire")) == (module, "inv", wire):
            return mutant
    raise AssertionError(f"no mutant of {module} inverts a bit of {wire}")


def knowing(mutation: Mutation, **facts: dict) -> Mutation:
    """With other facts about some modules."""
    return replace(mutation, known=lambda module: replace(mutation.known(module), **facts.get(module, {})))


def at_column(mutation: Mutation, column: int) -> Mutant:
    """Results of a column that is not in use are read out."""
    lines = (mutation.directory / "design.v").read_text(encoding="utf-8").splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if re.search(rf"row_\d\[\d:0\] > 1'h{column};", line)]
    cell = next(m.option("cell") for m in mutation.mutants if re.search(rf"-src design.v:{number}\.", m.command))
    return Mutant(9000 + column, f"mutate -mode const1 -module readout -cell {cell} -port Y -portbit 0")


@pytest.mark.slow
def test_benches_are_green_without_a_mutant(mutation, engine):
    assert engine.run(engine.part("pe")) is None
    # Verilator, as in the campaign: a bank that has read nothing yet gives undefined bits, which Icarus Verilog has.
    units = tensor_units(mutation)
    assert [module for module in KILLED if units.part(module) and units.run(units.part(module))] == []


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


def test_invariant_that_does_not_hold_proves_nothing(many):
    assert not prove(at_column(many, 0), knowing(many, readout={"invariant": "stages == 0"})).equivalent


@pytest.mark.slow
def test_what_proofs_rest_on_is_proved(mutation):
    assert broken_promises(mutation) == []
    guards = [Guard("input", "i_store", 1, 4, "i_store[1]")]
    wrong = knowing(mutation, decoder={"promise": "o == 0"}, psum_bank={"guards": guards})
    broken = [line.partition(":")[0] for line in broken_promises(wrong)]
    assert {"decoder", "psum_bank"} <= set(broken)
    assert "multiplier" not in broken


@pytest.mark.slow
def test_inputs_that_proofs_rule_out_are_reported(mutation):
    bench = EngineTraffic(knowing(mutation, narrower={"assumption": "i_fp32 == 0"}), SHORT)
    assert bench.run(bench.part("pe")) == "inputs that proofs rule out: narrower"
