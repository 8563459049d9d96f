"""Small random models of each architecture, and the files that people would have them in."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from kernels.models.shape import ModelShape

__all__ = ["SHAPES", "pieces", "tensors", "write_gguf", "write_hub", "write_llama2c"]

_SIZES = {"layers": 2, "width": 24, "heads": 3, "head_width": 8, "hidden": 44, "context": 40}
_DECODER = {"kind": "decoder", **_SIZES, "vocabulary": 300, "norm": "rms", "eps": 1e-5, "gated": True}
#: By architecture, as hubs name it.
SHAPES = {
    "llama": ModelShape(**_DECODER, kv_heads=1, rope="halves"),
    "mistral": ModelShape(**_DECODER, kv_heads=3, rope="halves", rope_base=5000.0),
    "qwen2": ModelShape(**_DECODER, kv_heads=1, rope="halves", rope_base=1e6),
    "gpt2": ModelShape(**_DECODER | {"norm": "layer", "gated": False}, kv_heads=3),
    "bert": ModelShape(**_DECODER | {"kind": "encoder", "norm": "layer", "gated": False, "eps": 1e-12}, kv_heads=3),
}


def pieces(count: int) -> list[str]:
    """Tokens of a byte-level vocabulary: all bytes as it spells them, then words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*alphabet, *(f"<|{number}|>" for number in range(count - len(alphabet)))]


def tensors(shape: ModelShape, architecture: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """All tensors of a model. Matrices keep the size of what they multiply."""
    found = {"embedding": rng.standard_normal((shape.vocabulary, shape.width))}
    layered = shape.norm == "layer"
    if shape.rope is None:
        found["positions"] = rng.standard_normal((shape.context, shape.width))
    if shape.kind == "encoder":
        found["token_types"] = rng.standard_normal(shape.width)
    norms = ["embedding_norm" if shape.kind == "encoder" else "final_norm"]
    for layer in range(shape.layers):
        for name, size in shape.matrices().items():
            found[f"layers.{layer}.{name}.weight"] = rng.standard_normal(size) * 0.8 / size[0] ** 0.5
            if layered or (architecture == "qwen2" and name in "qkv"):
                found[f"layers.{layer}.{name}.bias"] = rng.standard_normal(size[1]) / 4
        norms += [f"layers.{layer}.{part}_norm" for part in ("attention", "mlp")]
    for norm in norms:
        found[f"{norm}.weight"] = 1 + rng.standard_normal(shape.width) / 8
        if layered:
            found[f"{norm}.bias"] = rng.standard_normal(shape.width) / 8
    if architecture == "mistral":
        found["head.weight"] = rng.standard_normal((shape.width, shape.vocabulary))
    return {name: values.astype(np.float32) for name, values in found.items()}


# ---- llama2.c --------------------------------------------------------------------------------------


def write_llama2c(folder: Path, shape: ModelShape, given: Mapping[str, np.ndarray]) -> tuple[Path, Path]:
    """The model's file, and its tokenizer's."""
    sizes = (shape.width, shape.hidden, shape.layers, shape.heads, shape.kv_heads, shape.vocabulary, shape.context)
    path, tokenizer = folder / "model.bin", folder / "tokenizer.bin"
    with path.open("wb") as file:
        file.write(struct.pack("<7i", *sizes))
        file.write(given["embedding"].tobytes())
        for name in ("attention_norm", "q", "k", "v", "o", "mlp_norm", "gate", "down", "up"):
            for layer in range(shape.layers):
                file.write(given[f"layers.{layer}.{name}.weight"].T.tobytes())
        file.write(given["final_norm.weight"].tobytes())
        file.write(bytes(4 * shape.context * shape.head_width))
    spelled = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(b"<0x%02X>" % byte for byte in range(256))]
    words = [b" ", b"a", b"b", b"ab", b" a", b" ab", b"abab"]
    spelled += words + [b"<%d>" % number for number in range(shape.vocabulary - len(spelled) - len(words))]
    with tokenizer.open("wb") as file:
        file.write(struct.pack("<I", max(map(len, spelled))))
        for number, piece in enumerate(spelled):
            file.write(struct.pack("<fi", -float(number), len(piece)) + piece)
    return path, tokenizer


