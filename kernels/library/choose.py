"""Which of many numbers are the largest."""

from math import ldexp

from arch.formats import FP32
from kernels import kernel
from kernels import language as nl

__all__ = ["Largest", "index_of", "largest_of", "number_of", "topk"]

#: Indices are below it, so that fp32 holds them and what is made of them.
_MOST = 1 << 23
#: An index's bits are fp32's subnormal number index * 2**-149, which two products make a number.
_FIRST, _SECOND = ldexp(1.0, 100), ldexp(1.0, 49)
#: More than any number that is not hidden.
_HIDDEN = FP32.max_value


class Largest:
    """The index of the largest of each lane's numbers, more than SBUF holds at once: they come in parts.

    Parameters
    ----------
    lanes : int
    count, size : int
        Numbers in all, below 2**23, and in each part but the last. None is NaN.
    """

    def __init__(self, lanes: int, count: int, size: int) -> None:
        if count > _MOST:
            raise nl.KernelError(f"count must be at most {_MOST}, not {count}")
        parts = -(-count // size)
        self._values, self._indices = nl.ndarray((lanes, parts)), nl.ndarray((lanes, parts), "u32")
        self._starts = nl.load(
            nl.constant([[float(size * part) for part in range(parts)]]).broadcast_to((lanes, parts))
        )

    def see(self, part: int, numbers: nl.Tile) -> None:
        """Take note of a part, fp32[lanes, size]."""
        nl.tensor_reduce("max", numbers, out=self._values[:, part : part + 1])
        nl.tensor_reduce("argmax", numbers, out=self._indices[:, part : part + 1])

    def index(self) -> nl.Tile:
        """u32[lanes, 1], once all parts were seen; of two that are the same the lower."""
        within = number_of(self._indices)
        # The lower an index, the larger what is compared.
        after = nl.tensor_scalar(nl.tensor_tensor(within, self._starts, "add"), "rsubtract", float(_MOST))
        largest = nl.tensor_reduce("max", self._values)
        best = nl.tensor_scalar(self._values, "equal", largest, "multiply", after, reduce="max", write=False)
        return index_of(nl.tensor_scalar(best, "rsubtract", float(_MOST)))


@kernel
def topk(x, *, k):
    """The k largest of each row of fp32[M, N], the largest first, and their indices: fp32[M, k], u32[M, k].

    Of two that are the same the lower index comes first. No number is NaN, or larger than half of fp32's largest; N is
    as many as SBUF holds.
    """
    rows, columns = x.shape
    if not 1 <= k <= columns:
        raise nl.KernelError(f"k must be 1 to the {columns} columns of x, not {k}")
    values, indices = nl.output((rows, k)), nl.output((rows, k), "u32")
    for block in nl.blocks(rows):
        found, where = largest_of(nl.load(x[block]), k)
        nl.store(values[block], found)
        nl.store(indices[block], where)


def largest_of(x: nl.Tile, k: int) -> tuple[nl.Tile, nl.Tile]:
    """``topk`` of a tile, which is written over: fp32[M, k], u32[M, k]."""
    found, where = nl.ndarray((x.lanes, k)), nl.ndarray((x.lanes, k), "u32")
    places = nl.iota(x.lanes, x.shape[1])
    for number in range(k):
        mine = slice(number, number + 1)
        nl.tensor_reduce("max", x, out=found[:, mine])
        nl.tensor_reduce("argmax", x, out=where[:, mine])
        if number + 1 < k:
            # All others have 0 added, of the sign that changes nothing.
            here = nl.tensor_scalar(places, "equal", number_of(where[:, mine]), "multiply", -_HIDDEN)
            nl.tensor_tensor(x, here, "add", out=x)
    return found, where


def number_of(indices: nl.Tile) -> nl.Tile:
    """Indices below 2**23, u32, as numbers."""
    return nl.tensor_scalar(indices.bitcast("fp32"), "multiply", _FIRST, "multiply", _SECOND)


def index_of(numbers: nl.Tile) -> nl.Tile:
    """Whole numbers below 2**23 as indices, u32."""
    found = nl.ndarray(numbers.shape, "u32")
    nl.tensor_scalar(numbers, "multiply", 1 / _FIRST, "multiply", 1 / _SECOND, out=found.bitcast("fp32"))
    return found
