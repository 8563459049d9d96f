"""The core's AXI wrapper, driven by somebody else's host and memory; and faults of it that they see."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from arch.core.presets import CORES
from arch.record import Field
from hw.core.axi import WRAPPER, axi_verilog, modules_verilog
from verif.core.programs import random_program
from verif.core.workload import job_of, window_of
from verif.simulation.harness import TOP, Harness
from verif.simulation.runs import run_folder
from verif.simulation.simulator import build, end

SEED = int(os.environ.get("SEED", 71))
#: Icarus builds in seconds.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
CONFIG = CORES["tiny"]
#: Memory, in the last quarter of what can be addressed.
BASE, SIZE = (1 << 40) - (1 << 20), 1 << 18


@dataclass(frozen=True, kw_only=True)
class WrapperHarness(Harness):
    """The wrapper with every port a signal that cocotb drives and reads."""

    def text(self) -> str:
        """The module as SystemVerilog."""
        public = "/*verilator public_flat_rw*/"
        lines = [
            f"  {'reg' if f.drive else 'wire'} [{f.width - 1}:0] {f.name} {public}{' = 0' if f.drive else ''};"
            for f in self.fields
        ]
        pins = ", ".join(f".{f.name}({f.name})" for f in self.fields)
        return "\n".join(
            ["`timescale 1ns / 1ns", f"module {TOP};", *lines, f"  {self.dut} dut ({pins});", "endmodule", ""]
        )


def _fields(wrapper: str) -> list[Field]:
    ports = re.findall(r"^  (input |output) logic (?:\[(\d+):0\] )?(\w+)", wrapper, re.MULTILINE)
    return [Field(name, int(high or 0) + 1, drive=way == "input ") for way, high, name in ports]


def run(folder: Path, wrapper: str, simulator: str = SHORT, only: str = "") -> dict[str, str | None]:
    """Every test in the simulator, or ``only`` one, with why it failed."""
    print(f"seed {SEED}")
    program = random_program(CONFIG, SEED, base=BASE, length=12, work=256)
    job = job_of(program)
    files = dict(zip(("image", "expected"), window_of(program, CONFIG), strict=True))
    for name, contents in files.items():
        (folder / name).write_bytes(contents)
    setup = {"config": "tiny", "seed": SEED, "base": job.base, "size": SIZE, "address": job.address}
    setup |= {"count": len(job.program), "only": only} | {name: str(folder / name) for name in files}
    (folder / "setup.json").write_text(json.dumps(setup), encoding="utf-8")
    harness = WrapperHarness(dut=WRAPPER, fields=_fields(wrapper), has_clock=False)
    # Python takes most of the time: optimised C++ would not pay.
    texts = [modules_verilog(CONFIG), wrapper]
    simulation = build(texts, harness, simulator=simulator, opt_level=0)
    with run_folder(simulation.directory) as own:
        process = simulation.start("tests.verif.core.axi_testbench", own, [f"+setup={folder / 'setup.json'}"])
        try:
            code = process.wait(600)
            print((own / "simulator.log").read_text(encoding="utf-8")[-4000:])
            assert code == 0
            cases = list(ElementTree.parse(own / "results.xml").iter("testcase"))
        except subprocess.TimeoutExpired:
            pytest.fail("the simulator hangs")
        finally:
            end(process)
    found = {case.get("name"): [*case.iter("failure"), *case.iter("error")] for case in cases}
    return {name: failures[0].get("message") if failures else None for name, failures in found.items()}


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_programs_run(tmp_path, simulator):
    if shutil.which("iverilog") is None and simulator == "icarus":
        pytest.skip("Icarus Verilog is not installed")
    verdicts = run(tmp_path, axi_verilog(CONFIG), simulator)
    assert len(verdicts) == 5 and not any(verdicts.values()), verdicts


#: Of each fault: what of the wrapper becomes what, and a test that it fails.
FAULTS = {
    "no reset": (".rst(!aresetn || reset)", ".rst(1'b0)", "is_reset_at_any_time"),
    "registers without a reset": (".rst(!aresetn),", ".rst(1'b0),", "is_reset_at_any_time"),
    "a burst in a reset": ("m_axi_arvalid = ar_valid && aresetn", "m_axi_arvalid = ar_valid", "is_reset_at_any_time"),
    "a beat in a reset": ("m_axi_wvalid = w_valid && aresetn", "m_axi_wvalid = w_valid", "is_reset_at_any_time"),
    "a ready in a reset": ("lite_ar_ready && aresetn", "lite_ar_ready", "runs_without_a_pause"),
    "a narrow burst": ("arsize = 3'd3", "arsize = 3'd2", "runs_without_a_pause"),
    "a fixed burst": ("arburst = 2'b01", "arburst = 2'b00", "runs_without_a_pause"),
    "strobes are lost": ("m_axi_wstrb = w[71:64]", "m_axi_wstrb = 8'hff", "runs_without_a_pause"),
    "beats written are those taken": ("m_axi_wvalid && m_axi_wready)", "m_axi_wvalid)", "runs_with_pauses"),
    "data and response change places": ("{s_axil_rresp, s_axil_rdata}", "{s_axil_rdata, s_axil_rresp}",
                                        "runs_without_a_pause"),
    "a burst of no more than 16 beats": ("m_axi_arlen = ar[47:40]", "m_axi_arlen = 8'd0", "runs_without_a_pause"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault, tmp_path):
    old, new, test = FAULTS[fault]
    text = axi_verilog(CONFIG)
    assert text.count(old) == 1, fault
    verdicts = run(tmp_path, text.replace(old, new), only=test)
    assert verdicts[test], verdicts


def test_beats_that_axi_does_not_know_are_refused():
    with pytest.raises(ValueError, match=r"^beat_bytes must be at most 128 behind AXI4, not 256$"):
        axi_verilog(CORES["mxu"])
