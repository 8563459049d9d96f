"""A mixture of experts: each token goes through the few that its router chooses."""

from arch.formats import FORMATS
from kernels import kernel
from kernels import language as nl
from kernels.library.choose import index_of, largest_of, number_of
from kernels.library.mlp import silu_times
from kernels.library.quantize import to_codes

__all__ = ["mixture_of_experts"]


@kernel
def mixture_of_experts(x, router, gate, up, down, *, k):
    """The sum over a token's k experts of ``weight * down(silu(gate(x)) * up(x))``: fp32[T, D].

    Codes of one type, x [T, D], router [D, E], gate and up [E, D, F], down [E, F, D], E * max(D, F) at most 2**23.
    The experts are those of the k largest of ``x @ router``, of two that are the same the lower; their weights the
    softmax of these k. What is between the matrices becomes codes with a scale of each token's, if codes have 8 bits.

    Which experts a token has is known when the program runs: their matrices come by indirect DMA, only those that
    are chosen, once for each token that chose them.
    """
    count, width = x.shape
    out = nl.output((count, width))
    for rows in nl.blocks(count):
        tokens = nl.load(x[rows])
        weights, experts = _route(tokens, router, k)
        for token in range(tokens.lanes):
            mine, total = nl.load(x[rows.start + token : rows.start + token + 1]), None
            for chosen in range(k):
                place = slice(token, token + 1), slice(chosen, chosen + 1)
                expert = nl.load(experts[place].broadcast_to((nl.lanes(), 1)))
                result = _expert(mine, expert, gate, up, down)
                result = nl.tensor_scalar(result, "multiply", nl.load(weights[place]), out=result)
                total = result if total is None else nl.tensor_tensor(total, result, "add", out=total)
            nl.store(out[rows.start + token : rows.start + token + 1], total)


def _route(tokens: nl.Tile, router: nl.Tensor, k: int) -> tuple[nl.Tensor, nl.Tensor]:
    """Weights of the k experts of each token, and their numbers: in memory, for each is wanted in another lane."""
    scores = nl.tensor_copy(nl.matmul(tokens, nl.load_folded(router)))
    largest, experts = largest_of(scores, k)
    shift = nl.tensor_scalar(largest[:, :1], "multiply", -1.0)
    powers, total = nl.activation("exp", largest, bias=shift, sum=True)
    weights = nl.tensor_scalar(powers, "multiply", nl.activation("reciprocal", total))
    found = nl.scratch(weights.shape), nl.scratch(weights.shape)
    for place, tile in zip(found, (weights, number_of(experts)), strict=True):
        nl.store(place, tile)
    return found


def _expert(x: nl.Tile, expert: nl.Tile, gate: nl.Tensor, up: nl.Tensor, down: nl.Tensor) -> nl.Tile:
    """One token through one expert: fp32[1, D]."""
    gated = nl.tensor_copy(nl.matmul(x, _matrix(gate, expert)))
    between = silu_times(gated, nl.matmul(x, _matrix(up, expert)))
    narrow = FORMATS[down.dtype].bits == 8
    codes, scale = to_codes(between, down.dtype) if narrow else (nl.tensor_copy(between, dtype=down.dtype), 1.0)
    return nl.tensor_scalar(nl.matmul(codes, _matrix(down, expert)), "multiply", scale)


def _matrix(experts: nl.Tensor, expert: nl.Tile) -> nl.Tile:
    """An expert's matrix as a moving operand: of [E, K, N] those rows whose numbers are ``expert * K`` and up."""
    count, depth, width = experts.shape
    lanes, rows = nl.lanes(), experts.reshape(count * depth, width)
    blocks = list(nl.blocks(depth))
    tile = nl.ndarray((min(depth, lanes), len(blocks), width), experts.dtype)
    for number, block in enumerate(blocks):
        used = block.stop - block.start
        first = nl.iota(used, 1, lane_step=1, start=block.start)
        index = index_of(nl.tensor_scalar(expert[:used], "multiply", float(depth), "add", first))
        nl.gather(rows, index, out=tile[:used, number])
    return tile
