"""Products and attention from the command line."""

import json
import os
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from given import ATTENTION, GEMM, TENSORS, golden_gemm, off_by_one, raiser

from golden.numerics.attention import attention
from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm
from golden.numerics.kv_cache import ATTENTION_RECIPES
from scripts.running import backends
from scripts.running import gemm as gemms
from verif.simulation.simulator import SimulatorError
from verif.tensor.engine import EngineRun, simulate

pytestmark = pytest.mark.usefixtures("tensors")
INTEGERS = {"cycles", "ideal_cycles", "readout_cycles", "compared_cycles", "mismatches"}


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
    counts = INTEGERS if backend == "golden" else INTEGERS - {"readout_cycles"} | {"memory_bytes"}
    engines = {"engines"} if backend == "rtl" else set()
    assert set(record) == counts | errors | engines | {"backend", "config", "shape", "utilization"}
    assert all(type(record[name]) is int for name in counts)
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


@pytest.mark.parametrize(("command", "recipes"), [("gemm", gemms.GEMM_RECIPES), ("attention", ATTENTION_RECIPES)])
def test_help_names_every_recipe(run, command, recipes):
    # Lines are wrapped anywhere, at hyphens as well.
    text = "".join(run(command, "--help")[1].split())
    assert all(recipe in text for recipe in recipes)


# ---- RTL that differs -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", [GEMM, (*ATTENTION, "--recipe", "per-block")])
def test_rtl_that_differs(run, monkeypatch, command):
    monkeypatch.setattr("verif.tensor.engine.simulate", partial(simulate, rewrite=off_by_one))
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
    wrong = EngineRun(compared_cycles=9, results=[np.zeros((7, 6), np.uint32)], cycles=[5], failures=["[b]m = 0"])
    monkeypatch.setattr("verif.tensor.engine.simulate", lambda *_, **__: wrong)
    code, out, err = run(*GEMM, "--backend", "rtl", "--out", "y.npy")
    assert code == 1 and "wrote" not in out and err.startswith("[b]m = 0\n  reproduce systolith ")
    assert err.endswith(" --out y.npy\ny.npy not written\n")
    assert not os.path.exists("y.npy")


def test_a_simulator_that_fails_is_one_line(refused, monkeypatch):
    error = SimulatorError("the Verilator build failed (build.log):\nline 1\nline 2")
    monkeypatch.setattr("verif.tensor.engine.simulate", raiser(error))
    assert refused(*GEMM, "--backend", "rtl") == "the Verilator build failed (build.log): line 1 line 2"
