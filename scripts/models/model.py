"""A model as its file describes it: sizes, tensors by one set of names, tokenizer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernels.models.shape import ModelShape
from scripts.ground.errors import InputError
from scripts.models.tokenizers import Tokenizer

__all__ = ["Model", "Stored", "Tensors", "check_model"]


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its shape, which is known before it is read, and what reads it."""

    size: tuple[int, ...]
    read: Callable[[], np.ndarray]


class Tensors(Mapping):
    """float32 tensors by name, each read when it is asked for, so that no model is in memory as a whole.

    Matrices are [in, out]. ``embedding`` [V, D]; ``positions`` [CONTEXT, D] where they are learned; ``token_types``
    [D]; ``layers.I.NAME.weight`` of ModelShape.matrices, and perhaps ``.bias``; ``layers.I.attention_norm.weight``,
    ``.mlp_norm.weight``, ``embedding_norm.weight`` of an encoder, ``final_norm.weight`` of a decoder, and perhaps
    ``.bias``; ``head.weight`` where it is not the embedding's transpose.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        self._stored = dict(stored)

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._stored[name].read(), np.float32)

    def size(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, for which nothing is read."""
        return self._stored[name].size

    def __contains__(self, name: object) -> bool:
        # Mapping's own would read it.
        return name in self._stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model.

    name : what to call it
    files : what it was read from
    """

    name: str
    shape: ModelShape
    tensors: Tensors
    tokenizer: Tokenizer
    files: tuple[Path, ...]


def expected(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """The tensors that a model of a shape must have, and their shapes."""
    vector = (shape.width,)
    found: dict[str, tuple[int, ...]] = {"embedding": (shape.vocabulary, shape.width)}
    if shape.rope is None:
        found["positions"] = shape.context, shape.width
    for layer in range(shape.layers):
        name = f"layers.{layer}"
        found |= {f"{name}.{matrix}.weight": size for matrix, size in shape.matrices().items()}
        found |= {f"{name}.attention_norm.weight": vector, f"{name}.mlp_norm.weight": vector}
    if shape.kind == "encoder":
        norms = [f"layers.{layer}.{part}_norm" for layer in range(shape.layers) for part in ("attention", "mlp")]
        norms.append("embedding_norm")
        return found | {f"{norm}.{part}": vector for norm in norms for part in ("weight", "bias")}
    return found | {"final_norm.weight": vector}


def possible(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Those that it may have beside them."""
    vector = (shape.width,)
    found: dict[str, tuple[int, ...]] = {"token_types": vector, "final_norm.bias": vector}
    found["head.weight"] = shape.width, shape.vocabulary
    for layer in range(shape.layers):
        found |= {f"layers.{layer}.{matrix}.bias": size[1:] for matrix, size in shape.matrices().items()}
        found |= {f"layers.{layer}.{part}_norm.bias": vector for part in ("attention", "mlp")}
    return found


def check_model(model: Model) -> Model:
    """The model, if nothing is missing. Raises InputError for what is, or has another shape."""
    needed = expected(model.shape)
    for name in needed:
        if name not in model.tensors:
            raise InputError(f"{model.name} must have a tensor for {name}, and has none")
    for name, shape in (possible(model.shape) | needed).items():
        if name not in model.tensors:
            continue
        actual = model.tensors.size(name)
        if actual != shape:
            shown = ("x".join(map(str, each)) for each in (shape, actual))
            raise InputError("{}: {} must be {}, not {}".format(model.name, name, *shown))
    if model.tokenizer.count > model.shape.vocabulary:
        rule = f"a tokenizer of {model.name} must have at most {model.shape.vocabulary} tokens"
        raise InputError(f"{rule}, not {model.tokenizer.count}")
    return model
