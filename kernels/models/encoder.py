"""Models that make a vector of a text."""

from collections.abc import Mapping, Sequence

from kernels import kernel
from kernels import language as nl
from kernels.library.lanes import across_lanes
from kernels.models.numbers import Numbers
from kernels.models.shape import ModelShape
from kernels.models.transformer import Tokens, Transformer

__all__ = ["encoder"]


class _Encoder(Transformer):
    """Norms come after the residual; what products take is the normalised number without the norm's weights."""

    def normalise(self, name: str, tokens: Sequence[Tokens]) -> list[nl.Tile]:
        """Put a norm in the place of the residual stream, and give its codes."""
        lanes, found = max(each.count for each in tokens), []
        weight, bias = (self.row(f"{name}.{part}", lanes) for part in ("weight", "bias"))
        for each in tokens:
            plain = self.norm(each.x, dtype="fp32")
            factor = self.numbers.normalised(self.shape.width)
            found.append(nl.tensor_scalar(plain, "multiply", factor, dtype=self.numbers.dtype))
            nl.tensor_tensor(plain, weight[: each.count], "multiply", out=each.x)
            nl.tensor_tensor(each.x, bias[: each.count], "add", out=each.x)
        return found

    def embed(self, index: nl.Tile, first: int) -> Tokens:
        x = nl.tensor_copy(nl.gather(self.tensors["embedding"], index), dtype="fp32")
        nl.tensor_tensor(x, nl.load(self.tensors["positions"][first : first + x.lanes]), "add", out=x)
        return Tokens(x, first)

    def pool(self, tokens: Sequence[Tokens], out: nl.Tensor) -> None:
        """The mean over all tokens, brought to length 1: features come to lie on lanes, P at a time."""
        (width,), lanes = out.shape, nl.lanes()
        hidden = nl.scratch((tokens[-1].end, width))
        for each in tokens:
            nl.store(hidden[each.first : each.end], each.x)
        blocks = list(nl.blocks(width))
        sums = nl.memset(nl.ndarray((min(width, lanes), len(blocks))), 0.0)
        for number, features in enumerate(blocks):
            turned = nl.load(hidden[:, features].T)
            nl.tensor_reduce("add", turned, out=sums[: turned.lanes, number : number + 1])
        squares = nl.tensor_scalar(sums, "multiply", sums, reduce="add", write=False)
        length = nl.activation("rsqrt", across_lanes("add", squares, sums.lanes))
        nl.tensor_scalar(sums, "multiply", length, out=sums)
        for number, features in enumerate(blocks):
            nl.store(out[features], sums[: features.stop - features.start, number])


@kernel
def encoder(ids, *tensors, names: Sequence[str], shape: ModelShape, numbers: Numbers, scales: Mapping[str, float]):
    """The vector of a text: the mean of its tokens' last hidden states, of length 1.

    ids : u32[T]
    tensors : of the model, as ``names`` says

    Output: fp32[D]. (The mean's 1 / T goes with the length.)
    """
    out = nl.output((shape.width,))
    count, tiles = ids.shape[0], list(nl.blocks(ids.shape[0]))
    # Weights come once for each group of tiles, of which there are as few as can be, as even as can be.
    parts = -(-len(tiles) // Transformer.tiles_at_once(shape, numbers, resident=len(tiles)))
    groups = list(nl.blocks(len(tiles), -(-len(tiles) // parts)))
    halves = [half for layer in range(shape.layers) for half in Transformer.products(shape, layer)]
    order = [name for half in halves for name in half * len(groups)]
    model = _Encoder(shape, numbers, dict(zip(names, tensors, strict=True)), scales, order, count)
    tokens = [model.embed(nl.load(ids[rows]), rows.start) for rows in tiles]
    codes = model.normalise("embedding_norm", tokens)
    for layer in range(shape.layers):
        name = f"layers.{layer}"
        queries = [query for some in groups for query in model.project(layer, tokens[some], codes[some])]
        codes = []
        for some in groups:
            model.attention(layer, tokens[some], queries[some], end=count, causal=False)
            model.mlp(layer, tokens[some], model.normalise(f"{name}.attention_norm", tokens[some]))
            codes += model.normalise(f"{name}.mlp_norm", tokens[some])
    model.pool(tokens, out)
