"""A covering array of the tensor engine's configurations."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from arch.formats import ACCUMULATIONS, OPERAND_FORMATS
from arch.tensor.config import ADD_LATENCIES, EngineConfig
from hw.fpga.ecp5 import ECP5
from verif.simulation import covering
from verif.simulation.covering import Choice, Pair, pairs_of

__all__ = ["ALL_ROWS", "LEAST", "SUMS", "VALUES", "Case", "covering_array", "least_depth", "pairs"]

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
#: Parameters that exclude each other's values, whatever the array's shape.
SUMS = ("formats", "accumulation", "product_latency", "add_latency", "integer_operands")


@dataclass(frozen=True)
class Case:
    """One row of the array.

    choice : dict of str to value
        A value of ``VALUES`` for each parameter.
    config : EngineConfig
    target : str or None
    """

    choice: Choice
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
        return pairs_of(self.choice)

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
    return covering.pairs(VALUES)


def least_depth(**values: object) -> int:
    """The least ``psum_depth`` of an ``EngineConfig`` with these values of its other parameters."""
    return 1 << (EngineConfig(**values | {"psum_depth": 1 << 16}).drain_latency + 1).bit_length()


def _made(choice: Choice) -> Case | None:
    """A choice as a configuration, or None where there is none such."""
    values = {name: value for name, value in choice.items() if name != "target"}
    if values["rows_per_load_cycle"] == ALL_ROWS:
        values["rows_per_load_cycle"] = values["rows"]
    try:
        if values["psum_depth"] == LEAST:
            values["psum_depth"] = least_depth(**values)
        return Case(choice, EngineConfig(**values), choice["target"])
    except ValueError:
        return None


@cache
def covering_array() -> tuple[Case, ...]:
    """The array, the same in every call and every process."""
    return covering.cover(VALUES, SUMS, _made)
