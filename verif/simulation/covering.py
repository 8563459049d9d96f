"""Covering arrays of configurations: every pair of values of two parameters is in one of them.

A fault that only one value brings out, or two values together, is then in a configuration that is simulated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from random import Random
from typing import Protocol, TypeVar

__all__ = ["Choice", "Covering", "Pair", "cover", "pairs_of"]

#: Completions of a pair among which the one is chosen that covers most.
TRIES = 200

#: A value for each parameter.
Choice = dict[str, object]
#: Two parameters, each with a value.
Pair = tuple[tuple[str, object], tuple[str, object]]


class Covering(Protocol):
    """A configuration made of a choice.

    Members
    -------
    choice : dict of str to value
    cost : int
        What it takes to build and simulate it, roughly.
    """

    choice: Choice
    cost: int


Case = TypeVar("Case", bound=Covering)


def pairs_of(choice: Choice) -> frozenset[Pair]:
    """All pairs of values in a choice."""
    return frozenset(combinations(choice.items(), 2))


def pairs(values: Mapping[str, Sequence]) -> Iterator[Pair]:
    """Every two values of different parameters, those that exclude each other too."""
    for (one, some), (other, others) in combinations(values.items(), 2):
        yield from (((one, value), (other, second)) for value, second in product(some, others))


def cover(
    values: Mapping[str, Sequence], excluding: Sequence[str], made: Callable[[Choice], Case | None]
) -> tuple[Case, ...]:
    """The array, the same in every call and every process.

    Of the pairs that are not covered yet the first is taken, and of some random configurations with both values the
    one that covers most for its cost. A pair that no configuration has is left out.

    Parameters
    ----------
    values : mapping of str to sequence
        What is crossed, by parameter.
    excluding : sequence of str
        The parameters that exclude each other's values, whatever the others are.
    made : callable
        Of a choice: its configuration, or None where there is none such.
    """
    rng, first = Random(0), {name: some[0] for name, some in values.items()}
    combined = (dict(zip(excluding, some, strict=True)) for some in product(*(values[name] for name in excluding)))
    legal = [choice for choice in combined if made(first | choice)]
    waiting = dict.fromkeys(pairs(values))
    cases = []
    while waiting:
        pair = next(iter(waiting))
        fixed = dict(pair)
        fitting = [choice for choice in legal if all(fixed.get(name, value) == value for name, value in choice.items())]
        tries = []
        for _ in range(TRIES if fitting else 0):
            choice = {name: rng.choice(some) for name, some in values.items()} | rng.choice(fitting) | fixed
            if case := made(choice):
                tries.append((len(pairs_of(case.choice) & waiting.keys()) / case.cost, case))
        if not tries:
            del waiting[pair]
            continue
        _, best = max(tries, key=lambda item: item[0])
        cases.append(best)
        for covered in pairs_of(best.choice):
            waiting.pop(covered, None)
    return tuple(cases)
