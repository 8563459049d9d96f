"""What a divergence means, in two dozen lines: where, what was due, what went in, and how to see it again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from arch.record import Field
from verif.simulation.window import Input

__all__ = [
    "CLOSE_LOOK",
    "FAILURE",
    "HEADLINE",
    "Difference",
    "Divergence",
    "Section",
    "labelled_lines",
    "section_lines",
]

#: Further signals of the same cycle that are named; those beyond are counted.
LISTED = 4

#: A label, and the lines that it names.
Section = tuple[str, str]
#: Labels of sections that stand for themselves: the first sentence of a report, any other failure, and what begins the
#: report of the same job on a smaller unit.
HEADLINE, FAILURE, CLOSE_LOOK = "differs", "failure", "close look"


def labelled_lines(sections: Iterable[Section]) -> Iterator[tuple[str, str]]:
    """Sections as lines, each with its section's label: the label in ten characters, then what it names."""
    indent = ""
    for label, text in sections:
        if label in (HEADLINE, FAILURE):
            yield label, f"{indent}{text}"
        elif label == CLOSE_LOOK:
            indent = "  "
            yield label, f"{indent}{text}"
        else:
            names = [label, *[""] * text.count("\n")]
            for name, line in zip(names, text.split("\n"), strict=True):
                yield label, f"{indent}  {name:10}{line}"


def section_lines(sections: Iterable[Section]) -> list[str]:
    """Sections as lines."""
    return [line for _, line in labelled_lines(sections)]


@dataclass(frozen=True)
class Difference:
    """One signal that is not what the golden model says; binary text if the RTL's value has undefined bits."""

    field: Field
    expected: int
    actual: int | str
    place: str


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first cycle in which RTL and golden model differ.

    Parameters
    ----------
    cycle : int
        Cycles after reset.
    differences : sequence of Difference
        Every signal that differs in it, cause before effect.
    stage : str
        The pipeline stage of the first, and where its logic is.
    expected, actual : str
        Its two values, in words.
    job : Section
        The job in hand, under its name.
    number : int
        Its number.
    term : str
        The part of the job that the first place works on; empty where none.
    inputs : sequence of Input
        What went into the first place's value, as RTL and golden model both had it in earlier cycles.
    hint : str
        What the difference is, where that is certain.
    note : str
        What a reader must know of such runs.
    waves : str
        Where the waveforms are.
    close_look : sequence of Section
        What the same job shows on a smaller unit.
    """

    cycle: int
    differences: Sequence[Difference]
    stage: str
    expected: str
    actual: str
    job: Section = ("", "")
    number: int = 0
    term: str = ""
    inputs: Sequence[Input] = ()
    hint: str = ""
    note: str = ""
    waves: str = ""
    close_look: Sequence[Section] = ()

    @property
    def first(self) -> Difference:
        """The place to look at: the earliest on the way of the data."""
        return self.differences[0]

    def sections(self) -> list[Section]:
        """The report: labels, and the lines that each names; those with nothing to say are left out."""
        sections = [
            (HEADLINE, f"RTL and golden model differ first in cycle {self.cycle}, at {self.first.place}"),
            ("stage", self.stage),
            ("note", self.note),
            self.job,
            ("term", self.term),
            ("expected", self.expected),
            ("actual", self.actual),
            ("hint", self.hint),
            ("from", self._inputs()),
            ("also", self._others()),
            ("waves", self.waves),
        ]
        return [*(section for section in sections if section[1]), *self.close_look]

    def lines(self) -> list[str]:
        """The report, a line each."""
        return section_lines(self.sections())

    def _inputs(self) -> str:
        width = max((len(f"cycle {i.cycle}  {i.place}") for i in self.inputs), default=0)
        return "\n".join(f"{f'cycle {i.cycle}  {i.place}':{width}}  {i.text}" for i in self.inputs)

    def _others(self) -> str:
        others = [difference.place for difference in self.differences[1:]]
        more = f", {len(others) - LISTED} more" if len(others) > LISTED else ""
        return f"{'; '.join(others[:LISTED])}{more}"
