"""Benches of the arithmetic units: what is driven, and what the golden model expects of it."""

from dataclasses import replace
from itertools import product as pairs

import numpy as np

from arch.formats import FORMATS, SELECT_BITS
from arch.record import Field
from arch.tensor.config import ADD_LATENCIES, EngineConfig
from arch.tensor.layouts import operand_layout, product_layout, psum_layout
from golden.tensor import arithmetic
from hw.arithmetic.decoder import Decoder
from hw.arithmetic.exact_adder import ExactAdder
from hw.arithmetic.fused_adder import FusedAdder
from hw.arithmetic.multiplier import Multiplier
from hw.arithmetic.narrower import Narrower
from hw.arithmetic.rounder import Rounder
from hw.arithmetic.stages import narrow_stages, round_stages
from hw.fpga.ecp5 import ECP5
from verif.simulation.unit_bench import UnitBench
from verif.tensor.blocks import vectors
from verif.tensor.blocks.array_units import grid_bench, pe_bench, psum_bank_bench
from verif.tensor.blocks.configs import UNIT_CONFIGS

__all__ = ["BENCHES", "UNIT_CONFIGS", "UnitBench", "narrower_bench", "unit_benches"]


def _decoder(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        codes, selects, operands = [], [], []
        for name in config.formats:
            code = vectors.all_codes(name)
            # A lane may be wider than the format: what lies above a code is ignored.
            above = rng.integers(0, 1 << config.code_bits, len(code)) >> FORMATS[name].bits << FORMATS[name].bits
            codes.append(code | above)
            selects.append(np.full(len(code), FORMATS[name].select))
            operands.append(arithmetic.decode_operands(code, name, config))
        return {"i_code": np.concatenate(codes), "i_select": np.concatenate(selects), "o": np.concatenate(operands)}

    fields = (
        Field("i_code", config.code_bits, drive=True),
        Field("i_select", SELECT_BITS, drive=True),
        Field("o", operand_layout(config).width),
    )
    return UnitBench(name=f"decoder-{key}", block=lambda: Decoder(config), fields=fields, values=values)


def _product_width(config: EngineConfig) -> int:
    layout = product_layout(config)
    return layout.width - layout.offset("magnitude")


def _multiplier(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        x, w = vectors.code_pairs(config, rng)
        return {"i_x": x, "i_w": w, "o": arithmetic.multiply(x, w, config)}

    operand = operand_layout(config).width
    fields = (
        Field("i_x", operand, drive=True),
        Field("i_w", operand, drive=True),
        Field("o", _product_width(config)),
    )
    return UnitBench(name=f"multiplier-{key}", block=lambda: Multiplier(config), fields=fields, values=values)


def _exact_adder(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        products = vectors.random_products(config, rng, 200_000)
        psums = vectors.exact_psums(config, rng, len(products))
        # A product comes before its sum by the latency from it to the adder, the first ones in reset: there are none.
        early = config.product_latency - 1
        products[:early] = 0
        sums = arithmetic.add_products(psums, products, config)
        return {"i_psum": psums, "i_product": np.roll(products, -early), "o_psum": sums}

    psum = psum_layout(config).width
    fields = (
        Field("i_psum", psum, drive=True),
        Field("i_product", _product_width(config), drive=True),
        Field("o_psum", psum),
    )
    return UnitBench(
        name=f"exact_adder-{key}",
        block=lambda: ExactAdder(config),
        fields=fields,
        values=values,
        has_clock=config.product_latency > 1,
    )


def _fused_adder(key: str, config: EngineConfig) -> UnitBench:
    stages = config.add_latency - 1

    def values(rng):
        # Registers change when a sum shows, which takes fewer vectors to see than what it is.
        count = vectors.VECTORS // 4 if stages else 2 * vectors.VECTORS
        products = vectors.random_products(config, rng, count)
        psums = vectors.possible_sums(vectors.fp32_psums(products, config, rng), config)[:, None]
        enable = rng.random(len(products)) < 0.9
        sums = np.where(enable[:, None], arithmetic.add_products(psums, products, config), psums)
        driven = {"i_psum": psums, "i_product": np.where(enable, products, 0), "i_enable": enable}
        if not stages:
            return driven | {"o_psum": sums}
        # What shows entered so many cycles before; of a sum that a reset meets on its way nothing is left.
        reset = vectors.random_resets(rng, len(products))
        lost = np.zeros_like(reset)
        for stage in range(1, stages + 1):
            lost[stage:] |= reset[:-stage]
        shown = np.concatenate([np.zeros((stages, 1), sums.dtype), sums[:-stages]])
        return driven | {"i_reset": reset, "o_psum": np.where(lost[:, None], 0, shown)}

    fields = (
        *([Field("i_reset", 1, drive=True)] if stages else []),
        Field("i_psum", 32, drive=True),
        Field("i_product", _product_width(config), drive=True),
        *([] if config.sums_in_range else [Field("i_enable", 1, drive=True)]),
        Field("o_psum", 32),
    )
    return UnitBench(
        name=f"fused_adder-{key}",
        block=lambda: FusedAdder(config),
        fields=fields,
        values=values,
        has_clock=stages > 0,
    )


def _adder(key: str, config: EngineConfig) -> UnitBench:
    return (_exact_adder if config.exact else _fused_adder)(key, config)


def narrower_bench() -> UnitBench:
    """The bench of the one unit that is the same in every configuration."""
    any_config = UNIT_CONFIGS["bf16"]

    def values(rng):
        codes = vectors.narrow_inputs(rng)
        columns = {"i_fp32": [], "i_select": [], "i_saturate": [], "o_code": []}
        for fmt, saturate in pairs(FORMATS.values(), (False, True)):
            columns["i_fp32"].append(codes)
            columns["i_select"].append(np.full(len(codes), fmt.select))
            columns["i_saturate"].append(np.full(len(codes), int(saturate)))
            columns["o_code"].append(arithmetic.read_out(codes[:, None], any_config, fmt, saturate=saturate))
        return {name: np.concatenate(parts) for name, parts in columns.items()}

    fields = (
        Field("i_fp32", 32, drive=True),
        Field("i_select", SELECT_BITS, drive=True),
        Field("i_saturate", 1, drive=True),
        Field("o_code", 32),
    )
    return UnitBench(name="narrower", block=lambda: Narrower(any_config), fields=fields, values=values)


def _rounder(key: str, config: EngineConfig) -> UnitBench:
    formats = sorted(FORMATS.values(), key=lambda fmt: fmt.select)

    def values(rng):
        count = 100_000
        psums = vectors.random_psums(config, rng, count)
        enable = rng.random(count) < 0.7
        select, saturate = rng.integers(0, len(formats), count), rng.integers(0, 2, count)
        codes = np.array([[arithmetic.read_out(psums, config, f, saturate=bool(s)) for s in (0, 1)] for f in formats])
        # What shows in a cycle is the sum taken so many taken sums ago, in the format asked for when it was rounded;
        # before that, the reset's zero.
        narrow, stages = narrow_stages(config), round_stages(config) + narrow_stages(config)
        reset = vectors.random_resets(rng, count)
        takes = enable & ~reset
        taken = np.flatnonzero(takes)
        order = np.cumsum(takes) - takes
        since_reset = order - np.maximum.accumulate(np.where(np.roll(reset, 1), order, 0))
        asked = taken[np.maximum(order - narrow, 0)] if narrow else np.arange(count)
        code = codes[select[asked], saturate[asked], taken[np.maximum(order - stages, 0)]]
        code = np.where(since_reset >= stages, code, 0)
        return {
            "i_reset": reset,
            "i_en": enable,
            "i_psum": psums,
            "i_select": select,
            "i_saturate": saturate,
            "o_code": code,
        }

    fields = (
        Field("i_reset", 1, drive=True),
        Field("i_en", 1, drive=True),
        Field("i_psum", psum_layout(config).width, drive=True),
        Field("i_select", SELECT_BITS, drive=True),
        Field("i_saturate", 1, drive=True),
        Field("o_code", 32),
    )
    return UnitBench(name=f"rounder-{key}", block=lambda: Rounder(config), fields=fields, values=values, has_clock=True)


def unit_benches(key: str, config: EngineConfig) -> list[UnitBench]:
    """The benches of every unit as a configuration has it, names ending in ``key``."""
    return [
        make(key, config) for make in (_decoder, _multiplier, _adder, _rounder, pe_bench, grid_bench, psum_bank_bench)
    ]


#: A column of three weight pipes.
SEVERAL_ROWS = EngineConfig(
    rows=4, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=32, rows_per_load_cycle=3
)


def _benches() -> dict[str, UnitBench]:
    benches = [narrower_bench()]
    for key, config in UNIT_CONFIGS.items():
        benches += unit_benches(key, config)
        # The fused adder has no cells of its own.
        made = (_multiplier, _adder) if config.exact else (_multiplier,)
        benches += [replace(make(f"{key}-ecp5", config), target=ECP5) for make in made]
        benches.append(pe_bench(f"{key}-ecp5", config, ECP5))
        if not config.exact:
            benches += [_fused_adder(f"{key}_{n}_stages", replace(config, add_latency=n)) for n in ADD_LATENCIES[1:]]
    for key, latencies in {"e4m3": range(5, 12), "fp8": (9, 11), "bf16": (9, 11)}.items():
        for stages in latencies:
            benches.append(_rounder(f"{key}_{stages}_stages", replace(UNIT_CONFIGS[key], readout_latency=stages)))
    # Several weight rows in a cycle are the array's affair alone.
    benches += [make("three_rows_a_cycle", SEVERAL_ROWS) for make in (pe_bench, grid_bench)]
    return {bench.name: bench for bench in benches}


#: Every bench by name, those of the array's blocks included.
BENCHES = _benches()
