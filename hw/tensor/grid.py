"""The array itself: R rows of C processing elements."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout, pe_registers, psum_layout
from hw.lib.assembly import Assembly
from hw.lib.blocks import place
from hw.tensor.row import Row

__all__ = ["Grid"]


class Grid(wiring.Component):
    """Stacks the rows from north to south. All inputs are skewed by the edges already.

    Latency: a partial sum crosses the array in ``config.rows * config.add_latency`` cycles.
    Throughput: one activation row per cycle; nothing stalls.

    Members
    -------
    i_beats : ``In(beat * rows)``
        From the west edge, row 0 in the low bits.
    i_weights : ``In(operand * rows_per_load_cycle * cols)``
        From the north edge, column 0 in the low bits.
    i_psums : ``In(psum * cols)``
        Seeds, from PSUM.
    o_psums : ``Out(psum * cols)``
        Sums, to PSUM.
    """

    module_name = "grid"

    def __init__(self, config: EngineConfig):
        self.config = config
        psums = psum_layout(config).width * config.cols
        super().__init__(
            {
                "i_beats": In(beat_layout(config).width * config.rows),
                "i_weights": In(pe_registers(config)["weight"] * config.cols),
                "i_psums": In(psums),
                "o_psums": Out(psums),
            }
        )

    def elaborate(self, platform) -> Assembly:
        m = Assembly(self)
        beat = beat_layout(self.config).width
        weights, psums = self.i_weights, self.i_psums
        for index in range(self.config.rows):
            last = {"o_psums": self.o_psums} if index == self.config.rows - 1 else {}
            row = place(
                m,
                f"row_{index}",
                Row,
                self.config,
                i_beat=self.i_beats.word_select(index, beat),
                i_weights=weights,
                i_psums=psums,
                **last,
            )
            if not last:
                weights, psums = row.o_weights, row.o_psums
        return m
