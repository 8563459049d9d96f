"""Emitted Verilog of the core, its blocks, and its AXI wrapper is accepted by other people's tools."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from arch.core.presets import CORES
from arch.core.registers import counters, registers
from arch.tensor.presets import PRESETS
from hw.core.axi import WRAPPER, axi_verilog, modules_verilog, waivers
from hw.core.dma_queue import DmaQueue
from hw.core.memory_port import MemoryPort
from hw.core.page import describe
from hw.core.registers import CoreRegisters
from hw.lib.emission import emit_modules
from hw.lib.joining import join_modules
from tests.hw.tools import accepts, lint_all, slang, yosys
from verif.simulation.toolchain import lint


@pytest.mark.parametrize("name", ["tiny", "fp8", "bf16"])
@pytest.mark.parametrize("block", [MemoryPort, DmaQueue, CoreRegisters])
def test_verilator_lint_is_clean(block, name, tmp_path):
    path = tmp_path / "block.v"
    path.write_text(join_modules(emit_modules(block(CORES[name]))), encoding="utf-8")
    assert lint(path, block.module_name) == ""


#: The narrowest and the widest beats, and as many DMA queues as there can be.
WRAPPED = {
    "tiny": CORES["tiny"],
    "narrow": replace(CORES["tiny"], beat_bytes=4, dma_queues=1),
    "wide": replace(CORES["tiny"], beat_bytes=128, dma_queues=4),
}
#: Shifts are cut to what they are for on purpose, and a register's reset and enable are ifs within each other.
CUT = "-Wno-width-trunc -Wno-dangling-else"


def _write(folder: Path, config) -> tuple[Path, Path]:
    """The core and its wrapper, beside its waivers."""
    core, wrapper = folder / "c.v", folder / "c_axi.sv"
    core.write_text(modules_verilog(config), encoding="utf-8")
    wrapper.write_text(axi_verilog(config), encoding="utf-8")
    core.with_suffix(".vlt").write_text(waivers("c.v"), encoding="utf-8")
    return core, wrapper


@pytest.fixture(scope="module", params=WRAPPED)
def wrapped(request, tmp_path_factory) -> tuple[Path, Path]:
    return _write(tmp_path_factory.mktemp("verilog"), WRAPPED[request.param])


def test_verilator_says_nothing_beside_the_waivers(wrapped):
    assert lint_all(*wrapped, WRAPPER) == ""


@pytest.mark.parametrize(
    "rule", ["DECLFILENAME", "WIDTHEXPAND", "WIDTHTRUNC", "PROCASSINIT", "CASEOVERLAP", "UNUSEDSIGNAL"]
)
def test_every_waiver_is_needed(tmp_path, rule):
    core, wrapper = _write(tmp_path, WRAPPED["tiny"])
    lines = [line for line in waivers("c.v").splitlines() if f"-rule {rule} " not in line]
    core.with_suffix(".vlt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert f"-{rule}:" in lint_all(core, wrapper, WRAPPER)


def test_slang_accepts(wrapped):
    assert slang(*wrapped, options=CUT) == 0


def test_yosys_accepts(wrapped):
    yosys(*wrapped, WRAPPER)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_accepts(wrapped):
    core, wrapper = wrapped
    accepts(core.parent, "iverilog", "-g2005", "-Wall", "-t", "null", "-s", "core", core.name)
    accepts(core.parent, "iverilog", "-g2012", "-Wall", "-t", "null", "-s", WRAPPER, wrapper.name, core.name)


@pytest.mark.slow
def test_cores_of_two_configurations_live_in_one_project(tmp_path):
    files = []
    # Of one engine they would have its modules twice.
    for name, config in (("tiny", CORES["tiny"]), ("bf16", CORES["bf16"])):
        files += [tmp_path / f"{name}.v", tmp_path / f"{name}_axi.sv"]
        files[-2].write_text(modules_verilog(config, name), encoding="utf-8")
        files[-1].write_text(axi_verilog(config, name), encoding="utf-8")
    assert slang(*files, options=CUT) == 0


def test_the_page_names_every_register():
    config = WRAPPED["tiny"]
    page = describe(config)
    for register in registers(config):
        if register.name.rpartition("_")[0] not in counters(config):
            assert f"| 0x{register.address:03x} | `{register.name}` |" in page
    # Those of a queue are one line for all of them.
    for doing in ("ORDER", "CONFLICT", "STREAM", "BUSY"):
        (first,) = re.findall(rf"\| 0x(\w+) \+ 0x20 q, and 4 more \| `QUEUE_{doing}_LOW`, `_HIGH` \|", page)
        at = {name: address for name, address in counters(config).items() if name.endswith(f"_{doing}")}
        assert [*at.values()] == [int(first, 16) + 0x20 * queue for queue in range(len(config.queues))]
        assert [*at] == [f"{queue.upper()}_{doing}" for queue in config.queues]


def test_the_registers_are_apart():
    for config in WRAPPED.values():
        addresses = [register.address for register in registers(config)]
        assert addresses == sorted(set(addresses)) and addresses[-1] < 4096
        assert not any(address % 4 for address in addresses)


def test_a_preset_is_a_core():
    assert CORES.keys() <= PRESETS.keys()
