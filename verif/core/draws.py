"""Random instructions, each legal in its core and within given ranges of SBUF and memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arch.core.accesses import accesses
from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import FUNCTION_NAMES, OPERATIONS, REDUCTIONS, Instruction
from arch.core.program import check_instruction
from arch.elements import ELEMENTS

__all__ = ["Areas", "Draws"]

#: Draws of one instruction before there must have been a legal one.
ATTEMPTS = 1000
_FORMATS = tuple(name for name, element in ELEMENTS.items() if element.format)
#: Words that are immediates: zeros, ones, Inf, NaN of both signs, subnormal and extreme numbers.
_WORDS = (0, 1 << 31, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 1, 0x807FFFFF, 0x7F7FFFFF)


@dataclass(frozen=True, kw_only=True)
class Areas:
    """Where instructions read and write.

    sbuf : bytes of each lane; memory : bytes of memory
    index : address of three indices in each lane: below the lanes, no two alike; below twice as many, as they come;
        below four times as many, no two alike
    """

    sbuf: range
    memory: range
    index: int


class Draws:
    """Random instructions of a core, all from one generator."""

    def __init__(
        self, config: CoreConfig, areas: Areas, rng: np.random.Generator, *, indirect: bool, transposed: bool
    ) -> None:
        self.config, self.areas, self.rng = config, areas, rng
        self.indirect, self.transposed = indirect, transposed
        self._values = {"dma": self._dma, "matmul": self._matmul, "vector": self._vector, "scalar": self._scalar}

    def draw(self, name: str, rows: int) -> Instruction:
        """One of a kind. With ``rows`` in PSUM a matmul does not fill it; below 0, it takes some of as many."""
        for _ in range(ATTEMPTS):
            values = self._place(name, self._values[name](rows))
            if values is None:
                continue
            if name in ("vector", "scalar") and self._often(0.2):
                # In place, where the types allow it.
                values |= {key.replace("x_", "y_"): value for key, value in values.items() if key.startswith("x_")}
                values.pop("y_source")
            try:
                instruction = Instruction(name, **values)
                check_instruction(instruction, self.config)
            except ValueError:
                continue
            return instruction
        raise RuntimeError(f"no legal {name} in {ATTEMPTS} draws")

    def _often(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def _upto(self, most: int) -> int:
        """1 to ``most``, small numbers more often."""
        return int(self.rng.integers(1, self.rng.integers(1, most + 1) + 1))

    def _one_of(self, names: Sequence):
        return names[int(self.rng.integers(len(names)))]

    def _lanes(self) -> int:
        return self.config.lanes if self._often(0.5) else int(self.rng.integers(1, self.config.lanes + 1))

    def _word(self) -> int:
        """An fp32 code."""
        if self._often(0.3):
            return self._one_of(_WORDS)
        if self._often(0.2):
            return int(self.rng.integers(1 << 32))
        return int(np.float32(self.rng.normal(0, 4)).view(np.uint32))

    def _strides(self, counts: Sequence[int], span: int, unit: int, apart: bool) -> list[int]:
        """A stride for each dimension, innermost first, of what takes ``span`` bytes; ``apart``: no byte twice."""
        order = range(len(counts)) if self._often(0.6) else self.rng.permutation(len(counts))
        strides = [0] * len(counts)
        for dim in order:
            step = -(-span // unit) * unit + unit * self._one_of((0, 0, 0, 1, 2))
            if not apart and self._often(0.2):
                step = unit * int(self.rng.integers(4))
            strides[dim] = -step if self._often(0.2) else step
            span = max(span, span + (counts[dim] - 1) * step)
        return strides

    def _place(self, name: str, values: dict) -> dict | None:
        """The values with addresses at which every operand lies within its area; None where one is too large."""
        bounds: dict[str, tuple[int, int, int, range]] = {}
        for access in accesses(Instruction(name, **values), self.config):
            area = self.areas.sbuf if access.space == "sbuf" else self.areas.memory
            first, last, *_ = bounds.get(access.operand, (access.first, access.last))
            unit = WORD_BYTES if name == "dma" else access.size
            bounds[access.operand] = min(first, access.first), max(last, access.last), unit, area
        for operand, (first, last, unit, area) in bounds.items():
            if operand == "index":
                continue
            low, high = -(-(area.start - first) // unit), (area.stop - 1 - last) // unit
            if low > high:
                return None
            field = operand if operand in ("a", "b", "scale", "bias") else f"{operand}_address"
            values[field] = unit * int(self.rng.integers(low, high + 1))
        return values

    # ---- dma ------------------------------------------------------------------------------------

    def _dma(self, rows: int) -> dict:
        size = self._one_of((1, 2, 4))
        values = {"lanes": self._lanes(), "queue": int(self.rng.integers(self.config.dma_queues)), "size": str(size)}
        values |= {"count0": self._upto(24), "count1": self._upto(4)}
        spaces = {side: self._one_of(("memory", "sbuf")) for side in ("source", "sink")}
        sides = [side for side, space in spaces.items() if space == "memory"]
        # The other side of an indirect one is in SBUF.
        indirect = self._one_of(sides) if len(sides) == 1 and self.indirect and self._often(0.6) else "none"
        if indirect != "none":
            values |= self._indices(indirect)
        for side, space in spaces.items():
            values[f"{side}_space"] = space
            lanes = values["index_limit"] if side == indirect else values["lanes"]
            transposed = space == "memory" and side != indirect and self.transposed and self._often(0.4)
            values |= self._side(side, values, size, lanes, transposed)
        return values

    def _indices(self, side: str) -> dict:
        """Which of the three indices; a sink needs those of which no two are alike."""
        which = self._one_of((0, 2) if side == "sink" else (0, 1, 2))
        limit = self.config.lanes * (1 if which == 0 else 2)
        policy = "skip" if which == 2 or self._often(0.5) else "error"
        address = self.areas.index + WORD_BYTES * which
        return {"indirect": side, "index_address": address, "index_limit": limit, "out_of_range": policy}

    def _side(self, side: str, values: dict, size: int, lanes: int, transposed: bool) -> dict:
        apart, count0, count1 = side == "sink", values["count0"], values["count1"]
        if values[f"{side}_space"] == "sbuf":
            (stride,) = self._strides([count1], count0 * size, WORD_BYTES, apart)
            lane = int(self.rng.integers(self.config.lanes - values["lanes"] + 1))
            return {f"{side}_lane": lane, f"{side}_stride": stride}
        if transposed:
            pitch, stride = self._strides([count0, count1], lanes * size, WORD_BYTES, apart)
        else:
            stride, pitch = self._strides([count1, lanes], count0 * size, WORD_BYTES, apart)
        return {f"{side}_transposed": transposed, f"{side}_pitch": pitch, f"{side}_stride": stride}

    # ---- engines --------------------------------------------------------------------------------

    def _matmul(self, rows: int) -> dict:
        engine, lanes = self.config.engine, self.config.lanes
        most = min(engine.psum_depth - rows, 24)
        count0, depth = self._upto(most), min(self._upto(3 * lanes), engine.k_max)
        count1 = self._upto(max(1, most // count0))
        values = {"lanes": self._lanes(), "depth": depth, "count0": count0, "count1": count1}
        tiles = -(-depth // lanes)
        for name, counts in (("w", [min(depth, lanes)]), ("x", [count0, count1])):
            kind = self._one_of(engine.formats)
            size = ELEMENTS[kind].bytes
            *strides, tile = self._strides([*counts, tiles], size, size, False)
            dims = ("",) if name == "w" else ("0", "1")
            values |= {f"{name}_type": kind, f"{name}_tile_stride": tile}
            values |= {f"{name}_stride{dim}": stride for dim, stride in zip(dims, strides, strict=True)}
        return values

    def _stream(self, rows: int) -> dict:
        """What vector and scalar have in common: lanes, counts, x, y and what is written."""
        values = {"lanes": self._lanes(), "x_source": "psum" if rows < 0 else "sbuf"}
        left = -rows if rows < 0 else 96
        counts = []
        for most in (24, 4, 3):
            counts.append(self._upto(min(most, left)))
            left //= counts[-1]
        values |= {f"count{dim}": count for dim, count in enumerate(counts)}
        values |= self._pattern("x", counts, self._one_of(_FORMATS), False)
        values |= self._pattern("y", counts, self._one_of(_FORMATS), True)
        return values | {"write": self._often(0.8)}

    def _pattern(self, name: str, counts: list[int], kind: str, apart: bool) -> dict:
        size = ELEMENTS[kind].bytes
        strides = self._strides(counts, size, size, apart)
        return {f"{name}_type": kind} | {f"{name}_stride{dim}": stride for dim, stride in enumerate(strides)}

    def _vector(self, rows: int) -> dict:
        values = self._stream(rows)
        counts = [values[f"count{dim}"] for dim in range(3)]
        if rows >= 0 and self._often(0.1):
            return values | {"x_type": "u32", "y_type": "u32", "write": True} | self._u32_strides(counts)
        values["absolute"] = self._often(0.2)
        kinds = {}
        for name, operation in (("a", "op0"), ("b", "op1")):
            values[operation] = self._one_of(OPERATIONS)
            some = ("immediate",) if values[operation] == "bypass" else ("immediate", "lane", "tensor")
            kinds[name] = self._one_of(some)
            values |= {f"{name}_kind": kinds[name]} | ({name: self._word()} if kinds[name] == "immediate" else {})
        values |= self._pattern("t", counts, self._one_of(_FORMATS), False)
        if self._often(0.4):
            fill = self._word()
            values |= {
                "mask": self._one_of(("at_most", "at_least", "equal")),
                "mask_base": int(self.rng.integers(-3, counts[0] + 3)),
                "mask_lane": int(self.rng.integers(-2, 3)),
                "fill": 0x7FC00000 if fill & 0x7FFFFFFF > 0x7F800000 else fill,
            }
        reduce = self._one_of(REDUCTIONS) if values["write"] else self._one_of(REDUCTIONS[1:])
        return values | {"reduce": reduce}

    def _u32_strides(self, counts: list[int]) -> dict:
        return self._pattern("x", counts, "u32", False) | self._pattern("y", counts, "u32", True)

    def _scalar(self, rows: int) -> dict:
        values = self._stream(rows)
        for name in ("scale", "bias"):
            kind = self._one_of(("immediate", "lane"))
            values |= {f"{name}_kind": kind} | ({name: self._word()} if kind == "immediate" else {})
        sums = not values["write"] or self._often(0.4)
        return values | {"function": self._one_of(FUNCTION_NAMES), "sum": sums}
