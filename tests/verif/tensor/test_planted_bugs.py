"""Bugs planted in the emitted Verilog: the check turns red and names the earliest place, cycle and term.

Expected places and cycles follow from docs/architecture.md by hand, not from the golden model's trace.
"""

import re
import shutil

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.numerics.conversions import encode
from golden.tensor.jobs import Gemm
from verif.modules import module_text
from verif.simulation.replay import replay
from verif.tensor.engine import EngineRun, build_engine, simulate
from verif.tensor.workload.traffic import traffic_trace

TINY = PRESETS["tiny"]
FP32 = EngineConfig(rows=2, cols=2, formats=("bf16",), accumulation="fp32", psum_depth=16)
FP8 = EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2"), accumulation="exact", psum_depth=16)
#: Icarus builds in a second and these runs are short; without it the bugs go through Verilator.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
LATE_SWAP = ("pe", r"if \(i_beat\[2\]\) active", "if (o_beat[2]) active", 1)


def planted(*changes):
    """A rewrite of emitted Verilog: within a module, a pattern is replaced that must occur so many times."""

    def rewrite(text: str) -> str:
        for module, pattern, replacement, count in changes:
            body = module_text(text, module)
            changed, found = re.subn(pattern, replacement, body)
            assert found == count, f"{module}: {pattern!r} occurs {found} times, not {count}: the bug no longer fits"
            assert changed != body
            text = text.replace(body, changed)
        return text

    return rewrite


def gemm(x, w, fmt="e4m3") -> Gemm:
    """A product of matrices given by value, each exactly a number of the format."""
    codes = [encode(np.asarray(values, np.float32), fmt) for values in (x, w)]
    return Gemm(x=codes[0], w=codes[1], x_format=fmt, w_format=fmt)


def ones(m: int, k: int, n: int) -> Gemm:
    return gemm(np.ones((m, k)), np.ones((k, n)))


def run(config: EngineConfig, job: Gemm, *changes, simulator: str = SHORT) -> EngineRun:
    result = simulate(config, [job], simulator=simulator, rewrite=planted(*changes))
    assert result.mismatches == 1
    assert result.compared_cycles == result.divergence.cycle + 1
    return result


def places(red: EngineRun) -> list[tuple]:
    """The signals that differ, cause before effect: name, row and column."""
    return [(d.field.name, d.field.row, d.field.col) for d in red.divergence.differences]


def files(red: EngineRun) -> set[str]:
    """Whose logic the report points to."""
    return set(re.findall(r"hw/(\w+/\w+)\.py", red.divergence.stage))


def made_of(red: EngineRun) -> list[tuple]:
    """What the report says the value was made of: cycles before, then name, row and column."""
    cycle = red.divergence.cycle
    return [(cycle - i.cycle, i.field.name, i.field.row, i.field.col) for i in red.divergence.inputs]


def first_take(job: Gemm, config: EngineConfig) -> int:
    """Cycle in which a GEMM's first activation row is taken: the command in cycle 0, weight rows from cycle 1 on."""
    return 1 + min(job.shape[1], config.rows)


def beat_cycle(take: int, row: int, col: int) -> int:
    """From this cycle on a row taken in ``take`` is in a PE's beat register."""
    return take + 1 + row + col


def psum_cycle(take: int, row: int, col: int) -> int:
    """From this cycle on a row taken in ``take`` is in a PE's psum register."""
    return take + 3 + row + col


def sticky_job() -> Gemm:
    """One term needs the sticky bit of the fused adder: m = 1, n = 1, k = 1.

    There 1 is added to 2**-24 * (1 + 2**-7)**2, which is above half a place of the result by what the sticky bit holds.
    """
    tiny = 2.0**-12 * (1 + 2.0**-7)
    return gemm([[0, 1], [tiny, 1], [0, 1]], [[0, tiny], [1, 1]], "bf16")


DROPPED_STICKY = ("fused_adder", r"aligned_16, lost_16 \}", "aligned_16, 1'h0 }", 1)


