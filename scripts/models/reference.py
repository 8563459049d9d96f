"""A transformer's forward pass in float32, in NumPy's own operations: what the core's models are compared with."""

from collections.abc import Mapping, Sequence
from math import erf, pi, sqrt

import numpy as np

from kernels.models.shape import ModelShape

__all__ = ["embed", "logits"]


def logits(shape: ModelShape, tensors: Mapping[str, np.ndarray], tokens: Sequence[int]) -> np.ndarray:
    """A decoder's logits after each token, float32[T, V]."""
    x = _Forward(shape, tensors).run(tokens)
    head = tensors.get("head.weight")
    return x @ (tensors["embedding"].T if head is None else head)


def embed(shape: ModelShape, tensors: Mapping[str, np.ndarray], tokens: Sequence[int]) -> np.ndarray:
    """An encoder's vector, float32[D]: the mean of the last hidden states, of length 1."""
    mean = _Forward(shape, tensors).run(tokens).mean(axis=0)
    return mean / np.linalg.norm(mean)


class _Forward:
    def __init__(self, shape: ModelShape, tensors: Mapping[str, np.ndarray]) -> None:
        self.shape, self.tensors = shape, tensors

    def run(self, tokens: Sequence[int]) -> np.ndarray:
        shape, first = self.shape, self.shape.kind == "decoder"
        x = self.tensors["embedding"][list(tokens)]
        if shape.rope is None:
            x = x + self.tensors["positions"][: len(tokens)] + self.tensors.get("token_types", np.float32(0))
        x = x if first else self.norm("embedding_norm", x)
        for layer in range(shape.layers):
            for part, function in (("attention", self.attention), ("mlp", self.mlp)):
                name = f"layers.{layer}.{part}_norm"
                x = x + function(layer, self.norm(name, x)) if first else self.norm(name, x + function(layer, x))
        return self.norm("final_norm", x) if first else x

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        if self.shape.norm == "layer":
            x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(self.shape.eps))
        return x * self.tensors[f"{name}.weight"] + self.tensors.get(f"{name}.bias", np.float32(0))

    def linear(self, layer: int, name: str, x: np.ndarray) -> np.ndarray:
        name = f"layers.{layer}.{name}"
        return x @ self.tensors[f"{name}.weight"] + self.tensors.get(f"{name}.bias", np.float32(0))

    def heads(self, layer: int, name: str, x: np.ndarray) -> np.ndarray:
        """[heads, T, D]"""
        y = self.linear(layer, name, x).reshape(len(x), -1, self.shape.head_width).swapaxes(0, 1)
        return self.turn(y) if self.shape.rope and name != "v" else y

    def turn(self, y: np.ndarray) -> np.ndarray:
        half = y.shape[2] // 2
        angles = np.arange(y.shape[1])[:, None] / self.shape.rope_base ** (np.arange(half) / half)
        turns = np.exp(1j * angles)
        adjacent = self.shape.rope == "adjacent"
        a, b = (y[..., 0::2], y[..., 1::2]) if adjacent else (y[..., :half], y[..., half:])
        turned = (a + 1j * b) * turns
        axis = 3 if adjacent else 2
        parts = np.stack([turned.real, turned.imag], axis=axis)
        return parts.reshape(y.shape).astype(np.float32)

    def attention(self, layer: int, x: np.ndarray) -> np.ndarray:
        q, k, v = (self.heads(layer, name, x) for name in "qkv")
        k, v = (np.repeat(each, self.shape.heads // self.shape.kv_heads, axis=0) for each in (k, v))
        scores = q @ k.swapaxes(1, 2) / np.float32(sqrt(self.shape.head_width))
        if self.shape.kind == "decoder":
            scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        mixed = weights / weights.sum(axis=2, keepdims=True) @ v
        return self.linear(layer, "o", mixed.swapaxes(0, 1).reshape(len(x), -1))

    def mlp(self, layer: int, x: np.ndarray) -> np.ndarray:
        up = self.linear(layer, "up", x)
        if self.shape.gated:
            gate = self.linear(layer, "gate", x)
            return self.linear(layer, "down", gate / (1 + np.exp(-gate)) * up)
        if self.shape.kind == "encoder":
            gelu = up * (1 + np.vectorize(erf)(up / sqrt(2))) / 2
        else:
            gelu = up * (1 + np.tanh(sqrt(2 / pi) * (up + 0.044715 * up**3))) / 2
        return self.linear(layer, "down", gelu.astype(np.float32))
