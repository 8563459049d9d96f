"""Files of Verilog, and simulation, from the command line."""

import os
from pathlib import Path

import pytest

from arch.core.presets import CORES
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from hw.core import page
from hw.core.axi import axi_verilog, modules_verilog
from hw.tensor.verilog import describe, engine_verilog
from scripts.campaigns import sim

pytestmark = pytest.mark.usefixtures("tensors")


def test_verilog_of_a_preset(run):
    code, out, err = run("verilog", "--config", "tiny")
    assert (code, err) == (0, "")
    assert out == "wrote build/verilog/tiny.v and beside it tiny.md, tiny_axis.sv, tiny.vlt\n"
    assert Path("build/verilog/tiny.v").read_text(encoding="utf-8") == engine_verilog(PRESETS["tiny"])
    assert Path("build/verilog/tiny.md").read_text(encoding="utf-8") == describe(PRESETS["tiny"])


def test_verilog_of_ones_own(run, monkeypatch):
    monkeypatch.setattr("scripts.flows.verilog_files.engine_verilog", lambda config, target, **_: repr(config))
    options = ("--rows", "2", "--cols", "3", "--formats", "e5m2, e4m3", "--accumulation", "fp32")
    config = EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2"), accumulation="fp32")
    assert run("verilog", "--config", "tiny", *options, "--out", "my.v")[:2] == (
        0,
        "wrote my.v and beside it my.md, my_axis.sv, my.vlt\n",
    )
    assert Path("my.v").read_text(encoding="utf-8") == repr(config) and Path("my.md").read_text(
        encoding="utf-8"
    ) == describe(config)
    name = "build/verilog/2x3_e4m3_e5m2_fp32"
    assert run("verilog", "--config", "tiny", *options)[1].startswith(f"wrote {name}.v and beside it ")
    assert Path(f"{name}.v").read_text(encoding="utf-8") == repr(config)


def test_a_page_of_ones_own_is_not_replaced(run, refused):
    """``--out README.v`` would put the engine's page over README.md; one of an earlier run may go."""
    Path("README.md").write_text("my project", encoding="utf-8")
    assert refused("verilog", "--config", "tiny", "--out", "README.v") == (
        "--out: README.md would be replaced and is no file of an earlier run; needs another name"
    )
    Path("README.md").unlink()
    assert [run("verilog", "--config", config, "--out", "README.v")[0] for config in ("tiny", "bf16")] == [0, 0]
    assert Path("README.md").read_text(encoding="utf-8") == describe(PRESETS["bf16"])


def test_verilog_writes_all_files_or_none(refused):
    os.mkdir("e.md")
    assert refused("verilog", "--config", "tiny", "--out", "e.v").startswith("--out: 'e.md' is not an ordinary file")


def test_verilog_without_icarus_writes_nothing(refused, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert refused("verilog", "--config", "tiny", "--run") == (
        "--run: iverilog not found; needs Icarus Verilog (apt-get install iverilog)"
    )


def test_verilog_whose_bench_fails(run, monkeypatch):
    """Exit code 1, as for every disagreement of hardware and golden model."""
    runs = []
    monkeypatch.setattr("scripts.flows.verilog_files.check_icarus", lambda: None)
    monkeypatch.setattr("scripts.flows.verilog_files.run_bench", lambda paths: runs.append(paths["bench"]))
    assert run("verilog", "--config", "tiny", "--run", "--out", "my.v")[0] == 1
    assert runs == ["my_tb.v"] and Path("my_result.hex").exists()


def test_verilog_where_no_folder_can_be_made(refused):
    Path("build").write_bytes(b"")
    assert refused("verilog", "--config", "tiny") == (
        "cannot make folder build/verilog: Not a directory; name the output with --out"
    )


def test_sim_passes_its_options_on(run, monkeypatch):
    calls = []

    def fake(preset, *, seed, simulator, waves, page):
        calls.append((preset, seed, simulator, waves, page))
        return len(calls) == 2

    monkeypatch.setattr(sim, "run_campaign", fake)
    assert run("sim", "--config", "tiny", "--seed", "7", "--sim", "icarus", "--waves")[0] == 0
    assert run("sim")[0] == 1
    assert calls[0] == ("tiny", 7, "icarus", True, False)
    assert calls[1][0] is None and calls[1][2:] == ("verilator", False, False) and 0 <= calls[1][1] < 1 << 32


def test_verilog_for_a_family(run, tmp_path):
    out = tmp_path / "engine.v"
    code, _, err = run("verilog", "--config", "tiny", "--target", "ecp5", "--out", str(out))
    assert code == 0, err
    assert "CCU2C" in out.read_text(encoding="utf-8")
    assert "Tensor engine for ECP5" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--bench", "--fusesoc", "--run"])
def test_no_test_bench_for_a_family(run, tmp_path, option):
    out = tmp_path / "engine.v"
    code, _, err = run("verilog", "--config", "tiny", "--target", "ecp5", option, "--out", str(out))
    assert code == 2
    assert "ecp5's cells are not simulated; takes no --bench, --fusesoc or --run" in err
    assert not out.exists()


def test_verilog_of_a_core(run):
    code, out, err = run("verilog", "--core", "--config", "tiny", "--fusesoc")
    assert (code, err) == (0, "")
    name = "build/verilog/tiny_core"
    files = "tiny_core.md, tiny_core_axi.sv, tiny_core.vlt, tiny_core_tb.v, tiny_core_image.hex, tiny_core_expected.hex"
    assert out == f"wrote {name}.v and beside it {files}, tiny_core.core\n"
    core = CORES["tiny"]
    texts = {".v": modules_verilog(core), ".md": page.describe(core), "_axi.sv": axi_verilog(core)}
    assert {end: Path(f"{name}{end}").read_text(encoding="utf-8") for end in texts} == texts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("mxu",), "--core: mxu: beat_bytes must be at most 128 behind AXI4, not 256"),
        (
            ("tiny", "--rows", "8"),
            "--core: 8x4_e4m3_exact is no core; takes the presets tiny, fp8, bf16, mxu as they are",
        ),
        (("tiny", "--target", "ecp5"), "--target: a core is for any tool; takes no --target with --core"),
    ],
)
def test_no_core(refused, options, message):
    assert refused("verilog", "--core", "--config", *options) == message
    assert not Path("build").exists()
