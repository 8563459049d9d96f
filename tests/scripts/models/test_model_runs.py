"""Small models on the core: against float32, with the same bits and cycles from every backend."""

import json
import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from click.testing import CliRunner
from small_models import SHAPES, tensors, write_hub, write_llama2c

from arch.core.presets import CORES
from golden.core.races import check_races
from kernels.models.decoder import decoder
from kernels.models.encoder import encoder
from kernels.models.numbers import RECIPES
from scripts.commands import cli
from scripts.models.accuracy import large_core
from scripts.models.image import Image, image_of, make_image
from scripts.models.opening import open_model
from scripts.models.reference import embed, logits
from scripts.running.kernels import run

SEED = int(os.environ.get("SEED", 12))
SHAPES = SHAPES | {"adjacent": replace(SHAPES["llama"], rope="adjacent")}
#: The smallest cosine to float32's result, by recipe: 8 bits have a fraction of 3, bf16 one of 7.
LEAST = {"fp8": 0.98, "bf16": 0.9998}


@cache
def model(architecture: str) -> dict[str, np.ndarray]:
    return tensors(SHAPES[architecture], architecture, np.random.default_rng(SEED))


@cache
def image(architecture: str, recipe: str) -> Image:
    return make_image(SHAPES[architecture], model(architecture), RECIPES[recipe])


def given(architecture: str, recipe: str, count: int) -> tuple[list, dict]:
    """What a model's kernel takes: tensors, and constants."""
    print("seed", SEED)
    shape, made = SHAPES[architecture], image(architecture, recipe)
    ids = np.random.default_rng(SEED + count).integers(0, shape.vocabulary, count, np.uint32)
    constants = {"names": made.names, "shape": shape, "numbers": RECIPES[recipe], "scales": made.scales}
    return [ids, *made.tensors], constants


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("count", [1, 16, 37])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("architecture", [name for name in SHAPES if name != "bert"])
def test_logits_are_those_of_float32(architecture, recipe, count):
    (ids, *rest), constants = given(architecture, recipe, count)
    result = run(decoder, [ids, *rest], config=recipe, tokens=0, logits=True, **constants).outputs[0]
    expected = logits(SHAPES[architecture], model(architecture), ids)
    assert result.shape == expected.shape
    assert min(map(cosine, result, expected)) > LEAST[recipe]


@pytest.mark.parametrize("logits_", [False, True])
def test_a_prompt_may_be_longer_than_sbuf_holds(logits_):
    """Layers run over some tiles of it, then over the others: what is chosen at the end is the same."""
    (ids, *rest), constants = given("llama", "fp8", 37)
    small, large = (
        run(decoder, [ids, *rest], config=config, tokens=2, logits=logits_, **constants).outputs
        for config in ("tiny", "fp8")
    )
    for a, b in zip(small, large, strict=True):
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def test_a_text_may_be_longer_than_sbuf_holds_layers_of():
    (ids, *rest), constants = given("bert", "fp8", 37)
    small, large = (run(encoder, [ids, *rest], config=config, **constants).outputs[0] for config in ("tiny", "fp8"))
    np.testing.assert_array_equal(small.view(np.uint32), large.view(np.uint32))


@pytest.mark.parametrize("count", [1, 16, 37])
@pytest.mark.parametrize("recipe", RECIPES)
def test_vectors_are_those_of_float32(recipe, count):
    (ids, *rest), constants = given("bert", recipe, count)
    result = run(encoder, [ids, *rest], config=recipe, **constants).outputs[0]
    assert abs(np.linalg.norm(result) - 1) < 1e-5
    assert cosine(result, embed(SHAPES["bert"], model("bert"), ids)) > LEAST[recipe]


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_generation_is_a_longer_prompt(architecture):
    """Each token is the one with the largest logit; one after another they are the logits of all at once."""
    (ids, *rest), constants = given(architecture, "bf16", 5)
    options = {"config": "bf16", "logits": True} | constants
    chosen, kept = run(decoder, [ids, *rest], tokens=4, **options).outputs
    assert kept.shape == (8, 300)
    np.testing.assert_array_equal(chosen.ravel(), kept[4:].argmax(axis=1))
    longer = np.concatenate([ids, chosen.ravel()[:3]])
    np.testing.assert_array_equal(run(decoder, [longer, *rest], tokens=0, **options).outputs[0], kept)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("architecture", ["qwen2", "bert"])
def test_results_do_not_depend_on_how_many_lanes_there_are(architecture, recipe):
    """Accuracy is measured on a core of many."""
    (ids, *rest), constants = given(architecture, recipe, 37)
    kernel, more = (encoder, {}) if architecture == "bert" else (decoder, {"tokens": 0, "logits": True})
    few, many = (
        run(kernel, [ids, *rest], config=core, **constants, **more).outputs[0] for core in (recipe, large_core(recipe))
    )
    np.testing.assert_array_equal(few.view(np.uint32), many.view(np.uint32))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("config", ["tiny", pytest.param("fp8", marks=pytest.mark.slow)])
