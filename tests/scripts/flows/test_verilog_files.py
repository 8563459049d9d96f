"""Files beside the engine's Verilog: the same bytes every time, a core that FuseSoC runs, a bench that is run."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arch.core.presets import CORES
from arch.environment import EnvironmentFault
from arch.tensor.presets import PRESETS
from scripts.flows.verilog_files import CORE, check_icarus, output_files, run_bench, verilog_texts, write_texts
from scripts.ground.errors import InputError

icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")


@pytest.fixture
def written(tmp_path) -> dict[str, str]:
    paths = output_files(str(tmp_path / "my-4x4.v"), bench=True, fusesoc=True)
    write_texts(verilog_texts(PRESETS["tiny"], paths))
    return paths


@pytest.fixture
def core(tmp_path) -> dict[str, str]:
    paths = output_files(str(tmp_path / "my-core.v"), CORE, bench=True, fusesoc=True)
    write_texts(verilog_texts(CORES["tiny"], paths, module="mine"))
    return paths


def test_the_files_of_an_engine(tmp_path):
    def names(**kinds):
        return [Path(path).name for path in output_files(str(tmp_path / "e.v"), **kinds).values()]

    plain = ["e.v", "e.md", "e_axis.sv", "e.vlt"]
    bench = ["e_tb.v", "e_command.hex", "e_weight.hex", "e_activation.hex", "e_result.hex"]
    assert names(bench=False, fusesoc=False) == plain
    assert names(bench=True, fusesoc=False) == plain + bench
    assert names(bench=True, fusesoc=True) == [*plain, *bench, "e.core"]


def test_the_same_bytes_in_another_process(tmp_path):
    """Neither the order of sets nor the time enters a file."""
    script = (
        "import sys\n"
        "from arch.tensor.presets import PRESETS\n"
        "from scripts.flows.verilog_files import output_files, verilog_texts, write_texts\n"
        "paths = output_files(sys.argv[1], bench=True, fusesoc=True)\n"
        "write_texts(verilog_texts(PRESETS['fp8'], paths))\n"
    )
    digests = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[3])}
        subprocess.run([sys.executable, "-c", script, folder / "e.v"], check=True, env=environment)
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()})
    assert len(digests[0]) == 10 and digests[0] == digests[1]


@icarus
def test_the_bench_is_run(written, capfd):
    assert run_bench(written)
    assert capfd.readouterr().out.startswith("PASS: 18 GEMMs, ")


@icarus
def test_the_bench_of_a_core_is_run(core, capfd):
    assert run_bench(core)
    assert capfd.readouterr().out.startswith("PASS: 30 instructions, ")


@icarus
def test_a_bug_is_told(written, capfd):
    engine = Path(written["engine"])
    text = engine.read_text(encoding="utf-8")
    engine.write_text(text.replace("i_x[3:0] * i_w[3:0]", "i_x[3:0] + i_w[3:0]"), encoding="utf-8")
    assert engine.read_text(encoding="utf-8") != text and not run_bench(written)
    assert "FAIL in result row" in capfd.readouterr().out


@icarus
def test_verilog_that_does_not_compile_is_no_pass(written, capfd):
    Path(written["engine"]).write_text("module tensor_engine(", encoding="utf-8")
    assert not run_bench(written)
    assert "syntax error" in capfd.readouterr().err


@icarus
def test_a_full_disk_is_no_bug(written):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(EnvironmentFault, match="iverilog: File"):
            run_bench(written)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_icarus(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        InputError, match=r"^--run: iverilog not found; needs Icarus Verilog \(apt-get install iverilog\)$"
    ):
        check_icarus()


def _fusesoc(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "fusesoc.main", "--cores-root", str(folder), *arguments]
    # Its own settings and caches are not to be found, and not to be made.
    environment = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_fusesoc_shows_the_core(written):
    folder = Path(written["core"]).parent
    shown = _fusesoc(folder, "core", "show", "systolith:engine:my-4x4")
    assert all(target in shown for target in ("default", "sim", "lint"))


@icarus
def test_fusesoc_runs_the_bench(written):
    folder = Path(written["core"]).parent
    run = ("run", "--build-root", str(folder / "work"), "--target", "sim", "systolith:engine:my-4x4")
    assert "PASS: 18 GEMMs, " in _fusesoc(folder, *run)


@icarus
def test_fusesoc_runs_the_bench_of_a_core(core):
    folder = Path(core["core"]).parent
    run = ("run", "--build-root", str(folder / "work"), "--target", "sim", "systolith:core:my-core")
    assert "PASS: 30 instructions, " in _fusesoc(folder, *run)


def test_fusesoc_sets_up_lint(written):
    folder = Path(written["core"]).parent
    _fusesoc(
        folder, "run", "--setup", "--build-root", str(folder / "work"), "--target", "lint", "systolith:engine:my-4x4"
    )
    (options,) = folder.glob("work/*/lint/*.vc")
    text = options.read_text(encoding="utf-8")
    assert "--lint-only" in text and "-Wall" in text and "my-4x4.vlt" in text
