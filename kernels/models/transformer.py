"""The blocks of a transformer on the core: tokens on lanes, P at a time, the residual stream in SBUF."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arch.elements import ELEMENTS
from kernels import language as nl
from kernels.library.attention import average, load_keys, load_values, numerators
from kernels.library.mlp import gelu_factor, sigmoid
from kernels.library.norm import layer_norm, rms_norm
from kernels.library.panels import Panels
from kernels.library.quantize import to_codes
from kernels.library.rope import rope
from kernels.models.numbers import Numbers
from kernels.models.shape import ModelShape

__all__ = ["Tokens", "Transformer"]


@dataclass
class Tokens:
    """Some tokens in a row, at most P: their residual stream, fp32[T, D], and the position of the first."""

    x: nl.Tile
    first: int

    @property
    def count(self) -> int:
        return self.x.lanes

    @property
    def end(self) -> int:
        """The position after the last."""
        return self.first + self.count


class Transformer:
    """A model's layers within a kernel.

    Parameters
    ----------
    shape : ModelShape
    numbers : Numbers
    tensors : mapping of str to Tensor
        What ``kernels.models.image`` names, in memory.
    scales : mapping of str to float
        Of each matrix, by its name: what its codes are multiplied by.
    order : sequence of str
        The matrices in the order in which the kernel multiplies by them.
    positions : int
        Tokens that keys and values are kept of.
    """

    def __init__(
        self,
        shape: ModelShape,
        numbers: Numbers,
        tensors: Mapping[str, nl.Tensor],
        scales: Mapping[str, float],
        order: Sequence[str],
        positions: int,
    ) -> None:
        self.shape, self.numbers, self.tensors, self.scales = shape, numbers, tensors, scales
        kept = shape.layers, positions, shape.kv_heads * shape.head_width
        self._keys, self._values = nl.scratch(kept, numbers.dtype), nl.scratch(kept, numbers.dtype)
        self.panels = Panels([tensors[name] for name in order])

    @staticmethod
    def products(shape: ModelShape, layer: int) -> tuple[list[str], list[str]]:
        """The matrices of a layer in order: those up to keys and values; those for which all of these must be there."""
        after = ("o", *(("gate",) if shape.gated else ()), "up", "down")
        return [f"layers.{layer}.qkv"], [f"layers.{layer}.{name}" for name in after]

    @staticmethod
    def tiles_at_once(shape: ModelShape, numbers: Numbers, resident: int = 0) -> int:
        """Tiles of P tokens of which three quarters of SBUF hold all that a layer makes: the rest is for weights.

        ``resident``: tiles whose residual stream, codes and queries stay there beside.
        """
        code, queries, keys = ELEMENTS[numbers.dtype].bytes, shape.query_width, shape.key_width
        stays = (4 + code) * shape.width + code * (queries + keys)
        made = max(4 * (queries + 2 * keys) + code * queries, (8 + code) * shape.hidden)
        free = nl.config().lane_bytes * 3 // 4 - resident * stays
        return max(1, free // (made + (0 if resident else stays)))

    # ---- parts ----------------------------------------------------------------------------------

    def norm(self, x: nl.Tile, dtype: str | None = None) -> nl.Tile:
        """Of the residual stream, without the norm's weights: codes, times ``numbers.normalised``; or other numbers."""
        function = rms_norm if self.shape.norm == "rms" else layer_norm
        scale = self.numbers.normalised(self.shape.width) if dtype is None else 1.0
        return function(x, self.shape.eps, scale=scale, dtype=dtype or self.numbers.dtype)

    def row(self, name: str, lanes: int) -> nl.Tile | None:
        """A vector in memory in each of the lanes, if the model has it."""
        tensor = self.tensors.get(name)
        return None if tensor is None else nl.load(tensor.broadcast_to((lanes, *tensor.shape)))

    def scale(self, matrix: str) -> float:
        """What a product of a norm's codes with a matrix is multiplied by."""
        return self.scales[matrix] / self.numbers.normalised(self.shape.width)

    def linear(self, name: str, codes: Sequence[nl.Tile], scale: float, width: int) -> list[nl.Tile]:
        """``codes @ matrix * scale``, with the matrix's bias if it has one: fp32[T, width] of each tile."""
        bias = self.row(f"{name}.bias", max(tile.lanes for tile in codes))
        found = [nl.ndarray((tile.lanes, width)) for tile in codes]
        for columns, weights in self.panels.product():
            for tile, out in zip(codes, found, strict=True):
                more = () if bias is None else ("add", bias[: tile.lanes, columns])
                product = nl.matmul(tile, weights)
                nl.tensor_scalar(product, "multiply", scale, *more, out=out[:, columns])
        return found

    def add_linear(self, name: str, codes: Sequence[nl.Tile], scales: Sequence, tokens: Sequence[Tokens]) -> None:
        """Add ``codes @ matrix * scale``, and its bias, to the residual stream. A scale: a number, or one a lane."""
        bias = self.row(f"{name}.bias", max(tile.lanes for tile in codes))
        if bias is not None:
            for each in tokens:
                nl.tensor_tensor(each.x, bias[: each.count], "add", out=each.x)
        for columns, weights in self.panels.product():
            for tile, scale, each in zip(codes, scales, tokens, strict=True):
                part = each.x[:, columns]
                nl.tensor_scalar(nl.matmul(tile, weights), "multiply", scale, "add", part, out=part)

    def codes(self, x: nl.Tile, factor: nl.Tile) -> tuple[nl.Tile, nl.Tile | None]:
        """``x * factor``, numbers of any size, as codes, and the scale of each lane, if they need one."""
        if not self.numbers.narrow:
            return nl.tensor_tensor(x, factor, "multiply", dtype=self.numbers.dtype), None
        product, largest = nl.tensor_tensor(x, factor, "multiply", out=x, reduce="absmax")
        return to_codes(product, self.numbers.dtype, largest)

    # ---- attention ------------------------------------------------------------------------------

    def project(self, layer: int, tokens: Sequence[Tokens], normed: Sequence[nl.Tile]) -> list[nl.Tile]:
        """Keep keys and values of tokens, and give codes of their queries, [T, H, D]."""
        name, width = f"layers.{layer}.qkv", self.shape.query_width + 2 * self.shape.key_width
        projected = self.linear(name, normed, self.scale(name), width)
        return [self._keep(layer, each, tile) for each, tile in zip(tokens, projected, strict=True)]

    def attention(
        self, layer: int, tokens: Sequence[Tokens], queries: Sequence[nl.Tile], *, end: int, causal: bool
    ) -> None:
        """Add a layer's attention to the residual stream: of queries to the keys of tokens below ``end``."""
        shape, name = self.shape, f"layers.{layer}"
        heads, groups, width = shape.heads, shape.kv_heads, shape.head_width
        mixed = [nl.ndarray((each.count, heads * width), self.numbers.dtype) for each in tokens]
        loaded = {}

        def fetch(group: int) -> None:
            if group < groups and group not in loaded:
                columns = slice(group * width, (group + 1) * width)
                kept = (kept[layer, :end, columns] for kept in (self._keys, self._values))
                loaded[group] = tuple(load(part) for load, part in zip((load_keys, load_values), kept, strict=True))

        def weigh(item: tuple[int, int]) -> nl.Tile:
            head, number = item
            group, each = head // (heads // groups), tokens[number]
            fetch(group)
            fetch(group + 1)
            keys = loaded[group][0][..., : each.end if causal else end]
            return numerators(queries[number][:, head], keys, scale=width**-0.5, last=each.first if causal else None)

        def add(item: tuple[int, int], weights: nl.Tile) -> None:
            head, number = item
            out = mixed[number][:, head * width : (head + 1) * width]
            average(weights, loaded[head // (heads // groups)][1], out=out)

        items = [(head, number) for head in range(heads) for number in range(len(tokens))]
        nl.pipeline([weigh, add], items, ahead=2)
        scale = self.scales[f"{name}.o"] / self.numbers.values
        self.add_linear(f"{name}.o", mixed, [scale] * len(tokens), tokens)

    def _keep(self, layer: int, tokens: Tokens, projected: nl.Tile) -> nl.Tile:
        """Codes of queries, [T, H, D]; keys and values go to memory."""
        shape, dtype = self.shape, self.numbers.dtype
        heads, groups, width = shape.heads, shape.kv_heads, shape.head_width
        parts = projected.reshape(tokens.count, heads + 2 * groups, width)
        turned = nl.ndarray((tokens.count, heads + groups, width), dtype)
        if shape.rope is None:
            nl.tensor_copy(parts[:, : heads + groups], out=turned)
        else:
            angles = (nl.load(self.tensors[name][tokens.first : tokens.end]) for name in ("cosines", "sines"))
            rope(parts[:, : heads + groups], *angles, shape.rope, out=turned)
        values = nl.tensor_scalar(parts[:, heads + groups :], "multiply", self.numbers.values, dtype=dtype)
        where = layer, slice(tokens.first, tokens.end)
        nl.store(self._keys[where], turned[:, heads:].reshape(tokens.count, groups * width))
        nl.store(self._values[where], values.reshape(tokens.count, groups * width))
        return turned

    # ---- multilayer perceptron ------------------------------------------------------------------

    def mlp(self, layer: int, tokens: Sequence[Tokens], normed: Sequence[nl.Tile]) -> None:
        """Add a layer's perceptron to the residual stream."""
        name, first = f"layers.{layer}", "gate" if self.shape.gated else "up"
        between = self.linear(f"{name}.{first}", normed, self.scale(f"{name}.{first}"), self.shape.hidden)
        if self.shape.gated:
            # At work while the next matrix is multiplied by.
            factors, scale = [sigmoid(tile) for tile in between], self.scale(f"{name}.up")
            for columns, weights in self.panels.product():
                for tile, gate in zip(normed, between, strict=True):
                    part = gate[:, columns]
                    nl.tensor_scalar(nl.matmul(tile, weights), "multiply", scale, "multiply", part, out=part)
        else:
            factors = [gelu_factor(tile) for tile in between]
        codes, scales = zip(*map(self.codes, between, factors), strict=True)
        factor = self.scales[f"{name}.down"]
        scales = [factor if scale is None else nl.tensor_scalar(scale, "multiply", factor) for scale in scales]
        self.add_linear(f"{name}.down", codes, scales, tokens)
