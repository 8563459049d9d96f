"""The race check against sets of bytes and of what is complete, on random programs from which a wait is taken away."""

import re

import numpy as np
import pytest
from core_reference import bytes_of

import golden
from arch.core.accesses import accesses
from arch.core.instructions import QUEUES, Instruction
from arch.core.presets import CORES
from arch.core.program import psum_rows
from golden.core.executor import execute
from golden.core.races import check_races
from verif.core.programs import random_program

TINY = CORES["tiny"]


def orders(program):
    """For each instruction, a bit for each one that is complete before it starts."""
    found, queues = [], {queue: [] for queue in QUEUES}
    for number, instruction in enumerate(program):
        own = queues[instruction.queue_name]
        direct = own[-1:] + [past for numbers in queues.values() for past in numbers[:-15]]
        direct += [queues[queue][-instruction.wait(queue)] for queue in QUEUES if instruction.wait(queue)]
        found.append(0)
        for past in direct:
            found[-1] |= 1 << past | found[past]
        own.append(number)
    return found


def conflicts(program):
    """Pairs of instructions whose order matters."""
    sets = []
    for instruction in program:
        found = accesses(instruction, TINY)
        sets.append([set().union(*(bytes_of(a) for a in found if a.writes is writes)) for writes in (False, True)])
    pairs = []
    for second, (reads, writes) in enumerate(sets):
        for first, (earlier_reads, earlier_writes) in enumerate(sets[:second]):
            both_take = all(psum_rows(program[i]) < 0 for i in (first, second))
            if both_take or earlier_writes & (reads | writes) or earlier_reads & writes:
                pairs.append((first, second))
    return pairs


def test_a_wait_less():
    """Refused where two accesses are then in no order, naming two such; accepted where another wait implies it."""
    needed = implied = 0
    for seed in range(12):
        print(f"seed {seed}")
        program = list(random_program(TINY, seed, length=25).program)
        pairs = conflicts(program)
        check_races(program, TINY)
        assert all(orders(program)[second] >> first & 1 for first, second in pairs)
        for number, instruction in enumerate(program):
            for queue in QUEUES:
                if instruction.wait(queue):
                    less = list(program)
                    less[number] = instruction.replace(**{f"wait_{queue}": 0})
                    known = orders(less)
                    races = [(first, second) for first, second in pairs if not known[second] >> first & 1]
                    needed, implied = needed + bool(races), implied + (not races)
                    assert_refused(less, races)
    print(needed, implied)
    assert needed > 50 and implied > 50


def assert_refused(program, races):
    if not races:
        check_races(program, TINY)
        return
    with pytest.raises(ValueError) as caught:
        check_races(program, TINY)
    second, first = map(int, re.findall(r"instruction (\d+) \(", str(caught.value)))
    assert (first, second) in races and second == min(second for _, second in races)
    assert f"{program[second]}) must wait for instruction {first} ({program[first]}): " in str(caught.value)


def test_every_order_that_the_waits_allow_gives_the_same_bits():
    moved = 0
    for seed in range(12):
        print(f"seed {seed}")
        case = random_program(TINY, seed, length=30)
        due = case.memory()
        execute(case.program, due, TINY)
        for _ in range(3):
            order = shuffled(case.program, np.random.default_rng(seed))
            moved += order != sorted(order)
            memory = case.memory()
            execute([case.program[number].replace(**dict.fromkeys(WAITS, 0)) for number in order], memory, TINY)
            assert (memory.data == due.data).all()
    assert moved > 20


WAITS = [f"wait_{queue}" for queue in QUEUES]


def shuffled(program, rng):
    """Another order of a program's instructions that its waits allow; rows of PSUM are there when they are taken."""
    known, left, order, done, rows = orders(program), list(range(len(program))), [], 0, 0
    while left:
        ready = [
            n for n in left if not known[n] & ~done and 0 <= rows + psum_rows(program[n]) <= TINY.engine.psum_depth
        ]
        number = int(rng.choice(ready))
        left.remove(number)
        order.append(number)
        done, rows = done | 1 << number, rows + psum_rows(program[number])
    return order


LOAD = Instruction("dma", lanes=4, size="4", count0=8, sink_space="sbuf", sink_address=64, source_pitch=32)
STORE = Instruction("dma", lanes=4, size="4", count0=8, source_space="sbuf", source_address=64, sink_address=256,
                    sink_pitch=32, queue=1)  # fmt: skip
