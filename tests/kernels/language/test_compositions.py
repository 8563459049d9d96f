"""Random kernels: no race, no wait too many, and the cycle model's bits are the executor's."""

import os

import numpy as np
import pytest

from scripts.running.kernels import build, run
from tests.kernels.language.compositions import composition
from tests.kernels.waits import superfluous

SEED = int(os.environ.get("SEED", 5))


def inputs(rng, core):
    lanes = {"tiny": 4, "bf16": 8}[core]
    m, n = int(rng.integers(1, 2 * lanes)), int(rng.integers(2, 9))
    depth = int(rng.integers(1, n + 1))
    return rng.standard_normal((m, n)).astype(np.float32), rng.standard_normal((depth, n)).astype(np.float32)


@pytest.mark.parametrize("core", ["tiny", "bf16"])
def test_the_cycle_model_has_the_executors_bits(core):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    instructions = 0
    for number in range(25):
        x, w = inputs(rng, core)
        options = {"config": core, "seed": SEED + number, "steps": int(rng.integers(1, 15))}
        expected = run(composition, [x, (w, "e4m3")], **options)
        latency = int(rng.choice([1, 20]))
        actual = run(composition, [x, (w, "e4m3")], backend="cycles", latency=latency, **options)
        np.testing.assert_array_equal(actual.outputs[0].view(np.uint32), expected.outputs[0].view(np.uint32))
        instructions += len(expected.instructions)
    assert instructions > 400


def test_each_wait_is_needed():
    print("seed", SEED)
    rng, waits = np.random.default_rng(SEED), 0
    for number in range(12):
        x, w = inputs(rng, "tiny")
        program = build(
            composition, [(x.shape, "fp32"), (w.shape, "e4m3")], config="tiny", seed=SEED + number, steps=20
        )
        count, found = superfluous(program.instructions, program.config)
        assert found == []
        waits += count
    assert waits > 200


def test_a_wait_too_many_is_found():
    program = build(composition, [((4, 4), "fp32"), ((4, 4), "e4m3")], config="tiny", seed=2, steps=9)
    plain = list(program.instructions)
    number = next(n for n, each in enumerate(plain) if n > 4 and each.name == "vector" and not each.wait("scalar"))
    before = sum(each.queue_name == "dma0" for each in plain[:number])
    assert before
    plain[number] = plain[number].replace(wait_dma0=1)
    _, found = superfluous(plain, program.config)
    assert found


@pytest.mark.slow
def test_the_rtl_has_the_executors_bits():
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    for number in range(10):
        x, w = inputs(rng, "tiny")
        options = {"config": "tiny", "seed": SEED + 100 + number, "steps": 12}
        expected = run(composition, [x, (w, "e4m3")], **options)
        actual = run(composition, [x, (w, "e4m3")], backend="rtl", **options)
        np.testing.assert_array_equal(actual.outputs[0].view(np.uint32), expected.outputs[0].view(np.uint32))
        assert actual.cycles == run(composition, [x, (w, "e4m3")], backend="cycles", **options).cycles