@pytest.mark.parametrize("simulator", ["verilator", SHORT])
def test_dropped_sticky_bit_in_the_adder(simulator):
    job = sticky_job()
    red = run(FP32, job, DROPPED_STICKY, simulator=simulator)
    cycle = psum_cycle(first_take(job, FP32) + 1, 1, 1)
    assert red.lines() == [
        f"RTL and golden model differ first in cycle {cycle}, at PE(1, 1).psum",
        "  stage     accumulation: hw/arithmetic/fused_adder.py, hw/tensor/pe.py",
        "  gemm      GEMM M=3 K=2 N=2, bf16 x bf16 to fp32 (number 0)",
        "  term      pass 0, m = 1, n = 1, k = 1",
        "  expected  0x3f800001  1.0000001",
        "  actual    0x3f800000  1.0",
        "  hint      one unit in the last place: rounding",
        # 2**-24 * (1 + 2**-7)**2, and 1 * 1: 0x80 * 2**(133 - 140), squared 0x4000 * 2**(266 - 280).
        f"  from      cycle {cycle - 1}  PE(0, 1).psum     0x33820200  6.0539605e-08",
        f"            cycle {cycle - 1}  PE(1, 1).product  0x{266 << 18 | 0x4000 << 2 | 3:08x}  1.0 (valid enable)",
        f"            cycle {cycle - 2}  PE(1, 1).beat     0x{133 << 12 | 0x80 << 4 | 3:06x}  1.0 (valid enable)",
        f"            cycle {cycle - 2}  PE(1, 1).active   0x{133 << 8 | 0x80:05x}  1.0",
    ]


def test_dropped_sticky_bit_in_the_readout():
    # 65536 + 2**-8 + 2**-18: half a place above 65536, and a bit.
    job = gemm([[1, 0, 0], [256, 2**-4, 2**-9]], [[256], [2**-4], [2**-9]])
    red = run(TINY, job, ("rounder", r"= (\| normal_0\[1:0\];)", r"= 1'h0 & \1", 1))
    take = first_take(job, TINY) + 1
    assert places(red) == [("o_result__payload", None, None)]
    assert files(red) == {"arithmetic/narrower", "arithmetic/rounder", "tensor/readout"}
    assert red.divergence.cycle == take + TINY.drain_latency + TINY.readout_latency
    assert red.divergence.term == "result row of pass 0: m = 1, n = 0, sum over k = 0..2"
    assert "0x47800001" in red.divergence.expected and "0x47800000" in red.divergence.actual
    assert "rounding" in red.divergence.hint
    late = TINY.readout_latency + TINY.cols - 1
    assert made_of(red) == [
        (late, "read_request", None, None),
        (late - 1, "read", None, 0),
        (late - 2, "order_read", None, None),
    ]


def test_weight_swap_one_cycle_late():
    job = ones(3, 4, 4)
    red = run(TINY, job, LATE_SWAP)
    assert places(red) == [("active", 0, 0)]
    assert red.divergence.cycle == beat_cycle(first_take(job, TINY), 0, 0)
    assert files(red) == {"tensor/pe"}
    assert red.divergence.term == "pass 0, m = 0, n = 0, k = 0"
    assert "one cycle earlier" in red.divergence.hint
    assert made_of(red) == [(1, "west", 0, None), (1, "shadow", 0, 0), (1, "active", 0, 0)]
    assert [i.text.partition("  ")[2] for i in red.divergence.inputs] == ["1.0 (valid enable swap)", "1.0", "0.0"]


SWAPPED_ROWS = ("sequencer", r"(o_load = o_weight_en <<) loaded;", r"\1 (loaded < 2 ? loaded ^ 1 : loaded);", 1)
SWAPPED_LANES = [
    ("west_edge", r"i_codes\[7:0\]\)", "i_codes[15 :8])", 1),
    ("west_edge", r"i_codes\[15:8\]\)", "i_codes[7:0])", 1),
]


def test_weights_of_two_rows_exchanged():
    job = gemm(np.ones((2, 4)), [[1] * 4, [2] * 4, [3] * 4, [4] * 4])
    red = run(TINY, job, SWAPPED_ROWS)
    # Row 0 is taken in cycle 1, and the tag should enter with it.
    assert places(red)[0] == ("west", 0, None)
    assert red.divergence.cycle == 1
    assert files(red) == {"tensor/edges", "tensor/sequencer"}
    assert red.divergence.term == "pass 0, weight row k = 0"
    assert "only load" in red.divergence.hint


def test_activations_of_two_lanes_exchanged():
    job = gemm([[1, 2, 3, 4]], np.ones((4, 4)))
    red = run(TINY, job, *SWAPPED_LANES)
    assert places(red) == [("west", 0, None)]
    assert red.divergence.cycle == first_take(job, TINY)
    assert red.divergence.term == "pass 0, m = 0, n = 0..3, k = 0..3"
    assert "1.0" in red.divergence.expected and "2.0" in red.divergence.actual
    assert "lane 1" in red.divergence.hint
    (taken,) = red.divergence.inputs
    assert (taken.cycle, taken.place, taken.field.name) == (5, "i_activation, lane 0", "i_activation__payload")
    assert "1.0 (e4m3, taken)" in taken.text


