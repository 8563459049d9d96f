"""A model's tensors as the core's kernels take them: norms' weights within the matrices behind them, all as codes."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path

import numpy as np

from arch.formats import FORMATS
from golden import encode
from golden.caches import cache_folder
from kernels.models.numbers import Numbers
from kernels.models.shape import ModelShape
from scripts.models.model import Model

__all__ = ["Image", "image_of", "make_image"]


@dataclass(frozen=True)
class Image:
    """Tensors in memory.

    names, tensors : of each a name, and codes with their type
    scales : of each matrix, by its name: what its codes are multiplied by
    """

    names: tuple[str, ...]
    tensors: tuple[tuple[np.ndarray, str], ...]
    scales: dict[str, float]


def image_of(model: Model, numbers: Numbers) -> Image:
    """The image of a model: made once, and kept by the contents of its files and of this one."""
    digest = hashlib.sha256(f"{numbers}{model.shape}".encode())
    for path in (Path(__file__), *model.files):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    path = cache_folder("models") / f"{digest.hexdigest()[:16]}.npz"
    # Whatever is wrong with a file that was kept, the model is there.
    with suppress(Exception):
        return _load(path)
    image = make_image(model.shape, model.tensors, numbers)
    # A cache that cannot be written is done without.
    with suppress(OSError):
        _keep(image, path)
    return image


def _load(path: Path) -> Image:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        tensors = tuple((file[name], dtype) for name, dtype in about["dtypes"].items())
    return Image(tuple(about["dtypes"]), tensors, about["scales"])


def _keep(image: Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dtypes = {name: dtype for name, (_, dtype) in zip(image.names, image.tensors, strict=True)}
    about = np.array(json.dumps({"dtypes": dtypes, "scales": image.scales}))
    arrays = {name: codes for name, (codes, _) in zip(image.names, image.tensors, strict=True)}
    part = path.with_suffix(f".{os.getpid()}.npz")
    try:
        np.savez(part, about=about, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class _Maker:
    def __init__(self, shape: ModelShape, tensors: Mapping[str, np.ndarray], numbers: Numbers) -> None:
        self.shape, self.tensors, self.numbers = shape, tensors, numbers
        self.found: dict[str, tuple[np.ndarray, str]] = {}
        self.scales: dict[str, float] = {}

    def add(self, name: str, values: np.ndarray, dtype: str = "fp32") -> None:
        values = np.ascontiguousarray(values, np.float32)
        self.found[name] = (values if dtype == "fp32" else encode(values, dtype), dtype)

    def matrix(self, name: str, weight: np.ndarray, bias: np.ndarray | None = None) -> None:
        """Codes of a matrix [K, N], times the power of two that brings its largest number into the format."""
        scale = 1.0
        if self.numbers.narrow:
            scale = 2.0 ** ceil(log2(float(np.abs(weight).max()) / FORMATS[self.numbers.dtype].max_value))
        self.add(name, weight / np.float32(scale), self.numbers.dtype)
        self.scales[name] = scale
        if bias is not None:
            self.add(f"{name}.bias", bias)

    def behind(self, norm: str, parts: list[tuple[str, str]], name: str) -> None:
        """Matrices side by side, with the weights of the norm before them."""
        gain, shift = self.tensors[f"{norm}.weight"], self.tensors.get(f"{norm}.bias")
        weight = np.hstack([self.tensors[f"{part}.weight"] for part in parts])
        biases = [self.tensors.get(f"{part}.bias") for part in parts]
        bias = None
        if shift is not None or any(each is not None for each in biases):
            widths = [self.tensors[f"{part}.weight"].shape[1] for part in parts]
            bias = np.concatenate(
                [
                    np.zeros(width, np.float32) if each is None else each
                    for each, width in zip(biases, widths, strict=True)
                ]
            )
            bias = bias if shift is None else bias + shift @ weight
        self.matrix(name, gain[:, None] * weight, bias)

    def layer(self, number: int, before: tuple[str, str]) -> None:
        """``before``: the norms before attention and before the perceptron."""
        name = f"layers.{number}"
        self.behind(before[0], [f"{name}.{part}" for part in "qkv"], f"{name}.qkv")
        for part in ("gate", "up") if self.shape.gated else ("up",):
            self.behind(before[1], [f"{name}.{part}"], f"{name}.{part}")
        for part in ("o", "down"):
            self.matrix(
                f"{name}.{part}", self.tensors[f"{name}.{part}.weight"], self.tensors.get(f"{name}.{part}.bias")
            )

    def rotations(self, positions: int) -> None:
        half = self.shape.head_width // 2
        angles = np.arange(positions)[:, None] * self.shape.rope_base ** (-np.arange(half) / half)
        self.add("cosines", np.cos(angles))
        self.add("sines", np.sin(angles))


def make_image(shape: ModelShape, tensors: Mapping[str, np.ndarray], numbers: Numbers) -> Image:
    """Codes of a model's tensors, which have the names of :mod:`scripts.models.model`."""
    maker = _Maker(shape, tensors, numbers)
    maker.add("embedding", tensors["embedding"], "bf16")
    positions = tensors.get("positions")
    if positions is not None:
        types = tensors.get("token_types")
        maker.add("positions", positions if types is None else positions + types)
    if shape.rope is not None:
        maker.rotations(shape.context)
    for number in range(shape.layers):
        name = f"layers.{number}"
        if shape.kind == "decoder":
            maker.layer(number, (f"{name}.attention_norm", f"{name}.mlp_norm"))
            continue
        before = f"layers.{number - 1}.mlp_norm" if number else "embedding_norm"
        maker.layer(number, (before, f"{name}.attention_norm"))
        for norm in ("embedding_norm", *(f"{name}.{each}" for each in ("attention_norm", "mlp_norm"))):
            for part in ("weight", "bias"):
                maker.add(f"{norm}.{part}", tensors[f"{norm}.{part}"])
    if shape.kind == "decoder":
        gain, shift = tensors["final_norm.weight"], tensors.get("final_norm.bias")
        head = tensors.get("head.weight")
        head = tensors["embedding"].T if head is None else head
        maker.matrix("head", gain[:, None] * head, None if shift is None else shift @ head)
    return Image(tuple(maker.found), tuple(maker.found.values()), maker.scales)
