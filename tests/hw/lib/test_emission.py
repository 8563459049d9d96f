"""Names of modules, what shares one, and what ``place`` refuses."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.presets import PRESETS
from hw.lib.blocks import place
from hw.lib.emission import emit_modules, name_of, plain_names
from hw.tensor.engine import TensorEngine
from hw.tensor.pe import ProcessingElement

TINY = PRESETS["tiny"]


class _Leaf(wiring.Component):
    module_name = "leaf"
    COMBINATIONAL = True

    def __init__(self, width=4, shape=None):
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.i)
        return m


class _Parent(wiring.Component):
    """Leaves of several parameters side by side."""

    module_name = "parent"

    def __init__(self, *parameters, config=None, **inputs):
        self.parameters, self.inputs = parameters or ((),), inputs
        if config:
            self.config = config
        super().__init__({"o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        for index, parameters in enumerate(self.parameters):
            m.d.comb += self.o[index].eq(place(m, f"leaf_{index}", _Leaf, *parameters, **self.inputs).o)
        return m


def test_other_parameters_are_other_modules():
    modules = emit_modules(_Parent((1,), (2,), (1,)))
    assert list(modules) == ["parent", "leaf_1", "leaf_2"]
    assert modules["parent"].count("\n  leaf_1 ") == 2


def test_a_parameter_that_is_no_word_is_digested():
    one, two = emit_modules(_Parent((4, "a b"), (4, "a c")))["parent"], emit_modules(_Parent((4, "a b")))
    (name,) = two.keys() - {"parent"}
    assert name.startswith("leaf_4_") and f"\n  {name} leaf_0" in one


def test_a_block_without_a_configuration_belongs_to_the_one_around_it():
    assert list(emit_modules(_Parent((1,), config=TINY))) == ["parent", f"leaf_1_{TINY.tag}"]


def test_two_blocks_of_one_name_are_refused():
    class Other(_Leaf):
        pass

    class Two(_Parent):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            place(m, "other", Other)
            return m

    with pytest.raises(ValueError, match=r"leaf must be one block, not .*_Leaf'>,\) and .*Other'>,\)"):
        emit_modules(Two())


def test_a_tag_says_the_size_and_changes_with_every_parameter():
    assert TINY.tag.startswith("4x4_")
    others = {
        "rows": 3, "cols": 3, "formats": ("e5m2",), "k_max": 3, "psum_depth": 64, "product_latency": 2,
        "readout_latency": 5, "integer_operands": True, "rows_per_load_cycle": 2,
    }  # fmt: skip
    tags = {TINY.tag} | {replace(TINY, **{name: value}).tag for name, value in others.items()}
    assert len(tags) == 1 + len(others)
    assert replace(TINY, rows=4).tag == TINY.tag


def test_the_caller_names_the_top_and_no_other_module():
    modules, renamed = emit_modules(TensorEngine(TINY)), emit_modules(TensorEngine(TINY), name="mine")
    assert next(iter(modules)) == "tensor_engine" and next(iter(renamed)) == "mine"
    assert renamed.pop("mine") == modules.pop("tensor_engine").replace("tensor_engine(", "mine(")
    assert renamed == modules


def test_configurations_and_targets_have_no_module_in_common():
    texts = [emit_modules(TensorEngine(TINY), target).keys() for target in (None, "ecp5")]
    texts.append(emit_modules(TensorEngine(replace(TINY, psum_depth=64))).keys())
    names = [name for text in texts for name in text if name != "tensor_engine"]
    assert len(names) == len(set(names)) > 40
    assert {plain_names(name) for name in texts[1]} == {plain_names(name) for name in texts[0]}


def test_the_name_of_a_module_can_be_told_beforehand():
    assert name_of(ProcessingElement, TINY) in emit_modules(TensorEngine(TINY))
    assert name_of(ProcessingElement, TINY, target="ecp5") in emit_modules(TensorEngine(TINY), "ecp5")


def test_place_refuses_an_input_of_another_width():
    with pytest.raises(ValueError, match=r"leaf_0.i must be given 4 bits, not 3"):
        emit_modules(_Parent(i=Signal(3)))


def test_place_refuses_an_unknown_port():
    with pytest.raises(ValueError, match=r"leaf_0 must have the ports nonsense"):
        emit_modules(_Parent(nonsense=Signal(4)))
