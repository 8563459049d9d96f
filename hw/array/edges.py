"""West and north edges of the array: decode what enters and skew it to the wavefront."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import beat_layout, pe_registers, weight_layout
from hw.arithmetic.decoder import Decoder
from hw.array.delay import skewed
from hw.array.pe import beat_shape
from hw.blocks import delayed, place

__all__ = ["NorthEdge", "WestEdge"]


class WestEdge(wiring.Component):
    """Decodes activation rows and starts each lane's tags on their way east.

    Latency: lane r leaves r * ``config.add_latency`` cycles after it entered.
    Throughput: one activation row per cycle.

    Members
    -------
    i_codes : ``In(code_bits * rows)``
        The activation row, lane 0 in the low bits.
    i_format : ``In(2)``
        Its format, ``Format.select``.
    i_valid, i_swap : ``In(1)``
        A row is taken in this cycle; it is the first of its pass.
    i_tile_k : ``In(range(rows + 1))``
        Lanes in use.
    i_load : ``In(config.load_cycles(rows))``
        One-hot: the group of rows of the array for which a weight beat is taken in this cycle.
    o_beats : ``Out(beat * rows)``
        Each lane's beat, skewed.
    """

    module_name = "west_edge"

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "i_codes": In(config.code_bits * config.rows),
                "i_format": In(2),
                "i_valid": In(1),
                "i_swap": In(1),
                "i_tile_k": In(range(config.rows + 1)),
                "i_load": In(config.load_cycles(config.rows)),
                "o_beats": Out(beat_layout(config).width * config.rows),
            }
        )

    @property
    def COMBINATIONAL(self) -> bool:
        """One lane alone is not skewed."""
        return self.config.rows == 1

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width = beat_layout(config).width
        beats = []
        for lane in range(config.rows):
            operand = place(
                m,
                f"decoder_{lane}",
                Decoder,
                config,
                i_code=self.i_codes.word_select(lane, config.code_bits),
                i_select=self.i_format,
            )
            beat = beat_shape(config)(Signal(width, name=f"beat_{lane}"))
            m.d.comb += [
                beat.valid.eq(self.i_valid),
                beat.enable.eq(self.i_valid & (self.i_tile_k > lane)),
                beat.swap.eq(self.i_valid & self.i_swap),
                beat.load.eq(self.i_load[lane // config.rows_per_load_cycle]),
                beat.operand.eq(operand.o),
            ]
            beats.append(skewed(m, beat, lane * config.add_latency, f"skew_{lane}"))
        m.d.comb += self.o_beats.eq(Cat(beats))
        return m


class NorthEdge(wiring.Component):
    """Decodes weight rows and starts each column's weights on their way south.

    Latency: column c leaves c cycles after it entered.
    Throughput: one beat of ``rows_per_load_cycle`` weight rows per cycle.

    Members
    -------
    i_codes : ``In(code_bits * cols * rows_per_load_cycle)``
        The weight rows, the northernmost and its column 0 in the low bits.
    i_format : ``In(2)``
        Its format, ``Format.select``.
    i_valid : ``In(1)``
        A weight beat is taken in this cycle; otherwise zeros move south.
    o_weights : ``Out(operand * rows_per_load_cycle * cols)``
        Each column's weights, skewed; column 0 and its northernmost weight in the low bits.
    """

    module_name = "north_edge"

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "i_codes": In(weight_layout(config).width),
                "i_format": In(2),
                "i_valid": In(1),
                "o_weights": Out(pe_registers(config)["weight"] * config.cols),
            }
        )

    @property
    def COMBINATIONAL(self) -> bool:
        """One lane alone is not skewed."""
        return self.config.cols == 1

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width = pe_registers(config)["weight"]
        weights = []
        valid = self.i_valid
        for col in range(config.cols):
            # Whether a beat is taken is known last, and goes east with it: a column is masked where it leaves.
            valid = delayed(m, valid, min(col, 1), f"valid_{col}")
            operands = []
            for lane in range(col, config.rows_per_load_cycle * config.cols, config.cols):
                operand = place(
                    m,
                    f"decoder_{lane}",
                    Decoder,
                    config,
                    i_code=self.i_codes.word_select(lane, config.code_bits),
                    i_select=self.i_format,
                )
                operands.append(operand.o)
            decoded = skewed(m, Cat(operands), col, f"skew_{col}")
            weight = Signal(width, name=f"weight_{col}")
            with m.If(valid):
                m.d.comb += weight.eq(decoded)
            weights.append(weight)
        m.d.comb += self.o_weights.eq(Cat(weights))
        return m
