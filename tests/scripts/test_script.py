"""The installed script, as a process of its own."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pytest
from given import ATTENTION, GEMM, TENSORS, golden_gemm

from scripts import commands

SCRIPT = Path(sys.executable).with_name("systolith")
pytestmark = pytest.mark.usefixtures("tensors")


def script(*arguments, **options):
    return subprocess.run([SCRIPT, *arguments], capture_output=True, encoding="utf-8", **options)


def test_the_script_answers_help_without_the_golden_model():
    done = script("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert all(name in done.stdout for name in commands.cli.commands)
    modules = "import sys, scripts.commands; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", modules], capture_output=True, encoding="utf-8", check=True
    ).stdout.split()
    assert not {"numba", "amaranth", "cocotb"} & set(loaded)


@pytest.mark.parametrize("arguments", [GEMM, ATTENTION, ("cycles",)], ids=lambda arguments: arguments[0])
def test_golden_results_need_no_hardware(tensors, arguments):
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules))\n"
        "sys.argv[0] = 'systolith'\n"
        "from scripts.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, encoding="utf-8", cwd=tensors
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert done.returncode == 0 and "golden.tensor.schedule" in loaded
    assert not [name for name in loaded if name.partition(".")[0] in ("verif", "hw", "amaranth", "cocotb")]


def test_the_script_has_a_version():
    done = script("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"systolith {version('systolith')}\n"


@pytest.mark.parametrize("module", ["click", "numpy", "rich.console", "golden.tensor.schedule", "numba"])
def test_interrupted_while_it_loads(tensors, module):
    """Ctrl-C in the first half second."""
    program = (
        "import os, signal, sys\n"
        # A job in a shell's background starts with Ctrl-C ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupting:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == {module!r}:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting)\n"
        "sys.argv[0] = 'systolith'\n"
        "from scripts.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *GEMM], capture_output=True, encoding="utf-8", cwd=tensors)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nsystolith: interrupted\n")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("cycles",), ("cycles", "--json"), (*GEMM, "--json"), GEMM], ids=" ".join
)
def test_nobody_reads_on(tensors, arguments):
    """As after ``systolith cycles | head -1``: no word, and not the exit code of a mismatch."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([SCRIPT, *arguments], stdout=writer, stderr=subprocess.PIPE, cwd=tensors)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_nobody_reads_the_complaint(tensors):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([SCRIPT, "mm"], stdout=subprocess.PIPE, stderr=writer, cwd=tensors)
    os.close(writer)
    assert (done.returncode, done.stdout) == (2, b"")


def test_the_script_multiplies(tensors):
    done = script(*GEMM, "--json", "--out", "y.npy", cwd=tensors)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["mismatches"] == 0
    assert (np.load("y.npy") == golden_gemm()).all()


def test_the_script_refuses(tensors):
    done = script("gemm", "gone.npy", "w.npy", cwd=tensors)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "systolith: X: no file gone.npy; needs a .npy file\n"


def test_the_script_takes_file_names_that_are_no_text(tensors):
    name = os.fsdecode(b"\xff.npy")
    done = script("gemm", name, "w.npy", cwd=tensors)
    assert done.returncode == 2 and "no file" in done.stderr and "Traceback" not in done.stderr
    np.save(name, TENSORS["x"])
    done = script("gemm", name, "w.npy", "--out", name, cwd=tensors)
    assert done.returncode == 0, done.stderr
    assert (np.load(name) == golden_gemm()).all()


def test_every_option_of_the_contract_is_there():
    options = {
        name: {o for p in c.params if isinstance(p, click.Option) for o in p.opts}
        for name, c in commands.cli.commands.items()
    }
    lanes = {"--x-format", "--w-format"}
    shared = {"--config", "--out", "--backend", "--json", "--recipe"}
    assert options["gemm"] == shared | lanes | {"--out-format"}
    assert options["attention"] == shared | lanes | {"--causal"}
    assert options["verilog"] >= {
        *("--config", "--rows", "--cols", "--formats", "--accumulation", "--out"),
        *("--bench", "--fusesoc", "--run"),
    }
    assert options["sim"] == {"--config", "--seed", "--sim", "--waves", "--page"}
