"""What the cycle model and its jobs refuse."""

from dataclasses import replace

import numpy as np
import pytest

from arch.core.instructions import Instruction
from arch.core.presets import CORES
from golden.core.jobs import Job
from golden.core.model import Core

TINY = CORES["tiny"]
MOVE = Instruction("dma", size="4", source_space="sbuf", sink_address=4096)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"address": 32}, ValueError, "address must be a multiple of 64, not 32"),
        ({"size": 100}, ValueError, "size must be a multiple of 256, not 100"),
        ({"base": 100}, ValueError, "base must be a multiple of 256, not 100"),
        ({"size": "256"}, TypeError, "size must be an int, not '256'"),
        ({"address": 1024}, ValueError, "memory must hold bytes 0 to 1024, not 1024 to 1088"),
        ({"image": [(1000, bytes(25))]}, ValueError, "memory must hold bytes 0 to 1024, not 1000 to 1025"),
        ({"base": 256, "address": 256, "image": [(0, b"1")]}, ValueError, "not 0 to 1"),
    ],
)
def test_jobs(fields, kind, words):
    with pytest.raises(kind, match=words):
        Job(**{"program": [MOVE], "address": 0, "size": 1024} | fields)


def test_a_core_of_more_weight_rows_a_cycle():
    engine = replace(TINY.engine, rows_per_load_cycle=2)
    with pytest.raises(ValueError, match="engine must have rows_per_load_cycle 1, not 2"):
        Core(replace(TINY, engine=engine))


@pytest.mark.parametrize(
    ("pace", "kind", "words"),
    [
        ({"latency": 0}, ValueError, "latency must be at least 1, not 0"),
        ({"idle": 1.5}, ValueError, "idle must be a probability, 0..1, not 1.5"),
        ({"stall": (0, "1", 0)}, TypeError, "stall must be a probability, 0..1, not '1'"),
        ({"stall": (0, 0)}, ValueError, "stall must be one probability or three, not 2"),
        ({"idle": 1.0, "until_done": True}, ValueError, "must be below 1 for a run that ends"),
        ({"out": np.zeros((3, 1), np.uint32)}, ValueError, "out must be a contiguous uint32 array"),
    ],
)
def test_paces(pace, kind, words):
    with pytest.raises(kind, match=words):
        Core(TINY).run(3, **pace)


def test_writing_outside_of_memory():
    core = Core(TINY)
    core.offer(Job(program=[MOVE], address=0, size=1024, pages=2))
    with pytest.raises(RuntimeError, match="must write within its window of memory"):
        core.run(1000, until_done=True)
