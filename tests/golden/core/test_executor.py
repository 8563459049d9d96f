"""The executor against a core that runs a number at a time, on random programs over random bits."""

from dataclasses import replace

import numpy as np
import pytest
from core_reference import Reference, bytes_of

import golden
from arch.core.accesses import accesses
from arch.core.instructions import OPCODES, Instruction
from arch.core.presets import CORES
from golden.core.executor import execute
from verif.core.programs import random_program

TINY = CORES["tiny"]
#: Sums of bf16 in a small core: the preset's lanes take the reference long.
BF16 = replace(TINY, engine=replace(TINY.engine, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32"))
E5M2 = replace(TINY, engine=replace(TINY.engine, rows=8, cols=8, formats=("e4m3", "e5m2"), k_max=20), dma_queues=1)


def check_touched(instruction, config, reference):
    """What the reference touched is what the accesses say."""
    found = accesses(instruction, config)
    reads = set().union(*(bytes_of(access) for access in found if not access.writes))
    writes = set().union(*(bytes_of(access) for access in found if access.writes))
    if instruction.name == "dma" and instruction.named("indirect") != "none":
        assert reads >= reference.reads and writes >= reference.writes
    else:
        assert (reads, writes) == (reference.reads, reference.writes)


def assert_same(place, due):
    """Bytes and which of them are written, against bytes or None."""
    assert place.written.tolist() == [byte is not None for byte in due]
    values = np.array([byte or 0 for byte in due], np.uint8)
    wrong = np.flatnonzero((values != place.data) & place.written.astype(bool))
    assert not len(wrong), f"{len(wrong)} bytes from {wrong[0]}"


def compare(case, config):
    """Run a program on both."""
    reference = Reference(config, case.data, case.written, case.base)
    for instruction in case.program:
        reference.run(instruction)
        check_touched(instruction, config, reference)
    memory = case.memory()
    sbuf = execute(case.program, memory, config)
    assert_same(memory, list(reference.memory.values()))
    assert_same(sbuf, [byte for lane in reference.sbuf for byte in lane])
    assert memory.written.all()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("config", [TINY, BF16, E5M2], ids=["tiny", "bf16", "e5m2"])
def test_random_programs(config, seed):
    print(f"seed {seed}")
    compare(random_program(config, seed, length=30), config)


@pytest.mark.parametrize("kind", ["dma", "vector", "scalar"])
def test_random_programs_of_one_kind(kind):
    for seed in range(4):
        print(f"seed {seed}")
        compare(random_program(TINY, seed, length=60, kinds=(kind,)), TINY)


def test_random_programs_of_a_large_core():
    for seed in range(2):
        print(f"seed {seed}")
        compare(random_program(CORES["fp8"], seed, length=12), CORES["fp8"])


def test_an_array_is_memory_from_address_0_on_and_changed_in_place():
    data = np.arange(64, dtype=np.uint8)
    program = [
        Instruction("dma", lanes=2, size="4", count0=2, source_pitch=8, sink_space="sbuf", sink_address=4),
        Instruction("dma", lanes=2, size="4", count0=2, source_space="sbuf", source_address=4, sink_address=32,
                    sink_pitch=-8, queue=1, wait_dma0=1),
    ]  # fmt: skip
    sbuf = golden.execute(program, data, TINY)
    assert data.tolist() == [*range(24), *range(8, 16), *range(8), *range(40, 64)]
    assert sbuf.data.reshape(4, -1)[1, 4:12].tolist() == list(range(8, 16))
    assert sbuf.written.reshape(4, -1).sum(axis=1).tolist() == [8, 8, 0, 0]


def test_rows_of_psum_are_zero_beyond_the_lanes_of_a_matmul():
    """A vector of more lanes takes whole rows."""
    data = np.full(16, 0x38, np.uint8)
    program = [
        Instruction("dma", lanes=4, size="4", count0=1, sink_space="sbuf"),
        Instruction("matmul", lanes=2, depth=3, count0=2, w_stride=1, x_stride0=1, wait_dma0=1),
        Instruction("vector", lanes=4, x_source="psum", write="yes", y_address=8, y_type="fp32", y_stride0=4, count0=2),
    ]
    sbuf = execute(program, data, TINY)
    assert sbuf.data.reshape(4, -1)[:, 8:16].copy().view(np.float32).tolist() == [[3, 3], [3, 3], [0, 0], [0, 0]]


def test_a_sum_that_is_rounded_to_minus_zero_keeps_its_sign():
    """Under fp32 accumulation; in the lanes beyond N it is +0."""
    data = np.array([0x8001, 0x0001], "<u2").view(np.uint8)
    operands = {"w_type": "bf16", "x_type": "bf16", "x_address": 2}
    y = {"write": "yes", "y_address": 4, "y_type": "fp32"}
    program = [
        Instruction("dma", lanes=2, size="4", sink_space="sbuf"),
        Instruction("matmul", **operands, wait_dma0=1),
        Instruction("vector", lanes=2, x_source="psum", **y, wait_dma0=1),
    ]
    sbuf = execute(program, data, BF16)
    assert sbuf.data.reshape(4, -1)[:2, 4:8].copy().view(np.uint32).tolist() == [[1 << 31], [0]]


def test_every_kind_is_drawn():
    assert set(OPCODES) == {i.name for i in random_program(TINY, 1, length=40).program}
