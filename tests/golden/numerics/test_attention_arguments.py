"""What attention and its reference refuse, and with which words."""

import numpy as np
import pytest
from operands import case

from golden.numerics.attention import attend, attention, attention_reference
from golden.numerics.gemm import gemm
from golden.numerics.kv_cache import KVCache

f32 = np.float32


def test_errors():
    q, k, v = case(19, tokens=5)
    with pytest.raises(TypeError, match="q must be a float32 array, not float64"):
        attention(q.astype(np.float64), k, v)
    with pytest.raises(ValueError, match=r"q must be \[heads, tokens, channels\] and not empty, not \[4, 0, 64\]"):
        attention(q[:, :0], k, v)
    with pytest.raises(ValueError, match="q must be finite, not nan: its scale is undefined"):
        attention(np.where(q > 3, f32(np.nan), q), k, v)
    with pytest.raises(ValueError, match="q must have the keys' 64 channels, not 32"):
        attention(q[:, :, :32], k, v)
    with pytest.raises(ValueError, match="q must have a multiple of the keys' 2 heads, not 3"):
        attention(q[:3], k, v)
    with pytest.raises(ValueError, match="a causal mask needs as many keys as queries, not 5 for 6"):
        attention(q, k, v, causal=True)
    with pytest.raises(ValueError, match="x_format must be one of e4m3, e5m2, bf16, not 'fp32'"):
        attention(q, k, v, x_format="fp32")
    with pytest.raises(ValueError, match="recipe must be one of"):
        attention(q, k, v, recipe="per-row")
    with pytest.raises(ValueError, match="accumulation exact takes 8-bit formats only, not bf16"):
        attention(q, k, v, x_format="bf16")
    with pytest.raises(ValueError, match=r"q_scale must be \[4\], not \[2\]"):
        attention(q, k, v, q_scale=np.ones(2, f32))
    with pytest.raises(ValueError, match="q is too large: its rotation overflows float32"):
        attention(np.full_like(q, 3e38), k, v, recipe="hadamard")
    with pytest.raises(ValueError, match="the cache must hold at least one token, not 0"):
        attend(q, KVCache())


def test_the_reference_refuses_what_attention_refuses():
    q, k, v = case(10, queries=6, tokens=5)
    for call in (attention, attention_reference):
        with pytest.raises(ValueError, match="a causal mask needs as many keys as queries, not 5 for 6"):
            call(q, k, v, causal=True)
        with pytest.raises(ValueError, match="k and v must have one shape, not"):
            call(q, k, v[..., :1])
        with pytest.raises(ValueError, match="k and v must have one shape, not"):
            call(q, k, v[:, :1])
        with pytest.raises(ValueError, match="q must have the keys' 7 channels, not 64"):
            call(q, k[..., :7], v[..., :7])
        with pytest.raises(ValueError, match="q must have a multiple of the keys' 2 heads, not 3"):
            call(q[:3], k, v)
        with pytest.raises(ValueError, match=r"k must be \[heads, tokens, channels\] and not empty"):
            call(q, k[:, :0], v[:, :0])
        with pytest.raises(ValueError, match="v must be finite, not nan: its scale is undefined"):
            call(q, k, np.full_like(v, np.nan))
        with pytest.raises(TypeError, match="q must be a float32 array, not float64"):
            call(q.astype(np.float64), k, v)


def test_too_many_tokens_are_not_called_k():
    """The K of the product with the values is no tensor of the caller's."""
    q, k, v = case(10, queries=2, tokens=65)

    def short(x, w, **formats):
        if x.shape[1] > 64:
            raise ValueError(f"K must be at most 64, not {x.shape[1]}")
        return gemm(x, w, **formats)

    with pytest.raises(ValueError, match=r"^softmax times values, whose K is the 65 tokens: K must be at most 64,"):
        attention(q, k, v, matmul=short)
