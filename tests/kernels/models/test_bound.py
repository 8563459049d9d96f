"""A perceptron of one token is bound by memory, as it should be: its weights come once, nearly a beat a cycle."""

from dataclasses import replace

import numpy as np
import pytest

from arch.core.presets import CORES
from kernels import kernel
from kernels import language as nl
from kernels.models.numbers import RECIPES
from kernels.models.shape import ModelShape
from kernels.models.transformer import Tokens, Transformer
from scripts.running.kernels import run

#: SmolLM2-135M's, of one layer.
SHAPE = ModelShape(
    kind="decoder",
    layers=1,
    width=576,
    heads=9,
    kv_heads=3,
    head_width=64,
    hidden=1536,
    vocabulary=16,
    context=16,
    norm="rms",
    eps=1e-5,
    gated=True,
    rope="adjacent",
)
#: A row of the array a beat.
CORE = replace(CORES["fp8"], beat_bytes=16)
NAMES = tuple(f"layers.0.{name}" for name in ("gate", "up", "down"))


@kernel
def perceptron(x, *weights):
    out = nl.output(x.shape)
    tensors = dict(zip(NAMES, weights, strict=True))
    model = Transformer(SHAPE, RECIPES["fp8"], tensors, dict.fromkeys(NAMES, 1.0), NAMES, 1)
    tokens = Tokens(nl.load(x), 0)
    model.mlp(0, [tokens], [model.norm(tokens.x)])
    nl.store(out, tokens.x)


def cycles(batch: int) -> int:
    rng = np.random.default_rng(1)
    shapes = (576, 1536), (576, 1536), (1536, 576)
    weights = [(rng.standard_normal(shape).astype(np.float32), "e4m3") for shape in shapes]
    x = rng.standard_normal((batch, 576)).astype(np.float32)
    return run(perceptron, [x, *weights], config=CORE, backend="cycles").cycles


@pytest.mark.slow
def test_one_token_takes_the_time_of_its_weights():
    one, many = cycles(1), cycles(16)
    beats = 3 * 576 * 1536 / CORE.beat_bytes
    print(f"one token {one} cycles, {beats / one:.3f} of a beat in each; sixteen {many}, {many / one:.3f} of that")
    assert beats / one >= 0.9
    assert many / one <= 1.15
