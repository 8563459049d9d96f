"""Bad input: one line that says what is accepted, exit code 2, and every file as it was."""

import ml_dtypes
import numpy as np
import pytest
from given import ATTENTION, GEMM, TENSORS, raiser

from scripts.running import gemm as gemms

pytestmark = pytest.mark.usefixtures("tensors")

GEMM_USAGE = (
    "Usage: systolith gemm [OPTIONS] X.npy W.npy, options --config --x-format --w-format --out --out-format --recipe "
    "--backend --json --help"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (),
            "Missing command. Usage: systolith [OPTIONS] gemm|attention|run|verilog|sim|regress ..., options",
        ),
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
        (("gemm", "[/].npy", "w.npy"), "X: no file [/].npy; needs a .npy file"),
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
        (
            ("verilog", "--module", "3x"),
            "--module: '3x' is no name of a module; needs letters, digits or _, no digit first",
        ),
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
        *(
            (
                TENSORS["x"].astype(dtype),
                options,
                f"X: dtype {lost} (an .npy file loses the types of ml_dtypes: {advice})",
            )
            for dtype, options, lost, advice in (
                (
                    ml_dtypes.float8_e4m3fn,
                    (),
                    "|V1; needs float32 values or uint8 codes of e4m3",
                    "save the array's .view(numpy.uint8)",
                ),
                (
                    ml_dtypes.bfloat16,
                    ("--config", "bf16", "--x-format", "bf16"),
                    "|V2; needs float32 values or uint16 codes of bf16",
                    "save the array's .view(numpy.uint16)",
                ),
                (
                    ml_dtypes.bfloat16,
                    (),
                    "|V2; needs float32 values or uint8 codes of e4m3",
                    "save the array's .astype(numpy.float32)",
                ),
                (
                    ml_dtypes.float8_e4m3fn,
                    ("--recipe", "per-token"),
                    "|V1; a recipe needs float32 values",
                    "save the array's .astype(numpy.float32)",
                ),
            )
        ),
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


def test_attention_over_too_many_tokens(refused):
    """In attention's words: K is the keys."""
    for name in "kv":
        np.save(f"{name}.npy", np.ones((2, 16385, 6), np.float32))
    assert refused(*ATTENTION) == (
        "K and V must have at most k_max = 16384 tokens under exact accumulation, which sums over them, not 16385"
    )


def test_nan_in_attention(refused):
    np.save("k.npy", np.full((2, 5, 6), np.nan, np.float32))
    assert refused(*ATTENTION) == "K: has NaN or Inf; a scale needs finite values"


def test_too_little_memory(refused, monkeypatch):
    monkeypatch.setattr(gemms, "run_gemm", raiser(MemoryError()))
    assert refused(*GEMM) == "not enough memory; needs smaller tensors"


def test_interruption(run, monkeypatch):
    monkeypatch.setattr(gemms, "run_gemm", raiser(KeyboardInterrupt()))
    # The terminal shows ^C first: what follows starts on a line of its own.
    assert run(*GEMM) == (130, "", "\nsystolith: interrupted\n")
