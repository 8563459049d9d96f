"""Emitted Verilog: once per module, deterministic, and accepted by other people's tools."""

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from arch.tensor.presets import PRESETS
from hw.lib.emission import plain_names
from hw.tensor.axi import WRAPPER, axi_verilog, waivers
from hw.tensor.verilog import describe, engine_verilog
from tests.hw.tools import accepts, lint_all, slang, yosys
from verif.modules import module_text
from verif.simulation.toolchain import lint

#: One row or column, one format, the widest sums: shapes with the narrowest and widest ports.
CORNERS = {
    "1x1": EngineConfig(rows=1, cols=1, formats=("e5m2",), accumulation="exact", psum_depth=16),
    "1x5": EngineConfig(rows=1, cols=5, formats=("e4m3", "e5m2"), accumulation="fp32"),
    "7x2": EngineConfig(rows=7, cols=2, formats=("bf16",), accumulation="fp32"),
}
SMALL = {name: PRESETS[name] for name in ("tiny", "fp8", "bf16")} | CORNERS


@pytest.fixture(scope="module", params=SMALL, ids=list(SMALL))
def emitted(request, tmp_path_factory) -> Path:
    """An engine, its wrapper and its waivers, in a folder of their own."""
    config, path = SMALL[request.param], tmp_path_factory.mktemp("verilog") / f"{request.param}.v"
    path.write_text(engine_verilog(config), encoding="utf-8")
    _wrapper(path).write_text(axi_verilog(config), encoding="utf-8")
    path.with_suffix(".vlt").write_text(waivers(path.name), encoding="utf-8")
    return path


def _wrapper(engine: Path) -> Path:
    return engine.with_name(f"{engine.stem}_axis.sv")


def test_verilator_lint_is_clean(emitted):
    assert lint(emitted, "tensor_engine") == ""


def test_verilator_lint_sees_a_latch(tmp_path):
    path = tmp_path / "latch.v"
    path.write_text("module latch(input a, b, output reg q); always @* if (a) q = b; endmodule\n", encoding="utf-8")
    assert "LATCH" in lint(path, "latch")


def test_verilator_says_nothing_beside_the_waivers(emitted):
    assert lint_all(emitted, _wrapper(emitted), WRAPPER) == ""


@pytest.mark.parametrize("rule", ["DECLFILENAME", "WIDTHEXPAND", "WIDTHTRUNC", "PROCASSINIT", "UNUSEDSIGNAL"])
def test_every_waiver_is_needed(tmp_path, rule):
    engine = tmp_path / "e.v"
    engine.write_text(engine_verilog(PRESETS["fp8"]), encoding="utf-8")
    _wrapper(engine).write_text(axi_verilog(PRESETS["fp8"]), encoding="utf-8")
    lines = [line for line in waivers("e.v").splitlines() if f"-rule {rule} " not in line]
    engine.with_suffix(".vlt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert f"-{rule}:" in lint_all(engine, _wrapper(engine), WRAPPER)


def test_slang_accepts(emitted):
    assert slang(emitted) == 0
    assert slang(emitted, _wrapper(emitted)) == 0


def test_slang_sees_a_port_that_is_not_there(tmp_path):
    path = tmp_path / "bad.v"
    path.write_text("module a(input b); endmodule\nmodule c; a a(.d(1'b0)); endmodule\n", encoding="utf-8")
    assert slang(path) > 0


@pytest.mark.parametrize("wrapped", [False, True], ids=["engine", "wrapper"])
def test_yosys_accepts(emitted, wrapped):
    yosys(emitted, _wrapper(emitted) if wrapped else None, WRAPPER if wrapped else "tensor_engine")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_accepts(emitted):
    accepts(emitted.parent, "iverilog", "-g2005", "-Wall", "-t", "null", "-s", "tensor_engine", emitted.name)
    accepts(
        emitted.parent, "iverilog", "-g2012", "-Wall", "-t", "null", "-s", WRAPPER, _wrapper(emitted).name, emitted.name
    )


def test_engines_of_two_configurations_live_in_one_project(tmp_path):
    files = []
    for name in ("tiny", "fp8"):
        files += [tmp_path / f"{name}.v", tmp_path / f"{name}_axis.sv"]
        files[-2].write_text(engine_verilog(PRESETS[name], name=name), encoding="utf-8")
        files[-1].write_text(axi_verilog(PRESETS[name], name), encoding="utf-8")
    assert slang(*files) == 0
    assert (
        len(re.findall(r"^module ", "".join(path.read_text(encoding="utf-8") for path in files), re.MULTILINE))
        == 2 * 20
    )


def test_every_module_is_emitted_once(emitted):
    modules = re.findall(r"^module (\w+)", emitted.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(modules) == len(set(modules))
    modules = [plain_names(name) for name in modules]
    assert {"tensor_engine", "sequencer", "grid", "row", "pe", "multiplier", "psum_bank", "readout"} <= set(modules)


def test_the_head_says_what_it_is():
    config = PRESETS["bf16"]
    head = engine_verilog(config).partition("\nmodule ")[0]
    assert all(line.startswith("//") for line in head.splitlines() if line)
    for fact in ("rows = 8", "accumulation = fp32", f"Systolith {version('systolith')}", "i_activation in "):
        assert fact in head
    for cycles in (config.store_latency, config.drain_latency + config.readout_latency):
        assert f": {cycles}" in head


def test_wrapper_has_whole_bytes_and_axi_names():
    text = axi_verilog(PRESETS["tiny"])
    for port in (
        "input  logic aclk",
        "input  logic aresetn",
        # 39 bits of a command.
        "input  logic [39:0] s_axis_command_tdata",
        "input  logic [31:0] s_axis_weight_tdata",
        "output logic s_axis_activation_tready",
        "output logic [127:0] m_axis_result_tdata",
        "output logic m_axis_result_tlast",
    ):
        assert f"  {port}" in text


def test_text_grows_with_the_edges_not_with_the_array():
    sizes = [
        len(engine_verilog(EngineConfig(rows=n, cols=n, formats=("e4m3",), accumulation="exact"))) for n in (8, 16, 32)
    ]
    # Twice the side, four times the PEs: well under four times the text.
    assert sizes[2] - sizes[1] < 2.6 * (sizes[1] - sizes[0])


def test_fp8_multiplier_is_four_bits_wide():
    multiplier = module_text(engine_verilog(PRESETS["fp8"]), "multiplier")
    products = re.findall(r"assign .* = (.*) \* (.*);", multiplier)
    assert products == [(r"i_x[3:0]", r"i_w[3:0]")]


def test_the_page_names_every_field_and_latency():
    config = PRESETS["fp8"]
    page = describe(config)
    for name in command_layout(config).fields:
        assert f"`{name}`" in page
    for cycles in (config.store_latency, config.drain_latency + config.readout_latency):
        assert f"| {cycles} |" in page


@pytest.mark.slow
def test_mxu_is_under_a_megabyte():
    assert len(engine_verilog(PRESETS["mxu"])) < 1_000_000
