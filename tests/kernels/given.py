"""Attention as a job of a core: tensors at random, their program and image, and what golden.attention makes of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arch.core.presets import CORES
from golden import attention, encode, reciprocal
from golden.core.jobs import Job
from golden.numerics.hadamard import inverse_sqrt
from kernels.attention import attention_program
from kernels.attention_sizes import AttentionSizes, Scratch, Tensors, padded

__all__ = ["Case", "Prepared", "prepare"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """An attention on a core."""

    core: str
    heads: int
    kv_heads: int
    queries: int
    keys: int
    channels: int
    causal: bool = False
    x: str = "e4m3"
    w: str = "e4m3"
    quantized: bool = True
    scales: str = "given"

    @property
    def products(self) -> float:
        """Multiplications that are needed, of the two products; about half of them where it is causal."""
        pairs = self.heads * self.queries * self.keys * (0.5 if self.causal else 1)
        return 2 * pairs * self.channels


@dataclass(frozen=True)
class Prepared:
    """The job, where its result goes, and what that must be, float32[heads, queries, channels]."""

    job: Job
    out: int
    expected: np.ndarray

    def agrees(self, memory: np.ndarray) -> bool:
        """Whether memory, uint8 from address 0 on, holds the result, to the bit."""
        actual = memory[self.out : self.out + self.expected.nbytes].view(np.uint32)
        return np.array_equal(actual, self.expected.view(np.uint32).ravel())


def _rows(tensor: np.ndarray) -> bytes:
    """A tensor's rows as they lie in memory, padded to a multiple of 4 bytes."""
    flat = np.ascontiguousarray(tensor.reshape(-1, tensor.shape[-1])).view(np.uint8)
    out = np.zeros((len(flat), padded(flat.shape[1])), np.uint8)
    out[:, : flat.shape[1]] = flat
    return out.tobytes()


def prepare(case: Case, seed: int, change: Callable[[dict], dict] = lambda tensors: tensors) -> Prepared:
    """Tensors of a normal distribution, and where they are given scales between those of neighbouring powers of two.

    ``change`` may make other tensors of these, float32 by name.
    """
    rng, config = np.random.default_rng(seed), CORES[case.core]
    q = rng.standard_normal((case.heads, case.queries, case.channels)).astype(np.float32)
    k, v = rng.standard_normal((2, case.kv_heads, case.keys, case.channels)).astype(np.float32)
    tensors, formats = change({"q": q, "k": k, "v": v}), {"q": case.x, "k": case.w, "v": case.w}
    given = {name: rng.uniform(0.005, 0.02, len(tensor)).astype(np.float32) for name, tensor in tensors.items()}
    scales = {name: np.ones_like(scale) if formats[name] == "bf16" else scale for name, scale in given.items()}
    sizes = AttentionSizes(
        heads=case.heads,
        kv_heads=case.kv_heads,
        queries=case.queries,
        keys=case.keys,
        channels=case.channels,
        causal=case.causal,
        x_type=case.x,
        w_type=case.w,
        quantized=case.quantized,
        scales=case.scales,
    )
    image, places, at = [], {}, 0
    for name, tensor in tensors.items():
        if case.quantized:
            tensor = encode(tensor * reciprocal(scales[name])[:, None, None], formats[name], saturate=True)
        contents = _rows(tensor)
        image.append((at, contents))
        places[name] = at
        at += -(-len(contents) // 256) * 256
    scratch, at = at, at + Scratch(config, sizes).bytes
    factors = _factors(scales, case.channels) if case.scales == "given" else {}
    built = attention_program(config, sizes, Tensors(**places, out=at, scratch=scratch, **factors))
    expected = _expected(case, tensors, {name: scales[name] for name in "qkv" if formats[name] != "bf16"})
    address = at + -(-expected.nbytes // 256) * 256
    size = address + -(-built.code_bytes // 256) * 256
    return Prepared(Job(program=built.instructions, address=address, image=image, size=size), at, expected)


def _factors(scales: dict[str, np.ndarray], channels: int) -> dict[str, tuple[float, ...]]:
    """The scales that are given, as constants of the program."""
    factors = scales | {"q": scales["q"] * inverse_sqrt(channels)}
    inverses = {f"{name}_inverses": tuple(map(float, reciprocal(scale))) for name, scale in scales.items()}
    return {f"{name}_factors": tuple(map(float, factor)) for name, factor in factors.items()} | inverses


def _expected(case: Case, tensors: dict[str, np.ndarray], scales: dict[str, np.ndarray]) -> np.ndarray:
    """What golden.attention makes of them."""
    given = {}
    if case.scales == "given":
        given = {f"{name}_scale": scale for name, scale in scales.items()}
        if "v" in scales:
            given["v_scale"] = np.repeat(scales["v"][:, None], case.channels, 1)
    return attention(
        *tensors.values(),
        recipe="per-tensor" if case.scales == "given" else case.scales,
        x_format=case.x,
        w_format=case.w,
        accumulation=CORES[case.core].engine.accumulation,
        causal=case.causal,
        **given,
    )
