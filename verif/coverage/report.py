"""What all runs of a coverage measurement came to, and whether it meets the bars."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from verif.coverage.hook import Measured
from verif.coverage.points import Hits
from verif.coverage.verilog import CodeCounts, Waiver

__all__ = ["LINES_BAR", "Coverage"]

#: Least share of lines and branches reached, waived ones aside. Of the functional bins, all are due.
LINES_BAR = 0.98
#: Bins of a point that a line names; the page shows them all.
NAMED = 5


def _some(bins: Sequence[tuple[str, ...]]) -> str:
    """The first bins of a point, and how many more."""
    more = len(bins) - NAMED
    return "; ".join(", ".join(labels) for labels in bins[:NAMED]) + (f"; {more} more" if more > 0 else "")


@dataclass
class Coverage:
    """What all runs came to.

    seed : int
    hits : dict of str to Hits
        By preset, or whatever else has points of its own.
    code : CodeCounts
    failures : list of str
        Runs in which the RTL differed from the golden model: nothing of them is counted.
    cycles : int
        Compared, in runs that passed.
    """

    seed: int
    hits: dict[str, Hits] = field(default_factory=dict)
    code: CodeCounts = field(default_factory=CodeCounts)
    failures: list[str] = field(default_factory=list)
    cycles: int = 0
    seconds: float = 0.0
    waivers: tuple[Waiver, ...] = ()

    def add(self, preset: str, name: str, measured: Measured) -> None:
        """The figures of one more run; of one that failed, its failures alone."""
        self.cycles += measured.cycles
        self.failures += [f"{preset}, {name}: {line}" for line in measured.failures]
        if measured.failures:
            return
        if measured.hits is not None:
            self.hits[preset].merge(measured.hits)
        if measured.counts is not None:
            self.code.add(measured.counts, measured.verilog)

    @property
    def bins(self) -> tuple[int, int]:
        """Bins hit and bins declared, of all presets."""
        pairs = [hits.covered(name) for hits in self.hits.values() for name in hits.points]
        return sum(hit for hit, _ in pairs), sum(due for _, due in pairs)

    @property
    def lines(self) -> tuple[int, int, int]:
        """Lines and branches reached, counted in all, and waived."""
        counts = {p: n for p, n in self.code.counts.items() if p.kind != "toggle"}
        waived = sum(1 for p, n in counts.items() if not n and self.code.waiver(p, self.waivers))
        return sum(1 for n in counts.values() if n), len(counts), waived

    @property
    def toggles(self) -> tuple[int, int]:
        """Bits that changed each way, of all."""
        counts = [n for p, n in self.code.counts.items() if p.kind == "toggle"]
        return sum(1 for n in counts if n), len(counts)

    def complaints(self) -> list[str]:
        """All that keeps the bars from being met, a line each."""
        lines = list(self.failures)
        for preset, hits in self.hits.items():
            missed, refuted = defaultdict(list), defaultdict(list)
            for point, labels in hits.holes():
                missed[point.name].append(labels)
            for point, labels, reason in hits.refuted():
                refuted[point.name, reason].append(labels)
            for name, bins in missed.items():
                lines.append(f"{preset}: {name}: not hit: {_some(bins)}")
            for (name, reason), bins in refuted.items():
                lines.append(f"{preset}: {name}: hit, though the plan says that {reason}: {_some(bins)}")
        lines += [f"the plan waives what is not missed: {waiver}" for waiver in self.code.stale(self.waivers)]
        reached, total, waived = self.lines
        if not total:
            lines.append("lines: none were counted")
        if reached < LINES_BAR * (total - waived):
            lines += [f"lines: {reached} of {total - waived} reached, {LINES_BAR:.0%} are due"]
        return lines

    def record(self) -> dict:
        """The report as JSON."""
        reached, total, waived = self.lines
        hit, due = self.bins
        return {
            "seed": self.seed,
            "cycles": self.cycles,
            "seconds": round(self.seconds, 1),
            "bins": {"hit": hit, "declared": due},
            "lines": {"reached": reached, "counted": total, "waived": waived},
            "complaints": self.complaints(),
            "presets": {
                preset: {
                    name: {
                        "axes": {axis: list(labels) for axis, labels in point.axes.items()},
                        "hits": hits.counts[name].tolist(),
                    }
                    for name, point in hits.points.items()
                }
                for preset, hits in self.hits.items()
            },
        }
