"""The cycle model against the executor on random programs at any pace of memory, and what a run is made of."""

from dataclasses import replace

import numpy as np
import pytest
from operands import rng

from arch.core.instructions import Instruction
from arch.core.presets import CORES
from arch.core.signals import core_record
from golden.core.executor import execute
from golden.core.jobs import Job
from golden.core.model import Core
from verif.core.programs import random_program
from verif.core.workload import job_of

TINY = CORES["tiny"]
ENGINE = replace(TINY.engine, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32", add_latency=2)
CONFIGS = {
    "tiny": TINY,
    "bf16": replace(TINY, engine=ENGINE, beat_bytes=4, reads_in_flight=1, queue_depth=2, dma_queues=1),
    "wide": replace(TINY, engine=replace(TINY.engine, rows=8, cols=8), beat_bytes=128, banks=2, dma_queues=4),
    "whole": replace(
        TINY,
        engine=replace(TINY.engine, psum_depth=32),
        beat_bytes=64,
        banks=16,
        queue_depth=8,
        dma_queues=3,
        lane_bytes=2048,
    ),
    # Elements of all lanes take more than two bursts.
    "many": replace(TINY, engine=replace(TINY.engine, rows=32, cols=32), lane_bytes=2048),
    "fp8": CORES["fp8"],
}
PACES = (
    {},
    {"latency": 30},
    {"latency": 3, "idle": 0.5, "stall": 0.5},
    {"latency": 7, "idle": (0, 0.8, 0.1), "stall": (0.9, 0, 0.3)},
)
LONGEST = 200_000


def run(job, config, **pace):
    """A core that has run one job."""
    core = Core(config)
    core.offer(job)
    core.run(LONGEST, until_done=True, **pace)
    assert core.done
    return core


def lanes_of(core):
    """uint8[P, BYTES]: SBUF by lane."""
    return core.sbuf.T.copy().view(np.uint8)


def check_case(case, config, **pace):
    memory, job = case.memory(), job_of(case)
    sbuf = execute(case.program, memory, config)
    core = run(job, config, **pace)
    # The program's memory is what the executor says, and nothing is written around it.
    contents, start = np.frombuffer(job.contents(), np.uint8).copy(), case.base - job.base
    contents[start : start + len(memory.data)] = memory.data
    wrong = np.flatnonzero(core.memory != contents)
    assert not len(wrong), f"{len(wrong)} bytes of memory, from {job.base + wrong[0]}"
    lanes = lanes_of(core)
    due = np.where(sbuf.written.reshape(lanes.shape) != 0, sbuf.data.reshape(lanes.shape), 0)
    wrong = np.argwhere(lanes != due)
    assert not len(wrong), f"{len(wrong)} bytes of SBUF, from lane {wrong[0][0]}, byte {wrong[0][1]}"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random_programs(config, seed):
    print(f"seed {seed}")
    case = random_program(config, seed, length=25)
    check_case(case, config, seed=seed, **PACES[seed % len(PACES)])


@pytest.mark.parametrize("kinds", [("dma",), ("vector",), ("scalar",), ("matmul", "vector"), ("matmul", "scalar")])
def test_random_programs_of_a_kind(kinds):
    for seed in range(6):
        print(f"seed {seed}")
        case = random_program(TINY, seed, length=40, kinds=kinds)
        check_case(case, TINY, seed=seed, **PACES[seed % len(PACES)])


def test_any_pace_gives_the_same_bits():
    case = random_program(TINY, 3, length=30)
    cores = [run(job_of(case), TINY, seed=seed, **pace) for seed, pace in enumerate(PACES)]
    assert len({core.cycle for core in cores}) == len(cores)
    for core in cores[1:]:
        assert (core.memory == cores[0].memory).all() and (core.sbuf == cores[0].sbuf).all()


@pytest.mark.parametrize("pace", PACES)
def test_a_run_in_pieces_is_the_same_run(pace):
    """Of two jobs; the pieces end anywhere."""
    jobs = [job_of(random_program(TINY, seed, length=6)) for seed in (1, 2)]
    whole, parts = Core(TINY), Core(TINY)
    whole.offer(*jobs)
    trace = whole.run(LONGEST, until_done=True, seed=5, **pace)
    parts.offer(jobs[0])
    parts.offer(jobs[1])
    generator, pieces = rng(), []
    while not parts.done:
        pieces.append(parts.run(int(generator.integers(1, 400)), until_done=True, seed=5, **pace))
    assert np.array_equal(np.concatenate(pieces), trace)
    assert whole.cycle == parts.cycle == len(trace)
    assert (whole.memory == parts.memory).all()
    assert not trace[:, core_record(TINY).at("o_running")][-1].any() or whole.done


def test_a_core_that_is_done_idles():
    core = run(job_of(random_program(TINY, 1, length=3)), TINY)
    assert len(core.run(10, until_done=True)) == 0
    out = np.full((10, core_record(TINY).words), 7, np.uint32)
    trace = core.run(10, out=out)
    assert trace.base is out or trace is out
    names = {field.name for field in core_record(TINY).fields if core._places and trace[:, core_record(TINY).at(
        field.name, field.row, field.col)].any()}  # fmt: skip
    # What is ready, and the counts of the last dma.
    assert names <= {
        "i_program__ready", "i_b__ready", "o_ar__ready", "o_aw__ready", "o_w__ready", "command_ready", "advance",
        "asked", "filled", "drained",
    }  # fmt: skip


def loads(lanes, bytes_of_lane, source, sink, **fields):
    """Whole lanes from memory to SBUF."""
    return Instruction("dma", lanes=lanes, size="4", count0=bytes_of_lane // 4, source_address=source,
                       source_pitch=bytes_of_lane, sink_space="sbuf", sink_address=sink, **fields)  # fmt: skip


def test_a_matrix_product_scaled_by_lane():
    """Integers, small enough for every sum to be exact: NumPy's product is the one that is due."""
    generator = rng()
    n, k, m = 4, 11, 13
    # The integers 0 to 8 in e4m3; both operands with their k free in memory.
    codes = np.array([0x00, 0x38, 0x40, 0x44, 0x48, 0x4A, 0x4C, 0x4E, 0x50], np.uint8)
    w, x = generator.integers(0, 9, (n, 12)), generator.integers(0, 9, (4, 3 * 16))
    scales = np.array([2, -0.5, 1, 3], np.float32)
    image = [(0, codes[w].tobytes()), (256, codes[x].tobytes()), (512, scales.tobytes())]
    program = [
        loads(4, 12, 0, 0),
        # x[k, m] with k on lanes, a tile of 16 bytes behind the other.
        loads(4, 48, 256, 64, queue=1),
        loads(4, 4, 512, 128),
        Instruction("matmul", lanes=n, depth=k, w_address=0, w_stride=1, w_tile_stride=4, x_address=64, x_stride0=1,
                    x_tile_stride=16, count0=m, wait_dma0=2, wait_dma1=1),
        Instruction("vector", lanes=n, x_source="psum", op0="multiply", a_kind="lane", a=128, count0=m, write="yes",
                    y_address=256, y_type="fp32", y_stride0=4, reduce="max", r_address=192, wait_dma0=1),
        Instruction("dma", lanes=n, size="4", count0=m, source_space="sbuf", source_address=256, sink_address=1024,
                    sink_pitch=64, wait_vector=1),
        Instruction("dma", lanes=n, size="4", count0=1, queue=1, source_space="sbuf", source_address=192,
                    sink_address=2048, sink_pitch=4, wait_vector=1),
    ]  # fmt: skip
    due = np.zeros((n, m), np.float32)
    for depth in range(k):
        due += np.outer(w[:, depth], x[depth % 4, 16 * (depth // 4) :][:m])
    due *= scales[:, None]
    for pace in PACES:
        core = run(Job(program=program, address=4096, image=image, size=8192), TINY, **pace)
        got = core.memory[1024:1280].view(np.float32).reshape(n, 16)
        assert np.array_equal(got[:, :m], due) and not got[:, m:].any()
        assert np.array_equal(core.memory[2048:2064].view(np.float32), due.max(axis=1))


def test_element_by_element_out_and_back():
    """Bytes of lanes behind one another in memory, in ragged rows, and from memory to memory."""
    generator = rng()
    data = generator.integers(0, 256, (3, 32), dtype=np.uint8)
    program = [
        loads(3, 32, 0, 8, sink_lane=1),
        Instruction("dma", lanes=3, size="1", count0=29, source_space="sbuf", source_lane=1, source_address=8,
                    sink_address=1024, sink_transposed="yes", sink_pitch=4),
        Instruction("dma", lanes=3, size="1", count0=29, source_address=1024, source_transposed="yes", source_pitch=4,
                    sink_address=2048, sink_pitch=36),
    ]  # fmt: skip
    for pace in PACES:
        core = run(Job(program=program, address=4096, image=[(0, data.tobytes())], size=8192), TINY, **pace)
        crossed = core.memory[1024 : 1024 + 29 * 4].reshape(29, 4)
        assert np.array_equal(crossed[:, :3], data[:, :29].T) and not crossed[:, 3].any()
        back = core.memory[2048 : 2048 + 3 * 36].reshape(3, 36)
        assert np.array_equal(back[:, :29], data[:, :29]) and not back[:, 29:].any()


def test_each_instruction_reads_its_rows_anew():
    """Every reader ends a pattern in a row, and begins the next in the same row, written in between."""
    generator = rng()
    codes = np.array([0x38, 0x40, 0x44, 0x48], np.uint8)
    given = generator.integers(0, 4, (2, 4, 4))
    numbers = generator.normal(0, 1, (2, 4)).astype(np.float32)
    image = [(64 * i, codes[given[i]].tobytes() + numbers[i].tobytes()) for i in range(2)]
    program, written = [], []

    def issue(name, **fields):
        program.append(Instruction(name, **fields))

    for i in range(2):
        wait = {"wait_vector": 1, "wait_scalar": 1, "wait_tensor": 1} if i else {}
        program.append(loads(4, 4, 64 * i, 0, **wait))
        program.append(loads(4, 4, 64 * i + 16, 4))
        place = {"write": "yes", "y_type": "fp32", "wait_dma0": 1, "lanes": 4}
        issue("vector", x_address=4, x_type="fp32", y_address=64 + 32 * i, **place)
        issue("vector", x_address=12, x_type="fp32", op0="subtract", a_kind="tensor", t_address=4, t_type="fp32",
              y_address=68 + 32 * i, **place)  # fmt: skip
        issue("scalar", x_address=4, x_type="fp32", scale=2.0, bias=1.0, y_address=72 + 32 * i, **place)
        issue("matmul", lanes=4, depth=4, w_stride=1, x_stride0=1, count0=4, wait_dma0=1)
        issue("vector", x_source="psum", count0=4, y_stride0=4, y_address=76 + 32 * i, **place)
    issue("dma", lanes=4, size="4", count0=15, source_space="sbuf", source_address=64, sink_address=256, sink_pitch=64,
          wait_vector=1, wait_scalar=1)  # fmt: skip
    values = given + 1
    for i in range(2):
        n = numbers[i][:, None]
        product = np.einsum("nk,km->nm", values[i], values[i])
        written.append(np.concatenate([n, -n, 2 * n + 1, product], axis=1).astype(np.float32))
    core = run(Job(program=program, address=1024, image=image, size=4096), TINY)
    got = core.memory[256:512].view(np.float32).reshape(4, 16)
    assert np.array_equal(got[:, :7], written[0]) and np.array_equal(got[:, 8:15], written[1])
