"""Matrix products."""

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from kernels import kernel
from kernels import language as nl
from kernels.library.mlp import gelu, sigmoid

__all__ = ["ACTIVATIONS", "gemm", "gemm_stationary_weights"]

ACTIVATIONS = ("none", "relu", "gelu", "silu")


def _columns(config: CoreConfig, depth: int, x_bytes: int, w_bytes: int) -> int:
    """Columns of a panel of weights: as many as SBUF holds of two panels, beside rows of x and results."""
    blocks = -(-depth // config.lanes)
    free = config.lane_bytes * 7 // 8 - 3 * x_bytes * depth
    most = free // (2 * blocks * w_bytes + 3 * 4)
    return max(4, min(most, config.engine.psum_depth // 2) // 4 * 4)


def _depths(config: CoreConfig, depth: int, w_bytes: int) -> list[slice]:
    """Parts of k: of more than ``k_max``, or of more than eight columns of which half of SBUF holds, there are some."""
    fitting = config.lane_bytes // 2 // (2 * 8 * w_bytes) * config.lanes
    return list(nl.blocks(depth, min(config.engine.k_max, max(config.lanes, fitting)) // config.lanes * config.lanes))


def _finish(product: nl.Psum | nl.Tile, bias: nl.Tile | None, activation: str) -> nl.Tile:
    """What becomes of sums on their way out of PSUM."""
    if activation not in ACTIVATIONS:
        raise nl.KernelError(f"activation must be {', '.join(ACTIVATIONS)}, not {activation!r}")
    after = ("max", 0.0) if activation == "relu" else ()
    if bias is None:
        result = nl.tensor_scalar(product, *after) if after else nl.tensor_copy(product)
    else:
        result = nl.tensor_scalar(product, "add", bias, *after)
    if activation == "gelu":
        gelu(result, out=result)
    elif activation == "silu":
        nl.tensor_tensor(result, sigmoid(result), "multiply", out=result)
    return result


@kernel
def gemm(x, w, *bias, activation="none"):
    """``activation(x @ w + bias)`` of codes [M, K] and [K, N] of any sizes, and fp32[N] if it is given: fp32[M, N].

    Sums are those of ``golden.gemm``, up to ``k_max`` of k; of more k, or where SBUF holds no panel of so many, sums of
    parts of k are added in fp32 in their order. Activations: relu, silu, and gelu in its form with tanh.

    x is the stationary operand, P rows of it at a time. Weights come in panels of columns, each once, the next one
    while one is in use.
    """
    (rows, depth), columns = x.shape, w.shape[1]
    out, config = nl.output((rows, columns)), nl.config()
    x_bytes, w_bytes = ELEMENTS[x.dtype].bytes, ELEMENTS[w.dtype].bytes
    parts = _depths(config, depth, w_bytes)
    longest = parts[0].stop
    panels = [(part, c) for c in nl.blocks(columns, _columns(config, longest, x_bytes, w_bytes)) for part in parts]
    # Rows that are kept from panel to panel, if there is room for all of them.
    keep = -(-rows // nl.lanes()) * (x_bytes * depth + 4) <= config.lane_bytes // 8
    weights, kept, sums = {}, {}, {}

    def stream(panel):
        if panel < len(panels) and panel not in weights:
            weights[panel] = nl.load_folded(w[panels[panel]])

    def fetch(item):
        panel, block = item
        stream(panel)
        place = panels[panel][0].start, block.start
        tile = kept.get(place) or nl.load(x[block, panels[panel][0]])
        if keep:
            kept[place] = tile
        if block.start == 0:
            stream(panel + 1)
        return tile

    def multiply(item, tile):
        (panel, block), (part, chosen) = item, panels[item[0]]
        product, place = nl.matmul(tile, weights[panel]), block.start
        if part is not parts[0]:
            product = nl.tensor_scalar(product, "add", sums[place], out=sums[place])
        elif len(parts) > 1:
            product = sums[place] = nl.tensor_copy(product)
        if part is parts[-1]:
            row = nl.load(bias[0][chosen].broadcast_to(product.shape)) if bias else None
            nl.store(out[block, chosen], _finish(product, row, activation))

    blocks = list(nl.blocks(rows))
    nl.pipeline([fetch, multiply], [(panel, block) for panel in range(len(panels)) for block in blocks])


@kernel
def gemm_stationary_weights(x, w, *bias, activation="none"):
    """``gemm`` with w stationary, P columns of it at a time: columns on lanes, rows of x moving past.

    The better way for few columns and many rows. K is up to ``k_max``, and up to what SBUF holds of it.
    """
    rows, columns = x.shape[0], w.shape[1]
    out = nl.output((rows, columns))
    most = max(4, min(nl.config().engine.psum_depth // 2, 256))
    for part in nl.blocks(rows, most):
        moving = nl.load_folded(x[part].T)
        for lanes in nl.blocks(columns):
            product = nl.matmul(nl.load(w[:, lanes].T), moving)
            row = nl.load(bias[0][lanes]) if bias else None
            nl.store(out[part, lanes].T, _finish(product, row, activation))
