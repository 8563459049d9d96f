"""Benches of the float blocks: what is driven, and what numpy, ml_dtypes and the golden functions expect of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from amaranth.lib import wiring

from arch.elements import ELEMENTS, SELECT_BITS
from arch.formats import FP32
from arch.record import Field
from golden.numerics.conversions import code_dtype, decode, encode
from golden.numerics.functions import exp, reciprocal, rsqrt
from hw.arithmetic.element_narrower import ElementNarrower
from hw.arithmetic.float_adder import FloatAdder
from hw.arithmetic.float_multiplier import FloatMultiplier
from hw.arithmetic.float_order import FloatOrder
from hw.arithmetic.interpolator import Interpolator
from hw.arithmetic.widener import Widener
from hw.fpga.ecp5 import ECP5
from verif.core.blocks import vectors
from verif.simulation.unit_bench import UnitBench

__all__ = ["BENCHES", "CELL_BENCHES", "mantissas_bench"]

#: Random vectors.
VECTORS = 150_000

#: The interpolator's functions by number.
FUNCTIONS = (lambda x: vectors.canonical(x), exp, reciprocal, rsqrt)

#: From a random generator: the inputs of every cycle by port; and from those, what the block makes of them.
Inputs = Callable[[np.random.Generator], dict[str, np.ndarray]]
Result = Callable[[dict[str, np.ndarray]], np.ndarray]


def _shown(
    block: type[wiring.Component],
    driven: dict[str, np.ndarray],
    results: np.ndarray,
    enable: np.ndarray,
    offered: np.ndarray,
) -> dict[str, np.ndarray]:
    """Every port of a pipeline in every cycle: ``offered`` says which vector is at its inputs."""
    # In a cycle the last stage holds what was taken so many moves before.
    taken = offered[enable]
    order = np.cumsum(enable) - enable - block.LATENCY
    shown = np.where(order >= 0, results[taken[np.maximum(order, 0)]], 0)
    return {name: values[offered] for name, values in driven.items()} | {"i_en": enable, "o": shown}


def _pipeline(block: type[wiring.Component], inputs: Inputs, result: Result, **widths: int) -> UnitBench:
    """A pipeline that stalls at random: a result shows so many enabled cycles after its inputs, and 0 before."""

    def values(rng):
        driven = inputs(rng)
        results = result(driven)
        return _shown(block, driven, results, *vectors.paced(rng, len(results)))

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


def _widener() -> UnitBench:
    def values(rng):
        codes, types = vectors.elements(rng, VECTORS // 10)
        widened = codes.copy()
        for element in ELEMENTS.values():
            if element.format:
                chosen = types == element.select
                values = decode(codes[chosen].astype(code_dtype(element.format)), element.format)
                widened[chosen] = vectors.canonical(values)
        return {"i_code": codes, "i_type": types, "o": widened}

    fields = Field("i_code", 32, drive=True), Field("i_type", SELECT_BITS, drive=True), Field("o", 32)
    return UnitBench(name="widener", block=Widener, fields=fields, values=values)


def _element_narrower() -> UnitBench:
    def values(rng):
        numbers, types, narrowed = [], [], []
        for select in range(1 << SELECT_BITS):
            element = next((e for e in ELEMENTS.values() if e.select == select), None)
            fmt = element.format if element else None
            some = [vectors.CORNERS, vectors.codes(rng, VECTORS // 10)]
            if fmt and fmt.bits < 32:
                some.append(vectors.boundaries(fmt))
            numbers.append(vectors.canonical(_float(np.concatenate(some))))
            types.append(np.full(len(numbers[-1]), select))
            # What is no float passes.
            narrowed.append(encode(_float(numbers[-1]), fmt).astype(np.uint32) if fmt else numbers[-1])
        return {"i": np.concatenate(numbers), "i_type": np.concatenate(types), "o_code": np.concatenate(narrowed)}

    fields = Field("i", 32, drive=True), Field("i_type", SELECT_BITS, drive=True), Field("o_code", 32)
    return UnitBench(name="element_narrower", block=ElementNarrower, fields=fields, values=values)


def _float_order() -> UnitBench:
    def values(rng):
        a, b = vectors.sums(rng, VECTORS)
        same = rng.random(len(a)) < 0.05
        b = np.where(same, a, b)
        x, y = _float(a), _float(b)
        with np.errstate(invalid="ignore"):
            less, equal, unordered = x < y, x == y, np.isnan(x) | np.isnan(y)
        return {"i_a": a, "i_b": b, "o_less": less, "o_equal": equal, "o_unordered": unordered}

    fields = (
        *(Field(name, 32, drive=True) for name in ("i_a", "i_b")),
        *(Field(name, 1) for name in ("o_less", "o_equal", "o_unordered")),
    )
    return UnitBench(name="float_order", block=FloatOrder, fields=fields, values=values)


def _arguments(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return dict(zip(("i_x", "i_function"), vectors.arguments(rng, VECTORS, len(FUNCTIONS)), strict=True))


def _functions(driven: dict[str, np.ndarray]) -> np.ndarray:
    """Each argument's own function."""
    results = np.empty_like(driven["i_x"])
    for number, function in enumerate(FUNCTIONS):
        chosen = driven["i_function"] == number
        results[chosen] = function(_float(driven["i_x"][chosen])).view(np.uint32)
    return results


def mantissas_bench(function: int, above: int) -> UnitBench:
    """Of the interpolator: every mantissa below one sign and exponent field, ``above``; nothing stalls."""

    def values(_):
        mantissas = np.arange(1 << FP32.man_bits, dtype=np.uint32)
        driven = {"i_x": mantissas | np.uint32(above << FP32.man_bits), "i_function": np.full(len(mantissas), function)}
        # The last one shows as many cycles later.
        offered = np.minimum(np.arange(len(mantissas) + Interpolator.LATENCY + 1), len(mantissas) - 1)
        return _shown(Interpolator, driven, _functions(driven), np.ones(len(offered), bool), offered)

    return replace(BENCHES["interpolator"], values=values)


def _benches() -> dict[str, UnitBench]:
    benches = [
        _pipeline(FloatAdder, _operands(vectors.sums), _binary(np.add), i_a=32, i_b=32),
        _pipeline(FloatMultiplier, _operands(vectors.factors), _binary(np.multiply), i_a=32, i_b=32),
        _pipeline(Interpolator, _arguments, _functions, i_x=32, i_function=2),
        _widener(),
        _element_narrower(),
        _float_order(),
    ]
    return {bench.name: bench for bench in benches}


#: Every bench by name.
BENCHES = _benches()
#: Those of blocks that are made of other cells on an ECP5.
CELL_BENCHES = {
    name: replace(BENCHES[name], name=f"{name}-ecp5", target=ECP5) for name in ("float_multiplier", "interpolator")
}
