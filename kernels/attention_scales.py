"""The scales of an attention's tensors: constants of the program, or found by it in float32 numbers."""

import math

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from kernels.attention_sizes import AttentionSizes, Scratch, Tensors, padded, parts, queue_of
from kernels.builder import Builder, Tile

__all__ = ["Scales"]

#: The least scale: its reciprocal is a number.
_MIN_SCALE = 2.0**-126


class Scales:
    """Scales of the heads at work, and codes of numbers by them.

    A scale for each token or channel is found in its lane. One for a tensor is the largest of those of its lanes, and
    these go to memory and come back in every lane: no lane sees another. So do the scales that belong to columns.

    ``measure`` finds what lanes can tell and sends it; ``settle`` takes what comes back: between them is the way to
    memory and back, in which other instructions should have their turn.
    """

    def __init__(self, b: Builder, config: CoreConfig, sizes: AttentionSizes, tensors: Tensors, places: int):
        self.b, self.config, self.sizes, self.at, self.places = b, config, sizes, tensors, places
        self.scratch = Scratch(config, sizes)
        #: Of a lane's numbers, each tile's, and reciprocals; by tensor.
        self.scales: dict[str, Tile] = {}
        self.inverses: dict[str, Tile] = {}
        #: What came back from memory and is not yet one number.
        self.gathered: dict[str, Tile] = {}
        #: Codes on their way to be turned.
        self.codes: dict[str, Tile] = {}
        #: What scores and results are multiplied by, for each place.
        self.factors: dict[str, list[Tile]] = {}
        for bank, name in enumerate("qkv"):
            self._place(name, 5 + bank)

    def _place(self, name: str, bank: int) -> None:
        """Tiles for a tensor's scales."""
        kind, across = self.sizes.scales_of(name), self.sizes.shape(name)[0]
        if kind == "given":
            return
        tiles = -(-across // self.config.lanes)
        count = 2 if kind == "per-tensor" else tiles
        self.scales[name] = self.b.tile(4 * count, bank)
        self.inverses[name] = self.b.tile(4 * count, bank)
        factors = 1
        if kind == "per-tensor":
            self.gathered[name] = self.b.tile(2 * 4 * self.config.lanes, bank)
        elif name == "q":
            factors = tiles
        else:
            factors = across
            self.codes[name] = self.b.tile(tiles * self._pitch(name), bank)
        self.factors[name] = [self.b.tile(4 * factors, bank) for _ in range(self.places)]

    def _pitch(self, name: str) -> int:
        """Bytes from a tile of codes that are on their way to be turned to the next."""
        return padded(self.sizes.shape(name)[1] * ELEMENTS[self.sizes.type_of(name)].bytes)

    def _factor(self, name: str, of: int) -> int:
        return self.factors[name][of % self.places].address

    # ---- what is multiplied by ------------------------------------------------------------------

    def of_queries(self, head: int, tile: int) -> dict[str, object]:
        """Operand a of a score: that of a tile of queries."""
        kind = self.sizes.scales_of("q")
        if kind == "given":
            return {"a": self.at.q_factors[head] if self.at.q_factors else self._c}
        return {"a_kind": "lane", "a": self._factor("q", head) + (4 * tile if kind == "per-token" else 0)}

    def of_columns(self, name: str, of: int, first: int = 0) -> dict[str, object]:
        """Operand b of scores from a key on, or of results from a channel on."""
        kind = self.sizes.scales_of(name)
        if kind == "given":
            given = getattr(self.at, f"{name}_factors")
            return {"b": given[of] if given else 1.0}
        if kind == "per-tensor":
            return {"b_kind": "lane", "b": self._factor(name, of)}
        address = self._factor(name, of) + 4 * first
        return {"b_kind": "tensor", "t_address": address, "t_type": "fp32", "t_stride0": 4}

    def inverse(self, name: str, of: int, first: int) -> tuple[str, dict[str, object]]:
        """Engine and operands that make codes of tiles of numbers, from tile ``first`` on."""
        kind = self.sizes.scales_of(name)
        if name == "q" and kind == "per-token":
            address = self.inverses[name].address + 4 * first
            tensor = {"t_address": address, "t_type": "fp32", "t_stride1": 4}
            return "vector", {"op0": "multiply", "a_kind": "tensor", **tensor}
        given = getattr(self.at, f"{name}_inverses")
        operand, value = "immediate", given[of] if given else 1.0
        if kind != "given":
            operand, value = "lane", self.inverses[name].address
        if name == "q":
            return "vector", {"op0": "multiply", "a_kind": operand, "a": value}
        # The scalar engine has less to do. It adds -0, which changes no number, not even -0.
        return "scalar", {"scale_kind": operand, "scale": value, "bias": -0.0}

    @property
    def _c(self) -> float:
        """What scores are multiplied by beside scales."""
        return 1 / math.sqrt(self.sizes.channels)

    # ---- scales ---------------------------------------------------------------------------------

    def measure(self, name: str, of: int, raw: int) -> None:
        """Find the scales of a head's numbers at ``raw``, as far as lanes can; make codes that are to be turned."""
        kind, lanes = self.sizes.scales_of(name), self.config.lanes
        across, length = self.sizes.shape(name)
        if kind == "per-tensor":
            for number, (first, count, used) in enumerate(parts(across, lanes)):
                self._largest(name, raw + 4 * first * length, (length, count), used, number)
                self._send_scales(name, of, number, number, 1, used)
            self._spread(name, of, self._words(name), self.gathered[name].address)
        elif kind == "per-token":
            for tile in range(-(-across // lanes)):
                self._largest(name, raw + 4 * tile * length, (length, 1), min(lanes, across - tile * lanes), tile)
            for first, count, used in parts(across, lanes):
                self._invert(name, used, first, count)
                if name == "q":
                    self._scale_scores(of, used, first, count)
            if name != "q":
                self._send_codes(name, of, raw)
                for first, count, used in parts(across, lanes):
                    self._send_scales(name, of, first, first, count, used)

    def settle(self, name: str, of: int) -> None:
        """Take what came back from memory: afterwards all of a head's scales are where they are used."""
        kind, lanes = self.sizes.scales_of(name), self.config.lanes
        if kind == "per-tensor":
            scale = self.scales[name].address if name == "q" else self._factor(name, of)
            self.b.issue(
                "vector",
                lanes=lanes,
                x_address=self.gathered[name].address,
                x_type="fp32",
                x_stride0=4,
                reduce="max",
                r_address=scale,
                count0=self._words(name),
            )
            self._invert(name, lanes, 0, 1, scale)
            if name == "q":
                self._scale_scores(of, lanes, 0, 1)
        elif kind == "per-token" and name != "q":
            self._spread(name, of, self.sizes.shape(name)[0], self._factor(name, of))

    def _words(self, name: str) -> int:
        """Scales that the lanes of a tensor have sent: one, or two of the lanes of the last tile."""
        return sum(used for *_, used in parts(self.sizes.shape(name)[0], self.config.lanes))

    def _largest(self, name: str, raw: int, counts: tuple[int, int], used: int, number: int) -> None:
        """The scale of each lane's numbers: rounding keeps the order, so it is the largest of theirs."""
        self.b.issue(
            "vector",
            lanes=used,
            x_address=raw,
            x_type="fp32",
            x_stride0=4,
            x_stride1=4 * counts[0],
            absolute="yes",
            op0="multiply",
            a=1 / ELEMENTS[self.sizes.type_of(name)].format.max_value,
            op1="max",
            b=_MIN_SCALE,
            reduce="max",
            r_address=self.scales[name].address + 4 * number,
            count0=counts[0],
            count1=counts[1],
        )

    def _invert(self, name: str, used: int, first: int, count: int, scale: int | None = None) -> None:
        self.b.issue(
            "scalar",
            lanes=used,
            x_address=self.scales[name].address + 4 * first if scale is None else scale,
            x_type="fp32",
            x_stride0=4,
            scale=1.0,
            function="reciprocal",
            write="yes",
            y_address=self.inverses[name].address + 4 * first,
            y_type="fp32",
            y_stride0=4,
            count0=count,
        )

    def _scale_scores(self, head: int, used: int, first: int, count: int) -> None:
        self.b.issue(
            "vector",
            lanes=used,
            x_address=self.scales["q"].address + 4 * first,
            x_type="fp32",
            x_stride0=4,
            op0="multiply",
            a=self._c,
            write="yes",
            y_address=self._factor("q", head) + 4 * first,
            y_type="fp32",
            y_stride0=4,
            count0=count,
        )

    # ---- through memory -------------------------------------------------------------------------

    def _memory(self, area: str, of: int) -> int:
        return self.at.scratch + self.scratch.offset(area, of)

    def _send_scales(self, name: str, of: int, word: int, tile: int, count: int, used: int) -> None:
        """Words of each lane, each with those of the other lanes beside it: memory then has them in order."""
        self.b.issue(
            "dma",
            queue=queue_of(name, self.config),
            lanes=used,
            size="4",
            source_space="sbuf",
            source_address=self.scales[name].address + 4 * word,
            sink_space="memory",
            sink_address=self._memory(f"{name}_scales", of) + 4 * self.config.lanes * tile,
            sink_transposed="yes",
            sink_pitch=4 * self.config.lanes,
            count0=count,
        )

    def _spread(self, name: str, of: int, count: int, address: int) -> None:
        """All of a head's scales into every lane."""
        self.b.issue(
            "dma",
            queue=queue_of(name, self.config),
            lanes=self.config.lanes,
            size="4",
            source_space="memory",
            source_address=self._memory(f"{name}_scales", of),
            sink_space="sbuf",
            sink_address=address,
            count0=count,
        )

    def _send_codes(self, name: str, of: int, raw: int) -> None:
        """Codes of what lies as their scales want it, and these to memory, a token a row."""
        lanes, kind, pitch = self.config.lanes, self.sizes.type_of(name), self._pitch(name)
        across, length = self.sizes.shape(name)
        size, row = ELEMENTS[kind].bytes, self.sizes.row_bytes(name)
        for tile in range(-(-across // lanes)):
            self.b.issue(
                "scalar",
                lanes=min(lanes, across - tile * lanes),
                x_address=raw + 4 * tile * length,
                x_type="fp32",
                x_stride0=4,
                scale_kind="lane",
                scale=self.inverses[name].address + 4 * tile,
                bias=-0.0,
                write="yes",
                y_address=self.codes[name].address + tile * pitch,
                y_type=kind,
                y_stride0=size,
                count0=length,
            )
        tile_bytes = lanes * (row if name == "k" else size)
        for first, count, used in parts(across, lanes):
            self.b.issue(
                "dma",
                queue=queue_of(name, self.config),
                lanes=used,
                size=str(size),
                source_space="sbuf",
                source_address=self.codes[name].address + first * pitch,
                source_stride=pitch,
                sink_space="memory",
                sink_address=self._memory(f"{name}_codes", of) + first * tile_bytes,
                sink_transposed="no" if name == "k" else "yes",
                sink_pitch=row,
                sink_stride=tile_bytes,
                count0=length,
                count1=count,
            )
