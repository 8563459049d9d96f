"""Attention as a program: the executor gives golden.attention's bits, and the waits order all that it touches."""

import math
import os
from dataclasses import replace

import numpy as np
import pytest

from arch.core.presets import CORES
from golden.core.executor import execute
from golden.core.races import check_races
from golden.numerics.hadamard import inverse_sqrt
from kernels.attention import attention_program
from kernels.attention_sizes import AttentionSizes, Tensors
from tests.kernels.given import Case, prepare

SEED = int(os.environ.get("SEED", 5))
CASES = [
    Case(core="tiny", heads=1, kv_heads=1, queries=1, keys=1, channels=1),
    # One query of many heads, as in decoding; fewer channels than lanes, and tokens in two tiles of lanes.
    Case(core="tiny", heads=6, kv_heads=2, queries=1, keys=8, channels=3, causal=True),
    Case(core="fp8", heads=5, kv_heads=5, queries=16, keys=20, channels=48, w="e5m2"),
    Case(core="tiny", heads=2, kv_heads=1, queries=9, keys=13, channels=7),
    Case(core="tiny", heads=3, kv_heads=3, queries=9, keys=13, channels=7, causal=True),
    Case(core="fp8", heads=4, kv_heads=2, queries=47, keys=50, channels=32, causal=True),
    Case(core="fp8", heads=1, kv_heads=1, queries=17, keys=33, channels=33, w="e5m2"),
    # More keys than one product has rows.
    Case(core="fp8", heads=1, kv_heads=1, queries=40, keys=1030, channels=16, causal=True, x="e5m2"),
    Case(core="bf16", heads=2, kv_heads=1, queries=19, keys=21, channels=12, causal=True, x="bf16", w="bf16"),
    Case(core="bf16", heads=1, kv_heads=1, queries=19, keys=21, channels=12, w="bf16"),
    Case(core="bf16", heads=2, kv_heads=2, queries=9, keys=10, channels=8, causal=True, x="bf16"),
]


#: What memory holds, and whose scales it is coded by.
KINDS = {
    "codes": {"quantized": True},
    "given": {"quantized": False},
    "per-tensor": {"quantized": False, "scales": "per-tensor"},
    "per-token": {"quantized": False, "scales": "per-token"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_bits_of_golden_attention(case, kind):
    print("seed", SEED)
    case = replace(case, **KINDS[kind])
    prepared, config = prepare(case, SEED), CORES[case.core]
    check_races(prepared.job.program, config)
    memory = np.frombuffer(prepared.job.contents(), np.uint8)
    execute(prepared.job.program, memory, config)
    assert prepared.agrees(memory)


@pytest.mark.parametrize("scales", ["per-tensor", "per-token"])
@pytest.mark.parametrize("name", "qkv")
@pytest.mark.parametrize("core", ["tiny", "bf16"])
def test_zeros_and_extremes_have_scales(core, name, scales):
    """A tensor of zeros, -0 among them, whose scale is the least there is; and numbers next to float32's largest."""
    print("seed", SEED)
    case = Case(core=core, heads=3, kv_heads=3, queries=5, keys=6, channels=5, quantized=False, scales=scales)

    def change(tensors):
        tensors[name][0] = np.where(np.arange(5) % 2, -0.0, 0.0)
        tensors[name][1] *= 1e-39
        tensors[name][2, 1, 2] = -3e38
        return tensors

    prepared = prepare(case, SEED, change)
    memory = np.frombuffer(prepared.job.contents(), np.uint8)
    execute(prepared.job.program, memory, CORES[core])
    assert prepared.agrees(memory)


def test_scales_that_cannot_be_are_refused():
    plain = {"heads": 1, "kv_heads": 1, "queries": 1, "keys": 1, "channels": 1}
    with pytest.raises(ValueError, match="scales must be one of given, per-tensor, per-token, not 'per-block'"):
        AttentionSizes(**plain, quantized=False, scales="per-block")
    with pytest.raises(ValueError, match="scales must be given where memory holds codes, not per-token"):
        AttentionSizes(**plain, scales="per-token")


@pytest.mark.parametrize("channels", [1, 3, 7, 32, 48, 80, 65536])
def test_constants_are_those_of_the_golden_model(channels):
    """The program writes 1 / sqrt(D) and 1 / the largest number itself."""
    assert np.float32(1 / math.sqrt(channels)) == inverse_sqrt(channels)


def test_what_does_not_fit_is_refused():
    sizes = AttentionSizes(heads=1, kv_heads=1, queries=4, keys=600, channels=4)
    tensors = Tensors(q=0, k=0, v=0, out=0, q_factors=(), k_factors=(), v_factors=())
    with pytest.raises(ValueError, match=r"a tile must fit in what is free of 4096 bytes a lane, \d+, not \d+"):
        attention_program(CORES["tiny"], sizes, tensors)
