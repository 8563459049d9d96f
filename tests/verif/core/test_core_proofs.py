"""Proofs of the float blocks, of the registers and of the order of instructions, and bugs that make them fail."""

import re

import pytest

from verif.core.proofs.properties import PROPERTIES
from verif.modules import module_text
from verif.proofs.prover import PROVED, UNFINISHED, prove

#: A property, then a pattern within a module that must occur once, what replaces it, and the assertion that fails.
BUGS = {
    "float_adder": ("float_adder", r"(_\d+_ =) \| aligned_8\[15:0\];", r"\1 1'h0;", "sum_of_two"),
    "float_multiplier": ("float_multiplier", r"(assign _\d+_ =) \| moved_32\[16:0\];", r"\1 1'h0;", "product"),
    "widener": ("widener", r"8'h77", "8'h76", "same"),
    "float_order": ("float_order", r"(assign o_less = _\d+_) & \w+;", r"\1;", "one"),
    # An answer that is not taken gives way to the next.
    "core-registers-held": ("core_registers", r"(assign write = _\d+_ &) _\d+_;", r"\1 1'h1;", "o_b_held"),
    "core-registers-registered": (
        "core_registers",
        r"(assign i_ar__ready = ~ o_r__valid)",
        r"\1 | o_r__ready",
        "i_ar__ready",
    ),
    # What an instruction waits for in all queues but the last.
    "instruction_queue": ("instruction_queue", r"(assign ready = _\d+_ \? 1'h0 :) _\d+_;", r"\1 1'h1;", "not_early"),
    # Given when the first of its two beats is there.
    "dispatcher": ("dispatcher", r"(assign _\d+_ = out \?) count :", r"\1 1'h1 :", "in_order"),
    "core-registers-counted": ("core_registers", r"dma1_busy\[31:0\]", "dma1_order[31:0]", "read_198"),
}


# ``make formal QUICK=1`` proves the quick ones too.
@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_property(name, tmp_path):
    outcome = prove(PROPERTIES[name], tmp_path)
    assert outcome.result == PROVED, (outcome.note, str(outcome.counterexample))


@pytest.mark.parametrize(
    "name", [name if PROPERTIES[name].quick else pytest.param(name, marks=pytest.mark.slow) for name in BUGS]
)
def test_planted_bug(name, tmp_path):
    module, pattern, replacement, assertion = BUGS[name]

    def rewrite(text: str) -> str:
        body = module_text(text, module)
        changed, found = re.subn(pattern, replacement, body)
        assert found == 1, f"{module}: {pattern!r} occurs {found} times, not once: the bug no longer fits"
        return text.replace(body, changed)

    outcome = prove(PROPERTIES[name], tmp_path, rewrite=rewrite)
    assert outcome.counterexample is not None, outcome.note
    assert assertion in outcome.counterexample.failed, outcome.counterexample.failed


def test_every_property_has_a_bug():
    assert BUGS.keys() == PROPERTIES.keys()


@pytest.mark.slow
def test_a_bug_in_an_upper_half_is_no_proof(tmp_path):
    """No run from reset that a search goes through shows it."""
    assert "dma1_busy[47:32]" in PROPERTIES["core-registers-counted"].device()
    outcome = prove(
        PROPERTIES["core-registers-counted"],
        tmp_path,
        rewrite=lambda text: text.replace("dma1_busy[47:32]", "dma1_order[47:32]"),
    )
    assert outcome.result == UNFINISHED, outcome.result
