"""Models in a folder as model hubs give it: config.json, safetensors, tokenizer.json."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from kernels.models.shape import ModelShape
from scripts.ground.errors import InputError
from scripts.models.model import Model, Stored, Tensors, check_model
from scripts.models.tokenizers import HubTokenizer

__all__ = ["read"]

Readers = dict[str, Stored]


class _Files:
    """The tensors of a folder's safetensors files, by the names that they have there."""

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.paths = sorted(folder.glob("*.safetensors"))
        if not self.paths:
            raise InputError(f"{folder} must have its tensors in .safetensors files, and has none")
        self._where = {}
        for path in self.paths:
            try:
                with safe_open(path, "numpy") as file:
                    self._where |= dict.fromkeys(file.keys(), path)
            except SafetensorError as error:
                raise InputError(f"{path} must be a safetensors file: {error}") from None

    def find(self, name: str) -> str | None:
        """The name in the files, with or without the model's own before it."""
        found = (f"{before}{name}" for before in ("", "model.", "transformer.", "bert."))
        return next((each for each in found if each in self._where), None)

    def size(self, name: str) -> tuple[int, ...]:
        from safetensors import safe_open

        with safe_open(self._where[name], "numpy") as file:
            return tuple(file.get_slice(name).get_shape())

    def read(self, name: str) -> np.ndarray:
        from safetensors import safe_open

        path = self._where[name]
        with safe_open(path, "numpy") as file:
            dtype = file.get_slice(name).get_dtype()
            if dtype in ("F32", "F16"):
                return file.get_tensor(name)
        if dtype != "BF16":
            raise InputError(f"{path}: {name} must be F32, F16 or BF16, not {dtype}")
        return _bf16(path, name)


def _bf16(path: Path, name: str) -> np.ndarray:
    """NumPy has no bf16: those bits are the upper half of a float32's."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + size + begin)
        codes = np.frombuffer(file.read(end - begin), "<u2")
    return (codes.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def read(folder: Path) -> Model:
    """The model of a folder. Raises InputError for what is none, or of an architecture that there is no kernel for."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} must have a config.json: {error}") from None
    kind = config.get("model_type")
    if kind not in _KINDS:
        raise InputError(f"{path}: model_type must be {', '.join(_KINDS)}, not {kind!r}")
    files = _Files(folder)
    try:
        shape, readers = _KINDS[kind](config, files)
    except KeyError as error:
        raise InputError(f"{path} must have {error.args[0]}, and has not") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    tokenizer = HubTokenizer.read(folder / "tokenizer.json", _ENDS)
    paths = (path, *files.paths, folder / "tokenizer.json")
    return check_model(Model(name=folder.name, shape=shape, tensors=Tensors(readers), tokenizer=tokenizer, files=paths))


#: What ends a text, in the tokenizers of these models.
_ENDS = "</s>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>"


def _named(files: _Files, names: Mapping[str, str], turned: bool) -> Readers:
    """Readers by our names, of those tensors that are there. Matrices: [out, in] if ``turned``."""
    found = {}
    for name, theirs in names.items():
        for part in ("weight", "bias"):
            stored = files.find(f"{theirs}.{part}")
            if stored is not None:
                whole = name in _WHOLE and part == "weight"
                size, turn = files.size(stored), turned and not whole
                reader = partial(_tensor, files, stored, turn)
                found[name if whole else f"{name}.{part}"] = Stored(size[::-1] if turn else size, reader)
    return found


#: Tables, of which rows are taken.
_WHOLE = "embedding", "positions"


def _tensor(files: _Files, name: str, turned: bool) -> np.ndarray:
    values = files.read(name)
    return values.T if turned and values.ndim == 2 else values


def _refuse(config: dict, wanted: dict[str, tuple]) -> None:
    """Raise ValueError for a choice that the kernels do not know."""
    for name, values in wanted.items():
        if config.get(name, values[0]) not in values:
            raise ValueError(f"{name} must be {' or '.join(map(str, values))}, not {config[name]!r}")


