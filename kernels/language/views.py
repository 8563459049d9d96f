"""Where the elements of a tensor or a tile lie, and NumPy's ways of choosing some of them."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from arch.core.config import WORD_BYTES
from kernels.language.errors import KernelError

__all__ = ["Strided", "contiguous"]


def contiguous(shape: tuple[int, ...], size: int) -> "Strided":
    """Elements in rows, one after another; rows, along the last dimension, begin at words."""
    strides, step = [], size
    for number, count in enumerate(reversed(shape)):
        strides.append(step)
        step *= count
        if number == 0:
            step = -(-step // WORD_BYTES) * WORD_BYTES
    return Strided(tuple(shape), tuple(reversed(strides)))


@dataclass(frozen=True)
class Strided:
    """Elements by their indices.

    Parameters
    ----------
    shape : tuple of int
    strides : tuple of int
        Bytes from one index to the next.
    offset : int
        Bytes before the element of which all indices are 0.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes up to the end of the last row, where strides are those of ``contiguous``."""
        return -(-self.shape[0] * self.strides[0] // WORD_BYTES) * WORD_BYTES

    @property
    def dims(self) -> tuple[tuple[int, int], ...]:
        """Counts and strides, the outermost first."""
        return tuple(zip(self.shape, self.strides, strict=True))

    def index(self, key: object) -> "Strided":
        """As NumPy's basic indexing: integers, slices, None, an ellipsis."""
        keys = list(key) if isinstance(key, tuple) else [key]
        used = sum(k is not None and k is not Ellipsis for k in keys)
        if used > len(self.shape):
            raise KernelError(f"indices must be at most {len(self.shape)}, the dimensions of {self.shape}, not {used}")
        at = next((number for number, k in enumerate(keys) if k is Ellipsis), len(keys))
        keys[at : at + 1] = [slice(None)] * (len(self.shape) - used)
        shape, strides, offset, dims = [], [], self.offset, iter(self.dims)
        for k in keys:
            if k is None:
                shape.append(1)
                strides.append(0)
                continue
            count, stride = next(dims)
            if isinstance(k, slice):
                start, stop, step = k.indices(count)
                chosen = len(range(start, stop, step))
                if not chosen:
                    raise KernelError(f"a slice must choose some of {count}, not {k.start}:{k.stop}:{k.step}")
                shape.append(chosen)
                strides.append(stride * step)
                offset += start * stride
            else:
                offset += self._position(k, count) * stride
        return Strided(tuple(shape), tuple(strides), offset)

    @staticmethod
    def _position(k: object, count: int) -> int:
        try:
            number = k.__index__()
        except AttributeError:
            raise KernelError(f"an index must be an integer, a slice or None, not {k!r}") from None
        if not -count <= number < count:
            raise KernelError(f"an index must be {-count}..{count - 1}, not {number}")
        return number % count

    def transpose(self, axes: tuple[int, ...]) -> "Strided":
        """The dimensions in another order; of none given, reversed."""
        axes = axes or tuple(reversed(range(len(self.shape))))
        if sorted(axes) != list(range(len(self.shape))):
            raise KernelError(f"axes must be 0..{len(self.shape) - 1} in some order, not {axes}")
        return Strided(tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes), self.offset)

    def broadcast_to(self, shape: tuple[int, ...]) -> "Strided":
        """Dimensions of one index repeated."""
        missing = len(shape) - len(self.shape)
        padded = ((1, 0),) * missing + self.dims
        if missing < 0 or any(count not in (1, wanted) for (count, _), wanted in zip(padded, shape, strict=True)):
            raise KernelError(f"{self.shape} must have dimensions of {tuple(shape)}, or of 1, to be broadcast to it")
        strides = (stride if count == wanted else 0 for (count, stride), wanted in zip(padded, shape, strict=True))
        return Strided(tuple(shape), tuple(strides), self.offset)

    def reshape(self, shape: tuple[int, ...]) -> "Strided":
        """The same elements in the same order, where strides can say it. -1 stands for what is left."""
        total, known = prod(self.shape), prod(count for count in shape if count != -1)
        if -1 in shape and known:
            shape = tuple(total // known if count == -1 else count for count in shape)
        if prod(shape) != total:
            raise KernelError(f"a shape of {total} elements, as {self.shape} has, must take the place, not {shape}")
        strides, old = [0] * len(shape), [dim for dim in self.dims if dim[0] > 1]
        new = [number for number, count in enumerate(shape) if count > 1]
        while new:
            mine, others = [new.pop()], [old.pop()]
            while prod(shape[n] for n in mine) != prod(count for count, _ in others):
                if prod(shape[n] for n in mine) < prod(count for count, _ in others):
                    mine.append(new.pop())
                else:
                    others.append(old.pop())
            for (inner, step), (_, stride) in pairwise(others):
                if stride != inner * step:
                    raise KernelError(
                        f"{self.shape} must lie evenly to be seen as {shape}, not with strides {self.strides}"
                    )
            step = others[0][1]
            for number in mine:
                strides[number] = step
                step *= shape[number]
        return Strided(tuple(shape), tuple(strides), self.offset)
