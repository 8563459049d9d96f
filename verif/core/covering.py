"""A covering array of cores' configurations."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache

from arch.core.config import CoreConfig
from arch.tensor.config import EngineConfig
from verif.simulation import covering
from verif.simulation.covering import Choice, Pair
from verif.tensor import covering as tensor
from verif.tensor.covering import LEAST, SUMS, least_depth

__all__ = ["VALUES", "Case", "covering_array", "pairs"]

#: What is crossed, by parameter: those of the engine first. Lanes are what Icarus builds in seconds.
VALUES: dict[str, tuple] = {
    "lanes": (4, 8, 16),
    **{name: tensor.VALUES[name] for name in SUMS},
    # 24 is not a multiple of 16 lanes, and contractions of three tiles of 4 and of 8 lanes reach it.
    "k_max": (1, 24, 16384, 65536),
    "psum_depth": (LEAST, 128, 1024),
    "readout_latency": tensor.VALUES["readout_latency"],
    "lane_bytes": (1024, 4096, 32768, 1 << 18),
    "banks": (2, 4, 8, 16),
    "beat_bytes": tuple(1 << n for n in range(2, 9)),
    "dma_queues": (1, 2, 3, 4),
    "queue_depth": tuple(range(2, 9)),
    "reads_in_flight": tuple(1 << n for n in range(7)),
}
_OF_ENGINE = {field.name for field in fields(EngineConfig)}


@dataclass(frozen=True)
class Case:
    """One row of the array.

    choice : dict of str to value
        A value of ``VALUES`` for each parameter.
    config : CoreConfig
    """

    choice: Choice
    config: CoreConfig

    @property
    def name(self) -> str:
        """What distinguishes it, in few characters."""
        c, e = self.config, self.config.engine
        sums = "int" if e.integer_operands else e.accumulation
        parts = [f"{c.lanes}", *e.formats, sums, f"k{e.k_max}", f"d{e.psum_depth}"]
        parts += [f"p{e.product_latency}a{e.add_latency}r{e.readout_latency}", f"{c.lane_bytes}in{c.banks}"]
        parts += [f"w{c.beat_bytes}", f"q{c.dma_queues}x{c.queue_depth}", f"f{c.reads_in_flight}"]
        return "-".join(parts)

    @property
    def cost(self) -> int:
        """What it takes to build and simulate it, roughly: four lanes as much as eight."""
        return max(64, self.config.lanes**2)


def pairs() -> Iterator[Pair]:
    """Every two values of different parameters, those that exclude each other too."""
    return covering.pairs(VALUES)


def _made(choice: Choice) -> Case | None:
    """A choice as a configuration, or None where there is none such."""
    engine = {name: value for name, value in choice.items() if name in _OF_ENGINE}
    engine |= {"rows": choice["lanes"], "cols": choice["lanes"]}
    core = {name: value for name, value in choice.items() if name not in engine and name != "lanes"}
    try:
        if engine["psum_depth"] == LEAST:
            engine["psum_depth"] = least_depth(**engine)
        return Case(choice, CoreConfig(engine=EngineConfig(**engine), **core))
    except ValueError:
        return None


@cache
def covering_array() -> tuple[Case, ...]:
    """The array, the same in every call and every process."""
    return covering.cover(VALUES, SUMS, _made)
