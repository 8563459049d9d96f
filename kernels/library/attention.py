"""Attention: scores of a tile of queries, softmax along keys, the average of values."""

from math import inf, log

from kernels import kernel
from kernels import language as nl

__all__ = ["attention", "average", "load_keys", "load_values", "numerators"]

#: Numerators go up to it, so that FP8 has room below.
_LARGEST = 256
#: Columns before a head's values; the last one has ones, whose products are the sums of numerators.
_BEFORE = 4


def load_keys(keys: nl.Tensor) -> nl.Tile:
    """Keys [T, D] in memory as a moving operand, feature-major."""
    return nl.load_folded(keys.T)


def load_values(values: nl.Tensor) -> nl.Tile:
    """Values [T, D] in memory as a moving operand, behind a column of ones."""
    tokens, width = values.shape
    blocks = -(-tokens // nl.lanes())
    tile = nl.ndarray((min(tokens, nl.lanes()), blocks, _BEFORE + width), values.dtype)
    nl.memset(tile[:, :, _BEFORE - 1 : _BEFORE], 1.0)
    nl.load_folded(values, out=tile[:, :, _BEFORE:])
    return tile


def numerators(queries: nl.Tile, keys: nl.Tile, *, scale: float, last: int | None = None) -> nl.Tile:
    """Codes [S, T] of ``256 * exp(s - max(s))`` along keys, where s is ``queries @ keys * scale``.

    queries : Tile
        Codes [S, D].
    keys : Tile
        As ``load_keys`` gives them, or the first some of them.
    last : int, optional
        The last key that query 0 sees; query i sees i more. Default: all see all.
    """
    tokens = keys.shape[-1]
    parts = list(nl.blocks(tokens, nl.config().engine.psum_depth // 2))
    scores, maxima = nl.ndarray((queries.lanes, tokens)), nl.ndarray((queries.lanes, len(parts)))
    for number, part in enumerate(parts):
        product = nl.matmul(queries, keys[..., part])
        mask = None if last is None else nl.Mask("at_most", last - part.start, 1, -inf)
        reduced = {"reduce": "max", "reduce_out": maxima[:, number : number + 1]}
        nl.tensor_scalar(product, "multiply", scale, mask=mask, out=scores[:, part], **reduced)
    largest = maxima if len(parts) == 1 else nl.tensor_reduce("max", maxima)
    shift = nl.tensor_scalar(largest, "rsubtract", log(_LARGEST))
    return nl.activation("exp", scores, bias=shift, dtype=queries.dtype)


def average(weights: nl.Tile, values: nl.Tile, *, out: nl.Tile) -> None:
    """Write the average of values [T, D] by weights [S, T], codes of any sum, to ``out``, [S, D]: ``o * (1 / sum)``."""
    sums = nl.matmul(weights, values[:, : -(-weights.shape[1] // nl.lanes()), _BEFORE - 1 :])
    inverse = nl.activation("reciprocal", sums[:, :1])
    nl.tensor_scalar(sums[:, 1:], "multiply", inverse, out=out)


@kernel
def attention(q, k, v, *, scale, causal=False):
    """``softmax(q k.T * scale) v`` of codes [H, S, D], [Hkv, T, D], [Hkv, T, D]: fp32[H, S, D].

    ``golden.attention``'s bits where all of its scales are 1. Query head h has KV head ``h // (H / Hkv)``; causal:
    query i sees keys up to ``i + T - S``.
    """
    (heads, queries, _), (groups, tokens, _) = q.shape, k.shape
    out, blocks, loaded = nl.output(q.shape), list(nl.blocks(queries)), {}

    def fetch(group):
        if group < groups and group not in loaded:
            loaded[group] = load_keys(k[group]), load_values(v[group])

    def weigh(item):
        head, rows = item
        group = head // (heads // groups)
        fetch(group)
        tile, keys, last = nl.load(q[head, rows]), loaded[group][0], None
        # Not before the first queries: their scores would wait.
        if rows is blocks[:2][-1]:
            fetch(group + 1)
        if causal:
            # What none of these queries sees adds nothing.
            last = rows.start + tokens - queries
            keys = keys[..., : last + tile.lanes]
        return numerators(tile, keys, scale=scale, last=last)

    def add(item, weights):
        head, rows = item
        tile = nl.ndarray((weights.lanes, q.shape[2]))
        average(weights, loaded[head // (heads // groups)][1], out=tile)
        nl.store(out[head, rows], tile)

    nl.pipeline([weigh, add], [(head, rows) for head in range(heads) for rows in blocks], ahead=2)
