"""What hints say of wrong values that are put beside a run of the golden model: nothing is simulated."""

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout
from golden.numerics.conversions import encode
from golden.tensor.arithmetic import decode_operands
from golden.tensor.jobs import Gemm
from verif.simulation.replay import Mismatch
from verif.simulation.rerun import Case, investigate
from verif.simulation.window import Moment, Window
from verif.tensor.unit import tensor_unit

EXACT = EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2"), accumulation="exact", psum_depth=16)
SLOW = EngineConfig(rows=3, cols=2, formats=("e4m3", "e5m2"), accumulation="fp32", psum_depth=32, add_latency=3)


def gemm(config: EngineConfig) -> Gemm:
    """Every operand another number, so that a value tells where it belongs."""
    # From 16 on: as codes of e5m2 they would be 128 and more.
    x = 16 + 2 * (np.arange(3 * config.rows).reshape(3, config.rows) % 5)
    w = 1 + np.arange(config.rows * config.cols).reshape(config.rows, config.cols) / 8
    codes = [encode(values.astype(np.float32), "e4m3") for values in (x, w)]
    return Gemm(x=codes[0], w=codes[1], x_format="e4m3", w_format="e4m3")


class Run:
    """A GEMM on the golden model, and what would be said of the RTL."""

    def __init__(self, config: EngineConfig) -> None:
        self.case = Case(unit=tensor_unit(config), jobs=[gemm(config)])
        records = np.concatenate([chunk.copy() for chunk in self.case.stimulus().chunks()])
        self.window = Window(self.case.unit, records, 0)

    def first(self, name: str, row: int | None = None, col: int | None = None, **parts: int) -> Moment:
        """The first cycle in which parts of a signal have these values."""
        field = self.case.unit.record.field(name, row, col)
        moments = (Moment(self.window, field, cycle) for cycle in range(len(self.window.records)))
        return next(at for at in moments if parts.items() <= at.parts.items())

    def hint(self, at: Moment, actual: int) -> str:
        """Of a wrong value."""
        mismatch = Mismatch(at.cycle, [(at.field, at.bits, actual)])
        return investigate(self.case, mismatch, build=None).hint


@pytest.mark.parametrize("config", [EXACT, SLOW], ids=["exact", "slow"])
def test_an_operand_of_another_format_in_any_lane(config):
    run = Run(config)
    tags = beat_layout(config).offset("operand")
    for row in range(config.rows):
        at = run.first("west", row, valid=1)
        code = run.case.jobs[0].x[:1, row]
        other = int(decode_operands(code, "e5m2", config)[0]) << tags | at.bits & (1 << tags) - 1
        assert run.hint(at, other) == "the code decoded as e5m2 instead of e4m3", row


@pytest.mark.parametrize("config", [EXACT, SLOW], ids=["exact", "slow"])
def test_early_late_and_elsewhere(config):
    run = Run(config)
    at = run.first("beat", 1, 0, valid=1)
    assert run.hint(at, at.ago(-1).bits).startswith("the value due one cycle later")
    later = at.ago(-2)
    assert run.hint(later, later.ago(1).bits).startswith("the value due one cycle earlier")
    # The same row of the operands reaches lane 0 as many cycles earlier as a sum takes from row to row.
    assert run.hint(at, at.at("beat", 0, 0, ago=config.add_latency).bits) == "what lane 0 should have"
    product = run.first("product", 0, 1, valid=1)
    assert run.hint(product, product.at("product", 0, 0, ago=1).bits) == "what column 0 should have"


def test_how_an_exact_sum_went_wrong():
    run = Run(EXACT)
    # The second lane, so that there is a sum to add to.
    at = next(
        at
        for cycle in range(len(run.window.records))
        if (at := Moment(run.window, run.case.unit.record.field("psum", 1, 0), cycle)).bits
        and at.same("product", ago=1).parts["enable"]
    )
    before, product = at.at("psum", 0, 0, ago=1).bits, at.same("product", ago=1).parts
    value, mask = product["magnitude"] << product["exponent"], (1 << EXACT.acc_bits) - 1
    assert at.bits == before + value and 0 < before != value
    said = {
        before: "the incoming sum alone: the product was not added",
        value: "the product alone: the incoming sum was not added",
        before - value & mask: "the product was subtracted",
        value - before & mask: "the incoming sum was negated",
        at.bits + 1: "off by one unit, the last place of the sum",
        at.bits | 1 << EXACT.acc_bits: "its NaN and Inf flags are wrong",
        at.bits ^ 1 << 20: "only bit 20 differs",
    }
    assert {actual: run.hint(at, actual) for actual in said} == said


def test_a_sum_in_the_first_cycles_has_no_past():
    """Nothing before reset is looked at: there the window ends."""
    run = Run(EXACT)
    at = Moment(run.window, run.case.unit.record.field("psum", 0, 0), 0)
    assert run.hint(at, 1) == "only bit 0 differs"