def test_cycle_model_gives_the_same_bits(architecture, config):
    tensors_, constants = given(architecture, "fp8", 6)
    kernel = encoder if architecture == "bert" else decoder
    constants |= {} if kernel is encoder else {"tokens": 2, "logits": True}
    golden, timed = (
        run(kernel, tensors_, config=config, backend=backend, **constants) for backend in ("golden", "cycles")
    )
    for a, b in zip(golden.outputs, timed.outputs, strict=True):
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))
    check_races(golden.program.instructions, CORES[config])


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "config"), [("llama", "tiny"), ("bert", "tiny"), ("gpt2", "fp8")])
def test_rtl_gives_the_same_bits(architecture, config):
    tensors_, constants = given(architecture, "fp8", 5)
    kernel = encoder if architecture == "bert" else decoder
    constants |= {} if kernel is encoder else {"tokens": 2, "logits": True}
    timed, rtl = (run(kernel, tensors_, config=config, backend=each, **constants) for each in ("cycles", "rtl"))
    assert rtl.cycles == timed.cycles
    assert rtl.compared_cycles >= rtl.cycles
    for a, b in zip(timed.outputs, rtl.outputs, strict=True):
        np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def test_an_image_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.models.image.cache_folder", lambda name: tmp_path / name)
    opened = open_model(str(write_hub(tmp_path, "qwen2", SHAPES["qwen2"], model("qwen2"))))
    first = image_of(opened, RECIPES["fp8"])
    (kept,) = (tmp_path / "models").iterdir()
    monkeypatch.setattr("scripts.models.image.make_image", None)
    second = image_of(opened, RECIPES["fp8"])
    assert second.names == first.names and second.scales == first.scales
    for (a, dtype), (b, other) in zip(first.tensors, second.tensors, strict=True):
        assert dtype == other
        np.testing.assert_array_equal(a, b)
    # One that is damaged is made again.
    monkeypatch.undo()
    monkeypatch.setattr("scripts.models.image.cache_folder", lambda name: tmp_path / name)
    kept.write_bytes(kept.read_bytes()[:1000])
    assert image_of(opened, RECIPES["fp8"]).names == first.names


# ---- the command -------------------------------------------------------------------------------------


@pytest.fixture
def story(tmp_path) -> list[str]:
    path, tokenizer = write_llama2c(tmp_path, SHAPES["adjacent"], model("adjacent"))
    return ["run", str(path), "--tokenizer", str(tokenizer)]


def test_a_text_is_continued(story, tmp_path):
    out = tmp_path / "logits.npy"
    done = CliRunner().invoke(cli, [*story, "--prompt", "ab", "--tokens", "3", "--json", "--out", str(out)])
    assert done.exit_code == 0, done.output
    record = json.loads(done.output)
    assert record["prompt_tokens"] == 2 and 2 <= len(record["tokens"]) <= 5
    assert record["logits"] == str(out) and record["mismatches"] == 0 and record["compared_cycles"] == 0
    assert set(record["seconds"]) == {"image", "run"}
    kept = np.load(out)
    assert kept.shape == (4, 300)
    new = record["tokens"][2:]
    assert kept[1:].argmax(axis=1).tolist()[: len(new)] == new


def test_times_are_told(story):
    done = CliRunner().invoke(
        cli, [*story, "--prompt", "ab", "--tokens", "1", "--config", "tiny", "--backend", "cycles"]
    )
    assert done.exit_code == 0, done.output
    assert "cycles" in done.output and "tensor" in done.output and "ab" in done.output


def test_a_vector_is_written(tmp_path):
    folder, out = write_hub(tmp_path, "bert", SHAPES["bert"], model("bert")), tmp_path / "v.npy"
    done = CliRunner().invoke(cli, ["run", str(folder), "--text", "ab", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert abs(np.linalg.norm(np.load(out)) - 1) < 1e-5
    assert f"wrote {out}" in done.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "one of --text and --prompt must be given"),
        (["--text", "a"], "takes --prompt"),
        (["--prompt", "a", "--tokens", "90"], "text and new tokens must be at most 40 tokens for model.bin, not 91"),
        (["--prompt", "a", "--recipe", "int8"], "--recipe: must be fp8 or bf16, not int8"),
        (["--prompt", "a", "--recipe", "bf16"], "--recipe: fp8 has no bf16; it takes fp8"),
    ],
)
def test_what_cannot_be_is_refused(story, arguments, expected):
    done = CliRunner().invoke(cli, [*story, *arguments])
    assert expected in str(done.exception)


def test_what_does_not_fit_is_refused(tmp_path):
    shape = replace(SHAPES["llama"], width=1200, hidden=8, layers=1)
    made = tensors(shape, "llama", np.random.default_rng(SEED))
    folder = write_hub(tmp_path, "llama", shape, made)
    done = CliRunner().invoke(cli, ["run", str(folder), "--prompt", "a", "--config", "tiny"])
    assert done.exception is not None, done.output
    assert "does not fit a tiny core: " in str(done.exception)
