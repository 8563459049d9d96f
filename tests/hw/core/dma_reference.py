"""What a DMA instruction moves, byte by byte, and random instructions that are legal."""

from dataclasses import dataclass

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import Instruction

__all__ = ["KINDS", "WINDOW", "Place", "apply", "indices", "moved", "random_indices", "random_instruction"]

#: Bytes of memory that instructions read; as many behind them are written.
WINDOW = 8192
#: Of sides: lane after lane in memory, element after element in memory, in SBUF, lanes in memory by indices.
KINDS = ("rows", "transposed", "sbuf", "indirect")


@dataclass(frozen=True)
class Place:
    """What a queue has for itself: memory from ``base`` on, twice ``WINDOW`` bytes, and an SBUF of P x lane bytes."""

    base: int
    memory: np.ndarray
    sbuf: np.ndarray


def indices(instruction: Instruction, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Of each lane how many pitches from the address on it lies, int64[lanes]; whether it is not left out."""
    lanes = np.arange(instruction.lanes)
    if not instruction.indirect:
        return lanes, lanes >= 0
    index = place.sbuf.view(np.uint32)[: len(lanes), instruction.index_address // 4].astype(np.int64)
    return np.where(index < instruction.index_limit, index, 0), index < instruction.index_limit


def random_indices(rng: np.random.Generator, instruction: Instruction) -> np.ndarray:
    """Indices for an instruction, uint32[lanes]: those of a sink that count are not the same."""
    lanes, limit = instruction.lanes, instruction.index_limit
    index = rng.permutation(max(limit, lanes))[:lanes]
    if instruction.named("indirect") == "source":
        index = rng.integers(0, limit, lanes)
    if instruction.named("out_of_range") == "skip":
        beyond = rng.integers(limit, 1 << int(rng.choice((8, 32))), lanes)
        index = np.where(rng.random(lanes) < 0.3, beyond, index)
    return index.astype(np.uint32)


def _bytes(instruction: Instruction, name: str, place: Place) -> np.ndarray:
    """Number of each byte of a side, int64[count1, count0, lanes, size], in its ``Place``'s memory or flat SBUF."""
    base, lane_bytes = place.base, place.sbuf.shape[1]
    fields = {key.removeprefix(f"{name}_"): value for key, value in instruction.fields.items()}
    size = 1 << fields["size"]
    row, element, lane, byte = np.ogrid[: fields["count1"], : fields["count0"], : fields["lanes"], :size]
    start = fields["address"] + row * fields["stride"] + byte
    if fields["space"] == 1:
        return start + element * size + (lane + fields["lane"]) * lane_bytes
    if fields["transposed"]:
        return start + element * fields["pitch"] + lane * size - base
    if instruction.named("indirect") == name:
        lane = indices(instruction, place)[0][:, np.newaxis]
    return start + element * size + lane * fields["pitch"] - base


def moved(instruction: Instruction, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the bytes that are read, and of those that are written: the latter without lanes that are left out."""
    source, sink = (_bytes(instruction, name, place) for name in ("source", "sink"))
    return source.ravel(), sink[:, :, indices(instruction, place)[1]].ravel()


def apply(instruction: Instruction, place: Place) -> None:
    """Do what the instruction says."""
    kept = indices(instruction, place)[1]
    source, sink = (_bytes(instruction, name, place)[:, :, kept] for name in ("source", "sink"))
    spaces = place.memory, place.sbuf.reshape(-1)
    spaces[instruction.sink_space][sink] = spaces[instruction.source_space][source]


def _side(rng: np.random.Generator, name: str, kind: str, config: CoreConfig, base: int, fields: dict) -> dict:
    """Random fields of a side, none if they do not fit its window."""
    size, row, rows = 1 << fields["size"], fields["count0"] << fields["size"], fields["count1"]
    transposed = kind == "transposed"
    half = config.lane_bytes // 2 if kind == "sbuf" else WINDOW
    low, high = (0, half) if name == "source" else (half, 2 * half)
    # Bytes that stay together, and how far apart such pieces are at least.
    inner = fields["lanes"] * size if transposed else row
    least = -(-inner // 4) * 4 + 4 * int(rng.integers(20)) * int(rng.integers(2))
    if kind == "sbuf":
        side = {"space": "sbuf", "lane": int(rng.integers(config.lanes - fields["lanes"] + 1)), "pitch": 0}
        outer, stride = 1, least
    else:
        # What means nothing in memory may be anything.
        side = {"space": "memory", "transposed": transposed, "lane": int(rng.integers(128))}
        outer = fields["count0"] if transposed else fields["index_limit" if kind == "indirect" else "lanes"]
        # A row of pieces after the other, or the rows of a piece together.
        pitch, stride = (least, least * outer) if rng.integers(2) else (least * rows, least)
        side["pitch"] = pitch * int(rng.choice((1, -1)))
        if name == "source" and not rng.integers(4):
            side["pitch"] = 0
    side["stride"] = stride * int(rng.choice((1, -1)))
    if name == "source" and not rng.integers(8):
        side["stride"] = 0
    steps = (rows - 1) * side["stride"], (outer - 1) * side["pitch"]
    lowest, highest = sum(min(step, 0) for step in steps), sum(max(step, 0) for step in steps) + least
    if highest - lowest > high - low:
        return {}
    address = low - lowest + 4 * int(rng.integers((high - low - highest + lowest) // 4 + 1))
    side["address"] = address if kind == "sbuf" else base + address
    return {f"{name}_{key}": value for key, value in side.items()}


def random_instruction(
    rng: np.random.Generator,
    config: CoreConfig,
    base: int,
    kinds: tuple[str, str],
    size: int,
    most_lanes: int | None = None,
) -> Instruction:
    """A legal instruction of some hundred cycles, from the lower half of memory or SBUF to the upper one.

    ``kinds``: of its source and its sink, each of ``KINDS``. ``size``: 1, 2 or 4. ``most_lanes``: below the core's.
    Rows have one to three chunks.
    """
    most = most_lanes or config.lanes
    chunk = config.chunk_bytes // size
    while True:
        lanes = most if rng.integers(2) else int(rng.integers(1, most + 1))
        chunks = int(rng.integers(2 if "transposed" in kinds else 3))
        count0 = chunks * chunk + int(rng.integers(0 if chunks else 1, 9))
        fields = {"size": size.bit_length() - 1, "lanes": lanes, "count0": count0, "count1": int(rng.integers(1, 4))}
        fields["index_limit"] = int(rng.integers(1, 3 * lanes))
        sides = [_side(rng, *side, config, base, fields) for side in zip(("source", "sink"), kinds, strict=True)]
        more = {}
        for name, kind in zip(("source", "sink"), kinds, strict=True):
            if kind == "indirect":
                skips = fields["index_limit"] < lanes or rng.integers(2)
                more = {"indirect": name, "out_of_range": "skip" if skips else "error"}
        if all(sides) and fields["count1"] * count0 < 150:
            return Instruction("dma", **(fields | {"size": str(size)} | sides[0] | sides[1] | more))
