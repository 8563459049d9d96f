"""Weights that come from memory while others are in use."""

from collections.abc import Iterator, Sequence

from arch.elements import ELEMENTS
from kernels import language as nl

__all__ = ["Panels"]


class Panels:
    """Matrices in panels of columns, in the order in which a program multiplies by them.

    Each panel is loaded once, some panels before its turn, whatever matrix it is of: memory does not rest between two
    products.

    Parameters
    ----------
    matrices : sequence of Tensor
        Codes [K, N].
    ahead : int
        Panels that are on their way while one is in use.
    """

    def __init__(self, matrices: Sequence[nl.Tensor], ahead: int = 2) -> None:
        self._ahead = ahead
        self._plan = [
            (number, columns, matrix)
            for number, matrix in enumerate(matrices)
            for columns in nl.blocks(matrix.shape[1], self.columns(matrix))
        ]
        self._loaded: dict[int, nl.Tile] = {}
        self._next = 0

    @staticmethod
    def columns(matrix: nl.Tensor) -> int:
        """Columns of a panel: a sixteenth of SBUF holds one, and half of PSUM its results.

        Whole chunks of DMA, if there is room for one: it moves part of one no faster.
        """
        config, size = nl.config(), ELEMENTS[matrix.dtype].bytes
        column = -(-matrix.shape[0] // config.lanes) * size
        most = min(config.lane_bytes // 16 // column, config.engine.psum_depth // 2, 256)
        chunk = config.chunk_bytes // size
        step = chunk if most >= chunk else 4
        return max(4, most // step * step)

    def _load(self, step: int) -> None:
        if step < len(self._plan) and step not in self._loaded:
            _, columns, matrix = self._plan[step]
            self._loaded[step] = nl.load_folded(matrix[:, columns])

    def product(self) -> Iterator[tuple[slice, nl.Tile]]:
        """The panels of the next matrix: columns, and a moving operand."""
        product = self._plan[self._next][0]
        while self._next < len(self._plan) and self._plan[self._next][0] == product:
            for step in range(self._next, self._next + self._ahead + 1):
                self._load(step)
            _, columns, _ = self._plan[self._next]
            tile = self._loaded.pop(self._next)
            self._next += 1
            yield columns, tile
