"""West and north edges of the array: decode what enters and skew it to the wavefront."""

from itertools import accumulate, pairwise

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import SELECT_BITS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout, pe_registers, weight_layout
from hw.arithmetic.decoder import Decoder
from hw.lib.blocks import delayed, place
from hw.lib.delay import skewed
from hw.tensor.pe import beat_shape

__all__ = ["NorthEdge", "WestEdge"]


def _passed_on(m: Module, name: str, cycles: int, *told: Value) -> list[Value]:
    """What a lane or column is told, so many cycles later for the next: one register ``name``."""
    line = delayed(m, Cat(told), cycles, name)
    at = [0, *accumulate(len(part) for part in told)]
    return [line[low:high] for low, high in pairwise(at)]


class WestEdge(wiring.Component):
    """Decodes activation rows and starts each lane's tags on their way east.

    Latency: lane r leaves r * ``config.add_latency`` cycles after it entered.
    Throughput: one activation row per cycle.

    Members
    -------
    i_codes : ``In(code_bits * rows)``
        The activation row, lane 0 in the low bits.
    i_format : ``In(SELECT_BITS)``
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
                "i_format": In(SELECT_BITS),
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
        valid, swap, select, tile_k, load = self.i_valid, self.i_swap, self.i_format, self.i_tile_k, self.i_load
        for lane in range(config.rows):
            if lane:
                # What all lanes are told goes south from lane to lane, and no wire to all of them.
                load = load if lane % config.rows_per_load_cycle else load[1:]
                valid, swap, select, tile_k, load = _passed_on(
                    m, f"told_{lane}", config.add_latency, valid, swap, select, tile_k, load
                )
            operand = place(
                m,
                f"decoder_{lane}",
                Decoder,
                config,
                i_code=skewed(
                    m,
                    self.i_codes.word_select(lane, config.code_bits),
                    lane * config.add_latency,
                    f"skew_{lane}",
                ),
                i_select=select,
            )
            beat = beat_shape(config)(Signal(width, name=f"beat_{lane}"))
            m.d.comb += [
                beat.valid.eq(valid),
                beat.enable.eq(valid & (tile_k > lane)),
                beat.swap.eq(valid & swap),
                beat.load.eq(load[0]),
                beat.operand.eq(operand.o),
            ]
            beats.append(beat)
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
    i_format : ``In(SELECT_BITS)``
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
                "i_format": In(SELECT_BITS),
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
        valid, select = self.i_valid, self.i_format
        for col in range(config.cols):
            if col:
                # What all columns are told goes east from column to column.
                valid, select = _passed_on(m, f"told_{col}", 1, valid, select)
            lanes = range(col, config.rows_per_load_cycle * config.cols, config.cols)
            codes = Cat(self.i_codes.word_select(lane, config.code_bits) for lane in lanes)
            codes = skewed(m, codes, col, f"skew_{col}")
            operands = []
            for index, lane in enumerate(lanes):
                operand = place(
                    m,
                    f"decoder_{lane}",
                    Decoder,
                    config,
                    i_code=codes.word_select(index, config.code_bits),
                    i_select=select,
                )
                operands.append(operand.o)
            weight = Signal(width, name=f"weight_{col}")
            with m.If(valid):
                m.d.comb += weight.eq(Cat(operands))
            weights.append(weight)
        m.d.comb += self.o_weights.eq(Cat(weights))
        return m
