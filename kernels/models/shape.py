from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelShape:
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
    norm_first: bool
    eps: float
    activation: str
    gated: bool
    rope: str | None
    rope_base: float
