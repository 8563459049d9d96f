"""Resets in mid-run: interactive benches write them down where they run, the coverage measurement reads them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verif.coverage.points import Hits, Point

__all__ = ["RESET_POINTS", "RESET_STATES", "Reset", "record_reset", "recorded_resets", "sample_resets"]

#: What is under way when reset comes; several may be. The first: nothing of the rest.
RESET_STATES = (
    "nothing under way",
    "weights half loaded",
    "pass half done",
    "sums in the array",
    "result offered",
    "PSUM full",
)
LENGTHS = ("1", "2", "3")
RESET_POINTS = (
    Point("reset", "What was under way when reset came.", {"state": RESET_STATES}),
    Point("reset length", "Cycles of reset.", {"cycles": LENGTHS}),
)
#: In the directory in which a bench runs.
FILE = Path("resets.jsonl")


@dataclass(frozen=True)
class Reset:
    """One reset: what was under way, and cycles it took."""

    states: tuple[str, ...]
    cycles: int


def record_reset(states: Iterable[str], cycles: int) -> None:
    """Write a reset down; for benches."""
    with FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"states": sorted(states), "cycles": cycles}) + "\n")


def recorded_resets(run: Path) -> list[Reset]:
    """The resets of all benches that ran in a directory."""
    if not (run / FILE).exists():
        return []
    records = map(json.loads, (run / FILE).read_text(encoding="utf-8").splitlines())
    return [Reset(tuple(record["states"]), record["cycles"]) for record in records]


def sample_resets(resets: Sequence[Reset], hits: Hits) -> None:
    """Count resets of benches that passed."""
    for reset in resets:
        for state in reset.states:
            hits.add("reset", RESET_STATES.index(state))
        hits.add("reset length", LENGTHS.index(str(reset.cycles)))
