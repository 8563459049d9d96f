"""What an attention is made of, and where in memory its parts lie."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS

__all__ = ["SCALES", "AttentionSizes", "Scratch", "Tensors", "padded", "parts", "queue_of"]

#: Where scales come from: from the program, or found by it: one for each head's tensor; one for each token of queries
#: and keys, and each channel of values.
SCALES = ("given", "per-tensor", "per-token")
#: Each area of memory begins at a multiple of it.
_ALIGNED = 256


@dataclass(frozen=True, kw_only=True)
class AttentionSizes:
    """What an attention is made of.

    Parameters
    ----------
    heads, kv_heads : int
        Query heads, a multiple of those of keys and values.
    queries, keys, channels : int
        Tokens S and T; D.
    causal : bool
        Query i sees keys 0 .. i + T - S.
    x_type, w_type : str
        Element types of queries and numerators, and of keys and values.
    quantized : bool
        Memory holds codes. False: it holds float32 numbers, which the core makes codes of.
    scales : str
        One of ``SCALES``. Those of codes are given, and that of bf16 is 1.

    Raises
    ------
    ValueError
        For scales that cannot be.
    """

    heads: int
    kv_heads: int
    queries: int
    keys: int
    channels: int
    causal: bool = False
    x_type: str = "e4m3"
    w_type: str = "e4m3"
    quantized: bool = True
    scales: str = "given"

    def __post_init__(self) -> None:
        if self.scales not in SCALES:
            raise ValueError(f"scales must be one of {', '.join(SCALES)}, not {self.scales!r}")
        if self.quantized and self.scales != "given":
            raise ValueError(f"scales must be given where memory holds codes, not {self.scales}")

    def type_of(self, name: str) -> str:
        """The element type of the codes of ``"q"``, ``"k"`` or ``"v"``."""
        return self.x_type if name == "q" else self.w_type

    def tokens(self, name: str) -> int:
        """Tokens of a tensor's head."""
        return self.queries if name == "q" else self.keys

    def scales_of(self, name: str) -> str:
        """Where a tensor's scales come from."""
        return "given" if self.type_of(name) == "bf16" else self.scales

    def by_channel(self, name: str) -> bool:
        """Whether a head's numbers lie in SBUF with a channel, not a token, on each lane.

        What shares a scale shares a lane, where there is more than one scale. Else keys are where products want them.
        """
        return name == ("v" if self.scales_of(name) == "per-token" else "k")

    def shape(self, name: str) -> tuple[int, int]:
        """Of a head's numbers in SBUF: how many lie across lanes, and how many in each."""
        size = self.tokens(name), self.channels
        return size[::-1] if self.by_channel(name) else size

    def row_bytes(self, name: str) -> int:
        """Of a token's codes in memory."""
        return padded(self.channels * ELEMENTS[self.type_of(name)].bytes)


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Where tensors lie in memory, and their scales. Each is row-major, its rows padded to a multiple of 4 bytes.

    Parameters
    ----------
    q, k, v, out : int
        Addresses of [heads, tokens, channels], codes or float32, and of the float32 result.
    scratch : int
        Address of the ``Scratch`` bytes that the program may use; of no matter where it needs none.
    q_factors, k_factors, v_factors : tuple of float
        For each head, what a query's scores are multiplied by, then those of the keys, and what the result is; of
        scales that are given.
    q_inverses, k_inverses, v_inverses : tuple of float
        For each head, what numbers are multiplied by before they become codes; likewise, and not where there are codes.
    """

    q: int
    k: int
    v: int
    out: int
    scratch: int = 0
    q_factors: tuple[float, ...] = ()
    k_factors: tuple[float, ...] = ()
    v_factors: tuple[float, ...] = ()
    q_inverses: tuple[float, ...] = ()
    k_inverses: tuple[float, ...] = ()
    v_inverses: tuple[float, ...] = ()


class Scratch:
    """Memory through which a program turns what lies across lanes: offsets from ``Tensors.scratch``.

    Members
    -------
    bytes : int
        Of all of it; 0 where scales are given.
    """

    def __init__(self, config: CoreConfig, sizes: AttentionSizes):
        self.bytes = 0
        self._areas: dict[str, tuple[int, int]] = {}
        for name, heads in (("q", sizes.heads), ("k", sizes.kv_heads), ("v", sizes.kv_heads)):
            if sizes.scales_of(name) == "per-tensor":
                self._add(f"{name}_scales", heads, 2 * 4 * config.lanes)
            elif sizes.scales_of(name) == "per-token" and name != "q":
                self._add(f"{name}_codes", heads, sizes.keys * sizes.row_bytes(name))
                self._add(f"{name}_scales", heads, 4 * sizes.shape(name)[0])

    def _add(self, area: str, heads: int, size: int) -> None:
        size = -(-size // _ALIGNED) * _ALIGNED
        self._areas[area] = self.bytes, size
        self.bytes += heads * size

    def offset(self, area: str, head: int) -> int:
        """Where a head's part of an area begins."""
        first, size = self._areas[area]
        return first + head * size


def padded(size: int) -> int:
    """Bytes of a row in memory."""
    return -(-size // 4) * 4


def parts(count: int, lanes: int) -> Iterator[tuple[int, int, int]]:
    """Full tiles of so many lanes' worth, then the rest: first tile, tiles, lanes."""
    whole, rest = divmod(count, lanes)
    if whole:
        yield 0, whole, lanes
    if rest:
        yield whole, 1, rest


def queue_of(name: str, config: CoreConfig) -> int:
    """The DMA queue that moves a tensor: values share that of the results, which has less to do."""
    return config.dma_queues - 1 if name == "v" else 0
