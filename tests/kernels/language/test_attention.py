"""Attention in the language, in forty lines: golden.attention's bits, and the array as busy as by hand."""

import math
import os

import numpy as np
import pytest

from arch.core.presets import CORES
from golden import attention, encode
from golden.numerics.hadamard import inverse_sqrt
from kernels import kernel
from kernels import language as nl
from scripts.running.kernels import run

SEED = int(os.environ.get("SEED", 5))


@kernel
def attend(q, k, v, *, scale, causal=False):
    """Codes [H, S, D], [H, T, D] and [H, T, D] to fp32[H, S, D]."""
    (heads, queries, channels), keys = q.shape, k.shape[1]
    out, blocks, loaded = nl.output(q.shape), list(nl.blocks(queries)), {}
    lanes = min(keys, nl.lanes())

    def fetch(head):
        """Keys feature-major; values behind a column of ones, whose products are the sums of numerators."""
        if head < heads and head not in loaded:
            values = nl.ndarray((lanes, -(-keys // nl.lanes()), 4 + channels), v.dtype)
            nl.memset(values[:, :, 3:4], 1.0)
            nl.load_folded(v[head], out=values[:, :, 4:], queue=1)
            loaded[head] = nl.load_folded(k[head].T, queue=0), values, [nl.load(q[head, rows]) for rows in blocks]

    def numerators(item):
        head, number = item
        if number == 0:
            fetch(head)
            fetch(head + 1)
        turned, _, tokens = loaded[head]
        mask = nl.Mask("at_most", blocks[number].start + keys - queries, 1, -math.inf) if causal else None
        scores, largest = nl.tensor_scalar(
            nl.matmul(tokens[number], turned), "multiply", scale, mask=mask, reduce="max"
        )
        shift = nl.tensor_scalar(largest, "rsubtract", math.log(256))
        return nl.activation("exp", scores, bias=shift, dtype=q.dtype)

    def values(item, p):
        head, number = item
        sums = nl.matmul(p, loaded[head][1][:, :, 3:])
        inverse = nl.activation("reciprocal", sums[:, :1])
        nl.store(out[head, blocks[number]], nl.tensor_scalar(sums[:, 1:], "multiply", inverse))

    nl.pipeline([numerators, values], [(head, n) for head in range(heads) for n in range(len(blocks))], ahead=2)


def tensors(heads, queries, keys, channels):
    rng = np.random.default_rng(SEED)
    shapes = (heads, queries, channels), (heads, keys, channels), (heads, keys, channels)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("core", "sizes"), [("tiny", (2, 9, 13, 8)), ("fp8", (3, 47, 47, 32)), ("fp8", (1, 5, 70, 20))]
)
def test_bits_of_golden_attention(core, sizes, causal):
    print("seed", SEED)
    given, (heads, *_, channels) = tensors(*sizes), sizes
    ones = np.ones(heads, np.float32)
    expected = attention(
        *given,
        x_format="e4m3",
        w_format="e4m3",
        accumulation=CORES[core].engine.accumulation,
        causal=causal,
        q_scale=ones,
        k_scale=ones,
        v_scale=np.ones((heads, channels), np.float32),
    )
    codes = [(encode(tensor, "e4m3"), "e4m3") for tensor in given]
    options = {"config": core, "scale": float(inverse_sqrt(channels)), "causal": causal}
    for backend in ("golden", "cycles"):
        actual = run(attend, codes, backend=backend, **options).outputs[0]
        np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "least"), [((12, 47, 47, 32), 0.74), ((4, 256, 256, 64), 0.94)])
def test_as_busy_as_by_hand(sizes, least):
    result = run(attend, [(t, "e4m3") for t in tensors(*sizes)], config="fp8", backend="cycles", scale=0.125)
    heads, queries, keys, channels = sizes
    used = 2 * heads * queries * keys * channels / (result.cycles * 256)
    print(f"{sizes}: {used:.3f}")
    assert used > least
