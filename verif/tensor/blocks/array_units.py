"""Benches of the array and of the memory under it."""

from dataclasses import replace

import numpy as np

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import operand_layout, pe_registers, psum_layout, seed_layout
from hw.fpga.ecp5 import ECP5
from hw.lib.blocks import struct
from hw.tensor.bank import PsumBank, store_shape
from hw.tensor.grid import Grid
from hw.tensor.pe import ProcessingElement
from verif.simulation.unit_bench import UnitBench
from verif.tensor.blocks import vectors
from verif.tensor.blocks.models import ArrayModel, PsumBankModel
from verif.tensor.paths import HARD_PRODUCT, REGISTERS

__all__ = ["grid_bench", "pe_bench", "psum_bank_bench"]


def _concatenated(values: np.ndarray, width: int) -> np.ndarray:
    """Lanes side by side in one port: from uint64[n, lanes] or uint32[n, lanes, words] to uint32[n, words]."""
    if values.ndim == 2:
        values = np.stack([values & 0xFFFFFFFF, values >> np.uint64(32)], axis=2).astype(np.uint32)
    bits = np.unpackbits(np.ascontiguousarray(values).view(np.uint8), axis=-1, bitorder="little")[..., :width]
    bits = bits.reshape(len(bits), -1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 32) * 32), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint32)


def _run_array(config: EngineConfig, rng: np.random.Generator, cycles: int):
    """Random stimulus of an array and its registers in every cycle."""
    model = ArrayModel(config)
    rows, cols = config.rows, config.cols
    beats = vectors.random_beats(config, rng, cycles * rows).reshape(cycles, rows)
    pipes = config.rows_per_load_cycle
    operands = vectors.random_operands(config, rng, cycles * cols * pipes).reshape(cycles, cols, pipes)
    places = np.arange(pipes, dtype=np.uint64) * np.uint64(operand_layout(config).width)
    weights = (operands.astype(np.uint64) << places).sum(axis=2, dtype=np.uint64)
    psums = vectors.random_psums(config, rng, cycles * cols).reshape(cycles, cols, -1)
    resets = vectors.random_resets(rng, cycles)
    registers = {name: [] for name in REGISTERS}
    for cycle in range(cycles):
        for name, value in model.registers().items():
            registers[name].append(value)
        model.step(beats[cycle], weights[cycle], psums[cycle])
        if resets[cycle]:
            model.reset()
    return resets, beats, weights, psums, {name: np.array(value) for name, value in registers.items()}


def pe_bench(key: str, config: EngineConfig, target: str | None = None) -> UnitBench:
    """Bench of one processing element, every register of it."""
    # A PE has the pipes of a column, whatever rows there are: as many rows are the least that a configuration takes.
    single = replace(config, rows=config.rows_per_load_cycle, cols=1)
    widths = pe_registers(single)
    inside = ("shadow", "active", "product")
    registers = dict(REGISTERS)
    if target == ECP5 and config.integer_operands:
        registers["product"] = HARD_PRODUCT

    def values(rng):
        resets, beats, weights, psums, registers = _run_array(single, rng, 20_000)
        registers = {name: value[:, 0, 0] for name, value in registers.items()}
        ports = {"i_reset": resets, "i_beat": beats[:, 0], "i_weight": weights[:, 0], "i_psum": psums[:, 0]}
        return ports | {name if name in inside else f"o_{name}": value for name, value in registers.items()}

    fields = (
        Field("i_reset", 1, drive=True),
        *(Field(f"i_{name}", widths[name], drive=True) for name in ("beat", "weight", "psum")),
        *(Field(f"o_{name}", widths[name]) for name in ("beat", "weight", "psum")),
        *(Field(name, widths[name], row=0, col=0) for name in inside),
    )
    return UnitBench(
        name=f"pe-{key}",
        block=lambda: ProcessingElement(single),
        fields=fields,
        values=values,
        has_clock=True,
        registers=registers,
        target=target,
    )


def grid_bench(key: str, config: EngineConfig) -> UnitBench:
    """Bench of the whole array, at its edges."""
    widths = pe_registers(config)

    def values(rng):
        resets, beats, weights, psums, registers = _run_array(config, rng, 4_000)
        return {
            "i_reset": resets,
            "i_beats": _concatenated(beats, widths["beat"]),
            "i_weights": _concatenated(weights, widths["weight"]),
            "i_psums": _concatenated(psums, widths["psum"]),
            "o_psums": _concatenated(registers["psum"][:, -1], widths["psum"]),
        }

    fields = (
        Field("i_reset", 1, drive=True),
        Field("i_beats", widths["beat"] * config.rows, drive=True),
        Field("i_weights", widths["weight"] * config.cols, drive=True),
        Field("i_psums", widths["psum"] * config.cols, drive=True),
        Field("o_psums", widths["psum"] * config.cols),
    )
    return UnitBench(name=f"grid-{key}", block=lambda: Grid(config), fields=fields, values=values, has_clock=True)


def psum_bank_bench(key: str, config: EngineConfig) -> UnitBench:
    """Bench of one column's PSUM memory."""
    seed, store = struct(seed_layout(config)), store_shape(config)
    width = psum_layout(config).width

    def values(rng):
        cycles = 20_000
        model = PsumBankModel(config)
        psums = vectors.random_psums(config, rng, cycles)
        resets = vectors.random_resets(rng, cycles)
        columns = {item.name: [] for item in fields}
        for cycle in range(cycles):
            # Few addresses, so that reads and writes of one row meet in one cycle.
            low = int(rng.integers(0, config.psum_depth - 2))
            addresses = [low + int(rng.integers(0, 2)) for _ in range(3)]
            drive = {
                "i_seed": {"valid": int(rng.random() < 0.7), "adds": int(rng.random() < 0.5), "address": addresses[0]},
                "i_store": {
                    "valid": int(rng.random() < 0.7),
                    "address": addresses[1],
                    "columns": int(rng.integers(0, config.cols + 1)),
                    "stores": int(rng.random() < 0.6),
                },
                "i_psum": sum(int(word) << 32 * place for place, word in enumerate(psums[cycle])),
                "i_advance": int(rng.random() < 0.6),
                "i_read_address": addresses[2],
            }
            seen = {
                "o_seed": model.seed,
                "o_store": model.store,
                "o_psum": model.psum,
                "o_read_address": model.read_address,
                "o_read": model.read,
            }
            for name, value in (drive | seen).items():
                shape = seed if name.endswith("seed") else store
                packed = shape.const(value).as_value().value if isinstance(value, dict) else value
                columns[name].append(packed)
            columns["i_reset"].append(int(resets[cycle]))
            model.step(*drive.values())
            if resets[cycle]:
                model.reset()
        words = -(-width // 32)
        return {
            name: np.array([[value >> 32 * w & 0xFFFFFFFF for w in range(words)] for value in column], np.uint32)
            if name in ("i_psum", "o_psum", "o_read")
            else np.array(column, np.uint64)
            for name, column in columns.items()
        }

    address = config.address_bits
    fields = (
        Field("i_reset", 1, drive=True),
        Field("i_seed", seed.size, drive=True),
        Field("i_store", store.size, drive=True),
        Field("i_psum", width, drive=True),
        Field("i_advance", 1, drive=True),
        Field("i_read_address", address, drive=True),
        Field("o_seed", seed.size),
        Field("o_store", store.size),
        Field("o_psum", width),
        Field("o_read_address", address),
        Field("o_read", width),
    )
    return UnitBench(
        name=f"psum_bank-{key}", block=lambda: PsumBank(config), fields=fields, values=values, has_clock=True
    )
