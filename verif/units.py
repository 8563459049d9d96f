"""Benches of the blocks below the tensor engine: what is driven, and what the golden model expects of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product as pairs

import numpy as np
from amaranth.lib import wiring

from golden import arithmetic
from golden.formats import code_dtype
from golden.spec.config import EngineConfig
from golden.spec.encodings import (
    beat_layout,
    operand_layout,
    pe_registers,
    product_layout,
    psum_layout,
)
from golden.spec.formats import FORMATS, FP32
from golden.spec.presets import PRESETS
from golden.spec.trace import Field
from hw.arithmetic.decoder import Decoder
from hw.arithmetic.exact_adder import ExactAdder
from hw.arithmetic.fused_adder import FusedAdder
from hw.arithmetic.multiplier import Multiplier
from hw.arithmetic.rounder import Narrower, Rounder
from hw.array.grid import Grid
from hw.array.pe import ProcessingElement
from hw.blocks import emit_modules
from hw.psum.bank import PsumBank, seed_shape, store_shape
from hw.verilog import join_modules
from verif.models import ArrayModel, PsumBankModel

__all__ = ["BENCHES", "UNIT_CONFIGS", "UnitBench", "pack_records"]

#: Configurations the units are benched in: the presets, and FP8 with fp32 sums.
UNIT_CONFIGS: dict[str, EngineConfig] = {
    "e4m3": PRESETS["tiny"],
    "fp8": EngineConfig(rows=3, cols=2, formats=("e4m3", "e5m2"), accumulation="exact", psum_depth=32),
    "bf16": EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32", psum_depth=32),
    "fp8_fp32": EngineConfig(rows=2, cols=2, formats=("e4m3", "e5m2"), accumulation="fp32", psum_depth=32),
}

#: Random vectors of the arithmetic units that cannot be exhausted.
VECTORS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class UnitBench:
    """One block, its record and the values of every field.

    Parameters
    ----------
    block : callable
        Makes the component.
    fields : tuple of Field
        Ports, and registers named by their path below the block.
    values : callable
        From a random generator to an array for every field name: uint64[n], or uint32[n, words].
    """

    name: str
    block: Callable[[], wiring.Component]
    fields: tuple[Field, ...]
    values: Callable[[np.random.Generator], Mapping[str, np.ndarray]]
    has_clock: bool = False
    paths: Mapping[str, str] = field(default_factory=dict)

    def verilog(self) -> tuple[str, str]:
        """The block's Verilog and the name of its top module."""
        block = self.block()
        return join_modules(emit_modules(block)), block.module_name

    def records(self, rng: np.random.Generator) -> np.ndarray:
        """The trace: uint32[n, words]."""
        return pack_records(self.fields, self.values(rng))


