"""Pipeline registers, and where the read-out has them: its stages are chosen by ``config.readout_latency``."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value

from arch.tensor.config import EngineConfig

__all__ = ["Stages", "extra_stages", "narrow_stages", "round_stages"]

#: Registers beyond those of a read-out of 4 stages, in the order in which they shorten the longest path most: between
#: normalising and rounding an exact sum, before the conversion's shifter, behind PSUM, within normalising, behind the
#: conversion's rounding, behind its shifter, within normalising a second time.
_EXTRA = ("normalised", "shift", "word", "coarse", "rounded", "moved", "fine")


def extra_stages(config: EngineConfig) -> Sequence[str]:
    """Names of the registers beyond those of a read-out of 4 stages."""
    return _EXTRA[: config.readout_latency - 4]


def round_stages(config: EngineConfig) -> int:
    """Registers from a sum to its fp32 code."""
    return 2 + len({"normalised", "word", "coarse", "fine"} & set(extra_stages(config)))


def narrow_stages(config: EngineConfig | None) -> int:
    """Registers within the conversion of an fp32 code to the result format; none where it is no engine's."""
    return 0 if config is None else len({"shift", "rounded", "moved"} & set(extra_stages(config)))


class Stages:
    """Registers that move together while ``enable`` is high. ``reset_less``: a reset leaves them as they are."""

    def __init__(self, m: Module, enable: Value, *, reset_less: bool = False):
        self._m, self._enable, self._reset_less = m, enable, reset_less

    def __call__(self, name: str, *values: Value) -> list[Signal]:
        """The values an enabled cycle later, in registers named after the stage."""
        registers = [
            Signal(len(value), name=f"{name}_{index}", reset_less=self._reset_less)
            for index, value in enumerate(values)
        ]
        with self._m.If(self._enable):
            self._m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
        return registers
