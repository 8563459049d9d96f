"""Views choose the elements that NumPy's do."""

import os

import numpy as np
import pytest

from kernels.language.errors import KernelError
from kernels.language.views import Strided, contiguous

SEED = int(os.environ.get("SEED", 5))


def both(rng: np.random.Generator) -> tuple[Strided, np.ndarray]:
    """A view, and an array of the places of its elements."""
    shape = tuple(int(n) for n in rng.integers(1, 7, rng.integers(1, 4)))
    view = contiguous(shape, 4)
    return view, 4 * np.arange(np.prod(shape)).reshape(shape)


def places(view: Strided) -> np.ndarray:
    array = np.full((), view.offset)
    for count, stride in view.dims:
        array = array[..., None] + np.arange(count) * stride
    return array


def random_key(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple:
    key = []
    for count in shape[: rng.integers(len(shape) + 1)]:
        step = int(rng.choice([-2, -1, 1, 1, 2]))
        choices = [None, int(rng.integers(-count, count)), slice(None, None, step)]
        start = int(rng.integers(count))
        choices.append(slice(start, int(rng.integers(start + 1, count + 3))))
        drawn = choices[rng.integers(len(choices))]
        key += [None, slice(None)] if drawn is None else [drawn]
    if rng.random() < 0.3:
        key.append(...)
    return tuple(key)


def test_indices_transpositions_broadcasts_and_shapes():
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    seen = dict.fromkeys(("reshaped", "refused"), 0)
    for _ in range(2000):
        view, array = both(rng)
        for _ in range(rng.integers(1, 4)):
            if rng.random() < 0.7:
                key = random_key(rng, array.shape)
                view, array = view.index(key), array[key]
            elif array.ndim:
                axes = tuple(map(int, rng.permutation(array.ndim)))
                view, array = view.transpose(axes), array.transpose(axes)
        np.testing.assert_array_equal(places(view), array)
        wanted = (2, *(3 if n == 1 else n for n in array.shape))
        np.testing.assert_array_equal(places(view.broadcast_to(wanted)), np.broadcast_to(array, wanted))
        flat = (1, array.size) if rng.random() < 0.5 else (-1,)
        try:
            np.testing.assert_array_equal(places(view.reshape(flat)), array.reshape(flat))
            seen["reshaped"] += 1
        except KernelError:
            # NumPy would have to copy.
            assert not np.shares_memory(array.reshape(flat), array) or 0 in array.strides
            seen["refused"] += 1
    assert min(seen.values()) > 100, seen


def test_rows_begin_at_words():
    view = contiguous((3, 2, 5), 1)
    assert view.strides == (16, 8, 1) and view.size == 48
    with pytest.raises(KernelError, match=r"\(3, 2, 5\) must lie evenly to be seen as \(3, 10\)"):
        view.reshape((3, 10))
    assert view.reshape((6, 5)).strides == (8, 1)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (3, "an index must be -3..2, not 3"),
        ((0, 0, 0), "indices must be at most 2, the dimensions of (3, 4), not 3"),
        (slice(3, 3), "a slice must choose some of 3, not 3:3:None"),
        ("x", "an index must be an integer, a slice or None, not 'x'"),
    ],
)
def test_what_is_no_index(key, message):
    with pytest.raises(KernelError) as error:
        contiguous((3, 4), 4).index(key)
    assert message in str(error.value)
