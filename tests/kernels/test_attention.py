"""Attention as a program: the executor gives golden.attention's bits, and the waits order all that it touches."""

import os

import numpy as np
import pytest

from arch.core.presets import CORES
from golden import attention, encode, reciprocal
from golden.core.executor import execute
from golden.core.races import check_races
from golden.numerics.hadamard import inverse_sqrt
from kernels.attention import AttentionSizes, Tensors, attention_program, padded

SEED = int(os.environ.get("SEED", 5))
#: Config, heads, heads of keys, queries, keys, channels, causal, formats.
CASES = [
    ("tiny", 1, 1, 1, 1, 1, False, "e4m3", "e4m3"),
    ("tiny", 2, 1, 9, 13, 7, False, "e4m3", "e4m3"),
    ("tiny", 2, 2, 9, 13, 7, True, "e4m3", "e4m3"),
    ("fp8", 4, 2, 47, 50, 32, True, "e4m3", "e4m3"),
    ("fp8", 1, 1, 17, 33, 33, False, "e4m3", "e5m2"),
    # More keys than one product has rows.
    ("fp8", 1, 1, 40, 1030, 16, True, "e5m2", "e4m3"),
    ("bf16", 2, 1, 19, 21, 12, True, "bf16", "bf16"),
    ("bf16", 1, 1, 19, 21, 12, False, "e4m3", "bf16"),
]


def rows(codes: np.ndarray) -> np.ndarray:
    """A tensor's rows as they lie in memory, padded to a multiple of 4 bytes; all of it to one of 64."""
    flat = codes.reshape(-1, codes.shape[-1])
    flat = np.ascontiguousarray(flat).view(np.uint8)
    out = np.zeros((len(flat), padded(flat.shape[1])), np.uint8)
    out[:, : flat.shape[1]] = flat
    return np.pad(out.ravel(), (0, -out.size % 64))


def scales(count: int, fmt: str, rng: np.random.Generator) -> np.ndarray:
    """float32[count]; that of bf16 is 1."""
    return np.ones(count, np.float32) if fmt == "bf16" else rng.uniform(0.005, 0.02, count).astype(np.float32)


@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize(("name", "heads", "kv_heads", "queries", "keys", "channels", "causal", "x", "w"), CASES)
def test_bits_of_golden_attention(name, heads, kv_heads, queries, keys, channels, causal, x, w, quantized):
    print("seed", SEED)
    rng, config = np.random.default_rng(SEED), CORES[name]
    q = rng.standard_normal((heads, queries, channels)).astype(np.float32)
    k, v = rng.standard_normal((2, kv_heads, keys, channels)).astype(np.float32)
    factors = scales(heads, x, rng), scales(kv_heads, w, rng), scales(kv_heads, w, rng)
    given = {
        "q_scale": None if x == "bf16" else factors[0],
        "k_scale": None if w == "bf16" else factors[1],
        "v_scale": None if w == "bf16" else np.repeat(factors[2][:, None], channels, 1),
    }
    expected = attention(
        q, k, v, x_format=x, w_format=w, accumulation=config.engine.accumulation, causal=causal, **given
    )

    memory, at, inverses = np.zeros(0, np.uint8), {}, {}
    for label, tensor, factor, fmt in zip("qkv", (q, k, v), factors, (x, w, w), strict=True):
        at[label] = memory.size
        inverse = reciprocal(factor)
        inverses[f"{label}_inverses"] = tuple(map(float, inverse))
        codes = encode(tensor * inverse[:, None, None], fmt, saturate=True)
        memory = np.append(memory, rows(codes if quantized else tensor))
    out = memory.size
    memory = np.append(memory, np.zeros(expected.nbytes, np.uint8))
    of_head = [float(factor) for factor in factors[0] * inverse_sqrt(channels)]
    tensors = Tensors(
        **at,
        out=out,
        q_factors=tuple(of_head),
        k_factors=tuple(map(float, factors[1])),
        v_factors=tuple(map(float, factors[2])),
        **inverses,
    )
    sizes = AttentionSizes(
        heads=heads,
        kv_heads=kv_heads,
        queries=queries,
        keys=keys,
        channels=channels,
        causal=causal,
        x_type=x,
        w_type=w,
        quantized=quantized,
    )
    program = attention_program(config, sizes, tensors).instructions
    check_races(program, config)
    execute(program, memory, config)
    actual = memory[out:].view(np.uint32).reshape(expected.shape)
    assert np.array_equal(actual, expected.view(np.uint32))


def test_what_does_not_fit_is_refused():
    sizes = AttentionSizes(heads=1, kv_heads=1, queries=4, keys=600, channels=4)
    with pytest.raises(ValueError, match=r"a tile must fit in what is free of 4096 bytes a lane, \d+, not \d+"):
        attention_program(CORES["tiny"], sizes, Tensors(q=0, k=0, v=0, out=0, q_factors=(), k_factors=(), v_factors=()))
