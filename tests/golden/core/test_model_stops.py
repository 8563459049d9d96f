"""What stops a core, with the instruction at fault; that it ends then, and begins anew after a reset."""

from dataclasses import replace

import numpy as np
import pytest

from arch.core.instructions import Instruction, encode
from arch.core.layouts import DOINGS, stop_layout
from arch.core.presets import CORES
from arch.core.signals import core_record
from golden.core.executor import execute
from golden.core.jobs import Job
from golden.core.model import Core
from verif.core.programs import random_program
from verif.core.workload import job_of

TINY = CORES["tiny"]
PAGE = 4096
LOAD = Instruction("dma", lanes=4, size="4", count0=4, source_pitch=16, sink_space="sbuf", sink_address=64)
STORE = Instruction("dma", lanes=4, size="4", count0=4, queue=1, source_space="sbuf", source_address=64,
                    sink_address=1024, sink_pitch=16, wait_dma0=1)  # fmt: skip
COPY = Instruction("vector", lanes=4, x_address=64, x_type="u32", y_address=64, y_type="u32", write=True, wait_dma0=1)
SUM = Instruction("scalar", lanes=4, x_address=64, x_type="fp32", sum=True, wait_dma0=1)
MATMUL = Instruction("matmul", lanes=4, x_address=64, w_address=64, depth=8, x_tile_stride=1, w_tile_stride=1)
GATHER = LOAD.replace(indirect="source", index_address=64, index_limit=4, sink_address=96)


def ran(*program, lanes=TINY, pace=None, **fields):
    """A core that has run a program from page 2 on, and its trace. Word 0 of lane p in memory is p."""
    data = np.arange(4096, dtype=np.uint8)
    data[:64].view(np.uint32)[:] = [0, 9, 9, 9, 1, 9, 9, 9, 2, 9, 9, 9, 3, 9, 9, 9]
    job = Job(**({"program": program, "address": 2 * PAGE, "image": [(0, data.tobytes())], "size": 4 * PAGE} | fields))
    core = Core(lanes)
    core.offer(job)
    trace = core.run(20_000, until_done=True, **(pace or {}))
    assert core.done
    return core, trace


def at(trace, name, row=None):
    return trace[:, core_record(TINY).at(name, row).start]


