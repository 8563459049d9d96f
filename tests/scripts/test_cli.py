import json
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.numerics.attention import attention
from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm
from golden.numerics.kv_cache import RECIPES
from hw.tensor.verilog import describe, engine_verilog
from scripts import cli
from scripts.campaigns import sim
from scripts.running import backends
from scripts.running import gemm as gemms
from verif.simulation.simulator import SimulatorError
from verif.tensor.engine import EngineRun, simulate

SCRIPT = Path(sys.executable).with_name("systolith")
GEMM = ("gemm", "x.npy", "w.npy", "--config", "tiny")
ATTENTION = ("attention", "q.npy", "k.npy", "v.npy", "--config", "tiny")
INTEGERS = {"cycles", "ideal_cycles", "readout_cycles", "compared_cycles", "mismatches"}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


TENSORS = {
    "x": normal(7, 9),
    "w": normal(9, 6, seed=1),
    "q": normal(4, 3, 6),
    "k": normal(2, 5, 6, seed=1),
    "v": normal(2, 5, 6, seed=2),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Rich would take the captured output for a terminal.
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name, array in TENSORS.items():
        np.save(f"{name}.npy", array)
    return tmp_path


@pytest.fixture
def refused(run):
    """What is wrong with a command line; bad input leaves every file as it was, and no other."""

    def invoke(*arguments):
        before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("systolith: ") and err.endswith("\n") and err.count("\n") == 1
        assert before == {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        return err.removeprefix("systolith: ").rstrip("\n")

    return invoke


def golden_gemm(out_format="fp32"):
    result = gemm(encode(TENSORS["x"], "e4m3"), encode(TENSORS["w"], "e4m3"))
    return result if out_format == "fp32" else encode(result, out_format)


# ---- what works -----------------------------------------------------------------------------------


@pytest.mark.parametrize("out_format", ["fp32", "bf16", "e4m3", "e5m2"])
def test_gemm_writes_the_bits_of_golden_gemm(run, out_format):
    code, out, err = run(*GEMM, "--out", "y.npy", "--out-format", out_format)
    assert (code, err) == (0, "") and out.endswith("wrote y.npy\n")
    result, expected = np.load("y.npy"), golden_gemm(out_format)
    assert result.dtype == expected.dtype and (result == expected).all()


def test_gemm_takes_codes_fortran_order_and_big_endian(run):
    for x, w in (
        (encode(TENSORS["x"], "e4m3"), encode(TENSORS["w"], "e4m3")),
        (np.asfortranarray(TENSORS["x"]), TENSORS["w"].astype(">f4")),
    ):
        np.save("x.npy", x)
        np.save("w.npy", w)
        assert run(*GEMM, "--out", "y.npy")[0] == 0
        assert (np.load("y.npy") == golden_gemm()).all()


def test_gemm_passes_every_option_on(run):
    options = ("--config", "bf16", "--x-format", "bf16", "--w-format", "e5m2", "--out", "y.npy")
    assert run("gemm", "x.npy", "w.npy", *options)[0] == 0
    codes = encode(TENSORS["x"], "bf16"), encode(TENSORS["w"], "e5m2")
    expected = gemm(*codes, x_format="bf16", w_format="e5m2", accumulation="fp32")
    assert (np.load("y.npy") == expected).all()
    assert run(*GEMM, "--recipe", "per-token", "--out", "y.npy")[0] == 0
    assert not (np.load("y.npy") == golden_gemm()).all()


@pytest.mark.parametrize("backend", ["golden", "rtl"])
def test_gemm_json(run, backend):
    code, out, err = run(*GEMM, "--json", "--backend", backend, "--out", "y.npy")
    record = json.loads(out)
    assert (code, err) == (0, "") and out.count("\n") == 1
    assert set(record) == INTEGERS | {"backend", "config", "shape", "utilization"}
    assert all(type(record[name]) is int for name in INTEGERS)
    assert record["backend"] == backend and record["config"] == "tiny"
    assert record["shape"] == {"M": 7, "K": 9, "N": 6}
    assert type(record["utilization"]) is float
    assert record["utilization"] == record["ideal_cycles"] / record["cycles"]
    assert record["mismatches"] == 0 and bool(record["compared_cycles"]) == (backend == "rtl")
    assert (np.load("y.npy") == golden_gemm()).all()


def test_gemm_prints_the_same_for_people(run):
    record = json.loads(run(*GEMM, "--json")[1])
    code, out, err = run(*GEMM)
    assert (code, err) == (0, "")
    words = {line.rsplit(None, 1)[0].strip(): line.split()[-1] for line in out.splitlines() if line.strip()}
    for name in INTEGERS:
        assert words[name.replace("_", " ")] == f"{record[name]:,}"
    assert words["utilization"] == f"{record['utilization']:.1%}"


@pytest.mark.parametrize("backend", ["golden", "rtl"])
def test_attention_json(run, backend):
    code, out, err = run(*ATTENTION, "--causal", "--recipe", "per-token", "--json", "--backend", backend, "--out", "o")
    record = json.loads(out)
    assert (code, err) == (0, "") and out.count("\n") == 1
    errors = {"cosine", "relative_l1", "rmse"}
    assert set(record) == INTEGERS | errors | {"backend", "config", "shape", "utilization"}
    assert all(type(record[name]) is float for name in errors) and record["cosine"] > 0.99
    assert record["shape"] == {"H": 4, "S": 3, "T": 5, "D": 6}
    expected = attention(TENSORS["q"], TENSORS["k"], TENSORS["v"], recipe="per-token", causal=True)
    assert (np.load("o") == expected).all()


def test_json_has_no_nan(run):
    for name in "qkv":
        np.save(f"{name}.npy", np.zeros_like(TENSORS[name]))
    code, out, _ = run(*ATTENTION, "--json")
    assert code == 0 and json.loads(out, parse_constant=pytest.fail)["cosine"] is None


def test_odd_file_names(run):
    np.save("[red]:smile:.npy", TENSORS["x"])
    code, out, _ = run("gemm", "[red]:smile:.npy", "w.npy", "--out", "[b] é.npy")
    assert code == 0 and out.endswith("wrote [b] é.npy\n") and os.path.exists("[b] é.npy")


def test_an_output_may_replace_an_input(run):
    assert run(*GEMM, "--out", "x.npy")[0] == 0
    assert (np.load("x.npy") == golden_gemm()).all()


@pytest.mark.parametrize(("command", "recipes"), [("gemm", gemms.GEMM_RECIPES), ("attention", RECIPES)])
def test_help_names_every_recipe(run, command, recipes):
    # Lines are wrapped anywhere, at hyphens as well.
    text = "".join(run(command, "--help")[1].split())
    assert all(recipe in text for recipe in recipes)


def _raiser(error):
    def fails(*_, **__):
        raise error

    return fails


# ---- RTL that differs -----------------------------------------------------------------------------


def _off_by_one(text):
    """Negative products lose the 1 of their two's complement."""
    assert text.count("+ aligner__o[24]") == 1
    return text.replace("+ aligner__o[24]", "+ 1'b0")


@pytest.mark.parametrize("command", [GEMM, ATTENTION])
def test_rtl_that_differs(run, monkeypatch, command):
    monkeypatch.setattr("verif.tensor.engine.simulate", partial(simulate, rewrite=_off_by_one))
    monkeypatch.setattr(backends, "waves_folder", None)
    Path("old.npy").write_bytes(b"old")
    code, out, err = run(*command, "--backend", "rtl", "--json", "--out", "old.npy")
    record = json.loads(out)
    assert code == 1 and record["mismatches"] == 1 and record["compared_cycles"] > 0
    assert "PE(0, " in err and ".psum" in err and "cycle" in err
    again = shlex.join(["systolith", *command, "--backend", "rtl", "--json", "--out", "old.npy"])
    assert err.endswith(f"\n  reproduce {again}\nold.npy not written\n")
    # Not a terminal: nothing but text.
    assert "\x1b" not in err
    assert Path("old.npy").read_bytes() == b"old"


def test_a_wrong_result_alone_is_a_failure(run, monkeypatch):
    wrong = EngineRun(compared_cycles=9, results=[np.zeros((7, 6), np.uint32)], cycles=[5], wrong_results=["[b]m = 0"])
    monkeypatch.setattr("verif.tensor.engine.simulate", lambda *_, **__: wrong)
    code, out, err = run(*GEMM, "--backend", "rtl", "--out", "y.npy")
    assert code == 1 and "wrote" not in out and err.startswith("[b]m = 0\n  reproduce systolith ")
    assert err.endswith(" --out y.npy\ny.npy not written\n")
    assert not os.path.exists("y.npy")


def test_a_simulator_that_fails_is_one_line(refused, monkeypatch):
    error = SimulatorError("the Verilator build failed (build.log):\nline 1\nline 2")
    monkeypatch.setattr("verif.tensor.engine.simulate", _raiser(error))
    assert refused(*GEMM, "--backend", "rtl") == "the Verilator build failed (build.log): line 1 line 2"


# ---- bad input ------------------------------------------------------------------------------------

GEMM_USAGE = (
    "Usage: systolith gemm [OPTIONS] X.npy W.npy, options --config --x-format --w-format --out --out-format --recipe "
    "--backend --json --help"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing command. Usage: systolith [OPTIONS] gemm|attention|verilog|sim|regress ..., options --help"),
        (("mm",), "No such command 'mm'."),
        (("gemm", "x.npy"), f"Missing argument 'W.npy'. {GEMM_USAGE}"),
        ((*GEMM, "z.npy"), "Got unexpected extra argument (z.npy) Usage: systolith gemm"),
        ((*GEMM, "--fast"), "No such option"),
        ((*GEMM, "--out"), "Option '--out' requires an argument. See --help."),
        ((*GEMM, "--config", "big"), "Invalid value for '--config': 'big' is not one of 'tiny', 'fp8', 'bf16', 'mxu'."),
        ((*GEMM, "--x-format", "fp4"), "Invalid value for '--x-format': 'fp4' is not one of 'e4m3', 'e5m2', 'bf16'."),
        ((*GEMM, "--x-format", "e5m2"), "--x-format: tiny has no e5m2; it takes e4m3"),
        (("gemm", "x.npy", "w.npy", "--w-format", "bf16"), "--w-format: fp8 has no bf16; it takes e4m3, e5m2"),
        (
            (*GEMM, "--out-format", "fp16"),
            "Invalid value for '--out-format': 'fp16' is not one of 'fp32', 'bf16', 'e4m",
        ),
        ((*GEMM, "--backend", "fpga"), "Invalid value for '--backend': 'fpga' is not one of 'golden', 'rtl'."),
        ((*GEMM, "--recipe", "mx"), "--recipe: 'mx'; needs per-tensor, per-token, per-channel, per-block"),
        (("gemm", "gone.npy", "w.npy"), "X: no file gone.npy; needs a .npy file"),
        (("gemm", "x.npy", "gone\n.npy"), "W: no file gone .npy; needs a .npy file"),
        (("gemm", ".", "w.npy"), "X: . is not a readable .npy file of numbers"),
        (("gemm", "w.npy", "x.npy"), "X is (9, 6) and W is (7, 9); X's columns must be as many as W's rows"),
        (("gemm", "q.npy", "w.npy"), "X: q.npy has shape (4, 3, 6); needs 2 dimensions"),
        ((*GEMM, "--out", "gone/y.npy"), "--out: no folder "),
        ((*GEMM, "--out", "."), "--out: '.' is not an ordinary file; needs a file name"),
        (
            ("attention", "q.npy", "k.npy"),
            "Missing argument 'V.npy'. Usage: systolith attention [OPTIONS] Q.npy K.npy V",
        ),
        (("attention", "x.npy", "w.npy", "w.npy"), "q must have the keys' 6 channels, not 9"),
        (("attention", "q.npy", "gone.npy", "v.npy"), "K: no file gone.npy; needs a .npy file"),
        (
            (*ATTENTION, "--recipe", "mx"),
            "recipe must be one of per-tensor, per-token, per-block, hadamard, hadamard-per",
        ),
        ((*ATTENTION, "--w-format", "bf16"), "--w-format: tiny has no bf16; it takes e4m3"),
        ((*ATTENTION, "--out", "gone/o.npy"), "--out: no folder "),
        (("verilog", "--rows", "0"), "rows must be in 1..256, not 0"),
        (("verilog", "--cols", "257"), "cols must be in 1..256, not 257"),
        (("verilog", "--rows", "x"), "Invalid value for '--rows': 'x' is not a valid integer."),
        (("verilog", "--formats", "fp4"), "formats must be among e4m3, e5m2, bf16, not 'fp4'"),
        (("verilog", "--formats", ""), "formats must be among e4m3, e5m2, bf16, not ''"),
        (
            ("verilog", "--formats", "e4m3,e4m3"),
            "formats must name each format once and at least one, not ('e4m3', 'e4",
        ),
        (("verilog", "--formats", "bf16"), "accumulation exact takes e4m3 and e5m2 only; bf16 needs accumulation fp32"),
        (
            ("verilog", "--accumulation", "fp16"),
            "Invalid value for '--accumulation': 'fp16' is not one of 'exact', 'fp",
        ),
        (("verilog", "--out", "gone/e.v"), "--out: no folder "),
        *(
            (
                ("verilog", "--out", out),
                f"--out: {out!r} is no name of Verilog; needs letters, digits, _ or -, and .v at its end",
            )
            for out in ("e.md", "e", "an engine.v", "e.2.v", "'.v", ".v")
        ),
        (("sim", "--config", "big"), "Invalid value for '--config': 'big' is not one of 'tiny', 'fp8', 'bf16', 'mxu'."),
        (("sim", "--seed", "-1"), "Invalid value for '--seed': -1 is not in the range 0<=x<=4294967295."),
        (("sim", "--sim", "vcs"), "Invalid value for '--sim': 'vcs' is not one of 'verilator', 'icarus'."),
    ],
)
def test_bad_input(refused, arguments, message):
    assert refused(*arguments).startswith(message)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (TENSORS["x"].astype(float), (), "X: dtype float64; needs float32 values or uint8 codes of e4m3"),
        (TENSORS["x"].astype(np.float16), (), "X: dtype float16; needs float32 values or uint8 codes of e4m3"),
        (TENSORS["x"].astype(complex), (), "X: dtype complex128; needs float32 values or uint8 codes of e4m3"),
        (TENSORS["x"].astype(str), (), "X: dtype <U32; needs float32 values or uint8 codes of e4m3"),
        (np.ones((7, 9), np.uint16), (), "X: dtype uint16; needs float32 values or uint8 codes of e4m3"),
        (
            np.ones((7, 9), np.uint8),
            ("--config", "bf16", "--x-format", "bf16"),
            "X: dtype uint8; needs float32 values or uint16 codes of bf16",
        ),
        (np.ones((7, 9), np.uint8), ("--recipe", "per-token"), "X: dtype uint8; a recipe needs float32 values"),
        (np.full((7, 9), np.nan, "f4"), ("--recipe", "per-token"), "X: has NaN or Inf; a scale needs finite values"),
        (np.ones((7, 0), np.float32), (), "X: x.npy is empty, shape (7, 0); every dimension must be at least 1"),
        (np.float32(1), (), "X: x.npy has shape (); needs 2 dimensions"),
        (np.ones((1, 16385), "f4"), (), "X is (1, 16385) and W is (9, 6); X's columns must be as many as W's rows"),
    ],
)
def test_bad_tensors(refused, array, options, message):
    np.save("x.npy", array)
    assert refused(*GEMM, *options, "--out", "y.npy") == message


