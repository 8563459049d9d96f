"""Random programs: legal, in order, repeatable, within what was asked for, and with everything in them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from arch.core.accesses import accesses
from arch.core.instructions import INSTRUCTIONS, OPCODES
from arch.core.presets import CORES
from golden.core.executor import execute
from golden.core.races import check_races
from verif.core.programs import random_program, with_waits

TINY = CORES["tiny"]
#: Types that an operand may not have.
ILLEGAL = {("matmul", "w_type"): {"fp32", "u32"}, ("matmul", "x_type"): {"fp32", "u32"}, ("vector", "t_type"): {"u32"}}
ILLEGAL |= {("scalar", "x_type"): {"u32"}, ("scalar", "y_type"): {"u32"}}


@pytest.mark.parametrize("name", CORES)
def test_programs_run_and_write_all_of_memory(name):
    for seed in range(6):
        print(f"seed {seed}")
        case = random_program(CORES[name], seed)
        check_races(case.program, CORES[name])
        memory = case.memory()
        assert not memory.written.all()
        execute(case.program, memory, CORES[name])
        assert memory.written.all() and not case.written.all()


@pytest.mark.parametrize(
    "change",
    [{"dma_queues": 1}, {"dma_queues": 4}, {"lane_bytes": 1024}, {"engine": replace(TINY.engine, psum_depth=16)}],
)
def test_programs_of_other_cores(change):
    config = replace(TINY, **change)
    queues = set()
    for seed in range(20):
        print(f"seed {seed}")
        case = random_program(config, seed)
        execute(case.program, case.memory(), config)
        queues |= {instruction.queue_name for instruction in case.program}
    assert queues == set(config.queues)


def test_the_same_arguments_give_the_same_program():
    one, two, three = (random_program(TINY, seed) for seed in (5, 5, 6))
    assert one.program == two.program and one.base == two.base and (one.data == two.data).all()
    assert one.program != three.program


def test_an_image_is_of_its_own():
    case = random_program(TINY, 1)
    case.memory().data[:] = 0
    case.memory().written[:] = 0
    assert case.data.any() and case.written.any()


@pytest.mark.parametrize("kinds", [("dma",), ("vector",), ("matmul", "scalar"), ("dma", "vector", "scalar")])
def test_only_what_was_asked_for(kinds):
    for seed in range(5):
        print(f"seed {seed}")
        case = random_program(TINY, seed, kinds=kinds, length=15, indirect=False, transposed=False)
        inner = case.program[3:-2]
        assert len(inner) >= 15 and {i.name for i in inner} == set(kinds)
        for instruction in inner:
            if instruction.name == "dma":
                assert instruction.named("indirect") == "none"
                assert "yes" not in (instruction.named("source_transposed"), instruction.named("sink_transposed"))
    with pytest.raises(ValueError, match="kinds must hold vector or scalar beside matmul, not dma, matmul"):
        random_program(TINY, 0, kinds=("dma", "matmul"))


def test_every_choice_is_drawn():
    """Of every field that is a choice all values; PSUM, lanes, strides of both signs; waits for every queue."""
    config = replace(CORES["bf16"], engine=replace(CORES["bf16"].engine, formats=("e4m3", "e5m2", "bf16")))
    drawn, wait = Counter(), Counter()
    for seed in range(60):
        for instruction in random_program(config, seed).program:
            for entry in INSTRUCTIONS[instruction.name][1:]:
                value = instruction.fields[entry.name]
                drawn[instruction.name, entry.name, entry.names[value] if entry.names else np.sign(value)] += 1
            wait.update(queue for queue in config.queues if instruction.wait(queue))
            drawn[instruction.name, "lanes", instruction.lanes == config.lanes] += 1
            drawn[instruction.name, "accesses", len(accesses(instruction, config))] += 1
    for name, entries in INSTRUCTIONS.items():
        for entry in entries[1:]:
            due = {*entry.names, *((1, -1) if entry.is_signed else ())}
            missing = {choice for choice in due if not drawn[name, entry.name, choice]}
            assert missing == ILLEGAL.get((name, entry.name), set()), (name, entry.name)
    assert set(wait) == set(config.queues)
    assert set(OPCODES) == {name for name, *_ in drawn}
    assert all(drawn[name, "lanes", whole] for name in OPCODES for whole in (True, False))
    assert drawn["matmul", "accesses", 2] and drawn["matmul", "accesses", 4]


def test_waits_are_made_from_scratch():
    program = random_program(TINY, 3).program
    bare = [i.replace(**{f"wait_{queue}": 0 for queue in TINY.queues}) for i in program]
    assert tuple(with_waits(bare, TINY)) == tuple(with_waits(program, TINY)) == program
