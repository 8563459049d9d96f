"""The Hadamard rotation of rows."""

from collections.abc import Sequence

from kernels import kernel
from kernels import language as nl

__all__ = ["hadamard"]


@kernel
def hadamard(x, *, signs: Sequence[float], scale: float):
    """Rows of fp32[T, D], D a power of two, times ``diag(signs) @ hadamard(D) * scale``: ``golden``'s bits of rotate.

    Signs first; then sums and differences of numbers 1, 2, 4, ... D / 2 apart; then the scale.
    """
    width = x.shape[1]
    if width & (width - 1):
        raise nl.KernelError(f"x must have a power of two of columns, not {width}")
    out, row = nl.output(x.shape), nl.constant([list(signs)])
    for rows in nl.blocks(x.shape[0]):
        now = nl.load(x[rows])
        given = nl.load(row.broadcast_to(now.shape))
        # Of one column an operand is a number for each lane.
        nl.tensor_scalar(now, "multiply", given, out=now)
        step = 1
        while step < width:
            pairs = now.reshape(now.lanes, width // (2 * step), 2, step)
            following = nl.ndarray(now.shape)
            sums = following.reshape(*pairs.shape)
            for number, op in enumerate(("add", "subtract")):
                nl.tensor_tensor(pairs[:, :, 0], pairs[:, :, 1], op, out=sums[:, :, number])
            now, step = following, 2 * step
        nl.store(out[rows], nl.tensor_scalar(now, "multiply", scale))
