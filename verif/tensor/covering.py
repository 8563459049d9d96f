"""A covering array of configurations: every pair of values of two parameters is in one of them.

A fault that only one value brings out, or two values together, is then in a configuration that is simulated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from random import Random

from arch.formats import ACCUMULATIONS, OPERAND_FORMATS
from arch.tensor.config import ADD_LATENCIES, EngineConfig
from hw.fpga.ecp5 import ECP5

__all__ = ["ALL_ROWS", "LEAST", "VALUES", "Case", "Pair", "covering_array", "pairs"]

#: The fewest PSUM rows that the configuration can have; as many rows per load cycle as there are.
LEAST, ALL_ROWS = "least", "all"
#: What is crossed, by parameter. Sizes are one, a few, more than a nibble and more than a byte's half can count.
VALUES: dict[str, tuple] = {
    "rows": (1, 4, 16, 128),
    "cols": (1, 3, 16, 128),
    "formats": tuple(names for count in (1, 2, 3) for names in combinations(OPERAND_FORMATS, count)),
    "accumulation": ACCUMULATIONS,
    "k_max": (1, 40, 16384, 65536),
    "psum_depth": (LEAST, 512, 1024, 4096),
    "product_latency": (1, 2),
    "add_latency": ADD_LATENCIES,
    "readout_latency": tuple(range(4, 12)),
    "integer_operands": (False, True),
    "rows_per_load_cycle": (1, 2, 3, ALL_ROWS),
    "target": (None, ECP5),
}
#: Completions of a pair among which the one is chosen that covers most.
TRIES = 200

#: Two parameters, each with a value.
Pair = tuple[tuple[str, object], tuple[str, object]]


@dataclass(frozen=True)
class Case:
    """One row of the array.

    choice : dict of str to value
        A value of ``VALUES`` for each parameter.
    config : EngineConfig
    target : str or None
    """

    choice: dict[str, object]
    config: EngineConfig
    target: str | None

    @property
    def name(self) -> str:
        """What distinguishes it, in few characters."""
        c = self.config
        sums = "int" if c.integer_operands else c.accumulation
        latencies = f"p{c.product_latency}a{c.add_latency}r{c.readout_latency}l{c.rows_per_load_cycle}"
        parts = [f"{c.rows}x{c.cols}", *c.formats, sums, f"k{c.k_max}", f"d{c.psum_depth}", latencies, self.target]
        return "-".join(filter(None, parts))

    @property
    def pairs(self) -> frozenset[Pair]:
        """All that it covers."""
        return frozenset(combinations(self.choice.items(), 2))

    @property
    def side(self) -> int:
        """The longer side of the array."""
        return max(self.config.rows, self.config.cols)

    @property
    def cost(self) -> int:
        """What it takes to build and simulate it, roughly: small arrays take the same."""
        return max(16, self.config.rows * self.config.cols)


def pairs() -> Iterator[Pair]:
    """Every two values of different parameters, those that exclude each other too."""
    for (one, values), (other, others) in combinations(VALUES.items(), 2):
        yield from (((one, value), (other, second)) for value, second in product(values, others))


def _made(choice: dict[str, object]) -> Case | None:
    """A choice as a configuration, or None where there is none such."""
    values = {name: value for name, value in choice.items() if name != "target"}
    if values["rows_per_load_cycle"] == ALL_ROWS:
        values["rows_per_load_cycle"] = values["rows"]
    try:
        if values["psum_depth"] == LEAST:
            in_flight = EngineConfig(**values | {"psum_depth": 1 << 16}).drain_latency + 1
            values["psum_depth"] = 1 << in_flight.bit_length()
        return Case(choice, EngineConfig(**values), choice["target"])
    except ValueError:
        return None


#: Parameters that exclude each other's values, whatever the array's shape.
_SUMS = ("formats", "accumulation", "product_latency", "add_latency", "integer_operands")


def _sums() -> list[dict[str, object]]:
    """Every legal choice of the parameters that exclude each other's values."""
    others = {name: values[0] for name, values in VALUES.items()}
    choices = (dict(zip(_SUMS, values, strict=True)) for values in product(*(VALUES[name] for name in _SUMS)))
    return [choice for choice in choices if _made(others | choice)]


@cache
def covering_array() -> tuple[Case, ...]:
    """The array, the same in every call and every process.

    Of the pairs that are not covered yet the first is taken, and of some random configurations with both values the
    one that covers most for its cost. A pair that no configuration has is left out.
    """
    rng, sums = Random(0), _sums()
    waiting = dict.fromkeys(pairs())
    cases = []
    while waiting:
        pair = next(iter(waiting))
        fixed = dict(pair)
        fitting = [choice for choice in sums if all(fixed.get(name, value) == value for name, value in choice.items())]
        tries = []
        for _ in range(TRIES if fitting else 0):
            choice = {name: rng.choice(values) for name, values in VALUES.items()} | rng.choice(fitting) | fixed
            if case := _made(choice):
                tries.append((len(case.pairs & waiting.keys()) / case.cost, case))
        if not tries:
            del waiting[pair]
            continue
        _, best = max(tries, key=lambda item: item[0])
        cases.append(best)
        for covered in best.pairs:
            waiting.pop(covered, None)
    return tuple(cases)
