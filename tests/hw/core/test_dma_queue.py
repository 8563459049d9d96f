"""DMA queues behind the memory port: what they move, by which requests, and in which cycles."""

from dataclasses import replace

import numpy as np
import pytest
from dma_bench import Bench
from dma_reference import random_instruction

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from arch.tensor.presets import PRESETS

SEED = 20
TINY, EIGHT = (CoreConfig(engine=PRESETS[name], lane_bytes=4096, reads_in_flight=4) for name in ("tiny", "bf16"))
CONFIGS = {f"4x{beat}": replace(TINY, beat_bytes=beat) for beat in (4, 8, 16, 32)}
CONFIGS |= {"8x16": replace(EIGHT, beat_bytes=16), "8x4": replace(EIGHT, beat_bytes=4, dma_queues=1)}


@pytest.mark.parametrize("idle", [0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_random_instructions_move_what_they_say(name, idle):
    print(f"seed {SEED}")
    config, rng = CONFIGS[name], np.random.default_rng(SEED)
    queues = range(config.dma_queues)
    given = [[random_instruction(rng, config, Bench.base(queue)) for _ in range(12)] for queue in queues]
    Bench(config, given, SEED, idle).run()
