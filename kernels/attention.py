"""Attention of one layer on the core: the operations of docs/attention.md."""

import math
from dataclasses import dataclass

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from kernels.attention_loads import Loads
from kernels.attention_sizes import AttentionSizes, Tensors, padded
from kernels.builder import Builder, Tile

__all__ = ["attention_program"]

#: exp of it is what the largest numerator of a row becomes.
_LOG_P_SCALE = math.log(256)
#: Rows that one product may have: more would fill PSUM and stop the next one.
_MOST_ROWS = 512
#: Blocks of queries whose scores are on the way to numerators: the softmax of one takes as long as a block's products.
_AHEAD = 2


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
        #: Of each head.
        self.blocks = -(-sizes.queries // config.lanes)
        # Heads at work, and the one that comes.
        self.loads = Loads(self.b, config, sizes, tensors, 2 - (-_AHEAD // self.blocks))
        self.scales = self.loads.scales
        t, d = sizes.keys, sizes.channels
        self.x_bytes, self.w_bytes = ELEMENTS[sizes.x_type].bytes, ELEMENTS[sizes.w_type].bytes
        #: Keys in one product.
        self.rows = -(-t // -(-t // min(_MOST_ROWS, config.engine.psum_depth // 2)))
        self.scores = self._ring(4 * t, 3)
        self.p = self._ring(padded(t * self.x_bytes), 4)
        self.out = self._ring(4 * d, 5)
        self.maxima = self._ring(4 * -(-t // self.rows), 6)
        self.shift = self._ring(4, 6)
        self.inverse = self._ring(4, 7)

    def _ring(self, size: int, bank: int) -> list[Tile]:
        """A tile for each block at work."""
        return [self.b.tile(size, bank) for _ in range(_AHEAD + 1)]

    def program(self) -> Builder:
        """Scores of a block come before the values of those before it, so that its softmax is ready in time."""
        sizes, lanes = self.sizes, self.config.lanes
        firsts = range(0, sizes.queries, lanes)
        blocks = [
            _Block(head * len(firsts) + number, head, first, min(lanes, sizes.queries - first))
            for head in range(sizes.heads)
            for number, first in enumerate(firsts)
        ]
        for head in range(min(2, sizes.heads)):
            self.loads.fetch(head)
            if head == 0:
                self.loads.measure(head)
                self.loads.prepare(head)
        for step in range(len(blocks) + _AHEAD):
            if step < len(blocks):
                self._tensors(blocks[step])
                self._scores(blocks[step])
            if step >= _AHEAD:
                self._values(blocks[step - _AHEAD])
            if step < len(blocks):
                self._numerators(blocks[step])
                self._prepare(blocks[step])
        return self.b

    def _coming(self, block: _Block) -> str:
        """The tensors of the next head that are made codes of during a block.

        Where two heads' numbers have room, the next head's are prepared bit by bit while those of the head after it
        come. Else the next head's come from the first block of the one before it on, and are prepared at its last.
        """
        place = block.number % self.blocks
        if block.head + 1 == self.sizes.heads:
            return ""
        if len(self.loads.raw) == 2:
            return "kqv"[3 * place // self.blocks : 3 * (place + 1) // self.blocks]
        return "kqv" if place == self.blocks - 1 else ""

    def _tensors(self, block: _Block) -> None:
        """Before a block: fetch heads to come, and begin to prepare the next one."""
        place, head, heads = block.number % self.blocks, block.head, self.sizes.heads
        names = self._coming(block)
        if len(self.loads.raw) == 2:
            if head + 2 < heads:
                self.loads.fetch(head + 2, names)
            self.loads.measure(head + 1, names)
        else:
            if place == 0 and 0 < head < heads - 1:
                self.loads.fetch(head + 1)
            self.loads.measure(head + 1, names)

    def _prepare(self, block: _Block) -> None:
        """After a block."""
        self.loads.prepare(block.head + 1, self._coming(block))

    def _keys_seen(self, block: _Block) -> int:
        """Keys that some query of the block sees."""
        sizes = self.sizes
        last = block.first + block.lanes - 1
        return min(sizes.keys, last + 1 + sizes.keys - sizes.queries) if sizes.causal else sizes.keys

    # ---- steps ----------------------------------------------------------------------------------

    def _scores(self, block: _Block) -> None:
        """Scaled, masked scores, and each query's largest."""
        sizes, ring = self.sizes, block.number % (_AHEAD + 1)
        kv, seen = self.loads.kv(block.head), self._keys_seen(block)
        parts = [(first, min(self.rows, seen - first)) for first in range(0, seen, self.rows)]
        for number, (first, rows) in enumerate(parts):
            self.b.issue(
                "matmul",
                lanes=block.lanes,
                depth=sizes.channels,
                w_address=self.loads.queries(block.head, block.first),
                w_type=sizes.x_type,
                w_stride=self.x_bytes,
                w_tile_stride=self.config.lanes * self.x_bytes,
                x_address=self.loads.keys(block.head) + first * self.w_bytes,
                x_type=sizes.w_type,
                x_stride0=self.w_bytes,
                x_tile_stride=self.loads.k_pitch,
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
                **self.scales.of_queries(block.head, block.first // self.config.lanes),
                op1="multiply",
                **self.scales.of_columns("k", kv, first),
                **mask,
                write="yes",
                y_address=self.scores[ring].address + 4 * first,
                y_type="fp32",
                y_stride0=4,
                reduce="max",
                r_address=self.maxima[ring].address + 4 * number,
                count0=rows,
            )
        if len(parts) > 1:
            self.b.issue(
                "vector",
                lanes=block.lanes,
                x_address=self.maxima[ring].address,
                x_type="fp32",
                x_stride0=4,
                reduce="max",
                r_address=self.maxima[ring].address,
                count0=len(parts),
            )

    def _numerators(self, block: _Block) -> None:
        ring, seen = block.number % (_AHEAD + 1), self._keys_seen(block)
        self.b.issue(
            "vector",
            lanes=block.lanes,
            x_address=self.maxima[ring].address,
            x_type="fp32",
            op0="rsubtract",
            a=_LOG_P_SCALE,
            write="yes",
            y_address=self.shift[ring].address,
            y_type="fp32",
        )
        self.b.issue(
            "scalar",
            lanes=block.lanes,
            x_address=self.scores[ring].address,
            x_type="fp32",
            x_stride0=4,
            scale=1.0,
            bias_kind="lane",
            bias=self.shift[ring].address,
            function="exp",
            write="yes",
            y_address=self.p[ring].address,
            y_type=self.sizes.x_type,
            y_stride0=self.x_bytes,
            count0=seen,
        )

    def _values(self, block: _Block) -> None:
        """Sums of values, the first that of the numerators, and their quotient to memory."""
        sizes, ring, kv = self.sizes, block.number % (_AHEAD + 1), self.loads.kv(block.head)
        self.b.issue(
            "matmul",
            lanes=block.lanes,
            depth=self._keys_seen(block),
            w_address=self.p[ring].address,
            w_type=sizes.x_type,
            w_stride=self.x_bytes,
            w_tile_stride=self.config.lanes * self.x_bytes,
            x_address=self.loads.values(block.head),
            x_type=sizes.w_type,
            x_stride0=self.w_bytes,
            x_tile_stride=self.loads.v_pitch,
            count0=sizes.channels + 1,
        )
        self.b.issue(
            "scalar",
            lanes=block.lanes,
            x_source="psum",
            scale=1.0,
            function="reciprocal",
            write="yes",
            y_address=self.inverse[ring].address,
            y_type="fp32",
        )
        self.b.issue(
            "vector",
            lanes=block.lanes,
            x_source="psum",
            op0="multiply",
            a_kind="lane",
            a=self.inverse[ring].address,
            op1="multiply",
            **self.scales.of_columns("v", kv),
            write="yes",
            y_address=self.out[ring].address,
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
            source_address=self.out[ring].address,
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
