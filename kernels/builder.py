"""Collects the instructions of a program, places tiles in SBUF and derives the waits."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, Instruction, encode
from kernels.language.waits import Waits

__all__ = ["Builder", "Tile"]


@dataclass(frozen=True)
class Tile:
    """A range of bytes in every lane of SBUF."""

    address: int
    bytes: int


class Builder:
    """A program in the making.

    Instructions run in the order in which they are issued as far as they depend on each other: the waits that this
    takes are derived from the bytes that they touch.

    Parameters
    ----------
    config : CoreConfig
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        self.instructions: list[Instruction] = []
        self._waits = Waits(config)
        self._taken: list[Tile] = []

    # ---- SBUF -----------------------------------------------------------------------------------

    def tile(self, size: int, bank: int = 0) -> Tile:
        """A free range of ``size`` bytes in every lane, from the start of a bank on if there is one.

        Raises ValueError if SBUF has no such range left.
        """
        size = -(-size // 4) * 4
        start = bank % self.config.banks * self.config.bank_rows * 4
        for first in (start, 0):
            for tile in self._gaps(first):
                if tile.bytes >= size:
                    taken = Tile(tile.address, size)
                    self._taken.append(taken)
                    return taken
        free = sum(tile.bytes for tile in self._gaps(0))
        raise ValueError(
            f"a tile must fit in what is free of {self.config.lane_bytes} bytes a lane, {free}, not {size}"
        )

    def _gaps(self, first: int) -> Iterator[Tile]:
        """What is free from an address on."""
        at = first
        for tile in sorted(self._taken, key=lambda tile: tile.address):
            if tile.address > at:
                yield Tile(at, tile.address - at)
            at = max(at, tile.address + tile.bytes)
        if at < self.config.lane_bytes:
            yield Tile(at, self.config.lane_bytes - at)

    # ---- instructions ---------------------------------------------------------------------------

    def issue(self, name: str, **fields: object) -> None:
        """Append an instruction; its waits are worked out here."""
        waits = self._waits.add(Instruction(name, **fields))
        self.instructions.append(Instruction(name, **fields, **waits))

    def code(self) -> bytes:
        """The program in memory."""
        return b"".join(encode(instruction) for instruction in self.instructions)

    @property
    def code_bytes(self) -> int:
        """Its size."""
        return INSTRUCTION_BYTES * len(self.instructions)
