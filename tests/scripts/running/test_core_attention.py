"""``systolith attention --backend core``: golden's bits, and what it refuses."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from golden import attention
from scripts.commands import cli
from scripts.ground.errors import InputError
from scripts.running.core_attention import run_core_attention

SEED = 4


def tensors() -> list[np.ndarray]:
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    return [rng.standard_normal(shape).astype(np.float32) for shape in ((2, 5, 6), (1, 7, 6), (1, 7, 6))]


@pytest.mark.parametrize(
    ("preset", "recipe", "message"),
    [
        ("mxu", "per-tensor", "--config: --backend core takes tiny, fp8, bf16, not mxu"),
        ("tiny", "per-token", "--recipe: --backend core takes per-tensor, not per-token"),
    ],
)
def test_what_it_cannot_do_is_refused(preset, recipe, message):
    with pytest.raises(InputError, match=message):
        run_core_attention(*tensors(), preset, recipe=recipe, x_format="e4m3", w_format="e4m3", causal=False)


def test_tensors_that_do_not_fit_are_refused():
    rng = np.random.default_rng(SEED)
    q, k, v = (rng.standard_normal((1, 400, 6)).astype(np.float32) for _ in range(3))
    with pytest.raises(InputError, match="a tile must fit in what is free of 4096 bytes a lane"):
        run_core_attention(q, k, v, "tiny", recipe="per-tensor", x_format="e4m3", w_format="e4m3", causal=False)


@pytest.mark.slow
def test_the_core_gives_the_bits_of_golden_attention(tmp_path):
    q, k, v = tensors()
    paths = [str(tmp_path / f"{name}.npy") for name in "qkvo"]
    for path, tensor in zip(paths, (q, k, v), strict=False):
        np.save(path, tensor)
    options = ["--config", "tiny", "--backend", "core", "--causal", "--json", "--out", paths[3]]
    done = CliRunner().invoke(cli, ["attention", *paths[:3], *options], catch_exceptions=False)
    record = json.loads(done.output)
    assert (done.exit_code, record["mismatches"]) == (0, 0) and record["compared_cycles"] > record["cycles"] > 0
    expected = attention(q, k, v, causal=True)
    assert np.array_equal(np.load(paths[3]).view(np.uint32), expected.view(np.uint32))
