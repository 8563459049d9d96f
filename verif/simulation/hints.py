"""What a wrong value is, where that is certain from the values around it: guesses that serve signals of any unit."""

from collections.abc import Callable

from arch.formats import Format
from verif.simulation.window import Moment

__all__ = ["code_hint", "earlier_or_later", "elsewhere", "hint", "one_bit", "only_part"]


def hint(at: Moment) -> str:
    """One line on the difference, empty where nothing is certain."""
    if isinstance(at.actual, str):
        return "undefined bits (X or Z)"
    return next((text for guess in at.probe.hints if (text := guess(at))), "")


def earlier_or_later(at: Moment) -> str:
    """The value due in the cycle before or behind."""
    for other, text in ((at.ago(1), "earlier: late, or not taken over"), (at.ago(-1), "later")):
        if other.known and other.bits == at.actual:
            return f"the value due one cycle {text}"
    return ""


def elsewhere(at: Moment) -> str:
    """The same signal of one other lane of its column, or one other column of its lane, on the same wavefront."""
    if not at.actual:
        return ""
    window, (down, across) = at.window, at.window.unit.skew
    found = []
    for other in window.unit.record.fields:
        south, east = (other.row or 0) - (at.row or 0), (other.col or 0) - (at.col or 0)
        if other.name == at.field.name and bool(south) != bool(east):
            cycle = at.cycle + south * down + east * across
            if window.has(cycle, other) and window.value(cycle, other) == at.actual:
                found.append(f"what lane {other.row} should have" if south else f"what column {other.col} should have")
    return found[0] if len(found) == 1 else ""


def one_bit(at: Moment) -> str:
    """A bit that is stuck or flipped."""
    return f"only bit {at.differs.bit_length() - 1} differs" if at.differs.bit_count() == 1 else ""


def only_part(*values: str) -> Callable[[Moment], str]:
    """The only part of the layout that differs; parts named here are values, whose digits tell nobody anything."""

    def guess(at: Moment) -> str:
        wanted, found = at.parts, at.layout.unpack(at.actual)
        names = [name for name in wanted if wanted[name] != found[name]]
        if len(names) != 1 or len(wanted) == 1 or names[0] in values:
            return ""
        return f"only {names[0]} differs: {wanted[names[0]]} expected, {found[names[0]]} actual"

    return guess


def code_hint(fmt: Format, expected: int, actual: int) -> str:
    """Two codes of a format. Infinity is a unit above the largest number, where there is one; NaN is near nothing."""
    sign = 1 << fmt.bits - 1
    if expected ^ actual == sign:
        return "only the sign differs"
    top = fmt.max_code if fmt.inf is None else fmt.inf
    near = abs(expected - actual) == 1 and max(expected & ~sign, actual & ~sign) <= top
    return "one unit in the last place: rounding" if near and not (expected ^ actual) & sign else ""
