import ml_dtypes
import numpy as np
import pytest

from scripts.ground.errors import InputError
from scripts.ground.tensors import load

X = np.arange(63, dtype=np.float32).reshape(7, 9)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "array",
    [X, X.astype(">f4"), np.asfortranarray(X), X.astype(">u2"), X.astype("u1"), X[::2, ::-3]],
    ids=["plain", "big-endian", "fortran", "big-endian codes", "bytes", "strided"],
)
def test_load_gives_native_contiguous_writable_arrays(array):
    np.save("x.npy", array)
    loaded = load("x.npy", "X", (2,))
    assert type(loaded) is np.ndarray
    assert loaded.dtype == array.dtype.newbyteorder("=") and loaded.dtype.isnative
    assert loaded.flags.c_contiguous and loaded.flags.aligned and loaded.flags.writeable
    assert (loaded == array).all()


def test_load_aligns_what_an_odd_header_misaligns():
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (7, 9), }"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + X.tobytes()
    assert len(content) % 4
    with open("x.npy", "wb") as file:
        file.write(content)
    loaded = load("x.npy", "X", (2,))
    assert loaded.flags.aligned and (loaded == X).all()


def test_load_leaves_the_file_alone():
    np.save("x.npy", X)
    load("x.npy", "X", (2,))[:] = 0
    assert (np.load("x.npy") == X).all()


def _content() -> bytes:
    np.save("good.npy", X)
    with open("good.npy", "rb") as file:
        return file.read()


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


@pytest.mark.parametrize(
    "content",
    [
        lambda good: b"",
        lambda good: good[:-1],
        lambda good: good[:40],
        lambda good: b"text\n" * 100,
        lambda good: good.replace(b"(7, 9), }      ", b"(70000000, 90000000), }"[:15] + b"     "),
        lambda good: good.replace(b"(7, 9), }              ", b"(700000000, 900000), } "),
        lambda good: good.replace(b"(7, 9), } ", b"(-7, 9), }"),
        lambda good: good.replace(b"'<f4'", b"'<q9'"),
    ],
    ids=["empty", "short", "no header", "text", "broken header", "petabytes", "negative", "unknown dtype"],
)
def test_load_refuses_damaged_files(content):
    _write("x.npy", content(_content()))
    with pytest.raises(InputError, match=r"^X: x\.npy is not a readable \.npy file of numbers$"):
        load("x.npy", "X", (2,))


def test_load_knows_what_numpy_makes_of_e5m2():
    np.save("x.npy", X.astype(ml_dtypes.float8_e5m2))
    with pytest.raises(
        InputError, match=r"^X: x\.npy is not .*float8_e5m2\? Then save the array's \.view\(numpy\.uint8\)$"
    ):
        load("x.npy", "X", (2,))


def test_load_refuses_what_is_no_tensor():
    with pytest.raises(InputError, match=r"^X: no file x\.npy; needs a \.npy file$"):
        load("x.npy", "X", (2,))
    with pytest.raises(InputError, match=r"^X: \. is not a readable \.npy file of numbers$"):
        load(".", "X", (2,))
    np.save("object.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"not a readable \.npy file of numbers"):
        load("object.npy", "X", (2,))
    np.savez("x.npz", x=X)
    with pytest.raises(InputError, match=r"^X: x\.npz is an archive of arrays; needs a \.npy file with one$"):
        load("x.npz", "X", (2,))


@pytest.mark.parametrize("shape", [(), (9,), (2, 7, 9), (1, 1, 7, 9)])
def test_load_refuses_other_dimensions(shape):
    np.save("x.npy", np.ones(shape, np.float32))
    with pytest.raises(InputError, match=r"^X: x\.npy has shape \(.*\); needs 2 dimensions$"):
        load("x.npy", "X", (2,))


def test_load_takes_any_of_several_dimensions():
    np.save("x.npy", np.ones((2, 7, 9), np.float32))
    assert load("x.npy", "X", (2, 3)).shape == (2, 7, 9)
    np.save("x.npy", np.ones(9, np.float32))
    with pytest.raises(InputError, match="needs 2 or 3 dimensions"):
        load("x.npy", "X", (2, 3))


@pytest.mark.parametrize("shape", [(0, 9), (7, 0)])
def test_load_refuses_empty_tensors(shape):
    np.save("x.npy", np.ones(shape, np.float32))
    with pytest.raises(InputError, match=r"^X: x\.npy is empty, shape .*; every dimension must be at least 1$"):
        load("x.npy", "X", (2,))
