"""Matrix products."""

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from kernels import kernel
from kernels import language as nl

__all__ = ["gemm"]


def _columns(config: CoreConfig, depth: int, x_bytes: int, w_bytes: int) -> int:
    """Columns of a panel of weights: as many as SBUF holds of two panels, beside rows of x and results."""
    blocks = -(-depth // config.lanes)
    free = config.lane_bytes * 7 // 8 - 3 * x_bytes * depth
    most = free // (2 * blocks * w_bytes + 3 * 4)
    return max(4, min(most, config.engine.psum_depth // 2) // 4 * 4)


@kernel
def gemm(x, w):
    """x @ w of codes [M, K] and [K, N] of any sizes, as ``golden.gemm`` gives it: fp32[M, N].

    x is the stationary operand, P rows of it at a time. Weights come in panels of columns, each once, the next one
    while one is in use.
    """
    (rows, depth), columns = x.shape, w.shape[1]
    out = nl.output((rows, columns))
    x_bytes, w_bytes = ELEMENTS[x.dtype].bytes, ELEMENTS[w.dtype].bytes
    panels = list(nl.blocks(columns, _columns(nl.config(), depth, x_bytes, w_bytes)))
    # Rows that are kept from panel to panel, if there is room for all of them.
    keep = -(-rows // nl.lanes()) * (x_bytes * depth + 4) <= nl.config().lane_bytes // 8
    weights, kept = {}, {}

    def stream(panel):
        if panel < len(panels) and panel not in weights:
            weights[panel] = nl.load_folded(w[:, panels[panel]])

    def fetch(item):
        panel, block = item
        stream(panel)
        tile = kept.get(block.start) or nl.load(x[block])
        if keep:
            kept[block.start] = tile
        if block.start == 0:
            stream(panel + 1)
        return tile

    def multiply(item, tile):
        panel, block = item
        product = nl.matmul(tile, weights[panel])
        nl.store(out[block, panels[panel]], nl.tensor_copy(product))

    blocks = list(nl.blocks(rows))
    nl.pipeline([fetch, multiply], [(panel, block) for panel in range(len(panels)) for block in blocks])