# ---- folders of hubs ---------------------------------------------------------------------------------


def _hub_config(architecture: str, shape: ModelShape) -> dict:
    if architecture == "gpt2":
        names = {
            "n_layer": "layers",
            "n_embd": "width",
            "n_head": "heads",
            "n_inner": "hidden",
            "n_positions": "context",
        }
        more = {"layer_norm_epsilon": shape.eps, "activation_function": "gelu_new"}
    else:
        names = {"num_hidden_layers": "layers", "hidden_size": "width", "num_attention_heads": "heads"}
        names |= {"intermediate_size": "hidden", "max_position_embeddings": "context"}
        more = {"hidden_act": "gelu", "layer_norm_eps": shape.eps}
        if shape.rope:
            names |= {"num_key_value_heads": "kv_heads", "head_dim": "head_width"}
            more = {"hidden_act": "silu", "rms_norm_eps": shape.eps, "rope_theta": shape.rope_base}
            more |= {"tie_word_embeddings": architecture != "mistral"}
    config = {theirs: getattr(shape, ours) for theirs, ours in names.items()}
    return {"model_type": architecture, "vocab_size": shape.vocabulary, **more, **config}


_LLAMA = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
_LLAMA |= {name: f"self_attn.{name}_proj" for name in "qkvo"} | {n: f"mlp.{n}_proj" for n in ("gate", "up", "down")}
_GPT2 = {"attention_norm": "ln_1", "mlp_norm": "ln_2", "o": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
_BERT = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "mlp_norm": "output.LayerNorm",
}
_BERT |= {"o": "attention.output.dense", "attention_norm": "attention.output.LayerNorm", "up": "intermediate.dense"}
_BERT |= {"down": "output.dense"}
_GPT2_TOPS = {"embedding": "transformer.wte.weight", "positions": "transformer.wpe.weight"}
_GPT2_TOPS |= {"final_norm": "transformer.ln_f"}
_BERT_TOPS = {"embedding": "embeddings.word_embeddings.weight", "embedding_norm": "embeddings.LayerNorm"}
_BERT_TOPS |= {"positions": "embeddings.position_embeddings.weight"}
_TOPS = {"gpt2": ("transformer.h.{}.", _GPT2, _GPT2_TOPS), "bert": ("encoder.layer.{}.", _BERT, _BERT_TOPS)}


