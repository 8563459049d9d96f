"""Activation functions of a multilayer perceptron, made of exp and reciprocal: there is no division."""

from math import pi, sqrt

from kernels import language as nl

__all__ = ["gelu", "gelu_factor", "sigmoid", "silu_times"]


def sigmoid(x: nl.Tile, *, out: nl.Tile | None = None) -> nl.Tile:
    """``1 / (1 + exp(-x))`` of fp32: two passes of the scalar engine."""
    power = nl.activation("exp", x, scale=-1.0, out=out)
    return nl.activation("reciprocal", power, bias=1.0, out=power)


def silu_times(gate: nl.Tile, up: nl.Tile | nl.Psum, *, scale: float = 1.0, out: nl.Tile | None = None) -> nl.Tile:
    """SwiGLU's ``gate * sigmoid(gate) * (up * scale)``: ``((up * scale) * gate) * sigmoid(gate)``, each rounded."""
    product = nl.tensor_scalar(up, "multiply", scale, "multiply", gate, out=out)
    return nl.tensor_tensor(product, sigmoid(gate), "multiply", out=product)


def gelu(x: nl.Tile, *, out: nl.Tile | None = None) -> nl.Tile:
    """``x * gelu_factor(x)`` of fp32."""
    return nl.tensor_tensor(x, gelu_factor(x), "multiply", out=out)


def gelu_factor(x: nl.Tile) -> nl.Tile:
    """``sigmoid(2 sqrt(2 / pi) (x + 0.044715 x**3))``, of the form of GELU with tanh, in a new tile."""
    factor = 2 * sqrt(2 / pi)
    squares = nl.tensor_scalar(x, "multiply", x, "multiply", 0.044715 * factor)
    return sigmoid(nl.tensor_scalar(squares, "add", factor, "multiply", x, out=squares), out=squares)
