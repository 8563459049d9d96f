"""Attention of one layer on the core, from codes in memory: the operations of docs/attention.md."""

import math
from dataclasses import dataclass, field

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from kernels.builder import Builder

__all__ = ["AttentionSizes", "Tensors", "attention_program"]

#: exp of it is what the largest numerator of a row becomes.
_LOG_P_SCALE = math.log(256)
#: Rows that one product may have: more would fill PSUM and stop the next one.
_MOST_ROWS = 512


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
    """

    heads: int
    kv_heads: int
    queries: int
    keys: int
    channels: int
    causal: bool = False
    x_type: str = "e4m3"
    w_type: str = "e4m3"


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Where tensors lie in memory, row-major; rows of codes are padded to a multiple of 4 bytes.

    Parameters
    ----------
    q, k, v, out : int
        Addresses of codes [heads, tokens, channels], and of the fp32 result.
    q_scales, k_scales, v_scales : tuple of float
        A number for each head: what a query's scores are multiplied by, then those of the keys, then the result.
    """

    q: int
    k: int
    v: int
    out: int
    q_scales: tuple[float, ...] = field(default=(1.0,))
    k_scales: tuple[float, ...] = field(default=(1.0,))
    v_scales: tuple[float, ...] = field(default=(1.0,))


def padded(size: int) -> int:
    """Bytes of a row in memory."""
    return -(-size // 4) * 4


@dataclass(frozen=True)
class _Block:
    """P queries of a head, or fewer: its number counts through all heads."""

    number: int
    head: int
    first: int
    lanes: int


class _Attention:
    """The program's tiles, and the instructions of each step."""

    def __init__(self, config: CoreConfig, sizes: AttentionSizes, tensors: Tensors):
        self.b, self.config, self.sizes, self.at = Builder(config), config, sizes, tensors
        lanes, d, t = config.lanes, sizes.channels, sizes.keys
        self.x_bytes, self.w_bytes = ELEMENTS[sizes.x_type].bytes, ELEMENTS[sizes.w_type].bytes
        self.d_tiles, self.t_tiles = -(-d // lanes), -(-t // lanes)
        self.k_pitch = padded(t * self.w_bytes)
        # A column of ones before the values.
        self.v_pitch = padded((d + 1) * self.w_bytes) + 4
        self.q_pitch, self.p_bytes = padded(d * self.x_bytes), padded(t * self.x_bytes)
        # The next head's tensors come while this one's are at work.
        self.k = [self.b.tile(self.d_tiles * self.k_pitch, 0) for _ in range(2)]
        self.v = [self.b.tile(self.t_tiles * self.v_pitch, 1) for _ in range(2)]
        self.q = [self.b.tile(self.q_pitch, 2) for _ in range(2)]
        self.scores = [self.b.tile(4 * t, 3) for _ in range(2)]
        self.p = [self.b.tile(self.p_bytes, 4) for _ in range(2)]
        self.out = [self.b.tile(4 * d, 5) for _ in range(2)]
        self.rows = -(-t // -(-t // min(_MOST_ROWS, config.engine.psum_depth // 2)))
        self.maxima = [self.b.tile(4 * -(-t // self.rows), 6) for _ in range(2)]
        self.shift = [self.b.tile(4, 6) for _ in range(2)]
        self.inverse = [self.b.tile(4, 7) for _ in range(2)]

    def program(self) -> Builder:
        """Scores of a block come before the values of the one before it, so that its softmax is ready in time."""
        sizes, lanes = self.sizes, self.config.lanes
        firsts = range(0, sizes.queries, lanes)
        blocks = [
            _Block(head * len(firsts) + number, head, first, min(lanes, sizes.queries - first))
            for head in range(sizes.heads)
            for number, first in enumerate(firsts)
        ]
        loaded = -1
        for before, block in zip([None, *blocks], [*blocks, None], strict=True):
            if block:
                kv = self._kv(block)
                if kv != loaded:
                    self._load_keys(kv)
                    self._load_values(kv)
                    loaded = kv
                self._load_queries(block)
                self._scores(block)
                self._numerators(block)
            if before:
                self._values(before)
        return self.b

    def _kv(self, block: _Block) -> int:
        return block.head // (self.sizes.heads // self.sizes.kv_heads)

    def _keys_seen(self, block: _Block) -> int:
        """Keys that some query of the block sees."""
        sizes = self.sizes
        last = block.first + block.lanes - 1
        return min(sizes.keys, last + 1 + sizes.keys - sizes.queries) if sizes.causal else sizes.keys

    # ---- loads ----------------------------------------------------------------------------------

    def _load_keys(self, kv: int) -> None:
        """Feature-major: a lane a channel, P channels a tile."""
        sizes, lanes = self.sizes, self.config.lanes
        row = padded(sizes.channels * self.w_bytes)
        for tile in range(self.d_tiles):
            self.b.issue(
                "dma",
                queue=0,
                lanes=min(lanes, sizes.channels - tile * lanes),
                size=str(self.w_bytes),
                source_space="memory",
                source_address=self.at.k + kv * sizes.keys * row + tile * lanes * self.w_bytes,
                source_transposed="yes",
                source_pitch=row,
                sink_space="sbuf",
                sink_address=self.k[kv % 2].address + tile * self.k_pitch,
                count0=sizes.keys,
            )

    def _load_values(self, kv: int) -> None:
        """Token-major: a lane a key, P keys a tile, a word of ones before each row."""
        sizes, lanes, tile = self.sizes, self.config.lanes, self.v[kv % 2]
        row = padded(sizes.channels * self.w_bytes)
        whole, rest = divmod(sizes.keys, lanes)
        for first, count, used in ((0, whole, lanes), (whole, 1, rest)):
            if not (count and used):
                continue
            address = tile.address + first * self.v_pitch
            self.b.issue(
                "dma",
                queue=0,
                lanes=used,
                size=str(self.w_bytes),
                source_space="memory",
                source_address=self.at.v + (kv * sizes.keys + first * lanes) * row,
                source_pitch=row,
                source_stride=lanes * row,
                sink_space="sbuf",
                sink_address=address + 4,
                sink_stride=self.v_pitch,
                count0=sizes.channels,
                count1=count,
            )
            self.b.issue(
                "vector",
                lanes=used,
                x_address=address + 4,
                x_type=sizes.w_type,
                x_stride0=self.v_pitch,
                # No element keeps what it was.
                mask="at_most",
                mask_base=-1,
                fill=1.0,
                write="yes",
                y_address=address + 4 - self.w_bytes,
                y_type=sizes.w_type,
                y_stride0=self.v_pitch,
                count0=count,
            )

    def _load_queries(self, block: _Block) -> None:
        sizes = self.sizes
        row = padded(sizes.channels * self.x_bytes)
        self.b.issue(
            "dma",
            queue=0,
            lanes=block.lanes,
            size=str(self.x_bytes),
            source_space="memory",
            source_address=self.at.q + (block.head * sizes.queries + block.first) * row,
            source_pitch=row,
            sink_space="sbuf",
            sink_address=self.q[block.number % 2].address,
            count0=sizes.channels,
        )

    # ---- steps ----------------------------------------------------------------------------------

    def _scores(self, block: _Block) -> None:
        """Scaled, masked scores, and each query's largest."""
        sizes, half = self.sizes, block.number % 2
        kv, seen = self._kv(block), self._keys_seen(block)
        parts = [(first, min(self.rows, seen - first)) for first in range(0, seen, self.rows)]
        for number, (first, rows) in enumerate(parts):
            self.b.issue(
                "matmul",
                lanes=block.lanes,
                depth=sizes.channels,
                w_address=self.q[half].address,
                w_type=sizes.x_type,
                w_stride=self.x_bytes,
                w_tile_stride=self.config.lanes * self.x_bytes,
                x_address=self.k[kv % 2].address + first * self.w_bytes,
                x_type=sizes.w_type,
                x_stride0=self.w_bytes,
                x_tile_stride=self.k_pitch,
                count0=rows,
            )
            mask = {}
            if sizes.causal:
                limit = block.first + sizes.keys - sizes.queries - first
                mask = {"mask": "at_most", "mask_base": limit, "mask_lane": 1, "fill": -math.inf}
            self.b.issue(
                "vector",
                lanes=block.lanes,
                x_source="psum",
                op0="multiply",
                a=self.at.q_scales[block.head],
                op1="multiply",
                b=self.at.k_scales[kv],
                **mask,
                write="yes",
                y_address=self.scores[half].address + 4 * first,
                y_type="fp32",
                y_stride0=4,
                reduce="max",
                r_address=self.maxima[half].address + 4 * number,
                count0=rows,
            )
        if len(parts) > 1:
            self.b.issue(
                "vector",
                lanes=block.lanes,
                x_address=self.maxima[half].address,
                x_type="fp32",
                x_stride0=4,
                reduce="max",
                r_address=self.maxima[half].address,
                count0=len(parts),
            )

    def _numerators(self, block: _Block) -> None:
        half, seen = block.number % 2, self._keys_seen(block)
        self.b.issue(
            "vector",
            lanes=block.lanes,
            x_address=self.maxima[half].address,
            x_type="fp32",
            op0="rsubtract",
            a=_LOG_P_SCALE,
            write="yes",
            y_address=self.shift[half].address,
            y_type="fp32",
        )
        self.b.issue(
            "scalar",
            lanes=block.lanes,
            x_address=self.scores[half].address,
            x_type="fp32",
            x_stride0=4,
            scale=1.0,
            bias_kind="lane",
            bias=self.shift[half].address,
            function="exp",
            write="yes",
            y_address=self.p[half].address,
            y_type=self.sizes.x_type,
            y_stride0=self.x_bytes,
            count0=seen,
        )

    def _values(self, block: _Block) -> None:
        """Sums of values, the first that of the numerators, and their quotient to memory."""
        sizes, half, kv = self.sizes, block.number % 2, self._kv(block)
        self.b.issue(
            "matmul",
            lanes=block.lanes,
            depth=self._keys_seen(block),
            w_address=self.p[half].address,
            w_type=sizes.x_type,
            w_stride=self.x_bytes,
            w_tile_stride=self.config.lanes * self.x_bytes,
            x_address=self.v[kv % 2].address + 4 - self.w_bytes,
            x_type=sizes.w_type,
            x_stride0=self.w_bytes,
            x_tile_stride=self.v_pitch,
            count0=sizes.channels + 1,
        )
        self.b.issue(
            "scalar",
            lanes=block.lanes,
            x_source="psum",
            scale=1.0,
            function="reciprocal",
            write="yes",
            y_address=self.inverse[half].address,
            y_type="fp32",
        )
        self.b.issue(
            "vector",
            lanes=block.lanes,
            x_source="psum",
            op0="multiply",
            a_kind="lane",
            a=self.inverse[half].address,
            op1="multiply",
            b=self.at.v_scales[kv],
            write="yes",
            y_address=self.out[half].address,
            y_type="fp32",
            y_stride0=4,
            count0=sizes.channels,
        )
        row = 4 * sizes.channels
        self.b.issue(
            "dma",
            queue=self.config.dma_queues - 1,
            lanes=block.lanes,
            size="4",
            source_space="sbuf",
            source_address=self.out[half].address,
            sink_space="memory",
            sink_address=self.at.out + (block.head * sizes.queries + block.first) * row,
            sink_pitch=row,
            count0=sizes.channels,
        )


def attention_program(config: CoreConfig, sizes: AttentionSizes, tensors: Tensors) -> Builder:
    """The program of an attention whose codes and scales are known.

    Raises ValueError if SBUF does not hold what it needs: two heads' keys and values, two rows of scores.
    """
    return _Attention(config, sizes, tensors).program()
