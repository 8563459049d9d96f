"""Which of many numbers is the largest."""

from math import ldexp

from kernels import language as nl

__all__ = ["Largest"]

#: Indices are below it, so that fp32 holds them and what is made of them.
_MOST = 1 << 23
#: An index's bits are fp32's subnormal number index * 2**-149, which two products make a number.
_FIRST, _SECOND = ldexp(1.0, 100), ldexp(1.0, 49)


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
        within = nl.tensor_scalar(self._indices.bitcast("fp32"), "multiply", _FIRST, "multiply", _SECOND)
        # The lower an index, the larger what is compared.
        after = nl.tensor_scalar(nl.tensor_tensor(within, self._starts, "add"), "rsubtract", float(_MOST))
        largest = nl.tensor_reduce("max", self._values)
        best = nl.tensor_scalar(self._values, "equal", largest, "multiply", after, reduce="max", write=False)
        found = nl.ndarray(best.shape, "u32")
        index = nl.tensor_scalar(best, "rsubtract", float(_MOST), "multiply", 1 / _FIRST)
        nl.tensor_scalar(index, "multiply", 1 / _SECOND, out=found.bitcast("fp32"))
        return found
