"""DMA queues behind the memory port: what they move, by which requests, and in which cycles."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from dma_bench import Bench
from dma_reference import KINDS, random_instruction

from arch.core.config import CoreConfig
from arch.core.instructions import Instruction
from arch.tensor.presets import PRESETS

SEED = 20
SIZES = 1, 2, 4
TINY, EIGHT = (
    CoreConfig(engine=PRESETS[name], lane_bytes=4096, reads_in_flight=4, dma_queues=1) for name in ("tiny", "bf16")
)
#: A core, and the share of cycles in which memory and SBUF do nothing.
CASES = {
    "4x4": (replace(TINY, beat_bytes=4), 0.5),
    "4x8": (replace(TINY, beat_bytes=8, dma_queues=2), 0.3),
    "4x16": (replace(TINY, beat_bytes=16), 0),
    "4x32": (replace(TINY, beat_bytes=32), 0.5),
    "4x64": (replace(TINY, beat_bytes=64), 0.3),
    "4x256": (replace(TINY, beat_bytes=256), 0),
    "8x8": (replace(EIGHT, beat_bytes=8), 0),
    "8x16": (replace(EIGHT, beat_bytes=16), 0.3),
}
#: The other side of one that is indirect is in SBUF.
PAIRS = [pair for pair in product(KINDS, repeat=2) if "indirect" not in pair or set(pair) == {"indirect", "sbuf"}]


def _random(name: str, times: int, seed: int) -> None:
    """Every kind of source and of sink, over all queues, the sizes in turn by configuration and by times."""
    print(f"seed {seed}")
    (config, idle), rng = CASES[name], np.random.default_rng(seed)
    first, queues = list(CASES).index(name), config.dma_queues
    given = [[] for _ in range(queues)]
    for number, kinds in enumerate(PAIRS * times):
        size = SIZES[(first + number + number // len(PAIRS)) % 3]
        instruction = random_instruction(rng, config, Bench.base(number % queues), kinds, size)
        # Indices of its own.
        given[number % queues].append(instruction.replace(index_address=4 * number))
    Bench(config, given, seed, idle).run()


@pytest.mark.parametrize("name", ["4x4", "4x16"])
def test_a_single_lane_lies_where_its_index_says(name):
    """The first piece of such a walk may be all of its row."""
    print(f"seed {SEED}")
    (config, idle), rng = CASES[name], np.random.default_rng(SEED)
    pairs = [pair for pair in PAIRS if "indirect" in pair] * 5
    drawn = [random_instruction(rng, config, Bench.base(0), pair, 1, most_lanes=1) for pair in pairs]
    some = [each.replace(index_address=4 * number) for number, each in enumerate(drawn)]
    Bench(config, [some], SEED, idle).run()


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"4x256"}))
def test_random_instructions_move_what_they_say(name):
    _random(name, 1, SEED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED + 1])
@pytest.mark.parametrize("name", CASES)
def test_many_random_instructions_move_what_they_say(name, seed):
    _random(name, 6, seed)


def test_a_vector_over_many_lanes_is_more_than_two_bursts():
    """32 words that begin in the middle of a line of 16."""
    engine = replace(PRESETS["tiny"], rows=32, cols=32)
    config = CoreConfig(engine=engine, lane_bytes=4096, beat_bytes=16, dma_queues=1)
    base, vector = Bench.base(0), {"transposed": True, "pitch": 132}
    source = {f"source_{name}": value for name, value in (vector | {"address": base + 28}).items()}
    sink = {f"sink_{name}": value for name, value in (vector | {"address": base + 8192 + 40}).items()}
    given = {"lanes": 32, "size": "4", "count0": 3, "count1": 1}
    load = Instruction("dma", **given, **source, sink_space="sbuf", sink_address=2048)
    store = Instruction("dma", **given, source_space="sbuf", source_address=64, **sink)
    bench = Bench(config, [[load, store]], SEED, 0)
    bench.run()


def _alone(config: CoreConfig, instruction: Instruction) -> Bench:
    """It runs in the first queue, nothing stalls, and memory answers in the next cycle."""
    bench = Bench(config, [[instruction], *[[]] * (config.dma_queues - 1)], SEED, 0)
    bench.run()
    return bench


@pytest.mark.parametrize(("beat_bytes", "rows"), [(4, 3), (8, 5)])
def test_a_load_of_whole_chunks_has_a_beat_in_each_cycle(beat_bytes, rows):
    """While the drain of a chunk, a row a cycle, and a burst's way are no longer than the fill of another."""
    config = CASES[f"4x{beat_bytes}"][0]
    lane = rows * 2 * 64
    bench = _alone(
        config,
        Instruction(
            "dma",
            lanes=4,
            size="4",
            source_address=Bench.base(0),
            source_pitch=lane,
            source_stride=128,
            sink_space="sbuf",
            sink_address=2048,
            sink_stride=128,
            count0=32,
            count1=rows,
        ),
    )
    first = bench.memory.beats_read[0]
    assert bench.memory.beats_read == list(range(first, first + 4 * lane // beat_bytes))


#: Sides of 16 words in each of 4 lanes, and in which cycle such an instruction, taken in cycle 0, is complete.
#: Beats have 32 bytes. A load: a burst is asked for in cycle 1, its two beats come from cycle 2 on, eight in all; 16
#: words are read from cycle 10 on, each written a cycle later. A store: rows are asked for in cycles 1 to 16, the last
#: comes in 17; the addresses of four bursts are offered in cycles 18 to 21, their eight beats are read from cycle 19 on
#: and go out a cycle later, the last in 27; its answer comes in 28. From SBUF to SBUF: read in cycles 18 to 33.
_MEMORY = {"space": "memory", "pitch": 64}
_SBUF = {"space": "sbuf"}
TIMES = {
    "load": (_MEMORY, _SBUF, 26, "none"),
    "store": (_SBUF, _MEMORY, 28, "none"),
    "local": (_SBUF, _SBUF, 34, "none"),
    # Indices are asked for in cycle 1, and all is 8 cycles later, for 4 lanes.
    "gather": (_MEMORY, _SBUF, 34, "source"),
    "scatter": (_SBUF, _MEMORY, 36, "sink"),
}


@pytest.mark.parametrize("kind", TIMES)
def test_a_chunk_takes_the_cycles_that_it_should(kind):
    source, sink, cycles, indirect = TIMES[kind]
    base = {"memory": Bench.base(0), "sbuf": 0}
    upper = {"memory": Bench.base(0) + 8192, "sbuf": 2048}
    sides = {f"source_{name}": value for name, value in (source | {"address": base[source["space"]]}).items()}
    sides |= {f"sink_{name}": value for name, value in (sink | {"address": upper[sink["space"]]}).items()}
    bench = _alone(
        CASES["4x32"][0],
        Instruction("dma", lanes=4, size="4", count0=16, count1=1, indirect=indirect, index_limit=4, **sides),
    )
    assert bench.drivers[0].times == [[0, cycles]]
