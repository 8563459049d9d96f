"""Judges mutants: a bench kills them, a proof clears them, or they survive."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from verif.mutants.equivalence import broken_promises, prove
from verif.mutants.hook import Bench
from verif.mutants.mutation import Mutant, Mutation

__all__ = ["Fate", "judge", "judge_all", "wrong_without_mutant"]

#: Simulations at a time.
WORKERS = os.cpu_count() or 1


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


def judge(mutant: Mutant, mutation: Mutation, benches: Sequence[Bench]) -> Fate:
    """Run a mutant through the benches that see its module until one is red; if none is, try to prove it equivalent."""
    for bench in benches:
        part = bench.part(mutant.module)
        difference = None if part is None else bench.run(part, mutant.number)
        if difference is not None:
            return Fate(mutant, bench.name, difference)
    verdict = prove(mutant, mutation)
    return Fate(mutant, None, verdict.how, verdict.equivalent)


def judge_all(mutants: Sequence[Mutant], mutation: Mutation, benches: Sequence[Bench]) -> Iterator[Fate]:
    """The fate of each, in order, some at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from pool.map(lambda mutant: judge(mutant, mutation, benches), mutants)


def wrong_without_mutant(mutants: Sequence[Mutant], mutation: Mutation, benches: Sequence[Bench]) -> list[str]:
    """What is wrong before any of these is active: with what proofs assume, or with a bench that would kill all."""
    lines = broken_promises(mutation)
    modules = dict.fromkeys(mutant.module for mutant in mutants)
    for bench in benches:
        parts = dict.fromkeys(bench.part(module) for module in modules)
        lines += filter(None, [bench.run(part) for part in parts if part is not None])
    return lines
