"""What tests of several commands start from."""

import numpy as np

from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm

__all__ = ["ATTENTION", "GEMM", "TENSORS", "golden_gemm", "off_by_one", "raiser"]

GEMM = ("gemm", "x.npy", "w.npy", "--config", "tiny")
ATTENTION = ("attention", "q.npy", "k.npy", "v.npy", "--config", "tiny")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


TENSORS = {
    "x": normal(7, 9),
    "w": normal(9, 6, seed=1),
    "q": normal(4, 3, 6),
    "k": normal(2, 5, 6, seed=1),
    "v": normal(2, 5, 6, seed=2),
}


def golden_gemm(out_format="fp32"):
    result = gemm(encode(TENSORS["x"], "e4m3"), encode(TENSORS["w"], "e4m3"))
    return result if out_format == "fp32" else encode(result, out_format)


def raiser(error):
    def fails(*_, **__):
        raise error

    return fails


def off_by_one(text):
    """Negative products lose the 1 of their two's complement."""
    assert text.count("+ aligner__o[24]") == 1
    return text.replace("+ aligner__o[24]", "+ 1'b0")
