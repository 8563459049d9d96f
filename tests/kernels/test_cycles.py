"""How long attention takes on a core, by its cycle model, as docs/core.md says."""

import os

import numpy as np
import pytest

from arch.core.presets import CORES
from arch.core.signals import core_record
from golden.core.model import Core
from tests.kernels.given import Case, prepare

SEED = int(os.environ.get("SEED", 5))
#: Cycles from the address of a burst to its first beat.
LATENCY = 50
LONG = {"core": "fp8", "heads": 1, "kv_heads": 1, "queries": 1024, "keys": 1024, "channels": 64}
SHORT = LONG | {"heads": 4, "kv_heads": 4, "queries": 256, "keys": 256}
MINILM = LONG | {"heads": 12, "kv_heads": 12, "queries": 47, "keys": 47, "channels": 32}
#: And the least utilisation.
CASES = [
    (Case(**LONG), 0.95),
    (Case(**LONG, quantized=False), 0.93),
    (Case(**LONG, causal=True), 0.88),
    (Case(**SHORT), 0.9),
    (Case(**MINILM), 0.85),
    (Case(**MINILM, quantized=False), 0.55),
    # Scales found on the core: tensors are looked at before they become codes, and some of it goes through memory.
    (Case(**LONG, quantized=False, scales="per-tensor"), 0.9),
    (Case(**LONG, quantized=False, scales="per-token"), 0.88),
    (Case(**SHORT, quantized=False, scales="per-tensor"), 0.9),
    (Case(**SHORT, quantized=False, scales="per-token"), 0.8),
    (Case(**MINILM, quantized=False, scales="per-tensor"), 0.3),
    (Case(**MINILM, quantized=False, scales="per-token"), 0.25),
]


def cycles(case: Case) -> int:
    """From the program's start to its end, golden.attention's bits in memory."""
    prepared, config = prepare(case, SEED), CORES[case.core]
    model, count = Core(config), 0
    model.offer(prepared.job)
    records = np.empty((4096, core_record(config).words), np.uint32)
    while not model.done:
        count += len(model.run(len(records), until_done=True, latency=LATENCY, out=records))
    assert prepared.agrees(model.memory)
    return count


@pytest.mark.slow
@pytest.mark.parametrize(("case", "least"), CASES, ids=str)
def test_utilization(case, least):
    print("seed", SEED)
    utilization = case.products / (cycles(case) * CORES[case.core].lanes ** 2)
    print(f"{case}: {utilization:.3f}")
    assert utilization >= least
