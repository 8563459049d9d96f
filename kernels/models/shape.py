"""A transformer's sizes and choices, whatever file it came from."""

from dataclasses import dataclass
from math import inf
from operator import index

from kernels.library.rope import PAIRINGS

__all__ = ["ModelShape"]

_SIZES = "layers", "width", "heads", "kv_heads", "head_width", "hidden", "vocabulary", "context"


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What a model's layers are.

    Parameters
    ----------
    kind : str
        ``"decoder"``: continues a text; a token sees those before it, and norms come before what they norm.
        ``"encoder"``: makes a vector of a text; a token sees all, and norms come after the residual.
    layers, width, heads, kv_heads, head_width, hidden, vocabulary, context : int
        Each from 1. ``heads`` is a multiple of ``kv_heads``; ``hidden`` is the perceptron's width between.
    norm : str
        ``"rms"`` or ``"layer"``.
    eps : float
        Added to the mean of squares.
    gated : bool
        ``down(silu(gate(x)) * up(x))``, or ``down(gelu(up(x)))``, which the core computes in its form with tanh.
    rope : str or None
        How the numbers of a head are paired (``kernels.library.rope``); None: positions are learned.
    rope_base : float
        Pair i of D / 2 turns by ``position * rope_base ** (-2 i / D)``.

    Raises
    ------
    TypeError, ValueError
        With the rule and the offending value.
    """

    kind: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    hidden: int
    vocabulary: int
    context: int
    norm: str
    eps: float
    gated: bool
    rope: str | None = None
    rope_base: float = 10000.0

    def __post_init__(self) -> None:
        for name in _SIZES:
            try:
                value = index(getattr(self, name))
            except TypeError:
                raise TypeError(f"{name} must be an integer, not {getattr(self, name)!r}") from None
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
            object.__setattr__(self, name, value)
        for name, names in {
            "kind": ("decoder", "encoder"),
            "norm": ("rms", "layer"),
            "rope": (None, *PAIRINGS),
        }.items():
            if getattr(self, name) not in names:
                raise ValueError(f"{name} must be {' or '.join(map(str, names))}, not {getattr(self, name)!r}")
        if not 0 <= self.eps < inf:
            raise ValueError(f"eps must be a finite number of 0 or more, not {self.eps}")
        if not 0 < self.rope_base < inf:
            raise ValueError(f"rope_base must be a finite number above 0, not {self.rope_base}")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads must be a multiple of the {self.kv_heads} kv_heads, not {self.heads}")
        if self.rope and self.head_width % 2:
            raise ValueError(f"head_width must be even where rope turns pairs, not {self.head_width}")

    @property
    def query_width(self) -> int:
        """Of all heads."""
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        """Of all KV heads."""
        return self.kv_heads * self.head_width

    def matrices(self) -> dict[str, tuple[int, int]]:
        """The matrices of a layer by their names, and their shapes, [in, out]."""
        found = {
            "q": (self.width, self.query_width),
            "k": (self.width, self.key_width),
            "v": (self.width, self.key_width),
            "o": (self.query_width, self.width),
        }
        if self.gated:
            found["gate"] = self.width, self.hidden
        return found | {"up": (self.width, self.hidden), "down": (self.hidden, self.width)}