def pack_records(fields: tuple[Field, ...], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Columns of a trace from one array per field name: uint64[n] (up to 64 bits) or uint32[n, words]."""
    columns = []
    for item in fields:
        value = values[item.name]
        if value.ndim == 1:
            value = value.astype(np.uint64)
            value = np.stack([value & 0xFFFFFFFF, value >> np.uint64(32)], axis=1).astype(np.uint32)
            if item.words == 1 and value[:, 1].any():
                raise ValueError(f"{item.name} must fit {item.width} bits")
            value = value[:, : item.words]
        columns.append(value)
    return np.concatenate(columns, axis=1)


# ---- operands -----------------------------------------------------------------------------------


def _all_codes(name: str) -> np.ndarray:
    return np.arange(1 << FORMATS[name].bits, dtype=code_dtype(name))


def _code_pairs(config: EngineConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Operand pairs: every pair of 8-bit codes, random bit patterns where BF16 takes part, and all its specials."""
    special = np.array([0, 1, 0x7F, 0x80, 0x3F80, 0x7F7F, 0x7F80, 0x7F81, 0x7FC0, 0x7FFF], np.uint16)
    special = np.concatenate([special, special | 0x8000])
    xs, ws = [], []
    for x_name, w_name in pairs(config.formats, repeat=2):
        if "bf16" in (x_name, w_name):
            x, w = (rng.integers(0, 1 << FORMATS[n].bits, VECTORS // 5, dtype=code_dtype(n)) for n in (x_name, w_name))
            x_corner = special if x_name == "bf16" else _all_codes(x_name)
            w_corner = special if w_name == "bf16" else _all_codes(w_name)
            x = np.concatenate([x, np.repeat(x_corner, len(w_corner))])
            w = np.concatenate([w, np.tile(w_corner, len(x_corner))])
        else:
            x, w = (grid.reshape(-1) for grid in np.meshgrid(_all_codes(x_name), _all_codes(w_name)))
        xs.append(arithmetic.decode_operands(x, x_name, config))
        ws.append(arithmetic.decode_operands(w, w_name, config))
    return np.concatenate(xs), np.concatenate(ws)


def _decoder(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        codes = {name: _all_codes(name) for name in config.formats}
        return {
            "i_code": np.concatenate([code.astype(np.uint64) for code in codes.values()]),
            "i_select": np.repeat([FORMATS[name].select for name in codes], [len(code) for code in codes.values()]),
            "o": np.concatenate([arithmetic.decode_operands(code, name, config) for name, code in codes.items()]),
        }

    fields = (
        Field("i_code", config.code_bits, drive=True),
        Field("i_select", 2, drive=True),
        Field("o", operand_layout(config).width),
    )
    return UnitBench(name=f"decoder-{key}", block=lambda: Decoder(config), fields=fields, values=values)


def _product_width(config: EngineConfig) -> int:
    layout = product_layout(config)
    return layout.width - layout.offset("magnitude")


def _multiplier(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        x, w = _code_pairs(config, rng)
        return {"i_x": x, "i_w": w, "o": arithmetic.multiply(x, w, config)}

    operand = operand_layout(config).width
    fields = (
        Field("i_x", operand, drive=True),
        Field("i_w", operand, drive=True),
        Field("o", _product_width(config)),
    )
    return UnitBench(name=f"multiplier-{key}", block=lambda: Multiplier(config), fields=fields, values=values)


# ---- adders -------------------------------------------------------------------------------------


def _random_products(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    x, w = _code_pairs(config, rng)
    chosen = rng.integers(0, len(x), count)
    return arithmetic.multiply(x[chosen], w[chosen], config)


def _exact_psums(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Sums of every magnitude within k_max, both signs, mostly without flags: uint32[count, words]."""
    words = arithmetic.psum_words(config)
    bits = rng.integers(1, config.acc_bits - 1, count)
    psums = np.empty((count, words), np.uint32)
    flags = rng.integers(0, 1 << config.special_bits, count) * (rng.random(count) < 0.1)
    draws = rng.integers(0, 1 << 63, (count, 2), dtype=np.uint64)
    for index in range(count):
        value = int(draws[index, 0]) << 63 | int(draws[index, 1])
        value &= (1 << int(bits[index])) - 1
        value = -value if value & 2 else value
        packed = value & ((1 << config.acc_bits) - 1) | int(flags[index]) << config.acc_bits
        psums[index] = [packed >> 32 * word & 0xFFFFFFFF for word in range(words)]
    return psums


def _exact_adder(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        products = _random_products(config, rng, 200_000)
        psums = _exact_psums(config, rng, len(products))
        return {
            "i_psum": psums,
            "i_product": products,
            "o_psum": arithmetic.add_products(psums, products, config),
        }

    psum = psum_layout(config).width
    fields = (
        Field("i_psum", psum, drive=True),
        Field("i_product", _product_width(config), drive=True),
        Field("o_psum", psum),
    )
    return UnitBench(name=f"exact_adder-{key}", block=lambda: ExactAdder(config), fields=fields, values=values)


def _product_values(products: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Finite products as float64, exactly; 0 for specials."""
    bits = 2 * config.significand_bits
    magnitude = (products & np.uint64((1 << bits) - 1)).astype(np.float64)
    exponent = (products >> np.uint64(bits) & np.uint64((1 << config.product_exponent_bits) - 1)).astype(np.int64)
    sign = products >> np.uint64(bits + config.product_exponent_bits) & np.uint64(1)
    return np.ldexp(np.where(sign, -magnitude, magnitude), exponent + config.product_lsb_exp)


def _fp32_psums(products: np.ndarray, config: EngineConfig, rng: np.random.Generator) -> np.ndarray:
    """fp32 codes, a fifth each: any bits; near the negated product; ties with it; near it in size; corners."""
    count = len(products)
    value = _product_values(products, config)
    with np.errstate(over="ignore", under="ignore"):
        near = (-value).astype(np.float32).view(np.uint32).astype(np.int64) + rng.integers(-3, 4, count)
        # A power of two 24 or 25 places above the product makes it a tie or half of one.
        tie = np.ldexp(np.where(rng.random(count) < 0.5, value, -value), rng.integers(16, 28, count))
        tie = tie.astype(np.float32).view(np.uint32) & ~np.uint32((1 << 8) - 1)
        sized = np.ldexp(rng.uniform(-2, 2, count), np.frexp(value)[1] + rng.integers(-30, 31, count))
        sized = sized.astype(np.float32).view(np.uint32)
    corners = np.array(
        [0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x7F7FFFFF, 0x7F7FFFFE, 0x7F800000, 0x7FC00000], np.uint32
    )
    corners = np.concatenate([corners, corners | 0x80000000])
    kinds = [
        rng.integers(0, 1 << 32, count, dtype=np.uint32),
        (near & 0xFFFFFFFF).astype(np.uint32),
        tie,
        sized,
        corners[rng.integers(0, len(corners), count)],
    ]
    return np.choose(rng.integers(0, len(kinds), count), kinds)


def _fused_adder(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        products = _random_products(config, rng, VECTORS)
        psums = _fp32_psums(products, config, rng)
        return {
            "i_psum": psums,
            "i_product": products,
            "o_psum": arithmetic.add_products(psums[:, None], products, config),
        }

    fields = (
        Field("i_psum", 32, drive=True),
        Field("i_product", _product_width(config), drive=True),
        Field("o_psum", 32),
    )
    return UnitBench(name=f"fused_adder-{key}", block=lambda: FusedAdder(config), fields=fields, values=values)


# ---- read-out -----------------------------------------------------------------------------------


def _narrow_inputs(rng: np.random.Generator) -> np.ndarray:
    """fp32 codes around every boundary of the narrow formats, and random ones; any NaN is the canonical one."""
    codes = []
    for name in ("e4m3", "e5m2", "bf16"):
        fmt = FORMATS[name]
        # Every code, the midpoints above it, and the fp32 neighbours of both, in the fp32 bit pattern.
        operand = np.arange(1 << (fmt.bits - 1), dtype=np.int64)
        exponent, fraction = operand >> fmt.man_bits, operand & ((1 << fmt.man_bits) - 1)
        value = np.ldexp(
            (fraction + (exponent > 0) * (1 << fmt.man_bits)).astype(np.float64),
            np.maximum(exponent, 1) - fmt.bias - fmt.man_bits,
        )
        with np.errstate(over="ignore"):
            points = np.concatenate([value, (value[:-1] + value[1:]) / 2]).astype(np.float32).view(np.uint32)
        codes += [points - np.uint32(1), points, points + np.uint32(1)]
    codes.append(rng.integers(0, 1 << 32, VECTORS // 8, dtype=np.uint32))
    codes = np.concatenate(codes)
    codes = np.concatenate([codes, codes ^ np.uint32(0x80000000)])
    return np.where((codes & 0x7FFFFFFF) > FP32.inf, np.uint32(FP32.nan), codes)


def _narrower() -> UnitBench:
    any_config = UNIT_CONFIGS["bf16"]

    def values(rng):
        codes = _narrow_inputs(rng)
        columns = {"i_fp32": [], "i_select": [], "i_saturate": [], "o_code": []}
        for fmt, saturate in pairs(FORMATS.values(), (False, True)):
            columns["i_fp32"].append(codes)
            columns["i_select"].append(np.full(len(codes), fmt.select))
            columns["i_saturate"].append(np.full(len(codes), int(saturate)))
            columns["o_code"].append(arithmetic.read_out(codes[:, None], any_config, fmt, saturate=saturate))
        return {name: np.concatenate(parts) for name, parts in columns.items()}

    fields = (
        Field("i_fp32", 32, drive=True),
        Field("i_select", 2, drive=True),
        Field("i_saturate", 1, drive=True),
        Field("o_code", 32),
    )
    return UnitBench(name="narrower", block=Narrower, fields=fields, values=values)


def _rounder(key: str, config: EngineConfig) -> UnitBench:
    def values(rng):
        count = 100_000
        if config.exact:
            psums = _exact_psums(config, rng, count)
        else:
            psums = _fp32_psums(np.zeros(count, np.uint64), config, rng)
            psums = np.where((psums & 0x7FFFFFFF) > FP32.inf, np.uint32(FP32.nan), psums)[:, None]
        enable = rng.random(count) < 0.7
        codes = arithmetic.round_psums(psums, config)
        # The sum whose code shows in a cycle is the second last one taken; before that, the reset's zero.
        taken = np.flatnonzero(enable)
        order = np.cumsum(enable) - enable
        code = np.where(order >= 2, codes[taken[np.maximum(order - 2, 0)]], 0)
        return {
            "i_en": enable,
            "i_psum": psums,
            "i_select": np.full(count, FP32.select),
            "i_saturate": np.zeros(count),
            "o_code": code,
        }

    fields = (
        Field("i_en", 1, drive=True),
        Field("i_psum", psum_layout(config).width, drive=True),
        Field("i_select", 2, drive=True),
        Field("i_saturate", 1, drive=True),
        Field("o_code", 32),
    )
    return UnitBench(name=f"rounder-{key}", block=lambda: Rounder(config), fields=fields, values=values, has_clock=True)


# ---- array and memory ---------------------------------------------------------------------------


def _random_beats(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Beats of random operands with every legal combination of tags: uint64[count]."""
    layout = beat_layout(config)
    operands = _random_operands(config, rng, count)
    valid = rng.random(count) < 0.7
    tags = {
        "valid": valid,
        "enable": valid & (rng.random(count) < 0.8),
        "swap": valid & (rng.random(count) < 0.1),
        "load": rng.random(count) < 0.3,
    }
    beats = operands.astype(np.uint64) << np.uint64(layout.offset("operand"))
    for name, tag in tags.items():
        beats |= tag.astype(np.uint64) << np.uint64(layout.offset(name))
    return beats


def _random_operands(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    name = config.formats[int(rng.integers(len(config.formats)))]
    codes = rng.integers(0, 1 << FORMATS[name].bits, count, dtype=code_dtype(name))
    return arithmetic.decode_operands(codes, name, config).astype(np.uint64)


def _random_psums(config: EngineConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    if config.exact:
        return _exact_psums(config, rng, count)
    return _fp32_psums(_random_products(config, rng, count), config, rng)[:, None]


def _concatenated(values: np.ndarray, width: int) -> np.ndarray:
    """Lanes side by side in one port: from uint64[n, lanes] or uint32[n, lanes, words] to uint32[n, words]."""
    if values.ndim == 2:
        values = np.stack([values & 0xFFFFFFFF, values >> np.uint64(32)], axis=2).astype(np.uint32)
    bits = np.unpackbits(np.ascontiguousarray(values).view(np.uint8), axis=-1, bitorder="little")[..., :width]
    bits = bits.reshape(len(bits), -1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 32) * 32), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint32)


#: Where a PE keeps the registers of a trace.
REGISTER_PATHS = {
    "weight": "o_weight",
    "shadow": "shadow",
    "active": "active",
    "beat": "o_beat",
    "product": "product",
    "psum": "o_psum",
}


def _run_array(config: EngineConfig, rng: np.random.Generator, cycles: int):
    """Random stimulus of an array and its registers in every cycle."""
    model = ArrayModel(config)
    rows, cols = config.rows, config.cols
    beats = _random_beats(config, rng, cycles * rows).reshape(cycles, rows)
    weights = _random_operands(config, rng, cycles * cols).reshape(cycles, cols)
    psums = _random_psums(config, rng, cycles * cols).reshape(cycles, cols, -1)
    registers = {name: [] for name in REGISTER_PATHS}
    for cycle in range(cycles):
        for name, value in model.registers().items():
            registers[name].append(value)
        model.step(beats[cycle], weights[cycle], psums[cycle])
    return beats, weights, psums, {name: np.array(value) for name, value in registers.items()}


def _pe(key: str, config: EngineConfig) -> UnitBench:
    single = EngineConfig(
        rows=1, cols=1, formats=config.formats, accumulation=config.accumulation, psum_depth=config.psum_depth
    )

    def values(rng):
        beats, weights, psums, registers = _run_array(single, rng, 20_000)
        ports = {"i_beat": beats[:, 0], "i_weight": weights[:, 0], "i_psum": psums[:, 0]}
        return ports | {name: value[:, 0, 0] for name, value in registers.items()}

    widths = pe_registers(single)
    fields = (
        Field("i_beat", widths["beat"], drive=True),
        Field("i_weight", widths["weight"], drive=True),
        Field("i_psum", widths["psum"], drive=True),
        *(Field(name, width, row=0, col=0) for name, width in widths.items()),
    )
    return UnitBench(
        name=f"pe-{key}",
        block=lambda: ProcessingElement(single),
        fields=fields,
        values=values,
        has_clock=True,
        paths=REGISTER_PATHS,
    )


def _grid(key: str, config: EngineConfig) -> UnitBench:
    widths = pe_registers(config)

    def values(rng):
        beats, weights, psums, registers = _run_array(config, rng, 4_000)
        return {
            "i_beats": _concatenated(beats, widths["beat"]),
            "i_weights": _concatenated(weights, widths["weight"]),
            "i_psums": _concatenated(psums, widths["psum"]),
            "o_psums": _concatenated(registers["psum"][:, -1], widths["psum"]),
        }

    fields = (
        Field("i_beats", widths["beat"] * config.rows, drive=True),
        Field("i_weights", widths["weight"] * config.cols, drive=True),
        Field("i_psums", widths["psum"] * config.cols, drive=True),
        Field("o_psums", widths["psum"] * config.cols),
    )
    return UnitBench(name=f"grid-{key}", block=lambda: Grid(config), fields=fields, values=values, has_clock=True)


def _psum_bank(key: str, config: EngineConfig) -> UnitBench:
    seed, store = seed_shape(config), store_shape(config)
    width = psum_layout(config).width

    def values(rng):
        cycles = 20_000
        model = PsumBankModel(config)
        psums = _random_psums(config, rng, cycles)
        columns = {item.name: [] for item in fields}
        for cycle in range(cycles):
            # Few addresses, so that reads and writes of one row meet in one cycle.
            low = int(rng.integers(0, config.psum_depth - 2))
            addresses = [low + int(rng.integers(0, 2)) for _ in range(3)]
            drive = {
                "i_seed": {"valid": int(rng.random() < 0.7), "first": int(rng.random() < 0.3), "address": addresses[0]},
                "i_store": {
                    "valid": int(rng.random() < 0.7),
                    "address": addresses[1],
                    "columns": int(rng.integers(0, config.cols + 1)),
                },
                "i_psum": sum(int(word) << 32 * place for place, word in enumerate(psums[cycle])),
                "i_read_en": int(rng.random() < 0.6),
                "i_read_address": addresses[2],
            }
            seen = {"o_seed": model.seed, "o_store": model.store, "o_psum": model.psum, "o_read": model.read}
            for name, value in (drive | seen).items():
                shape = seed if name.endswith("seed") else store
                packed = shape.const(value).as_value().value if isinstance(value, dict) else value
                columns[name].append(packed)
            model.step(*drive.values())
        words = -(-width // 32)
        return {
            name: np.array([[value >> 32 * w & 0xFFFFFFFF for w in range(words)] for value in column], np.uint32)
            if name in ("i_psum", "o_psum", "o_read")
            else np.array(column, np.uint64)
            for name, column in columns.items()
        }

    address = max(1, (config.psum_depth - 1).bit_length())
    fields = (
        Field("i_seed", seed.size, drive=True),
        Field("i_store", store.size, drive=True),
        Field("i_psum", width, drive=True),
        Field("i_read_en", 1, drive=True),
        Field("i_read_address", address, drive=True),
        Field("o_seed", seed.size),
        Field("o_store", store.size),
        Field("o_psum", width),
        Field("o_read", width),
    )
    return UnitBench(
        name=f"psum_bank-{key}", block=lambda: PsumBank(config), fields=fields, values=values, has_clock=True
    )


def _benches() -> dict[str, UnitBench]:
    benches = [_narrower()]
    for key, config in UNIT_CONFIGS.items():
        adder = _exact_adder if config.exact else _fused_adder
        makers = (_decoder, _multiplier, adder, _rounder, _pe, _grid, _psum_bank)
        benches += [maker(key, config) for maker in makers]
    return {bench.name: bench for bench in benches}


#: Every bench by name.
BENCHES = _benches()
