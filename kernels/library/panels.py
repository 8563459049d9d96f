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
    products : sequence of sequences of Tensor
        Codes [K, N]. Matrices of one product have one shape; their panels come together.
    ahead : int
        Panels that are on their way while one is in use.
    """

    def __init__(self, products: Sequence[Sequence[nl.Tensor]], ahead: int = 2) -> None:
        self._ahead = ahead
        self._plan = [
            (number, columns, matrices)
            for number, matrices in enumerate(products)
            for columns in nl.blocks(matrices[0].shape[1], self.columns(matrices))
        ]
        self._loaded: dict[int, list[nl.Tile]] = {}
        self._next = 0

    @staticmethod
    def columns(matrices: Sequence[nl.Tensor]) -> int:
        """Columns of a panel: a sixteenth of SBUF holds one of each matrix, and half of PSUM its results.

        Whole chunks of DMA, if there is room for one: it moves part of one no faster.
        """
        config, depth = nl.config(), matrices[0].shape[0]
        column = -(-depth // config.lanes) * ELEMENTS[matrices[0].dtype].bytes * len(matrices)
        most = min(config.lane_bytes // 16 // column, config.engine.psum_depth // 2, 256)
        chunk = config.chunk_bytes // ELEMENTS[matrices[0].dtype].bytes
        step = chunk if most >= chunk else 4
        return max(4, most // step * step)

    def _load(self, step: int) -> None:
        if step < len(self._plan) and step not in self._loaded:
            _, columns, matrices = self._plan[step]
            self._loaded[step] = [nl.load_folded(matrix[:, columns]) for matrix in matrices]

    def product(self) -> Iterator[tuple[slice, list[nl.Tile]]]:
        """The panels of the next product: columns, and a moving operand of each of its matrices."""
        product = self._plan[self._next][0]
        while self._next < len(self._plan) and self._plan[self._next][0] == product:
            for step in range(self._next, self._next + self._ahead + 1):
                self._load(step)
            _, columns, _ = self._plan[self._next]
            tiles = self._loaded.pop(self._next)
            self._next += 1
            yield columns, tiles
