"""Element types of tensors in SBUF and memory: what an instruction calls them, and how many bytes one takes."""

from dataclasses import dataclass

from arch.formats import BF16, E4M3, E5M2, FP32, Format

__all__ = ["ELEMENTS", "ELEMENT_BITS", "Element"]


@dataclass(frozen=True, kw_only=True)
class Element:
    """An element type.

    Parameters
    ----------
    name : str
    select : int
        Its code in an instruction.
    bytes : int
        Of one element: 1, 2 or 4. Elements lie at multiples of it.
    format : Format or None
        Its number format; None for u32, which is moved and never computed with.
    """

    name: str
    select: int
    bytes: int
    format: Format | None


_FORMATS = (("e4m3", E4M3), ("e5m2", E5M2), ("bf16", BF16), ("fp32", FP32), ("u32", None))
#: Every element type by name.
ELEMENTS = {
    name: Element(name=name, select=select, bytes=fmt.bytes if fmt else 4, format=fmt)
    for select, (name, fmt) in enumerate(_FORMATS)
}
#: Width of ``Element.select``.
ELEMENT_BITS = max(element.select for element in ELEMENTS.values()).bit_length()
