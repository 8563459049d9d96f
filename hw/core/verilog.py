"""Verilog of a core."""

from functools import cache

from arch.core.config import CoreConfig
from hw.core.core import Core
from hw.core.registers import CoreRegisters
from hw.lib.emission import emit_modules
from hw.lib.joining import join_modules

__all__ = ["core_verilog", "registers_verilog"]


@cache
def core_verilog(config: CoreConfig, *, name: str = Core.module_name) -> str:
    """Verilog-2005 of the core, top module ``name``; the same configuration gives the same bytes."""
    return join_modules(emit_modules(Core(config), name=name))


def registers_verilog(config: CoreConfig, *, name: str = CoreRegisters.module_name) -> str:
    """Verilog-2005 of the core's registers, module ``name``."""
    return join_modules(emit_modules(CoreRegisters(config), name=name))
