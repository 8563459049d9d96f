"""One row of the array: C processing elements side by side."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout, pe_registers, psum_layout
from hw.lib.assembly import Assembly
from hw.lib.blocks import place
from hw.tensor.pe import ProcessingElement

__all__ = ["Row"]


class Row(wiring.Component):
    """Chains the PEs of one contraction lane from west to east.

    Latency: that of ``ProcessingElement``; column c sees a beat c cycles after column 0.

    Members
    -------
    i_beat : ``In(beat_layout(config))``
        The lane's tags and activations.
    i_weights, o_weights : operand * rows_per_load_cycle * cols bits
        Weights from the row to the north and to the row to the south, column 0 in the low bits.
    i_psums, o_psums : psum * cols bits
        Partial sums, likewise.
    """

    module_name = "row"

    def __init__(self, config: EngineConfig):
        self.config = config
        weights = pe_registers(config)["weight"] * config.cols
        psums = psum_layout(config).width * config.cols
        super().__init__(
            {
                "i_beat": In(beat_layout(config).width),
                "i_weights": In(weights),
                "o_weights": Out(weights),
                "i_psums": In(psums),
                "o_psums": Out(psums),
            }
        )

    def elaborate(self, platform) -> Assembly:
        m = Assembly(self)
        config = self.config
        weight, psum = pe_registers(config)["weight"], psum_layout(config).width
        beat = self.i_beat
        for col in range(config.cols):
            pe = place(
                m,
                f"pe_{col}",
                ProcessingElement,
                config,
                i_beat=beat,
                i_weight=self.i_weights.word_select(col, weight),
                i_psum=self.i_psums.word_select(col, psum),
                o_weight=self.o_weights.word_select(col, weight),
                o_psum=self.o_psums.word_select(col, psum),
            )
            beat = pe.o_beat
        return m
