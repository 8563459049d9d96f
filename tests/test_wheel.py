"""The wheel: it holds every file of the packages, and what it installs works where there is no checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("arch", "golden", "hw", "scripts", "verif")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def sources(*patterns: str) -> list[str]:
    """The checkout's own files."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8").stdout.splitlines()
    return [name for name in names if (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: setuptools leaves files beside the sources, and would take up those of an earlier time."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in sources("pyproject.toml", "README.md", "LICENSE", *PACKAGES):
        copy = folder / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*PIP, "wheel", *options, str(folder / "source")], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)], check=True)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Runs the installed command in an empty folder, with caches of its own; what it printed."""

    def systolith(*arguments: str, **environment: str) -> str:
        own = {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, str(installed / "bin" / "systolith"), *arguments],
            cwd=tmp_path,
            env=os.environ | own | environment,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return systolith


def test_wheel_holds_every_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = set(sources(*PACKAGES))
    assert len(expected) > 100
    assert expected - names == set()
    assert {name for name in names - expected if ".dist-info/" not in name} == set()


def test_installed_package_is_the_one_that_runs(installed, tmp_path):
    """Not the checkout, which the environment of the tests has too."""
    script = "import arch, golden, hw, scripts, verif; print(*(p.__file__ for p in (arch, golden, hw, scripts, verif)))"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", script]
    out = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, encoding="utf-8")
    assert all(Path(name).is_relative_to(installed) for name in out.stdout.split())


def test_installed_commands(run, tmp_path):
    assert "gemm" in run("--help")
    np.save(tmp_path / "X.npy", np.ones((3, 4), np.float32))
    np.save(tmp_path / "W.npy", np.ones((4, 2), np.float32))
    run("gemm", "X.npy", "W.npy", "--config", "tiny", "--out", "Y.npy")
    assert (np.load(tmp_path / "Y.npy") == 4).all()
    assert "resnet50" in run("cycles")


def test_installed_verilog(run, installed, tmp_path):
    # The user's own cache: without it yosys' machine code would be made anew, which takes a minute.
    own = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    run("verilog", "--config", "tiny", XDG_CACHE_HOME=own)
    assert "module tensor_engine" in (tmp_path / "build" / "verilog" / "tiny.v").read_text(encoding="utf-8")
    assert not (installed / "build").exists()


@pytest.mark.slow
def test_installed_simulation(run, installed, tmp_path):
    np.save(tmp_path / "X.npy", np.ones((3, 4), np.float32))
    np.save(tmp_path / "W.npy", np.ones((4, 2), np.float32))
    assert "mismatches       0" in run("gemm", "X.npy", "W.npy", "--config", "tiny", "--backend", "rtl")
    assert (tmp_path / "cache" / "systolith" / "sim").is_dir()
    assert not (installed / "build").exists()