def test_another_order_of_k_with_the_same_result():
    """Two lanes exchanged in weights and activations alike: an exact sum does not change, the registers do."""
    job = gemm([[1, 2, 3, 4]], [[1] * 4, [2] * 4, [3] * 4, [4] * 4])
    red = run(TINY, job, SWAPPED_ROWS, *SWAPPED_LANES)
    assert places(red)[0] == ("west", 0, None)
    assert red.divergence.cycle == 1


@pytest.mark.parametrize("k", [2, 6])
def test_unmasked_pad_lane(k):
    job = ones(3, k, 4)
    unmasked = ("west_edge", r"= (i_tile_k|told_\d\[\d:\d\]) > \d'h\d;", "= 1'h1;", 4)
    red = run(TINY, job, unmasked)
    take = first_take(job, TINY) + (TINY.store_latency if k > TINY.rows else 0)
    assert places(red) == [("west", 2, None)]
    assert red.divergence.cycle == take + 2
    assert "only enable" in red.divergence.hint
    (difference,) = red.divergence.differences
    assert (difference.expected & 0b11, difference.actual & 0b11) == (0b01, 0b11)


def test_psum_address_off_by_one():
    job = ones(3, 8, 4)
    store_beside = ("psum_bank", r"write__address\(i_store\[10:1\]\)", "write__address(i_store[10:1] + 10'h1)", 1)
    red = run(TINY, job, store_beside)
    # Seen in the cycle after the first store, not when the second K tile adds to what is not there.
    assert places(red) == [("stored", None, 0)]
    assert red.divergence.cycle == first_take(job, TINY) + TINY.store_latency + 1
    assert files(red) == {"tensor/bank"}
    assert red.divergence.term == "pass 0, m = 0, n = 0, k = 0..3"
    assert "ever stored" in red.divergence.hint
    assert made_of(red) == [(1, "store", None, 0), (1, "psum", 3, 0)]


def test_readout_address_off_by_one():
    job = gemm([[1], [2]], [[1, 2, 3, 4]])
    red = run(TINY, job, ("psum_bank", r"address\(i_read_address\)", "address(i_read_address + 10'h1)", 1))
    assert places(red) == [("read", None, 0)]
    assert red.divergence.cycle == first_take(job, TINY) + TINY.read_latency + 1
    assert red.divergence.term == "result row of pass 0: m = 0, n = 0..3, sum over k = 0"


def minus_ones() -> Gemm:
    return gemm([[-1]], [[-1]])


EXACT_SUM = {"arithmetic/exact_adder", "arithmetic/aligner", "tensor/pe"}
#: A block, a bug in it, the product that shows it; then what the report says: cycles from the first row taken, the
#: signal with its row and column, whose logic that is, and a word of the hint.
BLOCKS = {
    "sign of a product": (
        ("multiplier", r"i_x\[8\] \^ i_w\[8\]", "i_x[8] | i_w[8]", 1),
        minus_ones(),
        (2, ("product", 0, 0), {"arithmetic/multiplier", "tensor/pe"}),
        "only sign",
    ),
    "carry of a negative product": (
        ("exact_adder", r"= (_\d+_) \+ aligner__o\[24\];", r"= \1;", 1),
        gemm([[-1]], [[1]]),
        (3, ("psum", 0, 0), EXACT_SUM),
        "off by one unit",
    ),
    "product not added": (
        ("aligner", r"= i_product\[7:0\] <<", "= 8'h00 <<", 1),
        ones(1, 1, 1),
        (3, ("psum", 0, 0), EXACT_SUM),
        "not added",
    ),
    "subnormal weights": (
        ("decoder", r"(e4m3_scale \} = i_code\[6:3\] -) _\d+_;", r"\1 1'h1;", 1),
        gemm([[1]], [[2.0**-9]]),
        (-1, ("north", None, 0), {"tensor/edges", "arithmetic/decoder", "tensor/sequencer"}),
        "",
    ),
    "store address": (
        ("sequencer", r"(store_line\[69:0\], running\[16:14\], o_row_address)", r"\1 + 10'h1", 1),
        ones(3, 4, 4),
        (TINY.store_latency, ("store", None, 0), {"tensor/sequencer"}),
        "only address",
    ),
    "columns in use": (
        ("psum_bank", r"o_store <= \{ _\d+_, _\d+_\[2:0\],", "o_store <= { i_store[14:11],", 1),
        ones(3, 4, 2),
        (TINY.store_latency + 2, ("store", None, 2), {"tensor/bank"}),
        "only valid",
    ),
    "a seed of zero": (
        ("psum_bank", r"o_psum = from_zero \?", "o_psum = 1'h1 ?", 1),
        ones(3, 8, 4),
        (TINY.store_latency + 2, ("seed", None, 0), {"tensor/bank"}),
        "start from zero",
    ),
    "a row that never ends its tile": (
        ("sequencer", r"(o_row = \{ running\[38:36\],) last_row,", r"\1 1'h0,", 1),
        ones(2, 1, 1),
        (1, ("order", None, None), {"tensor/sequencer"}),
        "only end",
    ),
    "how to read out, a row further": (
        ("readout", r"write__address\(i_row_address\)", "write__address(i_row_address + 10'h1)", 1),
        ones(1, 1, 1),
        (TINY.read_latency + 2, ("order_read", None, None), {"tensor/readout"}),
        "",
    ),
    "a row read too early": (
        ("sequencer", r"o_finished = finished_line\[6\];", "o_finished = finished_line[5];", 1),
        ones(1, 1, 1),
        (TINY.read_latency - 1, ("read_request", None, None), {"tensor/readout", "tensor/sequencer"}),
        "only valid",
    ),
    "a row taken too early": (
        ("sequencer", r" < (loading|running)\[", r" <= \1[", 4),
        ones(3, 8, 4),
        # Its weights are taken beside the first pass's rows, and complete when the last of them is.
        (TINY.rows, ("i_activation__ready", None, None), {"tensor/sequencer"}),
        "",
    ),
}


