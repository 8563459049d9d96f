"""Attention as a job of a core: tensors at random, their program and image, and what golden.attention makes of them."""

from dataclasses import dataclass

import numpy as np

from arch.core.presets import CORES
from golden import attention, encode, reciprocal
from golden.core.jobs import Job
from golden.numerics.hadamard import inverse_sqrt
from kernels.attention import AttentionSizes, Tensors, attention_program
from kernels.attention_loads import padded

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


def prepare(case: Case, seed: int) -> Prepared:
    """Tensors of a normal distribution, and scales between those of neighbouring powers of two."""
    rng, config = np.random.default_rng(seed), CORES[case.core]
    q = rng.standard_normal((case.heads, case.queries, case.channels)).astype(np.float32)
    k, v = rng.standard_normal((2, case.kv_heads, case.keys, case.channels)).astype(np.float32)
    formats = {"q": case.x, "k": case.w, "v": case.w}
    scales = {
        name: np.ones(len(tensor), np.float32)
        if formats[name] == "bf16"
        else rng.uniform(0.005, 0.02, len(tensor)).astype(np.float32)
        for name, tensor in (("q", q), ("k", k), ("v", v))
    }
    given = {f"{name}_scale": None if formats[name] == "bf16" else scales[name] for name in "qk"}
    given["v_scale"] = None if case.w == "bf16" else np.repeat(scales["v"][:, None], case.channels, 1)
    expected = attention(
        q,
        k,
        v,
        x_format=case.x,
        w_format=case.w,
        accumulation=config.engine.accumulation,
        causal=case.causal,
        **given,
    )
    image, places, inverses, at = [], {}, {}, 0
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        inverse = reciprocal(scales[name])
        codes = encode(tensor * inverse[:, None, None], formats[name], saturate=True)
        contents = _rows(codes if case.quantized else tensor)
        image.append((at, contents))
        places[name], inverses[f"{name}_inverses"] = at, tuple(map(float, inverse))
        at += -(-len(contents) // 256) * 256
    tensors = Tensors(
        **places,
        out=at,
        q_factors=tuple(map(float, scales["q"] * inverse_sqrt(case.channels))),
        k_factors=tuple(map(float, scales["k"])),
        v_factors=tuple(map(float, scales["v"])),
        **inverses,
    )
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
    )
    built = attention_program(config, sizes, tensors)
    address = at + -(-expected.nbytes // 256) * 256
    size = address + -(-built.code_bytes // 256) * 256
    return Prepared(Job(program=built.instructions, address=address, image=image, size=size), at, expected)
