"""What a DMA instruction moves, byte by byte, and random instructions that are legal."""

from dataclasses import dataclass

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import Instruction

__all__ = ["WINDOW", "Place", "apply", "moved", "random_instruction"]

#: Bytes of memory that instructions read; as many behind them are written.
WINDOW = 8192


@dataclass(frozen=True)
class Place:
    """What a queue has for itself: memory from ``base`` on, twice ``WINDOW`` bytes, and an SBUF of P x lane bytes."""

    base: int
    memory: np.ndarray
    sbuf: np.ndarray


def _bytes(instruction: Instruction, name: str, base: int, lane_bytes: int) -> np.ndarray:
    """Number of each byte of a side, int64[count1, count0, lanes, size], in its ``Place``'s memory or flat SBUF."""
    fields = {key.removeprefix(f"{name}_"): value for key, value in instruction.fields.items()}
    size = 1 << fields["size"]
    row, element, lane, byte = np.ogrid[: fields["count1"], : fields["count0"], : fields["lanes"], :size]
    start = fields["address"] + row * fields["stride"] + byte
    if fields["space"] == 1:
        return start + element * size + (lane + fields["lane"]) * lane_bytes
    if fields["transposed"]:
        return start + element * fields["pitch"] + lane * size - base
    return start + element * size + lane * fields["pitch"] - base


def moved(instruction: Instruction, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the bytes that are read, and of those that they are written to."""
    lane_bytes = place.sbuf.shape[1]
    return tuple(_bytes(instruction, name, place.base, lane_bytes).ravel() for name in ("source", "sink"))


def apply(instruction: Instruction, place: Place) -> None:
    """Do what the instruction says."""
    source, sink = moved(instruction, place)
    spaces = place.memory, place.sbuf.reshape(-1)
    spaces[instruction.sink_space][sink] = spaces[instruction.source_space][source]


def _side(rng: np.random.Generator, name: str, config: CoreConfig, base: int, fields: dict) -> dict:
    """Random fields of a side, that fit their window or not."""
    size, row = 1 << fields["size"], fields["count0"] << fields["size"]
    space = int(rng.integers(2))
    transposed = int(not space and rng.integers(3) == 0)
    side = {"space": ("memory", "sbuf")[space], "transposed": bool(transposed)}
    if space:
        side["lane"] = int(rng.integers(config.lanes - fields["lanes"] + 1))
    inner = fields["lanes"] * size if transposed else row
    least, jump = -(-inner // 4) * 4, 4 * int(rng.integers(20)) * int(rng.integers(2))
    sign = int(rng.choice((1, -1)))
    outer = fields["count0"] if transposed else fields["lanes"]
    if not space:
        # Lane after lane, or row after row; a source may have all lanes, and rows, at the same place.
        nested = bool(rng.integers(2))
        pitch, stride = (least + jump), (least + jump) * outer
        if not nested:
            pitch, stride = (least + jump) * fields["count1"], least + jump
        side["pitch"] = sign * pitch * (name == "sink" or bool(rng.integers(8)))
        side["stride"] = stride * int(rng.choice((1, -1)))
    else:
        side["stride"] = sign * (least + jump)
    if name == "source" and not rng.integers(8):
        side["stride"] = 0
    low, high = (0, WINDOW) if name == "source" else (WINDOW, 2 * WINDOW)
    if space:
        half = config.lane_bytes // 2
        low, high = (0, half) if name == "source" else (half, 2 * half)
    steps = [(fields["count1"] - 1) * side["stride"], (outer - 1) * side.get("pitch", 0)]
    lowest, highest = sum(min(step, 0) for step in steps), sum(max(step, 0) for step in steps) + least
    if highest - lowest > high - low:
        return {}
    address = low - lowest + 4 * int(rng.integers((high - low - highest + lowest) // 4 + 1))
    side["address"] = address if space else base + address
    return {f"{name}_{key}": value for key, value in side.items()}


def random_instruction(rng: np.random.Generator, config: CoreConfig, base: int) -> Instruction:
    """A legal instruction of a few hundred elements, from the lower half of memory or SBUF to the upper one."""
    while True:
        size = int(rng.integers(3))
        lanes = config.lanes if rng.integers(2) else int(rng.integers(1, config.lanes + 1))
        chunk = config.chunk_bytes >> size
        count0 = int(rng.choice((rng.integers(1, 9), chunk, rng.integers(1, 2 * chunk + 9))))
        fields = {"size": size, "lanes": lanes, "count0": count0, "count1": int(rng.integers(1, 4))}
        sides = [_side(rng, name, config, base, fields) for name in ("source", "sink")]
        if not all(sides) or count0 * lanes * fields["count1"] > 1500:
            continue
        names = {"size": ("1", "2", "4")[size]}
        return Instruction("dma", **(fields | names | sides[0] | sides[1]))
