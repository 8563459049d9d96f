"""Emitted Verilog of the core's blocks is accepted."""

import pytest

from arch.core.presets import CORES
from hw.core.dma_queue import DmaQueue
from hw.core.memory_port import MemoryPort
from hw.lib.emission import emit_modules
from hw.lib.joining import join_modules
from verif.simulation.toolchain import lint


@pytest.mark.parametrize("name", ["tiny", "fp8", "bf16"])
@pytest.mark.parametrize("block", [MemoryPort, DmaQueue])
def test_verilator_lint_is_clean(block, name, tmp_path):
    path = tmp_path / "block.v"
    path.write_text(join_modules(emit_modules(block(CORES[name]))), encoding="utf-8")
    assert lint(path, block.module_name) == ""
