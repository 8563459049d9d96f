"""Softmax along rows."""

from kernels import kernel
from kernels import language as nl

__all__ = ["softmax"]


@kernel
def softmax(x, *, scale=1.0):
    """Softmax of ``scale * x`` along each row of fp32[M, N], N as many as SBUF holds: fp32[M, N].

    A row is read once: ``exp(scale * x - scale * max)`` with their sum, and the product with its reciprocal.
    ``scale``: above 0.
    """
    out = nl.output(x.shape)

    def fetch(rows):
        return nl.load(x[rows])

    def normalise(rows, values):
        shift = nl.tensor_scalar(nl.tensor_reduce("max", values), "multiply", -scale)
        numerators, total = nl.activation("exp", values, scale=scale, bias=shift, sum=True)
        inverse = nl.activation("reciprocal", total)
        nl.store(out[rows], nl.tensor_scalar(numerators, "multiply", inverse, out=values))

    nl.pipeline([fetch, normalise], nl.blocks(x.shape[0]))
