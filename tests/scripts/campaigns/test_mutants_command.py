"""``systolith mutants``: survivors are named with the line that repeats them, bad input is refused."""

import re
from dataclasses import replace

import pytest

from scripts.campaigns.mutants import run_mutants
from scripts.ground.errors import InputError
from verif.mutants.hook import MutantHook
from verif.tensor.mutants.hook import MUTANTS


def test_survivors_are_named(capsys):
    assert run_mutants("small_fp32", count=10, seed=1, only=5, hooks=[replace(MUTANTS, benches=lambda _: ())])
    output = capsys.readouterr().out
    assert "mutant 5, survived: not equivalent under what is known of the inputs" in output
    assert "pe: " in output
    assert "systolith mutants --config small_fp32 --count 10 --seed 1 --only 5" in output


def test_a_unit_is_found_by_its_configuration(capsys):
    """One of another kind, whose mutants no bench sees and no proof clears."""
    verilog = "module adder(input [1:0] i, output [1:0] o);\n  assign o = i + 2'd1;\nendmodule\n"
    adder = MutantHook(
        configs={"small": None},
        modules=lambda _: ("adder",),
        verilog=lambda _: verilog,
        benches=lambda _: (),
    )
    assert run_mutants("small", count=2, seed=1, hooks=[MUTANTS, adder])
    output = capsys.readouterr().out
    assert "mutant 1, survived" in output and "adder: " in output
    assert "systolith mutants --config small --count 2 --seed 1 --only 1" in output
    with pytest.raises(InputError, match=r"^--config: 'large' is not one of tiny, small_fp32, small$"):
        run_mutants("large", count=2, seed=1, hooks=[MUTANTS, adder])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": "mxu"}, "--config: 'mxu' is not one of tiny, small_fp32, core, lib, blocks"),
        ({"config": None, "only": 3}, "--only: needs the --config that the mutant is of"),
        ({"config": "tiny", "only": 10}, "--only: tiny has the mutants 1 to 9, not 10"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        run_mutants(**{"count": 9, "seed": 1} | arguments)