STOPS = {
    # Bits that must be 0, an opcode that there is not, a rule of one instruction.
    "no instruction": ([LOAD, bytes(64)], {}, ("illegal", 1)),
    "bits": ([LOAD, encode(STORE)[:-1] + b"\1"], {}, ("illegal", 1)),
    "rule": ([LOAD, COPY, LOAD.replace(queue=3)], {}, ("illegal", 2)),
    # Every port of SBUF.
    "x": ([LOAD, COPY.replace(x_address=4096)], {}, ("sbuf", 1)),
    "x below 0": ([LOAD, COPY.replace(count0=18, x_stride0=-4, y_stride0=4)], {}, ("sbuf", 1)),
    "y": ([LOAD, COPY.replace(y_address=4092, count0=2, y_stride0=4)], {}, ("sbuf", 1)),
    "y below 0": ([LOAD, COPY.replace(count0=18, y_stride0=-4)], {}, ("sbuf", 1)),
    "t": ([SUM, COPY.replace(x_type="fp32", y_type="fp32", op0="add", a_kind="tensor", t_type="fp32",
                             t_address=(1 << 18) - 4, wait_dma0=0)], {}, ("sbuf", 1)),
    "a": ([LOAD, COPY.replace(x_type="fp32", y_type="fp32", op0="add", a_kind="lane", a=4096)], {}, ("sbuf", 1)),
    "r": ([SUM.replace(r_address=4096, wait_dma0=0)], {}, ("sbuf", 0)),
    "scalar x": ([LOAD, SUM.replace(x_address=8192)], {}, ("sbuf", 1)),
    "scalar y": ([LOAD, SUM.replace(write=True, y_type="fp32", y_address=4096)], {}, ("sbuf", 1)),
    "w": ([LOAD, MATMUL.replace(w_tile_stride=8192)], {}, ("sbuf", 1)),
    "moving": ([LOAD, MATMUL.replace(x_stride0=-65, count0=2)], {}, ("sbuf", 1)),
    "source": ([STORE.replace(count1=2, source_stride=4032, wait_dma0=0)], {}, ("sbuf", 0)),
    "sink": ([LOAD, LOAD.replace(count1=2, sink_stride=-68)], {}, ("sbuf", 1)),
    "sink far away": ([LOAD.replace(count1=5, sink_stride=1 << 30)], {}, ("sbuf", 0)),
    "index address": ([LOAD, GATHER.replace(index_address=4096)], {}, ("sbuf", 1)),
    "index": ([LOAD, GATHER, GATHER.replace(index_limit=3)], {}, ("index", 2)),
    # Fetch, read, write.
    "program": ([LOAD, STORE], {"pages": 2}, ("memory", 0)),
    "second page of the program": ([LOAD] * 3, {"address": 3 * PAGE - 128, "pages": 3}, ("memory", 2)),
    "read": ([LOAD, LOAD.replace(source_address=4 * PAGE - 32)], {}, ("memory", 1)),
    "read below 0": ([LOAD.replace(source_pitch=-16)], {}, ("memory", 0)),
    "write": ([LOAD, STORE.replace(sink_address=4 * PAGE)], {}, ("memory", 1)),
    "index outside": ([LOAD, GATHER.replace(source_pitch=2 * PAGE)], {}, ("memory", 1)),
    # Eight beats are an instruction, and eight are a load.
    "response to a fetch": ([LOAD, STORE, SUM], {"responses": [0] * 15 + [2]}, ("bus", 1)),
    "response to a read": ([LOAD], {"responses": [0] * 8 + [3]}, ("bus", 0)),
    "answer": ([LOAD, STORE, SUM], {"answers": [0, 0, 0, 1]}, ("bus", 1)),
    # Rows of PSUM that never come: nothing is left to leave.
    "rows": ([COPY.replace(x_source="psum", x_type="fp32", y_type="fp32", wait_dma0=0)], {"limit": 500}, ("limit", 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", STOPS)
@pytest.mark.parametrize("pace", [{}, {"latency": 7, "idle": 0.4, "stall": 0.4, "seed": 3}], ids=["fast", "slow"])
def test_what_stops_a_core(name, pace):
    program, fields, due = STOPS[name]
    core, _ = ran(*program, pace=pace, **fields)
    assert core.stop == due
    # Everything that was asked of memory has come to its end, and the core offers nothing more.
    assert core._state.port.state["reads"][0] == core._state.port.state["writes"][0] == 0
    rest = core.run(300)
    assert not rest[:, [core_record(TINY).at(name).start for name in ("o_running", "i_program__ready", "o_ar__valid",
                                                                      "o_aw__valid", "o_w__valid")]].any()  # fmt: skip


def test_nothing_stops_what_is_legal():
    core, trace = ran(LOAD, GATHER.replace(index_limit=3, out_of_range="skip"), COPY, SUM, STORE, responses=[0] * 99)
    assert core.stop is None and not at(trace, "o_stop").any()


def test_the_limit_is_a_number_of_cycles():
    core, trace = ran(LOAD, STORE)
    cycles = int(at(trace, "o_running").sum())
    assert ran(LOAD, STORE, limit=cycles)[0].stop is None
    # The last instruction has left long before.
    assert ran(LOAD, STORE, limit=cycles - 1)[0].stop == ("limit", 2)
    core, trace = ran(LOAD, STORE, limit=5)
    stop = stop_layout().unpack(int(at(trace, "o_stop")[-1]))
    assert core.stop == ("limit", 0) and stop == {"stopped": 1, "error": 6, "number": 0}
    begins, stopped = int(at(trace, "o_running").argmax()), int((at(trace, "o_stop") > 0).argmax())
    assert stopped - begins == 6
    # Two programs: each has its own number of cycles.
    core = Core(TINY)
    core.offer(*(Job(program=[LOAD], address=PAGE, size=2 * PAGE, limit=cycles) for _ in range(3)))
    core.run(10_000, until_done=True)
    assert core.done and core.stop is None


def test_a_program_that_writes_over_itself():
    """What it fetches then is what is run, and is legal or not."""
    for code, due in ((encode(SUM.replace(wait_dma0=0)), None), (bytes(64), ("illegal", 20))):
        # Four lanes of 16 bytes take the place of the last instruction: far enough behind to be fetched after that.
        write = STORE.replace(sink_address=2 * PAGE + 20 * 64)
        waits = SUM.replace(wait_dma0=0, wait_dma1=1, count0=100)
        program = [LOAD, write, waits, *[SUM.replace(wait_dma0=0, count0=100)] * 17, COPY.replace(lanes=3)]
        core, trace = ran(*program, image=[(0, code)])
        assert core.stop == due
        given = at(trace, "dispatched")
        assert (given & 1).sum() == (20 if due else 21)


def test_after_a_reset_it_runs_again():
    """SBUF keeps what it held; jobs that waited are gone."""
    core, _ = ran(LOAD, bytes(64), LOAD.replace(sink_address=512))
    held = core.sbuf
    waits = Job(program=[LOAD], address=0, size=PAGE)
    core.offer(waits)
    assert core.done and core.stop == ("illegal", 1)
    assert len(core.run(50, until_done=True)) == 0
    core.reset()
    assert core.done and core.stop is None and (core.sbuf == held).all()
    case = random_program(TINY, 4, length=20)
    core.offer(job_of(case))
    core.run(100_000, until_done=True)
    memory = case.memory()
    execute(case.program, memory, TINY)
    start = case.base - job_of(case).base
    assert core.stop is None and (core.memory[start : start + len(memory.data)] == memory.data).all()


@pytest.mark.parametrize("cut", [1, 60, 150, 400])
def test_a_reset_in_mid_run_leaves_nothing_but_memories(cut):
    """Another program does what it does in a core that never ran: what memory is asked and given, in every cycle."""
    before, job = (job_of(random_program(TINY, seed, length=20)) for seed in (4, 5))
    used, fresh = Core(TINY), Core(TINY)
    used.offer(before)
    assert len(used.run(cut, until_done=True, latency=7)) == cut and not used.done
    used.reset()
    traces = []
    for core in (used, fresh):
        core.offer(job)
        traces.append(core.run(100_000, until_done=True, latency=7))
    assert (used.memory == fresh.memory).all() and len(traces[0]) == len(traces[1]) > 500
    for field in core_record(TINY).fields:
        # By row is what comes from SBUF, of lanes and bytes that nobody uses too.
        if field.row is None:
            words = core_record(TINY).at(field.name)
            assert (traces[0][:, words] == traces[1][:, words]).all(), field


def test_what_an_index_out_of_range_leaves_alone():
    """Skipped lanes are written neither in SBUF nor in memory, whatever lies at index 0."""
    scatter = STORE.replace(queue=0, indirect="sink", index_address=64, index_limit=3, out_of_range="skip", wait_dma0=0)
    gather = GATHER.replace(index_limit=2, out_of_range="skip", source_address=256)
    core, _ = ran(LOAD, scatter, gather)
    data = np.arange(4096, dtype=np.uint8)
    assert core.stop is None
    stored = core.memory[1024:1088].view(np.uint32).reshape(4, 4)
    assert stored[:3].tolist() == [[0, 9, 9, 9], [1, 9, 9, 9], [2, 9, 9, 9]]
    assert (core.memory[1072:1088] == data[1072:1088]).all()
    rows = core.sbuf.T[:, 24:28]
    assert (rows[:2] == data[256:288].view(np.uint32).reshape(2, 4)).all() and not rows[2:].any()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"program": [bytes(63)]}, "an instruction must have 64 bytes, not 63"),
        ({"pages": (1 << 28) + 1}, "pages must be in 0..268435456, not 268435457"),
        ({"limit": 1 << 32}, "limit must be in 0..4294967295, not 4294967296"),
        ({"responses": [0, 4]}, "responses must be in 0..3, not 4"),
        ({"answers": [-1]}, "answers must be in 0..3, not -1"),
    ],
)
def test_jobs(fields, words):
    with pytest.raises(ValueError, match=words):
        Job(**({"program": [LOAD], "address": 0, "size": 4096} | fields))


def test_pages_are_those_of_the_window():
    job = Job(program=[LOAD], address=PAGE + 256, base=PAGE + 256, size=PAGE)
    assert job.pages == 3 and replace(job, pages=1).pages == 1


def test_what_queues_are_doing():
    """Of the program above, in words, with what is the same in a row said once."""
    _, trace = ran(LOAD, COPY, pace={"latency": 40})

    def story(row):
        doings = [DOINGS[value] for value in at(trace, "o_doing", row)]
        return [doing for doing, before in zip(doings, [None, *doings], strict=False) if doing != before]

    assert story(0) == story(2) == story(4) == ["empty"]
    # It waits for the load; and is taken when that is complete.
    assert story(1) == ["empty", "order", "busy", "empty"]
    # Lanes are asked for and their beats come, with gaps where four bursts are under way.
    load = story(3)
    assert load[0] == load[-1] == "empty" and set(load) == {"empty", "busy", "stream"}
