"""The core's bench in plain Verilog: it passes on the core, and a planted bug turns it red."""

import re
import shutil
from pathlib import Path

import pytest

from arch.core.presets import CORES
from hw.core.axi import axi_verilog, modules_verilog
from tests.verif.plain import run_plain
from verif.core.verilog.bench import bench_texts, run_command

CONFIG = CORES["tiny"]
pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")


@pytest.fixture
def folder(tmp_path) -> Path:
    """All files of a core ``c.v``."""
    texts = {"c.v": modules_verilog(CONFIG), "c_axi.sv": axi_verilog(CONFIG)}
    bench = bench_texts(CONFIG, "c.v")
    texts |= {"c_tb.v" if name == "bench" else f"c_{name}.hex": text for name, text in bench.items()}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    return run_plain(" ".join([run_command("c.v"), *arguments]), folder)


def test_passes_at_any_pace(folder):
    outputs = set()
    for seed in (1, 7, 2025):
        code, output = run(folder, f"+seed={seed}")
        assert code == 0 and re.fullmatch(
            r"PASS: \d+ instructions, \d+ cycles, \d+ beats read, \d+ written\n", output
        ), output
        outputs.add(output)
    assert len(outputs) == 3


#: Of a bug: the file, what in it becomes what, and what the bench says.
BUGS = {
    "a result": ("c_expected.hex", None, None, r"FAIL: memory at [0-9a-f]{10} is [0-9a-f]{16}, expected"),
    "strobes": ("c_axi.sv", "m_axi_wstrb = w[71:64]", "m_axi_wstrb = 8'hff", "FAIL: memory at"),
    "no ready in a reset": ("c_axi.sv", "lite_ar_ready && aresetn", "lite_ar_ready", "high in a reset"),
    "an undefined valid": ("c_axi.sv", "m_axi_wvalid = w_valid", "m_axi_wvalid = 1'bx", "ready is undefined"),
    "wlast": ("c_axi.sv", "m_axi_wlast = w[72:72]", "m_axi_wlast = !w[72]", "wlast is at the wrong beat"),
    "data first": ("c_axi.sv", "m_axi_wvalid = w_valid", "m_axi_wvalid = 1'b1", "data is written without an address"),
    "a beat that goes": ("c_axi.sv", "m_axi_arvalid = ar_valid", "m_axi_arvalid = ar_valid && m_axi_awready",
                         "what was offered changed before it was taken"),
    "size": ("c_axi.sv", "arsize = 3'd3", "arsize = 3'd4", "a burst to be read is none that memory has"),
    "address": ("c_axi.sv", "m_axi_awaddr = aw[39:0]", "m_axi_awaddr = aw[31:0]",
                "a burst to be written is none that memory has"),
    "no start": ("c_axi.sv", ".i_program__valid(program_valid)", ".i_program__valid(1'b0)", "FAIL: memory at"),
    "no end": ("c_axi.sv", "irq = pending", "irq = 1'b0", "nothing moves any more"),
    "no page": ("c_axi.sv", ".i_program__payload(program_payload)",
                ".i_program__payload(program_payload & {32'hffffffff, 29'h0, 64'hffffffffffffffff})",
                "the core is stopped, error 4 of instruction 0"),
    "ID": ("c_tb.v", "ID = 32'h01", "ID = 32'h02", "ID is another core's"),
    "beats": ("c_axi.sv", "m_axi_rvalid && m_axi_rready)", "m_axi_rvalid)", ""),
}  # fmt: skip
#: The core is always ready for beats.
NO_BUGS = ("beats",)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_told(folder, bug):
    file, old, new, message = BUGS[bug]
    path = folder / file
    text = path.read_text(encoding="utf-8")
    if old is None:
        # The last bit of the last beat.
        path.write_text(text[:-2] + f"{int(text[-2], 16) ^ 1:x}\n", encoding="utf-8")
    else:
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
    code, output = run(folder)
    print(output)
    assert (code == 0) == (bug in NO_BUGS)
    assert re.search(message, output)
