"""Models that continue a text: the prompt, then a token a pass, each chosen on the core."""

from collections.abc import Mapping, Sequence

from kernels import kernel
from kernels import language as nl
from kernels.library.choose import Largest
from kernels.models.numbers import Numbers
from kernels.models.shape import ModelShape
from kernels.models.transformer import Tokens, Transformer

__all__ = ["decoder"]


class _Decoder(Transformer):
    def embed(self, index: nl.Tile, first: int) -> Tokens:
        """The residual stream's begin of tokens whose numbers, u32[T, 1], are in SBUF."""
        rows = nl.gather(self.tensors["embedding"], index)
        x = nl.tensor_copy(rows, dtype="fp32")
        if "positions" in self.tensors:
            nl.tensor_tensor(x, nl.load(self.tensors["positions"][first : first + x.lanes]), "add", out=x)
        return Tokens(x, first)

    def run_layers(self, tokens: Sequence[Tokens]) -> None:
        for layer in range(self.shape.layers):
            queries = self.project(layer, tokens, [self.norm(each.x) for each in tokens])
            self.attention(layer, tokens, queries, end=tokens[-1].end, causal=True)
            self.mlp(layer, tokens, [self.norm(each.x) for each in tokens])

    def head(self, tokens: Sequence[Tokens], logits: nl.Tensor | None, choose: bool) -> nl.Tile | None:
        """Store logits of all of these tokens; give what comes after the last, u32[1, 1], in lane 0."""
        last, count = tokens[-1], self.shape.vocabulary
        tokens = tokens if logits is not None else [last]
        normed, size = [self.norm(each.x) for each in tokens], self.panels.columns(self.tensors["head"])
        largest = Largest(last.count, count, size) if choose else None
        for columns, weights in self.panels.product():
            for each, tile in zip(tokens, normed, strict=True):
                bias = self.tensors.get("head.bias")
                more = () if bias is None else ("add", self._part(bias[columns], each.count))
                scores = nl.tensor_scalar(nl.matmul(tile, weights), "multiply", self.scale("head"), *more)
                if logits is not None:
                    nl.store(logits[each.first : each.end, columns], scores)
                if each is last and largest is not None:
                    largest.see(columns.start // size, scores)
        if largest is None:
            return None
        index = nl.ndarray((1, 1), "u32")
        nl.dma_copy(index, largest.index()[last.count - 1 :])
        return index

    @staticmethod
    def _part(row: nl.Tensor, lanes: int) -> nl.Tile:
        return nl.load(row.broadcast_to((lanes, *row.shape)))


@kernel
def decoder(
    ids,
    *tensors,
    names: Sequence[str],
    shape: ModelShape,
    numbers: Numbers,
    scales: Mapping[str, float],
    tokens: int,
    logits: bool = False,
):
    """Continue a text.

    ids : u32[T], the prompt
    tensors : of the model, as ``names`` says
    tokens : how many tokens to choose, each the one with the largest logit; 0: none, for logits alone

    Outputs: if there are any, the tokens, u32[tokens, 1]; if asked for, logits of the prompt's tokens and of all chosen
    but the last, fp32[T + tokens - 1, V] (of 0 tokens as of 1).
    """
    given, steps = ids.shape[0], max(1, tokens)
    positions = given + steps - 1
    groups = list(nl.blocks(given, nl.lanes() * Transformer.tiles_at_once(shape, numbers)))
    # Of a prompt only the end needs a head, if nobody asks for logits.
    heads = [logits] * (len(groups) - 1) + [True] * steps
    once = [name for layer in range(shape.layers) for part in Transformer.products(shape, layer) for name in part]
    order = [name for head in heads for name in [*once, *["head"] * head]]
    chosen = nl.output((tokens, 1), "u32") if tokens else None
    kept = nl.output((positions, shape.vocabulary)) if logits else None
    model = _Decoder(shape, numbers, dict(zip(names, tensors, strict=True)), scales, order, positions)
    for group in groups:
        rows = (
            slice(part.start + group.start, part.stop + group.start) for part in nl.blocks(group.stop - group.start)
        )
        now = [model.embed(nl.load(ids[part]), part.start) for part in rows]
        model.run_layers(now)
        if logits and group is not groups[-1]:
            model.head(now, kept, choose=False)
    for step in range(steps):
        index = model.head(now, kept, choose=chosen is not None)
        if chosen is not None:
            nl.store(chosen[step : step + 1], index)
        if step + 1 < steps:
            now = [model.embed(index, given + step)]
            model.run_layers(now)