def test_contraction_too_long(refused):
    np.save("x.npy", np.ones((1, 16385), np.float32))
    np.save("w.npy", np.ones((16385, 1), np.float32))
    assert refused(*GEMM) == "K must be at most k_max = 16384 under exact accumulation, not 16385"


def test_nan_in_attention(refused):
    np.save("k.npy", np.full((2, 5, 6), np.nan, np.float32))
    assert refused(*ATTENTION) == "K: has NaN or Inf; a scale needs finite values"


def test_too_little_memory(refused, monkeypatch):
    monkeypatch.setattr(gemms, "run_gemm", _raiser(MemoryError()))
    assert refused(*GEMM) == "not enough memory; needs smaller tensors"


def test_interruption(run, monkeypatch):
    monkeypatch.setattr(gemms, "run_gemm", _raiser(KeyboardInterrupt()))
    # The terminal shows ^C first: what follows starts on a line of its own.
    assert run(*GEMM) == (130, "", "\nsystolith: interrupted\n")


def test_a_full_disk(run, refused, monkeypatch):
    # What is compiled is kept in files too, and moved to its place by the same call.
    assert run(*GEMM)[0] == 0
    monkeypatch.setattr("scripts.ground.files.os.replace", _raiser(OSError(28, "No space left on device")))
    Path("y.npy").write_bytes(b"old")
    assert refused(*GEMM, "--out", "y.npy", "--json").startswith("--out: cannot write y.npy: No space left on device;")


