"""Benches of the float blocks: what is driven, and what numpy, ml_dtypes and the golden functions expect of them."""

from collections.abc import Callable

import numpy as np
from amaranth.lib import wiring

from arch.record import Field
from hw.arithmetic.float_adder import FloatAdder
from hw.arithmetic.float_multiplier import FloatMultiplier
from verif.core.blocks import vectors
from verif.simulation.unit_bench import UnitBench

__all__ = ["BENCHES"]

#: Random vectors.
VECTORS = 250_000

#: From a random generator: the inputs of every cycle by port; and from those, what the block makes of them.
Inputs = Callable[[np.random.Generator], dict[str, np.ndarray]]
Result = Callable[[dict[str, np.ndarray]], np.ndarray]


def _pipeline(block: type[wiring.Component], inputs: Inputs, result: Result, **widths: int) -> UnitBench:
    """A pipeline that stalls at random: a result shows so many enabled cycles after its inputs, and 0 before."""

    def values(rng):
        driven = inputs(rng)
        results = result(driven)
        enable = vectors.enables(rng, len(results))
        # In cycle t the last stage holds what was taken so many taken cycles before.
        taken = np.flatnonzero(enable)
        order = np.cumsum(enable) - enable - block.LATENCY
        shown = np.where(order >= 0, results[taken[np.maximum(order, 0)]], 0)
        return driven | {"i_en": enable, "o": shown}

    fields = [Field(name, width, drive=True) for name, width in widths.items()]
    return UnitBench(
        name=block.module_name,
        block=block,
        fields=(Field("i_en", 1, drive=True), *fields, Field("o", 32)),
        values=values,
        has_clock=True,
    )


def _float(bits: np.ndarray) -> np.ndarray:
    return bits.view(np.float32)


def _operands(pairs: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]) -> Inputs:
    return lambda rng: dict(zip(("i_a", "i_b"), pairs(rng, VECTORS), strict=True))


def _binary(operation: np.ufunc) -> Result:
    def result(driven):
        with np.errstate(all="ignore"):
            return vectors.canonical(operation(_float(driven["i_a"]), _float(driven["i_b"])))

    return result


def _benches() -> dict[str, UnitBench]:
    benches = [
        _pipeline(FloatAdder, _operands(vectors.sums), _binary(np.add), i_a=32, i_b=32),
        _pipeline(FloatMultiplier, _operands(vectors.factors), _binary(np.multiply), i_a=32, i_b=32),
    ]
    return {bench.name: bench for bench in benches}


#: Every bench by name.
BENCHES = _benches()
