"""What tests of several commands use."""

import sys
from pathlib import Path

import numpy as np
import pytest
from given import TENSORS

from scripts import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """The console script within this process: exit code, standard output, standard error."""

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["systolith", *arguments])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code, *capsys.readouterr()

    return invoke


@pytest.fixture
def tensors(tmp_path, monkeypatch):
    """A working directory with the tensors in it."""
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