# ---- verilog and sim ------------------------------------------------------------------------------


def test_verilog_of_a_preset(run):
    code, out, err = run("verilog", "--config", "tiny")
    assert (code, err) == (0, "")
    assert out == "wrote build/verilog/tiny.v and beside it tiny.md, tiny_axis.sv, tiny.vlt\n"
    assert Path("build/verilog/tiny.v").read_text() == engine_verilog(PRESETS["tiny"])
    assert Path("build/verilog/tiny.md").read_text() == describe(PRESETS["tiny"])


def test_verilog_of_ones_own(run, monkeypatch):
    monkeypatch.setattr("scripts.flows.verilog_files.engine_verilog", lambda config, target: repr(config))
    options = ("--rows", "2", "--cols", "3", "--formats", "e5m2, e4m3", "--accumulation", "fp32")
    config = EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2"), accumulation="fp32")
    assert run("verilog", "--config", "tiny", *options, "--out", "my.v")[:2] == (
        0,
        "wrote my.v and beside it my.md, my_axis.sv, my.vlt\n",
    )
    assert Path("my.v").read_text() == repr(config) and Path("my.md").read_text() == describe(config)
    name = "build/verilog/2x3_e4m3_e5m2_fp32"
    assert run("verilog", "--config", "tiny", *options)[1].startswith(f"wrote {name}.v and beside it ")
    assert Path(f"{name}.v").read_text() == repr(config)


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

    def fake(preset, *, seed, simulator, waves):
        calls.append((preset, seed, simulator, waves))
        return len(calls) == 2

    monkeypatch.setattr(sim, "run_campaign", fake)
    assert run("sim", "--config", "tiny", "--seed", "7", "--sim", "icarus", "--waves")[0] == 0
    assert run("sim")[0] == 1
    assert calls[0] == ("tiny", 7, "icarus", True)
    assert calls[1][0] is None and calls[1][2:] == ("verilator", False) and 0 <= calls[1][1] < 1 << 32


