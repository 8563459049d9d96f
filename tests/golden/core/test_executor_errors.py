"""What an executor refuses: what nobody wrote, what lies outside, what has no order, arguments."""

import re

import numpy as np
import pytest

from arch.core.instructions import Instruction
from arch.core.presets import CORES
from golden.core.executor import ProgramError, execute
from golden.core.stores import Memory

TINY = CORES["tiny"]
BASE = 0x1000
#: 40 bytes of each of three lanes.
LOAD = Instruction("dma", lanes=3, size="4", count0=10, source_address=BASE, source_pitch=40, sink_space="sbuf")
STORE = Instruction("dma", lanes=3, size="1", count0=5, source_space="sbuf", sink_address=BASE + 128, sink_pitch=8)
TAKE = Instruction("scalar", x_source="psum", sum="yes")
WAIT = {"wait_dma0": 1}


def memory():
    """256 bytes, in which words 0, 1, 2 are the indices 0, 3, 1 of the three lanes."""
    data = np.arange(256, dtype=np.uint8)
    data[:120].reshape(3, 40)[:, :4] = [[0, 0, 0, 0], [3, 0, 0, 0], [1, 0, 0, 0]]
    return Memory(data, base=BASE)


def refused(*program, place=None):
    """Why the last instruction cannot run; what comes after it takes the rows of PSUM that it would add."""
    place = memory() if place is None else place
    before = place.data.copy()
    takers = [TAKE] if program[-1].name == "matmul" else []
    with pytest.raises(ProgramError) as caught:
        execute([*program, *takers], place, TINY)
    assert caught.value.number == len(program) - 1
    head, _, reason = str(caught.value).partition("): ")
    assert head == f"instruction {len(program) - 1} ({program[-1]}"
    assert (before == place.data).all()
    return reason


READS = {
    "x": Instruction("vector", lanes=3, x_address=32, x_type="fp32", x_stride0=4, count0=3, reduce="max", **WAIT),
    "t": Instruction("vector", lanes=3, op0="add", a_kind="tensor", t_address=34, t_type="bf16", t_stride0=2, count0=4,
                     reduce="max", **WAIT),
    "a": Instruction("vector", lanes=3, op0="add", a_kind="lane", a=40, reduce="max", **WAIT),
    "b": Instruction("vector", lanes=3, op1="add", b_kind="lane", b=40, reduce="max", **WAIT),
    "scale": Instruction("scalar", lanes=3, scale_kind="lane", scale=40, sum="yes", **WAIT),
    "bias": Instruction("scalar", lanes=3, bias_kind="lane", bias=40, sum="yes", **WAIT),
    "source": STORE.replace(source_address=36, queue=1, **WAIT),
    "w": Instruction("matmul", lanes=3, depth=3, w_stride=20, **WAIT),
    "index": STORE.replace(indirect="sink", index_address=40, index_limit=4),
}  # fmt: skip


@pytest.mark.parametrize("operand", READS)
def test_reading_what_nobody_wrote(operand):
    assert refused(LOAD, READS[operand]) == f"{operand} reads byte 40 of lane 0, which nobody wrote"


def test_reading_a_lane_that_nobody_wrote():
    wide = Instruction("scalar", lanes=4, x_address=4, sum="yes", **WAIT)
    assert refused(LOAD, wide) == "x reads byte 4 of lane 3, which nobody wrote"
    moving = Instruction("matmul", lanes=3, depth=4, w_stride=1, x_address=8, **WAIT)
    assert refused(LOAD, moving) == "x reads byte 8 of lane 3, which nobody wrote"


def test_reading_an_element_of_which_a_part_is_written():
    store = STORE.replace(count0=2, size="4")
    halves = [LOAD.replace(count0=1, size="2", sink_address=60), store.replace(count0=1, source_address=60)]
    assert refused(*halves) == "source reads byte 62 of lane 0, which nobody wrote"


def test_reading_memory_that_nobody_wrote():
    place = memory()
    place.written[77] = 0
    assert refused(LOAD, place=place) == "source reads byte 4173 of memory, which nobody wrote"
    assert (memory().written == 1).all()


def test_what_is_written_may_be_read():
    place = memory()
    place.written[128:] = 0
    execute([LOAD, STORE, LOAD.replace(count0=1, source_address=BASE + 128, source_pitch=8)], place, TINY)
    # Five bytes of each row: the rest of the last word stays as it was.
    assert np.flatnonzero(place.written[128:]).tolist() == [0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20]
    assert place.data[128:136].tolist() == [0, 0, 0, 0, 4, 133, 134, 135]


@pytest.mark.parametrize(
    ("change", "places"),
    [({"source_address": 0}, "0..119"), ({"source_address": BASE + 140}, "4236..4355")],
)
def test_leaving_memory(change, places):
    assert refused(LOAD.replace(**change)) == f"source must lie in memory's bytes 4096..4351, not {places}"


def test_an_index_out_of_range():
    gather = LOAD.replace(indirect="source", index_limit=3, sink_address=64, count0=2)
    assert refused(LOAD, gather) == "the index of lane 1 must be below 3, not 3"
    skip = gather.replace(out_of_range="skip")
    sbuf = execute([LOAD, skip], memory(), TINY)
    assert sbuf.written.reshape(4, -1)[:, 64:72].sum(axis=1).tolist() == [8, 0, 8, 0]
    # Words 1 of the lanes are no indices below 3.
    nothing = execute([LOAD, skip.replace(index_address=4)], memory(), TINY)
    assert not nothing.written.reshape(4, -1)[:, 64:72].any()


def test_rows_of_an_indirect_sink_that_meet():
    scatter = STORE.replace(indirect="sink", index_limit=4)
    assert refused(LOAD, scatter.replace(sink_pitch=4)) == (
        "sink must have each element at bytes of its own, not two at byte 4228 of memory"
    )
    assert "not two at byte 4224 of memory" in refused(LOAD, scatter.replace(sink_pitch=0))
    place = memory()
    execute([LOAD, scatter], place, TINY)
    assert [place.data[128 + 8 * row + 4] for row in (0, 3, 1)] == [4, 44, 84]


def test_an_illegal_program_is_not_run():
    place = memory()
    program = [LOAD, STORE, STORE.replace(queue=3)]
    with pytest.raises(ValueError, match=re.escape(f"instruction 2 ({program[2]}): queue must be 0..1, not 3")):
        execute(program, place, TINY)
    assert (place.data == memory().data).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1],), TypeError, "data must be a uint8 array, not <class 'list'>"),
        ((np.zeros(4, np.int8),), TypeError, "data must be a uint8 array, not int8"),
        ((np.ma.zeros(4, np.uint8),), TypeError, "data must be a plain array, not a masked one"),
        ((np.zeros((2, 2), np.uint8),), ValueError, "data must be one row of bytes that can be written, not [2, 2]"),
        ((np.zeros(8, np.uint8)[::2],), ValueError, "data must be one row of bytes that can be written, not [4]"),
        ((np.zeros(4, np.uint8), np.zeros(4, np.uint8)), TypeError, "written must be a bool array, not uint8"),
        ((np.zeros(4, np.uint8), np.zeros(5, bool)), ValueError, "written must have 4 entries as data has, not 5"),
        ((np.zeros(4, np.uint8), None, 6), ValueError, "base must be a multiple of 4, not 6"),
        ((np.zeros(4, np.uint8), None, -4), ValueError, "base must be at least 0, not -4"),
    ],
)
def test_arguments_of_memory(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        Memory(*arguments)
