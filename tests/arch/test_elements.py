"""The types of elements: numbers and sizes that instructions and memory rely on."""

from arch.elements import ELEMENTS, SELECT_BITS
from arch.formats import FORMATS


def test_numbers_and_sizes():
    facts = [(e.name, e.select, e.bytes) for e in ELEMENTS.values()]
    assert facts == [("e4m3", 0, 1), ("e5m2", 1, 1), ("bf16", 2, 2), ("fp32", 3, 4), ("u32", 4, 4)]
    assert list(ELEMENTS) == [e.name for e in ELEMENTS.values()]
    assert max(e.select for e in ELEMENTS.values()) < 1 << SELECT_BITS


def test_formats():
    assert {e.name: e.format for e in ELEMENTS.values() if e.format} == FORMATS
    assert ELEMENTS["u32"].format is None