# ---- the installed script -------------------------------------------------------------------------


def script(*arguments, **options):
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, **options)


def test_the_script_answers_help_without_the_golden_model():
    done = script("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert all(name in done.stdout for name in cli.cli.commands)
    modules = "import sys, scripts.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "amaranth", "cocotb"} & set(loaded)


def test_the_script_multiplies(folder):
    done = script(*GEMM, "--json", "--out", "y.npy", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["mismatches"] == 0
    assert (np.load("y.npy") == golden_gemm()).all()


def test_the_script_refuses(folder):
    done = script("gemm", "gone.npy", "w.npy", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "systolith: X: no file gone.npy; needs a .npy file\n"


def test_the_script_takes_file_names_that_are_no_text(folder):
    name = os.fsdecode(b"\xff.npy")
    done = script("gemm", name, "w.npy", cwd=folder)
    assert done.returncode == 2 and "no file" in done.stderr and "Traceback" not in done.stderr
    np.save(name, TENSORS["x"])
    done = script("gemm", name, "w.npy", "--out", name, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (np.load(name) == golden_gemm()).all()


def test_every_option_of_the_contract_is_there():
    options = {
        name: {o for p in c.params if isinstance(p, click.Option) for o in p.opts}
        for name, c in cli.cli.commands.items()
    }
    lanes = {"--x-format", "--w-format"}
    shared = {"--config", "--out", "--backend", "--json", "--recipe"}
    assert options["gemm"] == shared | lanes | {"--out-format"}
    assert options["attention"] == shared | lanes | {"--causal"}
    assert options["verilog"] >= {
        *("--config", "--rows", "--cols", "--formats", "--accumulation", "--out"),
        *("--bench", "--fusesoc", "--run"),
    }
    assert options["sim"] == {"--config", "--seed", "--sim", "--waves"}


def test_verilog_for_a_family(run, tmp_path):
    out = tmp_path / "engine.v"
    code, _, err = run("verilog", "--config", "tiny", "--target", "ecp5", "--out", str(out))
    assert code == 0, err
    assert "CCU2C" in out.read_text()
    assert "Tensor engine for ECP5" in out.read_text()


@pytest.mark.parametrize("option", ["--bench", "--fusesoc", "--run"])
def test_no_test_bench_for_a_family(run, tmp_path, option):
    out = tmp_path / "engine.v"
    code, _, err = run("verilog", "--config", "tiny", "--target", "ecp5", option, "--out", str(out))
    assert code == 2
    assert "ecp5's cells are not simulated; takes no --bench, --fusesoc or --run" in err
    assert not out.exists()
