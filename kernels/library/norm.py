"""Normalisation of tokens, a token a lane: its numbers come to a mean of squares of 1."""

from kernels import language as nl

__all__ = ["layer_norm", "normalised_limit", "rms_norm"]


def normalised_limit(width: int) -> float:
    """The largest magnitude that a normalised number of ``width`` can have: one number has all of the squares."""
    return width**0.5


def rms_norm(x: nl.Tile, eps: float, *, scale: float = 1.0, dtype: str = "fp32") -> nl.Tile:
    """``x / sqrt(mean(x**2) + eps) * scale`` along the free dimension of fp32[T, D], in a new tile.

    ``(x * rsqrt(sum(x * x) * (1 / D) + eps)) * scale``, each rounded; the sum in the vector engine's order. Weights of
    the norm belong into the matrix that comes next.
    """
    squares = nl.tensor_scalar(x, "multiply", x, reduce="add", write=False)
    inverse = nl.activation("rsqrt", squares, scale=1 / x.shape[1], bias=eps)
    return nl.tensor_scalar(x, "multiply", inverse, "multiply", scale, dtype=dtype)


def layer_norm(x: nl.Tile, eps: float, *, scale: float = 1.0, dtype: str = "fp32") -> nl.Tile:
    """``rms_norm`` of x less its mean: ``x + sum(x) * (-1 / D)`` first."""
    less = nl.activation("identity", nl.tensor_reduce("add", x), scale=-1 / x.shape[1])
    return rms_norm(nl.tensor_scalar(x, "add", less), eps, scale=scale, dtype=dtype)
