"""Models in GGUF files: sizes, tokenizer and tensors, quantised or not, in one."""

from functools import partial
from pathlib import Path

import numpy as np

from kernels.models.shape import ModelShape
from scripts.ground.errors import InputError
from scripts.models.model import Model, Stored, Tensors, check_model
from scripts.models.tokenizers import HubTokenizer, ScoredTokenizer, Tokenizer

__all__ = ["read"]

#: Our names of a layer's tensors.
_LAYER = {
    "attn_norm": "attention_norm",
    "ffn_norm": "mlp_norm",
    "attn_output_norm": "attention_norm",
    "layer_output_norm": "mlp_norm",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_output": "o",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}
_OTHERS = {
    "token_embd.weight": "embedding",
    "position_embd.weight": "positions",
    "output.weight": "head.weight",
    **{f"output_norm.{part}": f"final_norm.{part}" for part in ("weight", "bias")},
    **{f"token_embd_norm.{part}": f"embedding_norm.{part}" for part in ("weight", "bias")},
}
#: Architectures, and how they pair a head's numbers: llama's queries and keys were put in another order for that.
_ROPE = {"llama": "adjacent", "qwen2": "halves", "gpt2": None, "bert": None}


class _Fields:
    """What a file says of its model."""

    def __init__(self, reader, path: Path) -> None:
        self._reader, self._path = reader, path

    def get(self, name: str, default: object = None) -> object:
        field = self._reader.get_field(name)
        return default if field is None else field.contents()

    def need(self, name: str) -> object:
        value = self.get(name)
        if value is None:
            raise InputError(f"{self._path} must have a field {name}, and has none")
        return value


def read(path: Path) -> Model:
    """The model of a file. Raises InputError for what is none, or of an architecture that there is no kernel for."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise InputError(f"{path} must be a GGUF file: {error}") from None
    fields = _Fields(reader, path)
    kind = fields.need("general.architecture")
    if kind not in _ROPE:
        raise InputError(f"{path}: the architecture must be {', '.join(_ROPE)}, not {kind}")
    stored = {}
    for tensor in reader.tensors:
        name, layer = tensor.name, tensor.name.split(".")
        if name in _OTHERS:
            turned = name == "output.weight"
            stored[_OTHERS[name]] = _stored(tensor, turned)
        elif name == "token_types.weight":
            stored["token_types"] = Stored(_size(tensor)[1:], lambda tensor=tensor: _tensor(tensor, False)[0])
        elif layer[0] == "blk" and layer[2] in _LAYER:
            stored[f"layers.{layer[1]}.{_LAYER[layer[2]]}.{layer[3]}"] = _stored(tensor, True)
        elif layer[0] == "blk" and layer[2] == "attn_qkv":
            for number, ours in enumerate("qkv"):
                third = (*_size(tensor)[:0:-1], _size(tensor)[0] // 3)
                stored[f"layers.{layer[1]}.{ours}.{layer[3]}"] = Stored(third, partial(_third, tensor, number))
        elif layer[0] != "cls":
            # What is not known changes the result; an encoder's classifier alone comes after it.
            raise InputError(f"{path} has a tensor {name}, which no {kind} that can be run has")
    try:
        shape = _shape(kind, fields, stored)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    scaling = f"{kind}.rope.scaling.type"
    if fields.get(scaling, "none") != "none":
        raise InputError(f"{path}: {scaling} must be none, not {fields.get(scaling)}")
    name = str(fields.get("general.name", path.stem))
    model = Model(name=name, shape=shape, tensors=Tensors(stored), tokenizer=_tokenizer(fields, path), files=(path,))
    return check_model(model)


def _size(tensor) -> tuple[int, ...]:
    """As it is stored: [out, in]."""
    return tuple(reversed(tensor.shape.tolist()))


def _stored(tensor, turned: bool) -> Stored:
    size = _size(tensor)
    return Stored(size[::-1] if turned else size, partial(_tensor, tensor, turned))


def _tensor(tensor, turned: bool) -> np.ndarray:
    """Numbers of a tensor; matrices are stored [out, in]."""
    from gguf.quants import dequantize

    try:
        values = dequantize(tensor.data, tensor.tensor_type).reshape(_size(tensor))
    except NotImplementedError:
        raise InputError(f"{tensor.name} is of type {tensor.tensor_type.name}, which cannot be read") from None
    return values.T if turned and values.ndim == 2 else values


def _third(tensor, number: int) -> np.ndarray:
    return np.split(_tensor(tensor, True), 3, axis=-1)[number]


def _shape(kind: str, fields: _Fields, stored: dict[str, Stored]) -> ModelShape:
    width, heads = (int(fields.need(f"{kind}.{name}")) for name in ("embedding_length", "attention.head_count"))
    norm = "rms" if kind in ("llama", "qwen2") else "layer"
    epsilon = {"rms": "layer_norm_rms_epsilon", "layer": "layer_norm_epsilon"}[norm]
    return ModelShape(
        kind="encoder" if kind == "bert" else "decoder",
        layers=int(fields.need(f"{kind}.block_count")),
        width=width,
        heads=heads,
        kv_heads=int(fields.get(f"{kind}.attention.head_count_kv", heads)),
        head_width=int(fields.get(f"{kind}.attention.key_length", width // heads)),
        hidden=int(fields.need(f"{kind}.feed_forward_length")),
        vocabulary=stored["embedding"].size[0] if "embedding" in stored else 0,
        context=int(fields.need(f"{kind}.context_length")),
        norm=norm,
        eps=float(fields.need(f"{kind}.attention.{epsilon}")),
        gated=norm == "rms",
        rope=_ROPE[kind],
        rope_base=float(fields.get(f"{kind}.rope.freq_base", 10000.0)),
    )


# ---- tokenizers ------------------------------------------------------------------------------------

#: GPT-2's way to cut a text before pairs are merged, and that of others by their name in the file.
_DIGITS = "smollm", "starcoder", "refact", "command-r", "codeshell"
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _tokenizer(fields: _Fields, path: Path) -> Tokenizer:
    kind = fields.need("tokenizer.ggml.model")
    pieces = fields.need("tokenizer.ggml.tokens")
    numbers = {
        name: fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "unknown", "cls", "seperator")
    }
    end = frozenset(() if numbers["eos"] is None else (int(numbers["eos"]),))
    begins = fields.get("tokenizer.ggml.add_bos_token", kind == "llama") and numbers["bos"] is not None
    begin = int(numbers["bos"]) if begins else None
    if kind == "llama":
        spelled = [piece.replace("\u2581", " ").encode() for piece in pieces]
        return ScoredTokenizer(spelled, fields.need("tokenizer.ggml.scores"), begin, end)
    if kind == "gpt2":
        merges = [tuple(each.split(" ")) for each in fields.need("tokenizer.ggml.merges")]
        return _pairs(pieces, merges, fields, end, begin)
    if kind == "bert":
        return _words(pieces, numbers)
    raise InputError(f"{path}: tokenizer.ggml.model must be llama, gpt2 or bert, not {kind}")


def _pairs(pieces: list[str], merges: list, fields: _Fields, end: frozenset[int], begin: int | None) -> Tokenizer:
    """Byte-level byte-pair encoding."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab={piece: at for at, piece in enumerate(pieces)}, merges=merges))
    before, cut = fields.get("tokenizer.ggml.pre", "gpt-2"), pre_tokenizers.ByteLevel(add_prefix_space=False)
    if before in _DIGITS:
        cut = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), cut])
    elif before == "qwen2":
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_QWEN), "isolated"), whole])
    tokenizer.pre_tokenizer, tokenizer.decoder = cut, decoders.ByteLevel()
    # Control tokens, which a text spells as a whole.
    kinds = fields.get("tokenizer.ggml.token_type", [1] * len(pieces))
    special = [AddedToken(piece, special=True) for piece, kind in zip(pieces, kinds, strict=True) if kind == 3]
    tokenizer.add_special_tokens(special)
    return HubTokenizer(tokenizer, end, () if begin is None else (begin,))


def _words(pieces: list[str], numbers: dict) -> Tokenizer:
    """WordPiece: the file has pieces that begin a word behind a mark, and the others without one."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    spelled = {_word(piece): at for at, piece in enumerate(pieces)}
    # Files made of late have the beginning of a text for the first.
    cls = int(numbers["bos"] if numbers["cls"] is None else numbers["cls"])
    end = int(numbers["eos"] if numbers["seperator"] is None else numbers["seperator"])
    unknown = _word(pieces[int(numbers["unknown"])])
    tokenizer = Tokenizer(models.WordPiece(vocab=spelled, unk_token=unknown))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing((_word(pieces[end]), end), (_word(pieces[cls]), cls))
    tokenizer.decoder = decoders.WordPiece()
    return HubTokenizer(tokenizer)


def _word(piece: str) -> str:
    if piece.startswith("\u2581"):
        return piece[1:]
    return piece if piece.startswith("[") and piece.endswith("]") else f"##{piece}"
