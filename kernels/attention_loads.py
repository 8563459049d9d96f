"""What an attention is made of, and how its tensors come from memory into SBUF."""

from dataclasses import dataclass

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from kernels.builder import Builder, Tile

__all__ = ["AttentionSizes", "Loads", "Tensors", "padded"]


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


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Where tensors lie in memory, and their scales. Each is row-major, its rows padded to a multiple of 4 bytes.

    Parameters
    ----------
    q, k, v, out : int
        Addresses of [heads, tokens, channels], codes or float32, and of the float32 result.
    q_factors, k_factors, v_factors : tuple of float
        For each head, what a query's scores are multiplied by, then those of the keys, and what the result is.
    q_inverses, k_inverses, v_inverses : tuple of float
        For each head, what numbers are multiplied by before they become codes; not used where there are codes.
    """

    q: int
    k: int
    v: int
    out: int
    q_factors: tuple[float, ...]
    k_factors: tuple[float, ...]
    v_factors: tuple[float, ...]
    q_inverses: tuple[float, ...] = ()
    k_inverses: tuple[float, ...] = ()
    v_inverses: tuple[float, ...] = ()


def padded(size: int) -> int:
    """Bytes of a row in memory."""
    return -(-size // 4) * 4


class Loads:
    """Keys feature-major, values and queries token-major; some heads of each, one place after another.

    A head is fetched by DMA first and prepared by the vector engine later: it would wait for what is not there yet.
    A head's keys are ``k_pitch`` bytes a tile of P channels, its values ``v_pitch`` bytes a tile of P keys: a word that
    ends with a one, then the channels. All of a head's queries lie a tile of P behind each other.
    """

    def __init__(self, b: Builder, config: CoreConfig, sizes: AttentionSizes, tensors: Tensors, places: int):
        self.places = min(places, sizes.heads)
        self.b, self.config, self.sizes, self.at = b, config, sizes, tensors
        lanes, d, t, s = config.lanes, sizes.channels, sizes.keys, sizes.queries
        self.x_bytes, self.w_bytes = ELEMENTS[sizes.x_type].bytes, ELEMENTS[sizes.w_type].bytes
        self.k_pitch = padded(t * self.w_bytes)
        self.v_pitch = padded(d * self.w_bytes) + 4
        self.q_pitch = padded(d * self.x_bytes)
        d_tiles, t_tiles, s_tiles = (-(-size // lanes) for size in (d, t, s))
        self.k = [b.tile(d_tiles * self.k_pitch, 0) for _ in range(self.places)]
        self.v = [b.tile(t_tiles * self.v_pitch, 1) for _ in range(self.places)]
        self.q = [b.tile(s_tiles * self.q_pitch, 2) for _ in range(self.places)]
        #: Numbers on their way to codes: of two heads, where there is much room.
        self.raw: list[dict[str, Tile]] = []
        if not sizes.quantized:
            counts = {"k": d_tiles * t, "v": t_tiles * d, "q": s_tiles * d}
            twice = sizes.heads > 1 and 2 * 4 * sum(counts.values()) <= config.lane_bytes // 2
            for _ in range(2 if twice else 1):
                tiles = {name: b.tile(4 * count, 5 + bank) for bank, (name, count) in enumerate(counts.items())}
                self.raw.append(tiles)

    def kv(self, head: int) -> int:
        """The head of keys and values of a query head."""
        return head // (self.sizes.heads // self.sizes.kv_heads)

    def queries(self, head: int, first: int) -> int:
        """Where the queries of a block are."""
        return self.q[head % self.places].address + first // self.config.lanes * self.q_pitch

    def keys(self, head: int) -> int:
        """Where the keys of a query head are."""
        return self.k[self.kv(head) % self.places].address

    def values(self, head: int) -> int:
        """Where the ones are that the values of a query head follow."""
        return self.v[self.kv(head) % self.places].address + 4 - self.w_bytes

    def _brings_keys(self, head: int) -> bool:
        """Whether it is the first of the query heads that share keys and values."""
        return head == 0 or self.kv(head) != self.kv(head - 1)

    def fetch(self, head: int, names: str = "kqv") -> None:
        """Load a head's queries, and its keys and values if the head before has not."""
        for name in names:
            if name == "q":
                self._fetch_rows("q", head, head, self.sizes.queries, self._q(head))
            elif self._brings_keys(head) and name == "k":
                self._fetch_keys(head)
            elif self._brings_keys(head):
                self._fetch_rows("v", head, self.kv(head), self.sizes.keys, self._v(head))

    def prepare(self, head: int, names: str = "kqv") -> None:
        """Make codes of what was fetched, and put ones before the values."""
        sizes, kv = self.sizes, self.kv(head)
        for name in names:
            if name == "q":
                self._codes("q", head, head, (sizes.queries, sizes.channels), self._q(head))
            elif self._brings_keys(head) and name == "k":
                place = sizes.w_type, self.keys(head), self.k_pitch
                self._codes("k", head, kv, (sizes.channels, sizes.keys), place)
            elif self._brings_keys(head):
                self._codes("v", head, kv, (sizes.keys, sizes.channels), self._v(head))
                self._ones(head)

    def _raw(self, name: str, head: int) -> int:
        """Where numbers of a query head are on their way to codes."""
        return self.raw[head % len(self.raw)][name].address

    def _q(self, head: int) -> tuple[str, int, int]:
        """Type, address and pitch of a head's queries."""
        return self.sizes.x_type, self.queries(head, 0), self.q_pitch

    def _v(self, head: int) -> tuple[str, int, int]:
        """Type, address and pitch of a head's values."""
        return self.sizes.w_type, self.v[self.kv(head) % self.places].address + 4, self.v_pitch

    def _parts(self, count: int):
        """Full tiles of so many lanes' worth, then the rest: first tile, tiles, lanes."""
        whole, rest = divmod(count, self.config.lanes)
        return [part for part in ((0, whole, self.config.lanes), (whole, 1, rest)) if part[1] and part[2]]

    def _fetch_keys(self, head: int) -> None:
        sizes, lanes, kv = self.sizes, self.config.lanes, self.kv(head)
        size = self.w_bytes if sizes.quantized else 4
        row = padded(sizes.channels * size)
        target, pitch = self.k[kv % self.places].address, self.k_pitch
        if not sizes.quantized:
            target, pitch = self._raw("k", head), 4 * sizes.keys
        for first, count, used in self._parts(sizes.channels):
            self.b.issue(
                "dma",
                queue=0,
                lanes=used,
                size=str(size),
                source_space="memory",
                source_address=self.at.k + kv * sizes.keys * row + first * lanes * size,
                source_transposed="yes",
                source_pitch=row,
                source_stride=lanes * size,
                sink_space="sbuf",
                sink_address=target + first * pitch,
                sink_stride=pitch,
                count0=sizes.keys,
                count1=count,
            )

    def _fetch_rows(self, name: str, head: int, of: int, tokens: int, place: tuple[str, int, int]) -> None:
        """A head's queries or values, the tensor's number ``of``: a token a lane."""
        sizes, lanes = self.sizes, self.config.lanes
        kind, target, pitch = place
        size = ELEMENTS[kind].bytes
        if not sizes.quantized:
            size, target, pitch = 4, self._raw(name, head), 4 * sizes.channels
        row = padded(sizes.channels * size)
        for first, count, used in self._parts(tokens):
            self.b.issue(
                "dma",
                # That of the results has less to do.
                queue=self.config.dma_queues - 1 if name == "v" else 0,
                lanes=used,
                size=str(size),
                source_space="memory",
                source_address=getattr(self.at, name) + (of * tokens + first * lanes) * row,
                source_pitch=row,
                source_stride=lanes * row,
                sink_space="sbuf",
                sink_address=target + first * pitch,
                sink_stride=pitch,
                count0=sizes.channels,
                count1=count,
            )

    def _codes(self, name: str, head: int, of: int, size: tuple[int, int], place: tuple[str, int, int]) -> None:
        """Numbers become codes: of so many lanes, P a tile, so many elements in each."""
        if self.sizes.quantized:
            return
        kind, target, pitch = place
        lanes, length = size
        inverse = 1.0 if kind == "bf16" else getattr(self.at, f"{name}_inverses")[of]
        # The scalar engine has less to do. It adds -0, which changes no number, not even -0.
        engine, product = "scalar", {"scale": inverse, "bias": -0.0}
        if name == "q":
            engine, product = "vector", {"op0": "multiply", "a": inverse}
        for first, count, used in self._parts(lanes):
            self.b.issue(
                engine,
                lanes=used,
                x_address=self._raw(name, head) + 4 * first * length,
                x_type="fp32",
                x_stride0=4,
                x_stride1=4 * length,
                **product,
                write="yes",
                y_address=target + first * pitch,
                y_type=kind,
                y_stride0=ELEMENTS[kind].bytes,
                y_stride1=pitch,
                count0=length,
                count1=count,
            )

    def _ones(self, head: int) -> None:
        """The element before the first channel of each value."""
        sizes = self.sizes
        for first, count, used in self._parts(sizes.keys):
            address = self.values(head) + first * self.v_pitch
            self.b.issue(
                "vector",
                lanes=used,
                x_address=address + self.w_bytes,
                x_type=sizes.w_type,
                x_stride0=self.v_pitch,
                # No element keeps what it was.
                mask="at_most",
                mask_base=-1,
                fill=1.0,
                write="yes",
                y_address=address,
                y_type=sizes.w_type,
                y_stride0=self.v_pitch,
                count0=count,
            )
