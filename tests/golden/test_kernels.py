"""The cache of compiled kernels: hits, sources that change, files that are damaged, folders that cannot be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from golden import kernels
from golden.kernels import kernel

ROOT = Path(__file__).resolve().parents[2]
#: Compiles kernels, two of them inside a third.
ROTATE = "import numpy as np; from golden.numerics.functions import exp; print(*exp(np.float32([-1, 0])))"


def double(value):
    return value + value


def make_adder(amount):
    @kernel
    def add(value):
        return value + amount

    return add


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "_folder", lambda: tmp_path / "kernels")
    return tmp_path / "kernels"


def hits(compiled) -> int:
    return sum(compiled.stats.cache_hits.values())


def test_a_kernel_is_compiled_once(folder):
    first, second = kernel(double), kernel(double)
    assert (first(2), hits(first)) == (4, 0)
    assert (second(3), hits(second)) == (6, 1)


def test_each_signature_has_its_own_code(folder):
    kernel(double)(2)
    again = kernel(double)
    assert (again(0.25), hits(again)) == (0.5, 0)
    again = kernel(double)
    assert (again(0.5), again(2), hits(again)) == (1.0, 4, 2)
    assert len(list(folder.iterdir())) == 2


def test_each_closure_has_its_own_code(folder):
    assert [make_adder(1)(1), make_adder(2)(1), make_adder(1)(2)] == [2, 3, 3]
    assert hits(make_adder(1)) == 0 and len(list(folder.iterdir())) == 2


def test_options_are_numbas():
    assert kernel(nogil=True)(double).targetoptions["nogil"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda contents: b"",
        lambda contents: contents[:20],
        lambda contents: contents[:-1],
        lambda contents: contents[: len(contents) // 2],
        lambda contents: bytes(len(contents)),
        lambda contents: contents[:2000] + bytes([contents[2000] ^ 1]) + contents[2001:],
    ],
)
def test_a_damaged_file_is_made_again(folder, damage):
    kernel(double)(2)
    (path,) = folder.iterdir()
    contents = path.read_bytes()
    path.write_bytes(damage(contents))
    again = kernel(double)
    assert (again(2), hits(again)) == (4, 0)
    assert [p.name for p in folder.iterdir()] == [path.name]
    again = kernel(double)
    assert (again(2), hits(again)) == (4, 1)


def test_a_file_of_another_signature_is_not_taken(folder):
    kernel(double)(2)
    (whole,) = folder.iterdir()
    kernel(double)(0.25)
    (other,) = set(folder.iterdir()) - {whole}
    shutil.copy(whole, other)
    again = kernel(double)
    assert (again(0.25), hits(again)) == (0.5, 0)


def test_a_folder_in_the_place_of_a_file_is_left_alone(folder):
    kernel(double)(2)
    (path,) = folder.iterdir()
    path.unlink()
    path.mkdir()
    assert kernel(double)(2) == 4
    assert list(folder.iterdir()) == [path]


def test_a_cache_that_cannot_be_written_is_done_without(folder):
    folder.write_text("in the way", encoding="utf-8")
    assert kernel(double)(2) == 4
    assert folder.read_text(encoding="utf-8") == "in the way"


def test_a_full_disk_leaves_no_pieces(folder, monkeypatch):
    def fail(path, contents):
        with open(path, "wb") as file:
            file.write(contents[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert kernel(double)(2) == 4
    assert list(folder.iterdir()) == []


# ---- processes of their own -----------------------------------------------------------------------


def rotate(cache: Path | str, root: Path = ROOT) -> str:
    """What a new process prints, with its kernels in a folder."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-P", "-c", ROTATE], env=env, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_damaged_caches_are_made_again(tmp_path):
    expected = rotate(tmp_path)
    whole = files(tmp_path)
    for index, path in enumerate(whole):
        path.write_bytes(whole[path][: len(whole[path]) // 2 * (index % 2)])
    assert rotate(tmp_path) == expected
    assert files(tmp_path).keys() == whole.keys() and all(len(contents) > 1000 for contents in files(tmp_path).values())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where not even root may make a folder")
def test_a_folder_that_nobody_may_write(tmp_path):
    assert rotate("/proc/systolith") == rotate(tmp_path)


def test_a_change_to_an_inner_kernel_is_seen(tmp_path):
    for package in ("arch", "golden"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    assert rotate(tmp_path / "cache", tmp_path) == "0.36787945 1.0\n"
    source = tmp_path / "golden" / "numerics" / "functions.py"
    text = source.read_text(encoding="utf-8")
    changed = text.replace("    return min(kept + ", "    return 0 * min(kept + ")
    assert changed != text
    source.write_text(changed, encoding="utf-8")
    assert rotate(tmp_path / "cache", tmp_path) == "0.0 0.0\n"
