"""Yosys' wheel on a machine that fails, or without a home."""

import subprocess
from pathlib import Path

import pytest

from arch.environment import EnvironmentFault
from verif.proofs import yosys as tool
from verif.proofs.yosys import FormalError, wheel_environment, yosys


def test_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "cache"))
    assert wheel_environment()["YOWASP_CACHE_DIR"] == str(tmp_path / "cache")
    (tmp_path / "file").touch()
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "file" / "cache"))
    found = Path(wheel_environment()["YOWASP_CACHE_DIR"])
    assert found.is_dir() and not found.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("says", "error", "message"),
    [
        (
            "OSError: [Errno 28] No space left on device",
            EnvironmentFault,
            "yosys failed in .*: No space left",
        ),
        ("a.v:3: ERROR: syntax error", FormalError, r"yosys refuses .*: a\.v:3: ERROR: syntax error"),
        ("nothing known", FormalError, "yosys refuses .*: nothing known"),
    ],
)
def test_what_a_failure_means(tmp_path, monkeypatch, says, error, message):
    done = subprocess.CompletedProcess([], 1, "", says)
    monkeypatch.setattr(tool.subprocess, "run", lambda command, **options: done)
    with pytest.raises(error, match=message):
        yosys("script", tmp_path, "name")