def _llama(config: dict, files: _Files) -> tuple[ModelShape, Readers]:
    _refuse(config, {"hidden_act": ("silu",), "rope_scaling": (None,)})
    heads, width, context = (config[name] for name in ("num_attention_heads", "hidden_size", "max_position_embeddings"))
    if config.get("use_sliding_window", config["model_type"] == "mistral"):
        # Up to there all tokens are in the window.
        context = min(context, config.get("sliding_window") or context)
    shape = ModelShape(
        kind="decoder",
        layers=config["num_hidden_layers"],
        width=width,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or width // heads,
        hidden=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        context=context,
        norm="rms",
        eps=config["rms_norm_eps"],
        gated=True,
        rope="halves",
        rope_base=config.get("rope_theta", 10000.0),
    )
    names = {"embedding": "embed_tokens", "final_norm": "norm"}
    if not config.get("tie_word_embeddings", False):
        names["head"] = "lm_head"
    for layer in range(shape.layers):
        parts = {f"self_attn.{name}_proj": name for name in "qkvo"}
        parts |= {f"mlp.{name}_proj": name for name in ("gate", "up", "down")}
        parts |= {"input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}
        names |= {f"layers.{layer}.{ours}": f"layers.{layer}.{theirs}" for theirs, ours in parts.items()}
    found = _named(files, names, turned=True)
    if "head" in names and "head.weight" not in found:
        raise ValueError("tie_word_embeddings must be true where there is no tensor lm_head.weight")
    return shape, found


def _gpt2(config: dict, files: _Files) -> tuple[ModelShape, Readers]:
    _refuse(config, {"activation_function": ("gelu_new", "gelu_pytorch_tanh", "gelu"), "scale_attn_weights": (True,)})
    heads, width = config["n_head"], config["n_embd"]
    shape = ModelShape(
        kind="decoder",
        layers=config["n_layer"],
        width=width,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        hidden=config.get("n_inner") or 4 * width,
        vocabulary=config["vocab_size"],
        context=config["n_positions"],
        norm="layer",
        eps=config["layer_norm_epsilon"],
        gated=False,
    )
    names = {"embedding": "wte", "positions": "wpe", "final_norm": "ln_f"}
    parts = {"ln_1": "attention_norm", "ln_2": "mlp_norm", "attn.c_proj": "o", "mlp.c_fc": "up", "mlp.c_proj": "down"}
    for layer in range(shape.layers):
        names |= {f"layers.{layer}.{ours}": f"h.{layer}.{theirs}" for theirs, ours in parts.items()}
    # Stored [in, out]; of queries, keys and values in one.
    found = _named(files, names, turned=False)
    for layer in range(shape.layers):
        for part in ("weight", "bias"):
            stored = files.find(f"h.{layer}.attn.c_attn.{part}")
            if stored is not None:
                size = files.size(stored)
                third = (*size[:-1], size[-1] // 3)
                found |= {
                    f"layers.{layer}.{name}.{part}": Stored(third, partial(_third, files, stored, number))
                    for number, name in enumerate("qkv")
                }
    return shape, found


def _third(files: _Files, name: str, number: int) -> np.ndarray:
    return np.split(files.read(name), 3, axis=-1)[number]


def _bert(config: dict, files: _Files) -> tuple[ModelShape, Readers]:
    wanted = {"hidden_act": ("gelu", "gelu_new"), "position_embedding_type": ("absolute",)}
    _refuse(config, wanted)
    heads, width = config["num_attention_heads"], config["hidden_size"]
    shape = ModelShape(
        kind="encoder",
        layers=config["num_hidden_layers"],
        width=width,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        hidden=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        context=config["max_position_embeddings"],
        norm="layer",
        eps=config["layer_norm_eps"],
        gated=False,
    )
    names = {
        "embedding": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "embedding_norm": "embeddings.LayerNorm",
    }
    parts = {f"attention.self.{name}": name[0] for name in ("query", "key", "value")}
    parts |= {"attention.output.dense": "o", "attention.output.LayerNorm": "attention_norm"}
    parts |= {"intermediate.dense": "up", "output.dense": "down", "output.LayerNorm": "mlp_norm"}
    for layer in range(shape.layers):
        names |= {f"layers.{layer}.{ours}": f"encoder.layer.{layer}.{theirs}" for theirs, ours in parts.items()}
    found = _named(files, names, turned=True)
    types = files.find("embeddings.token_type_embeddings.weight")
    if types is not None:
        found["token_types"] = Stored(files.size(types)[1:], lambda: files.read(types)[0])
    return shape, found


_KINDS = {"llama": _llama, "mistral": _llama, "qwen2": _llama, "gpt2": _gpt2, "bert": _bert}
