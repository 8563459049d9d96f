"""A program as a job: what memory holds when it begins, and where in memory it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from arch.core.instructions import INSTRUCTION_BYTES, MEMORY_BITS, Instruction, encode
from arch.core.layouts import LIMIT_BITS, PAGE_BYTES
from golden.checks import integer

__all__ = ["Job"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A program, and the memory that it runs in.

    Parameters
    ----------
    program : sequence of Instruction or bytes
        An instruction that is no legal one may be given as its 64 bytes.
    address : int
        Where its first instruction stands in memory, a multiple of 64.
    image : sequence of (int, bytes)
        Bytes in memory at an address, the program apart; later ones over earlier ones. All else is 0.
    base, size : int
        The window of memory that there is: ``size`` bytes from ``base`` on. Both are multiples of 256, the bytes of
        the longest beat.
    pages : int
        Pages of memory, of 4096 bytes, that the program may ask for. Default: all that have a byte of the window.
    limit : int
        Cycles that it may take; 0 for any number.
    responses, answers : sequence of int
        What memory responds to the beats that are read, and to the bursts that are written, 0 to 3, in the order in
        which it does; 0 to those behind the last. What it responds to is read and written all the same.

    Raises
    ------
    TypeError, ValueError
        With the rule and the offending value.
    """

    program: Sequence[Instruction | bytes]
    address: int
    image: Sequence[tuple[int, bytes]] = ()
    base: int = 0
    size: int
    pages: int | None = None
    limit: int = 0
    responses: Sequence[int] = ()
    answers: Sequence[int] = ()
    #: The 64 bytes of each instruction.
    codes: Sequence[bytes] = field(init=False, repr=False, compare=False)

    #: Windows begin and end at multiples of it.
    WINDOW_BYTES = 256

    def __post_init__(self) -> None:
        for name in ("program", "image", "responses", "answers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        codes = tuple(each if isinstance(each, bytes) else encode(each) for each in self.program)
        object.__setattr__(self, "codes", codes)
        for code in codes:
            if len(code) != INSTRUCTION_BYTES:
                raise ValueError(f"an instruction must have {INSTRUCTION_BYTES} bytes, not {len(code)}")
        for name in ("base", "size"):
            value = integer(name, getattr(self, name), 0, 1 << MEMORY_BITS)
            if value % self.WINDOW_BYTES:
                raise ValueError(f"{name} must be a multiple of {self.WINDOW_BYTES}, not {value}")
        if self.pages is None:
            object.__setattr__(self, "pages", -(-(self.base + self.size) // PAGE_BYTES))
        integer("pages", self.pages, 0, (1 << MEMORY_BITS) // PAGE_BYTES)
        integer("limit", self.limit, 0, (1 << LIMIT_BITS) - 1)
        for name in ("responses", "answers"):
            for response in getattr(self, name):
                integer(name, response, 0, 3)
        if integer("address", self.address, 0) % INSTRUCTION_BYTES:
            raise ValueError(f"address must be a multiple of {INSTRUCTION_BYTES}, not {self.address}")
        for at, contents in self._pieces():
            if not self.base <= at <= at + len(contents) <= self.base + self.size:
                raise ValueError(
                    f"memory must hold bytes {self.base} to {self.base + self.size}, not {at} to {at + len(contents)}"
                )

    def __str__(self) -> str:
        return f"{len(self.program)} instructions at {self.address:#x}"

    def __len__(self) -> int:
        """Beats of ``i_program`` that it is."""
        return 1

    def _pieces(self) -> list[tuple[int, bytes]]:
        return [*self.image, (self.address, b"".join(self.codes))]

    def contents(self) -> bytearray:
        """The window when the program begins."""
        memory = bytearray(self.size)
        for at, contents in self._pieces():
            memory[at - self.base : at - self.base + len(contents)] = contents
        return memory
