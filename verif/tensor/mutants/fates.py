"""What becomes of a mutant: a bench kills it, a proof clears it, or it survives."""

from collections.abc import Iterable
from dataclasses import dataclass

from verif.tensor.mutants.benches import Bench
from verif.tensor.mutants.equivalence import prove
from verif.tensor.mutants.mutants import Mutant, Mutation

__all__ = ["Fate", "judge"]


@dataclass(frozen=True)
class Fate:
    """What became of a mutant.

    mutant : Mutant
    killed_by : str or None
        The bench that differed first.
    reason : str
        The difference; what the proof showed; or why there is none.
    equivalent : bool
        Proved.
    """

    mutant: Mutant
    killed_by: str | None
    reason: str
    equivalent: bool = False

    @property
    def verdict(self) -> str:
        """In words."""
        return f"killed by {self.killed_by}" if self.killed_by else "equivalent" if self.equivalent else "survived"

    @property
    def survived(self) -> bool:
        """Neither killed nor proved equivalent."""
        return self.killed_by is None and not self.equivalent


def judge(mutant: Mutant, mutation: Mutation, benches: Iterable[Bench]) -> Fate:
    """Run a mutant through the benches of its module until one is red; if none is, try to prove it equivalent."""
    for bench in benches:
        if bench.covers(mutant.module):
            difference = bench.run(mutant.module, mutant.number)
            if difference is not None:
                return Fate(mutant, bench.name, difference)
    verdict = prove(mutant, mutation)
    return Fate(mutant, None, verdict.how, verdict.equivalent)
