"""How an attention's tensors come from memory into SBUF."""

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from kernels.attention_scales import Scales
from kernels.attention_sizes import AttentionSizes, Tensors, padded, parts, queue_of
from kernels.builder import Builder, Tile

__all__ = ["Loads"]


class Loads:
    """Keys feature-major, values and queries token-major; some heads of each, one place after another.

    A head is fetched by DMA first, then measured, then prepared: the engines would wait for what is not there yet.
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
            shapes = {name: sizes.shape(name) for name in "kvq"}
            counts = {name: -(-across // lanes) * length for name, (across, length) in shapes.items()}
            twice = sizes.heads > 1 and 2 * 4 * sum(counts.values()) <= config.lane_bytes // 2
            for _ in range(2 if twice else 1):
                tiles = {name: b.tile(4 * count, 5 + bank) for bank, (name, count) in enumerate(counts.items())}
                self.raw.append(tiles)
        self.scales = Scales(b, config, sizes, tensors, self.places)

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

    # ---- the three steps of a head --------------------------------------------------------------

    def fetch(self, head: int, names: str = "kqv") -> None:
        """Load a head's queries, and its keys and values if the head before has not."""
        for name, of in self._new(head, names):
            if self.sizes.quantized:
                self._fetch_codes(name, head, getattr(self.at, name) + of * self._head_bytes(name))
                continue
            row, length = 4 * self.sizes.channels, self.sizes.shape(name)[1]
            source = getattr(self.at, name) + of * self.sizes.tokens(name) * row
            place = self._raw(name, head), 4 * length
            self._move(name, source, row, 4, place, self.sizes.by_channel(name))

    def measure(self, head: int, names: str = "kqv") -> None:
        """Find scales that nobody gave."""
        for name, of in self._new(head, names):
            if self.sizes.scales_of(name) != "given":
                self.scales.measure(name, of, self._raw(name, head))

    def prepare(self, head: int, names: str = "kqv") -> None:
        """Make codes of what was fetched, and put ones before the values."""
        for name, of in self._new(head, names):
            if not self.sizes.quantized:
                self.scales.settle(name, of)
                if name in self.scales.codes:
                    area = self.scales.scratch.offset(f"{name}_codes", of)
                    self._fetch_codes(name, head, self.at.scratch + area)
                else:
                    self._codes(name, head, of)
            # They stay where they are when the next head's values come to this place.
            if name == "v" and of < self.places:
                self._ones(head)

    def _new(self, head: int, names: str) -> list[tuple[str, int]]:
        """The tensors among ``names`` that the head before has not brought, and their own numbers of the head."""
        kv = self.kv(head)
        shared = head > 0 and kv == self.kv(head - 1)
        return [(name, head if name == "q" else kv) for name in names if name == "q" or not shared]

    def _raw(self, name: str, head: int) -> int:
        """Where numbers of a query head are on their way to codes."""
        return self.raw[head % len(self.raw)][name].address

    def _place(self, name: str, head: int) -> tuple[int, int]:
        """Address and pitch of a head's codes."""
        if name == "q":
            return self.queries(head, 0), self.q_pitch
        if name == "k":
            return self.keys(head), self.k_pitch
        return self.v[self.kv(head) % self.places].address + 4, self.v_pitch

    def _head_bytes(self, name: str) -> int:
        """Of a head's codes in memory."""
        return self.sizes.tokens(name) * self.sizes.row_bytes(name)

    # ---- instructions ---------------------------------------------------------------------------

    def _fetch_codes(self, name: str, head: int, source: int) -> None:
        size = ELEMENTS[self.sizes.type_of(name)].bytes
        self._move(name, source, self.sizes.row_bytes(name), size, self._place(name, head), name == "k")

    def _move(self, name: str, source: int, row: int, size: int, place: tuple[int, int], by_channel: bool) -> None:
        """A head's elements of ``size`` bytes, ``row`` bytes a token, into their lanes, a token or a channel each."""
        lanes, (target, pitch) = self.config.lanes, place
        across, length = self.sizes.tokens(name), self.sizes.channels
        if by_channel:
            across, length = length, across
        step = lanes * (size if by_channel else row)
        for first, count, used in parts(across, lanes):
            self.b.issue(
                "dma",
                queue=queue_of(name, self.config),
                lanes=used,
                size=str(size),
                source_space="memory",
                source_address=source + first * step,
                source_transposed="yes" if by_channel else "no",
                source_pitch=row,
                source_stride=step,
                sink_space="sbuf",
                sink_address=target + first * pitch,
                sink_stride=pitch,
                count0=length,
                count1=count,
            )

    def _codes(self, name: str, head: int, of: int) -> None:
        """Numbers become codes, which lie as the numbers do."""
        (across, length), kind = self.sizes.shape(name), self.sizes.type_of(name)
        target, pitch = self._place(name, head)
        for first, count, used in parts(across, self.config.lanes):
            engine, product = self.scales.inverse(name, of, first)
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
        for first, count, used in parts(sizes.keys, self.config.lanes):
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
