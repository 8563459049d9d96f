"""Bugs planted in the emitted Verilog: the check turns red and names the earliest place, cycle and term.

Expected places and cycles follow from docs/architecture.md by hand, not from the golden model's trace.
"""

import re
import shutil

import numpy as np
import pytest
from traffic import traffic_trace

from golden.array import Position
from golden.formats import encode
from golden.spec.config import EngineConfig
from golden.spec.presets import PRESETS
from verif.engine import EngineRun, Gemm, build_engine, simulate
from verif.replay import replay

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
            (body,) = re.findall(rf"^module {module}\(.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
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


DROPPED_STICKY = ("fused_adder", r"\{ aligned_16, lost_16 \}", "{ aligned_16, 1'h0 }", 1)


@pytest.mark.parametrize("simulator", ["verilator", SHORT])
def test_dropped_sticky_bit_in_the_adder(simulator):
    job = sticky_job()
    red = run(FP32, job, DROPPED_STICKY, simulator=simulator)
    cycle = psum_cycle(first_take(job, FP32) + 1, 1, 1)
    assert red.divergence.position == Position(index=0, m=1, n=1, k=1)
    assert red.lines() == [
        f"RTL and golden model differ first in cycle {cycle}, at PE(1, 1).psum",
        "  working on GEMM M=3 K=2 N=2, bf16 x bf16 to fp32 (number 0)",
        "  pass 0, m = 1, n = 1, k = 1",
        "  PE(1, 1).psum",
        "    expected 0x3f800001  1.0000001",
        "    actual   0x3f800000  1.0",
    ]


def test_dropped_sticky_bit_in_the_readout():
    # 65536 + 2**-8 + 2**-18: half a place above 65536, and a bit.
    job = gemm([[1, 0, 0], [256, 2**-4, 2**-9]], [[256], [2**-4], [2**-9]])
    red = run(TINY, job, ("rounder", r"= (\| shifted\[24:0\];)", r"= 1'h0 & \1", 1))
    take = first_take(job, TINY) + 1
    assert red.divergence.first.place == "port o_result__payload"
    assert red.divergence.cycle == take + TINY.drain_latency + TINY.READOUT_LATENCY
    assert red.lines()[-3:] == [
        "  port o_result__payload",
        f"    expected 0x1{0x47800001:032x}  [65536.01, 0.0, 0.0, 0.0] last",
        f"    actual   0x1{0x47800000:032x}  [65536.0, 0.0, 0.0, 0.0] last",
    ]


def test_weight_swap_one_cycle_late():
    job = ones(3, 4, 4)
    red = run(TINY, job, LATE_SWAP)
    assert [d.place for d in red.divergence.differences] == ["PE(0, 0).active"]
    assert red.divergence.cycle == beat_cycle(first_take(job, TINY), 0, 0)
    assert red.divergence.position == Position(index=0, m=0, n=0, k=0)
    assert [line.split()[-1] for line in red.lines()[-2:]] == ["1.0", "0.0"]


SWAPPED_ROWS = ("sequencer", r"(o_load = o_weight_en <<) loaded;", r"\1 (loaded < 2 ? loaded ^ 1 : loaded);", 1)
SWAPPED_LANES = [
    ("west_edge", r"i_codes\[7:0\]\)", "i_codes[15 :8])", 1),
    ("west_edge", r"i_codes\[15:8\]\)", "i_codes[7:0])", 1),
]


def test_weights_of_two_rows_exchanged():
    job = gemm(np.ones((2, 4)), [[1] * 4, [2] * 4, [3] * 4, [4] * 4])
    red = run(TINY, job, SWAPPED_ROWS)
    # Row 0 is taken in cycle 1 and should be captured in it.
    assert red.divergence.first.place == "PE(0, 0).shadow"
    assert red.divergence.cycle == 2
    assert {d.place for d in red.divergence.differences} == {"PE(0, 0).shadow", "PE(0, 0).beat"}


def test_activations_of_two_lanes_exchanged():
    job = gemm([[1, 2, 3, 4]], np.ones((4, 4)))
    red = run(TINY, job, *SWAPPED_LANES)
    assert [d.place for d in red.divergence.differences] == ["PE(0, 0).beat"]
    assert red.divergence.cycle == beat_cycle(first_take(job, TINY), 0, 0)
    assert red.divergence.position == Position(index=0, m=0, n=0, k=0)
    # 1.0 is 8 * 2**(6 - 9), 2.0 is 8 * 2**(7 - 9); below the operand the tags.
    assert red.lines()[-2:] == [
        "    expected 0x0687  1.0 (valid enable swap)",
        "    actual   0x0787  2.0 (valid enable swap)",
    ]


def test_another_order_of_k_with_the_same_result():
    """Two lanes exchanged in weights and activations alike: an exact sum does not change, the registers do."""
    job = gemm([[1, 2, 3, 4]], [[1] * 4, [2] * 4, [3] * 4, [4] * 4])
    red = run(TINY, job, SWAPPED_ROWS, *SWAPPED_LANES)
    assert red.divergence.first.place == "PE(0, 0).shadow"
    assert red.divergence.cycle == 2


@pytest.mark.parametrize("k", [2, 6])
def test_unmasked_pad_lane(k):
    job = ones(3, k, 4)
    unmasked = ("west_edge", r"= i_tile_k > \d'h\d;", "= 1'h1;", 4)
    red = run(TINY, job, unmasked)
    take = first_take(job, TINY) + (TINY.hazard_latency if k > TINY.rows else 0)
    assert [d.place for d in red.divergence.differences] == ["PE(2, 0).beat"]
    assert red.divergence.cycle == beat_cycle(take, 2, 0)
    (difference,) = red.divergence.differences
    assert (difference.expected & 0b11, difference.actual & 0b11) == (0b01, 0b11)


def test_psum_address_off_by_one():
    job = ones(3, 8, 4)
    store_beside = ("psum_bank", r"memory\[i_store\[10:1\]\] <=", "memory[i_store[10:1] + 10'h1] <=", 1)
    red = run(TINY, job, store_beside)
    # Seen when the second K tile adds to the first one's sums; row 0 then finds what it never stored.
    take = first_take(job, TINY) + TINY.hazard_latency
    assert red.divergence.first.place == "PE(0, 0).psum"
    assert red.divergence.cycle == psum_cycle(take, 0, 0)
    assert red.divergence.position == Position(index=1, m=0, n=0, k=4)
    assert [line.split()[-1] for line in red.lines()[-2:]] == ["5.0", "1.0"]


def test_readout_address_off_by_one():
    job = gemm([[1], [2]], [[1, 2, 3, 4]])
    red = run(TINY, job, ("psum_bank", r"memory\[i_read_address\]", "memory[i_read_address + 10'h1]", 1))
    take = first_take(job, TINY)
    assert red.divergence.first.place == "port o_result__payload"
    assert red.divergence.cycle == take + TINY.drain_latency + TINY.READOUT_LATENCY


#: Bugs that GEMMs one at a time, each of one pair of formats and in an empty ring, cannot show; and where they show.
BETWEEN_TILES = {
    "weights in the format of the pass before": (
        ("sequencer", r"(o_weight_format =) load\[(\d+:\d+)\];", r"\1 run_valid ? run[\2] : load[\2];", 1),
        "weight",
    ),
    "activations in the format of the next pass": (
        ("sequencer", r"(o_activation_format =) run\[(\d+:\d+)\];", r"\1 load_valid ? load[\2] : run[\2];", 1),
        "beat",
    ),
    "saturation of the next row": (
        ("readout", r"\.i_saturate\(row\[", ".i_saturate(first[", FP8.cols),
        "o_result__payload",
    ),
    "a ring of one row more": (("sequencer", r"(occupied <) 5'h10;", r"\1 5'h11;", 1), "__ready"),
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
