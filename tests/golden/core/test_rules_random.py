"""Instructions a little beside legal ones: what the rules let pass, the reference can run."""

import random
from collections import Counter

import numpy as np
from core_reference import Reference

from arch.core.instructions import INSTRUCTIONS
from arch.core.presets import CORES
from arch.core.program import check_instruction, psum_rows
from verif.core.programs import random_program

TINY = CORES["tiny"]
SEED = 5
#: Fields of which a large value only takes time.
LONG = ("depth", "count0", "count1", "count2", "index_limit")


def beside(generator, instruction):
    """The instruction with a few of its fields changed; None where a field does not take the value."""
    values = {}
    for entry in generator.sample(INSTRUCTIONS[instruction.name][1:], generator.randint(1, 3)):
        value = instruction.fields[entry.name]
        if entry.names:
            values[entry.name] = generator.choice(entry.names)
        else:
            change = generator.choice((-4, -2, -1, 1, 2, 3, 4, -value, value, TINY.lane_bytes))
            values[entry.name] = value + (generator.randint(0, 9) if entry.name in LONG else change)
    try:
        return instruction.replace(**values)
    except ValueError:
        return None


def test_what_is_legal_can_run():
    """No element at an odd place or outside its lane, no byte written twice, no operand that means nothing."""
    print(f"seed {SEED}")
    generator, passed = random.Random(SEED), Counter()
    for seed in range(12):
        case = random_program(TINY, seed, length=25)
        for instruction in case.program:
            for _ in range(12):
                changed = beside(generator, instruction)
                if changed is None:
                    continue
                try:
                    check_instruction(changed, TINY)
                except ValueError:
                    passed[changed.name, False] += 1
                    continue
                passed[changed.name, True] += 1
                run(changed, case)
    print(passed)
    assert len(passed) == 8 and min(passed.values()) > 20


def run(instruction, case):
    """On a core where everything is written."""
    reference = Reference(TINY, case.data, np.ones_like(case.written), case.base)
    reference.sbuf = [[0x38] * TINY.lane_bytes for _ in range(TINY.lanes)]
    if instruction.name == "dma" and instruction.named("indirect") != "none":
        instruction = instruction.replace(out_of_range="skip")
        for lane in range(TINY.lanes):
            # Of a sink one row, for two may meet.
            row = 0 if not lane else instruction.index_limit if instruction.named("indirect") == "sink" else lane
            at = instruction.index_address
            reference.sbuf[lane][at : at + 4] = row.to_bytes(4, "little")
    reference.psum = [[0] * TINY.lanes for _ in range(max(0, -psum_rows(instruction)))]
    try:
        reference.run(instruction)
    except KeyError as error:
        # Outside of the memory that there is.
        assert instruction.name == "dma" and not case.base <= error.args[0] < case.base + len(case.data)