def write_hub(folder: Path, architecture: str, shape: ModelShape, given: Mapping[str, np.ndarray]) -> Path:
    """config.json, model.safetensors and tokenizer.json."""
    tops = {"embedding": "model.embed_tokens.weight", "final_norm": "model.norm", "head": "lm_head"}
    layer_name, parts, tops = _TOPS.get(architecture, ("model.layers.{}.", _LLAMA, tops))
    stored = {}
    for name, values in given.items():
        top, _, part = name.rpartition(".")
        turned = values.T if values.ndim == 2 and architecture != "gpt2" else values
        if name == "token_types":
            stored["embeddings.token_type_embeddings.weight"] = np.stack([values, values + 1])
        elif name in tops:
            stored[tops[name]] = values
        elif top in tops:
            stored[f"{tops[top]}.{part}"] = turned
        else:
            _, layer, own = top.split(".")
            if own in parts:
                stored[f"{layer_name.format(layer)}{parts[own]}.{part}"] = turned
    if architecture == "gpt2":
        for layer in range(shape.layers):
            for part in ("weight", "bias"):
                three = [given[f"layers.{layer}.{name}.{part}"] for name in "qkv"]
                stored[f"transformer.h.{layer}.attn.c_attn.{part}"] = np.concatenate(three, axis=-1)
    save_file({name: np.ascontiguousarray(values) for name, values in stored.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(_hub_config(architecture, shape)), encoding="utf-8")
    vocabulary = {piece: number for number, piece in enumerate(pieces(shape.vocabulary))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


# ---- GGUF --------------------------------------------------------------------------------------------

_GGUF = {"attention_norm": "attn_norm", "mlp_norm": "ffn_norm", "o": "attn_output"}
_GGUF |= {name: f"attn_{name}" for name in "qkv"} | {name: f"ffn_{name}" for name in ("gate", "up", "down")}
_GGUF_TOPS = {"embedding": "token_embd.weight", "positions": "position_embd.weight", "head.weight": "output.weight"}
_GGUF_TOPS |= {f"final_norm.{part}": f"output_norm.{part}" for part in ("weight", "bias")}
_GGUF_TOPS |= {f"embedding_norm.{part}": f"token_embd_norm.{part}" for part in ("weight", "bias")}


def write_gguf(
    folder: Path,
    architecture: str,
    shape: ModelShape,
    given: Mapping[str, np.ndarray],
    more: Mapping[str, np.ndarray] | None = None,
    scaling: str | None = None,
) -> Path:
    """A GGUF file. Of llama queries and keys must be in the order of adjacent pairs. ``more``: tensors as they are."""
    path = folder / "model.gguf"
    writer = GGUFWriter(path, architecture)
    writer.add_name("small")
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_context_length(shape.context)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    (writer.add_layer_norm_rms_eps if shape.norm == "rms" else writer.add_layer_norm_eps)(shape.eps)
    if shape.rope:
        writer.add_rope_freq_base(shape.rope_base)
    if scaling:
        writer.add_string(f"{architecture}.rope.scaling.type", scaling)
    for name, values in (more or {}).items():
        writer.add_tensor(name, values)
    _add_tokenizer(writer, architecture, shape.vocabulary)
    names = _GGUF | (
        {"attention_norm": "attn_output_norm", "mlp_norm": "layer_output_norm"} if architecture == "bert" else {}
    )
    for name, values in given.items():
        turned = np.ascontiguousarray(values.T if values.ndim == 2 else values)
        if name == "token_types":
            writer.add_tensor("token_types.weight", np.stack([values, values + 1]))
        elif name in _GGUF_TOPS:
            writer.add_tensor(_GGUF_TOPS[name], turned if name == "head.weight" else values)
        else:
            _, layer, own, part = name.split(".")
            if architecture != "gpt2" or own not in "qkv":
                writer.add_tensor(f"blk.{layer}.{names[own]}.{part}", turned)
    if architecture == "gpt2":
        for layer in range(shape.layers):
            for part in ("weight", "bias"):
                three = [given[f"layers.{layer}.{name}.{part}"].T for name in "qkv"]
                writer.add_tensor(f"blk.{layer}.attn_qkv.{part}", np.concatenate(three))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: GGUFWriter, architecture: str, count: int) -> None:
    if architecture == "llama":
        spelled = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "\u2581a"]
        writer.add_tokenizer_model("llama")
        spelled += [f"<{number}>" for number in range(count - len(spelled))]
        writer.add_token_scores([-float(number) for number in range(count)])
    elif architecture == "bert":
        spelled = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581word", "s", "\u2581a"]
        writer.add_tokenizer_model("bert")
        spelled += [f"\u2581{number}" for number in range(count - len(spelled))]
        writer.add_unk_token_id(1)
        writer.add_sep_token_id(3)
    else:
        spelled = pieces(count)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2" if architecture == "qwen2" else "gpt-2")
        writer.add_token_merges(["a b"])
        spelled[-1] = "ab"
    writer.add_token_list(spelled)
    special = {"<s>", "</s>", "<unk>"}
    writer.add_token_types([TokenType.CONTROL if piece in special else TokenType.NORMAL for piece in spelled])
    # A vector's text begins with [CLS].
    writer.add_bos_token_id(2 if architecture == "bert" else 1)
    writer.add_eos_token_id(3 if architecture == "bert" else 2)