@pytest.mark.parametrize("bug", BLOCKS)
def test_the_report_points_to_the_block(bug):
    change, job, (after, place, logic), hint = BLOCKS[bug]
    red = run(TINY, job, change)
    assert (red.divergence.cycle - first_take(job, TINY), places(red)[0], files(red)) == (after, place, logic)
    assert hint in red.divergence.hint and bool(hint) == bool(red.divergence.hint)
    assert len(red.lines()) <= 25


@pytest.mark.parametrize("where", ["in every PE", "in the large array alone"])
def test_a_large_array_is_looked_at_in_small(monkeypatch, where):
    """Ports of the large one are compared; the GEMM is then run on a small one, registers and all."""
    monkeypatch.setattr("verif.tensor.unit.FLAT_PES", 4)
    monkeypatch.setattr("verif.tensor.engine.SMALL", 2)
    change, *_ = BLOCKS["sign of a product"]

    def rewrite(text):
        return planted(change)(text) if where == "in every PE" or "rows = 4" in text else text

    red = simulate(TINY, [ones(3, 4, 4), minus_ones()], simulator=SHORT, rewrite=rewrite)
    assert places(red) == [("o_result__payload", None, None)]
    assert "ports only" in red.divergence.note
    assert (red.divergence.number, red.divergence.job) == (1, ("gemm", f"{minus_ones()} (number 1)"))
    assert red.divergence.term == "result row of pass 0: m = 0, n = 0, sum over k = 0"
    assert "-1.0" in red.divergence.actual and "-1.0" not in red.divergence.expected
    (_, close), *report = red.divergence.close_look
    assert "2x2 array" in close
    if where == "in every PE":
        assert report[0][1].endswith("at PE(0, 0).product")
    else:
        assert close.endswith("agrees") and not report
    assert len(red.lines()) <= 25


#: Bugs that GEMMs one at a time, each of one pair of formats and in an empty ring, cannot show; and where they show.
BETWEEN_TILES = {
    "weights in the format of the pass before": (
        (
            "sequencer",
            r"(o_weight_format =) loading\[(\d+:\d+)\];",
            r"\1 running_valid ? running[\2] : loading[\2];",
            1,
        ),
        "north",
    ),
    "activations in the format of the next pass": (
        (
            "sequencer",
            r"(o_activation_format =) running\[(\d+:\d+)\];",
            r"\1 loading_valid ? loading[\2] : running[\2];",
            1,
        ),
        "west",
    ),
    "saturation of the next row": (
        ("readout", r"\.i_saturate\(row_1\[", ".i_saturate(row_0[", 1),
        "o_result__payload",
    ),
    "a ring of one row more": (("sequencer", r"occupied < (_\w+);", r"occupied < \1 + 1'h1;", 1), "__ready"),
}


@pytest.mark.parametrize("bug", BETWEEN_TILES)
def test_bugs_between_tiles(bug):
    change, place = BETWEEN_TILES[bug]
    simulation, _ = build_engine(FP8, simulator=SHORT, rewrite=planted(change))
    outcome = replay(simulation, [traffic_trace(FP8, np.random.default_rng(0), 40, stall=0.7)])
    (mismatch,) = outcome.mismatches
    assert any(place in field.name for field, *_ in mismatch.fields)
    assert mismatch.cycle > 0


def test_rewrite_that_no_longer_fits_is_refused():
    with pytest.raises(AssertionError, match="pe: 'no such line' occurs 0 times, not 1"):
        planted(("pe", "no such line", "", 1))("module pe(clk);\nendmodule\n")
