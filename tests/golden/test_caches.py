"""Where caches live, in a checkout and out of one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from golden.caches import cache_folder

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_keeps_its_caches():
    assert cache_folder("numba") == ROOT / "build" / "numba"


@pytest.fixture
def installed(tmp_path):
    """The folder of a copy of the package, and what it answers in a new process."""
    shutil.copytree(ROOT / "golden", tmp_path / "site" / "golden", ignore=shutil.ignore_patterns("__pycache__"))

    def ask(first: str = "") -> str:
        env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "XDG_CACHE_HOME": str(tmp_path / "caches")}
        code = first + "from golden.caches import cache_folder; print(cache_folder('numba'))"
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], env=env, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
        )
        return done.stdout.strip()

    return tmp_path / "site", ask


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder of other systems has no variable of its own")
def test_an_installed_package_uses_the_users_cache_folder(installed, tmp_path):
    _, ask = installed
    assert ask() == str(tmp_path / "caches" / "systolith" / "numba")


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder of other systems has no variable of its own")
@pytest.mark.parametrize("text", [b'[project]\nname = "another"\n', b"\xff\xfe"])
def test_another_project_that_carries_a_copy_is_no_checkout(installed, tmp_path, text):
    site, ask = installed
    (site / "pyproject.toml").write_bytes(text)
    assert ask() == str(tmp_path / "caches" / "systolith" / "numba")


def test_a_copy_of_the_checkout_is_one(installed):
    site, ask = installed
    shutil.copy(ROOT / "pyproject.toml", site)
    assert ask() == str(site / "build" / "numba")


def test_a_user_without_a_home_gets_no_folder_named_tilde(installed):
    _, ask = installed
    homeless = "import pathlib, platformdirs as p; p.user_cache_path = lambda *_, **__: pathlib.Path('~/.cache'); "
    assert ask(homeless) == os.path.join(os.devnull, "numba")
