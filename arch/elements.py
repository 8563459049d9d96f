"""Types of the elements of the core's tensors, as facts: their names, their bytes, and the formats behind them."""

from dataclasses import dataclass

from arch.formats import FORMATS, Format

__all__ = ["ELEMENTS", "SELECT_BITS", "Element"]


@dataclass(frozen=True, kw_only=True)
class Element:
    """A type of element.

    Parameters
    ----------
    name : str
    select : int
        Its number in instructions.
    bytes : int
        Of one element in memory, the least significant first.
    format : Format or None
        What its bits stand for; None: they are an unsigned integer, which is moved and never computed with.
    """

    name: str
    select: int
    bytes: int
    format: Format | None


_FLOATS = ("e4m3", "e5m2", "bf16", "fp32")
#: Every type by name, in the order of their numbers.
ELEMENTS = {
    name: Element(name=name, select=select, bytes=FORMATS[name].bytes, format=FORMATS[name])
    for select, name in enumerate(_FLOATS)
} | {"u32": Element(name="u32", select=len(_FLOATS), bytes=4, format=None)}
#: Width of ``Element.select``.
SELECT_BITS = 3
