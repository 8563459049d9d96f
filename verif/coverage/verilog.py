"""Line, branch and toggle counts of the emitted Verilog, from the files that Verilator writes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from arch.environment import EnvironmentFault
from hw.lib.emission import plain_names

__all__ = ["CodeCounts", "CodePoint", "Waiver"]

#: The file in which ``verif.simulation.simulator`` puts the device.
SOURCE = "source_0.v"
#: Verilator's name of a branch, and how a person says it.
BRANCHES = {"if": "if taken", "else": "if not taken", "cond_then": "?: first", "cond_else": "?: second"}


@dataclass(frozen=True)
class Waiver:
    """Points that need not be hit, and why. One that matches no point left is an error.

    Parameters
    ----------
    module : str
        Of the emitted Verilog.
    line : str
        A pattern of the shell for the whole line of Verilog, blanks at both ends removed.
    branch : str or None
        Which way, as in ``BRANCHES``; None: any.
    reason : str
    """

    module: str
    line: str
    branch: str | None
    reason: str

    def covers(self, point: "CodePoint") -> bool:
        """The point is one of those meant."""
        return (
            point.module == self.module
            and point.kind != "toggle"
            and (self.branch is None or point.what == self.branch)
            and fnmatchcase(point.text, self.line)
        )

    def __str__(self) -> str:
        return f"{self.module}: {self.line}" + (f" ({self.branch})" if self.branch else "")


@dataclass(frozen=True)
class CodePoint:
    """A place that Verilator counts.

    Parameters
    ----------
    module : str
    variant : int
        Configurations emit different texts of a module: which of them.
    line : int
        In the text of the module, from 0.
    column : int
    kind : str
        ``line`` (a process or a block of it), ``branch`` (one way of an if or ?:) or ``toggle`` (one bit, one way).
    what : str
        Which branch, or which bit.
    text : str
        The line of Verilog, blanks at both ends removed.
    """

    module: str
    variant: int
    line: int
    column: int
    kind: str
    what: str
    text: str


def _modules(source: str) -> Iterator[tuple[str, int, str]]:
    """What every module is, its line of the file (from 1) and its text, names plain."""
    for match in re.finditer(r"^module (\w+)\b.*?^endmodule$", source, re.DOTALL | re.MULTILINE):
        yield plain_names(match[1]), source.count("\n", 0, match.start()) + 1, plain_names(match[0])


class CodeCounts:
    """Counts by point, added up over instances, runs and configurations."""

    def __init__(self) -> None:
        self.counts: dict[CodePoint, int] = {}
        #: The different texts of each module, in the order seen.
        self.texts: dict[str, list[str]] = {}

    def add(self, path: Path, source: str) -> None:
        """Add the counts of one run of a device with this Verilog."""
        starts = []
        for name, line, text in _modules(source):
            variants = self.texts.setdefault(name, [])
            if text not in variants:
                variants.append(text)
            starts.append((line, name, variants.index(text), text.splitlines()))
        for facts, count in _records(path):
            # Verilator adds files of its own around modules that it compiles apart.
            if Path(facts["f"]).name != SOURCE:
                continue
            line = int(facts["l"])
            start, name, variant, lines = max(entry for entry in starts if entry[0] <= line)
            what = facts.get("o", "")
            point = CodePoint(
                module=name,
                variant=variant,
                line=line - start,
                column=int(facts["n"]),
                kind=facts["t"],
                what=BRANCHES.get(what, what),
                text=lines[line - start].strip(),
            )
            self.counts[point] = self.counts.get(point, 0) + count

    def of(self, module: str, *kinds: str) -> dict[CodePoint, int]:
        """The points of a module, of these kinds."""
        return {p: n for p, n in self.counts.items() if p.module == module and p.kind in kinds}

    def holes(self, waivers: Sequence[Waiver]) -> list[CodePoint]:
        """Lines and branches never reached and not waived."""
        return [p for p, n in self.counts.items() if not n and p.kind != "toggle" and not self.waiver(p, waivers)]

    @staticmethod
    def waiver(point: CodePoint, waivers: Sequence[Waiver]) -> Waiver | None:
        """The waiver that a point falls under."""
        return next((waiver for waiver in waivers if waiver.covers(point)), None)

    def stale(self, waivers: Sequence[Waiver]) -> list[Waiver]:
        """Waivers that match no line or branch that was missed: they hide nothing, or what they hid is gone."""
        missed = [p for p, n in self.counts.items() if not n]
        return [waiver for waiver in waivers if not any(waiver.covers(p) for p in missed)]


def _records(path: Path) -> Iterator[tuple[Mapping[str, str], int]]:
    """Facts and count of every point of a coverage.dat: pairs, a name after \\x01 and its value after \\x02."""
    text = path.read_text(errors="replace", encoding="utf-8")
    if not text.endswith("\n"):
        # The points that it lacks would be no holes.
        raise EnvironmentFault(f"Verilator's counts are cut short: {path}")
    for line in text.splitlines():
        if line.startswith("C '"):
            facts, _, count = line[3:].rpartition("' ")
            yield dict(pair.split("\x02", 1) for pair in facts.split("\x01")[1:]), int(count)
