"""Proofs of queue, register slice, arbiter and memory, and bugs that make them fail."""

import re

import pytest

from verif.lib.proofs.properties import PROPERTIES
from verif.modules import module_text
from verif.proofs.prover import PROVED, prove

#: A property, then a pattern within a module that must occur once, what replaces it, and the assertion that fails.
BUGS = {
    "register_slice": ("register_slice", r"(= spare_valid \?) spare :", r"\1 i__payload :", "in_order"),
    "stream_queue-3": ("stream_queue__fifo", r"assign w_rdy = .*;", "assign w_rdy = 1'h1;", "room"),
    "stream_queue-4": ("stream_queue__fifo", r"(r_port__en = inner_r_rdy &) \w+;", r"\1 1'h1;", "kept"),
    "arbiter-2": ("arbiter", r"= i__1__valid & \w+;", "= i__1__valid;", "lowest"),
    "arbiter-3": ("arbiter", r"= \| stalled;", "= 1'h0;", "lowest"),
    "memory": ("memory", r"if \(write__en\[1\]\)", "if (write__en[0])", "old_word_[01]"),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_property(name, tmp_path):
    outcome = prove(PROPERTIES[name], tmp_path)
    assert outcome.result == PROVED, (outcome.note, str(outcome.counterexample))


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug(name, tmp_path):
    module, pattern, replacement, assertion = BUGS[name]

    def rewrite(text: str) -> str:
        body = module_text(text, module)
        changed, found = re.subn(pattern, replacement, body)
        assert found == 1, f"{module}: {pattern!r} occurs {found} times, not once: the bug no longer fits"
        return text.replace(body, changed)

    outcome = prove(PROPERTIES[name], tmp_path, rewrite=rewrite)
    assert outcome.counterexample is not None, outcome.note
    assert any(re.fullmatch(assertion, name) for name in outcome.counterexample.failed), outcome.counterexample.failed


def test_every_property_has_a_bug():
    assert BUGS.keys() == PROPERTIES.keys()