DOUBLE = Instruction("scalar", lanes=4, x_address=64, x_type="fp32", x_stride0=4, scale=2.0, count0=8, write="yes",
                     y_address=128, y_type="fp32", y_stride0=4)  # fmt: skip
MATMUL = Instruction("matmul", lanes=4, depth=4, w_address=128, w_stride=1, x_address=132, x_stride0=1)
TAKE = Instruction("vector", lanes=4, x_source="psum", count0=1, reduce="max", r_address=200)


LATE = STORE.replace(source_address=92)
REREAD = LOAD.replace(sink_address=512, source_address=252)
TWO_ROWS = MATMUL.replace(count0=2)
SECOND = Instruction("scalar", x_source="psum", sum="yes")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ([LOAD, STORE], "its source overlaps sink in SBUF"),
        ([STORE, LOAD], "its sink overlaps source in SBUF"),
        ([LOAD, LATE], "its source overlaps sink in SBUF"),
        ([STORE, REREAD], "its source overlaps sink in memory"),
        ([LOAD, DOUBLE], "its x overlaps sink in SBUF"),
        ([DOUBLE, MATMUL], "its w overlaps y in SBUF"),
        ([TWO_ROWS, TAKE, SECOND], "both take rows of PSUM"),
        ([TWO_ROWS, TAKE, SECOND.replace(wait_tensor=1)], "both take rows of PSUM"),
        ([MATMUL, DOUBLE], "its y overlaps w in SBUF"),
    ],
)
def test_two_instructions_in_no_order(program, reason):
    """The last two of them."""
    last = len(program) - 1
    second, first = (f"instruction {number} ({program[number]})" for number in (last, last - 1))
    takers = [TAKE.replace(wait_scalar=1)] * (sum(map(psum_rows, program)) > 0)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{second} must wait for {first}: {reason}')}$"):
        golden.check_races([*program, *takers], TINY)


@pytest.mark.parametrize(
    "program",
    [
        [STORE, LOAD.replace(wait_dma1=1)],
        [TWO_ROWS, TAKE, SECOND.replace(wait_vector=1)],
        # Of one queue; a lane or a byte apart; two readers.
        [LOAD, STORE.replace(queue=0)],
        [LOAD.replace(lanes=2), STORE.replace(lanes=2, source_lane=2)],
        [LOAD, STORE.replace(source_address=96)],
        [STORE, REREAD.replace(source_address=224, lanes=1)],
        [STORE, DOUBLE],
        # A wait for what waits; a wait for a later one of the queue.
        [LOAD, DOUBLE.replace(wait_dma0=1), STORE.replace(wait_scalar=1)],
        [LOAD, LOAD.replace(sink_address=512), STORE.replace(wait_dma0=1)],
        [LOAD, LOAD.replace(sink_address=512), STORE.replace(wait_dma0=2)],
    ],
)
def test_instructions_in_order(program):
    check_races(program, TINY)


def test_what_a_queue_cannot_hold_is_complete():
    """Of two queues, an instruction with 15 more of its queue behind it."""
    others = [LOAD.replace(sink_address=512)] * 15
    check_races([LOAD, *others, STORE], TINY)
    with pytest.raises(ValueError, match="must wait for instruction 0 "):
        check_races([LOAD, *others[1:], STORE], TINY)
    check_races([LOAD, *others[1:], STORE.replace(wait_dma0=15)], TINY)
    # What that one had waited for is complete, too.
    double = DOUBLE.replace(x_address=512)
    check_races(
        [double, LOAD.replace(sink_address=1024, wait_scalar=1), *others, STORE.replace(source_address=128)], TINY
    )


def test_an_indirect_side_is_all_rows_in_range():
    index = Instruction("dma", lanes=4, size="4", sink_space="sbuf", source_pitch=4)
    scatter = STORE.replace(queue=0, indirect="sink", index_limit=3, source_address=512)
    check_races([index, scatter, LOAD.replace(queue=1, source_address=256 + 96)], TINY)
    with pytest.raises(ValueError, match="its source overlaps sink in memory"):
        check_races([index, scatter, LOAD.replace(queue=1, source_address=256 + 92)], TINY)
    with pytest.raises(ValueError, match="its index overlaps sink in SBUF"):
        check_races([index, scatter.replace(queue=1)], TINY)


def test_an_illegal_program_is_refused():
    with pytest.raises(ValueError, match=r"^instruction 0 \(dma .*\): queue must be 0..1, not 2"):
        check_races([LOAD.replace(queue=2)], TINY)
