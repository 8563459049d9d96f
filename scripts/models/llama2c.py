"""Models in the format of llama2.c: seven integers, then all tensors in float32."""

from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from kernels.models.shape import ModelShape
from scripts.ground.errors import InputError
from scripts.models.model import Model, Stored, Tensors, check_model
from scripts.models.tokenizers import ScoredTokenizer

__all__ = ["read"]

_HEADER = np.dtype(
    [(name, "<i4") for name in ("width", "hidden", "layers", "heads", "kv_heads", "vocabulary", "context")]
)


def read(path: Path, tokenizer: Path | None) -> Model:
    """The model of a file, and its tokenizer from another. Raises InputError for what is none."""
    if tokenizer is None:
        raise InputError(f"{path} has no tokenizer in it: --tokenizer TOK.bin names its file")
    size = path.stat().st_size
    if size < _HEADER.itemsize:
        raise InputError(f"{path} must be a model of llama2.c, of {_HEADER.itemsize} bytes at least, not {size}")
    header = {name: int(np.fromfile(path, _HEADER, 1)[0][name]) for name in _HEADER.names}
    tied = header["vocabulary"] > 0
    header["vocabulary"] = abs(header["vocabulary"])
    if not header["heads"] or header["width"] % header["heads"]:
        heads = f"{header['heads']} heads of {header['width']} in all"
        raise InputError(f"{path} must be a model of llama2.c, not of {heads}")
    try:
        shape = ModelShape(
            kind="decoder",
            norm="rms",
            eps=1e-5,
            gated=True,
            rope="adjacent",
            head_width=header["width"] // header["heads"],
            **header,
        )
    except ValueError as error:
        raise InputError(f"{path} must be a model of llama2.c: {error}") from None
    # Layers first: a header of another kind of file may tell of more than could be listed.
    _need(path, size, 4 * shape.layers * sum(map(prod, shape.matrices().values())))
    places = _places(shape, tied)
    _need(path, size, max(offset + 4 * prod(dims) for offset, dims, _ in places.values()))

    stored = {
        name: Stored(dims[::-1] if turned else dims, partial(_read, path, offset, dims, turned))
        for name, (offset, dims, turned) in places.items()
    }
    vocabulary = ScoredTokenizer.read(tokenizer, shape.vocabulary)
    model = Model(name=path.name, shape=shape, tensors=Tensors(stored), tokenizer=vocabulary, files=(path, tokenizer))
    return check_model(model)


def _need(path: Path, size: int, needed: int) -> None:
    if size < needed:
        raise InputError(f"{path} must have the {needed:,} bytes that its header tells of, not {size:,}")


def _read(path: Path, offset: int, dims: tuple[int, ...], turned: bool) -> np.ndarray:
    """A tensor; matrices are stored [out, in]."""
    stored = np.memmap(path, np.float32, "r", offset, dims)
    return stored.T if turned else stored


def _places(shape: ModelShape, tied: bool) -> dict[str, tuple[int, tuple[int, ...], bool]]:
    """Where each tensor begins, its shape as it is stored, and whether that is the transpose."""
    found: dict[str, tuple[int, tuple[int, ...], bool]] = {}
    at, vector = _HEADER.itemsize, (shape.width,)

    def put(name: str, dims: tuple[int, ...], turned: bool = False) -> None:
        nonlocal at
        found[name] = at, dims, turned
        at += 4 * prod(dims)

    put("embedding", (shape.vocabulary, shape.width))
    stored = {name: size[::-1] for name, size in shape.matrices().items()}
    order = ("attention_norm", "q", "k", "v", "o", "mlp_norm", "gate", "down", "up")
    for name in order:
        for layer in range(shape.layers):
            put(f"layers.{layer}.{name}.weight", stored.get(name, vector), turned=name in stored)
    put("final_norm.weight", vector)
    # Tables of an older way to turn pairs.
    at += 4 * shape.context * shape.head_width
    if not tied:
        put("head.weight", (shape.vocabulary, shape.width), turned=True)
    return found
