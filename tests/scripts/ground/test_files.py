import os
import stat

import numpy as np
import pytest

from scripts.ground import files
from scripts.ground.errors import InputError
from scripts.ground.files import check_beside, check_writable, make_folder, save

X = np.arange(63, dtype=np.float32).reshape(7, 9)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def test_save_writes_arrays_and_texts_with_the_usual_permissions(folder):
    umask = os.umask(0o027)
    try:
        save("x.npy", X)
        save(folder / "x.txt", "é\n")
    finally:
        os.umask(umask)
    assert (np.load("x.npy") == X).all()
    assert (folder / "x.txt").read_bytes() == "é\n".encode()
    assert stat.S_IMODE(os.stat("x.npy").st_mode) == 0o640
    assert sorted(os.listdir()) == ["x.npy", "x.txt"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o400])
def test_save_keeps_the_permissions_of_what_it_replaces(mode):
    _write("x.npy", b"old")
    os.chmod("x.npy", mode)
    save("x.npy", X)
    assert (np.load("x.npy") == X).all() and stat.S_IMODE(os.stat("x.npy").st_mode) == mode


def test_save_writes_through_a_link():
    os.symlink("target.npy", "link.npy")
    check_writable("link.npy")
    save("link.npy", X)
    assert os.path.islink("link.npy")
    assert (np.load("target.npy") == X).all()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_save_leaves_the_old_file_when_it_fails(error, monkeypatch):
    _write("x.npy", b"old")

    def fails(file, data):
        file.write(b"half")
        raise error

    monkeypatch.setattr(files.np, "save", fails)
    message = r"^--out: cannot write x\.npy: No space left on device; needs a file in a folder that takes new files$"
    with pytest.raises(InputError, match=message) if isinstance(error, OSError) else pytest.raises(KeyboardInterrupt):
        save("x.npy", X)
    assert os.listdir() == ["x.npy"]
    with open("x.npy", "rb") as file:
        assert file.read() == b"old"


def test_save_to_a_folder_that_is_gone():
    with pytest.raises(InputError, match=r"cannot write gone/x\.npy: No such file or directory"):
        save("gone/x.npy", X)


def test_check_writable_accepts_without_a_trace():
    _write("old.npy", b"old")
    check_writable(None)
    check_writable("new.npy")
    check_writable("old.npy")
    check_writable("n" * 255)
    assert os.listdir() == ["old.npy"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone/x.npy", r"^--out: no folder .*gone; needs one that exists$"),
        ("old.npy/x.npy", r"^--out: no folder .*old\.npy; needs one that exists$"),
        (".", r"^--out: '\.' is not an ordinary file; needs a file name$"),
        ("", "'' is not an ordinary file"),
        ("new/", "'new/' is not an ordinary file"),
        ("pipe", "'pipe' is not an ordinary file"),
        (os.devnull, "'/dev/null' is not an ordinary file"),
        ("n" * 256, r"^--out: cannot write n+: File name too long; needs a file in a folder that takes new files$"),
    ],
)
def test_check_writable_refuses(path, message):
    _write("old.npy", b"old")
    os.mkfifo("pipe")
    with pytest.raises(InputError, match=message):
        check_writable(path)
    assert sorted(os.listdir()) == ["old.npy", "pipe"]


def test_check_beside_lets_own_files_alone():
    check_beside("e.v", "made by us", ["e.md"])
    _write("e.md", b"somebody's own")
    with pytest.raises(
        InputError, match=r"^--out: e\.md would be replaced and is no file of an earlier run; needs ano"
    ):
        check_beside("e.v", "made by us", ["e.vlt", "e.md"])
    _write("e.v", b"// somebody's own, too")
    with pytest.raises(InputError, match=r"^--out: e\.md would be replaced"):
        check_beside("e.v", "made by us", ["e.vlt", "e.md"])
    _write("e.v", b"// made by us\n")
    check_beside("e.v", "made by us", ["e.vlt", "e.md"])


def test_check_writable_refuses_without_permission(monkeypatch):
    _write("old.npy", b"old")
    with monkeypatch.context() as patched:
        # The tests may run as root, who is allowed everything.
        patched.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(InputError, match=r"old\.npy is write-protected; needs a file that may be replaced"):
            check_writable("old.npy")

    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", denied)
    with pytest.raises(InputError, match=r"cannot write new\.npy: Permission denied; needs a file in a folder that"):
        check_writable("new.npy")


def test_make_folder(folder):
    make_folder("a/b")
    make_folder("a/b")
    assert (folder / "a" / "b").is_dir()
    _write("file", b"")
    with pytest.raises(InputError, match="cannot make folder file/b: Not a directory; name the output with --out"):
        make_folder("file/b")
