"""Top of the tensor engine: sequencer, edges, array, PSUM and read-out, joined."""

from amaranth.hdl import Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, psum_layout, result_layout, weight_layout
from hw.lib.assembly import Assembly
from hw.lib.blocks import place, struct
from hw.tensor.bank import PsumBank
from hw.tensor.edges import NorthEdge, WestEdge
from hw.tensor.grid import Grid
from hw.tensor.readout import Readout
from hw.tensor.sequencer import Sequencer

__all__ = ["TensorEngine"]


class TensorEngine(wiring.Component):
    """Multiplies streamed activations by tiles of stationary weights and accumulates the products in PSUM.

    Commands, weights and activations come in the order of the passes; finished rows leave in the order of the output
    tiles' last passes. ``docs/architecture.md`` gives every cycle, ``golden.tensor.schedule`` the beats of a GEMM.

    Latency: ``config.store_latency`` cycles from an activation row to its sum in PSUM column 0, one more per column;
    ``config.drain_latency + config.readout_latency`` from the last pass's activation row to the result.
    Throughput: one activation row, ``rows_per_load_cycle`` weight rows and one result row per cycle.

    Members
    -------
    i_command : ``In(stream.Signature(command_layout(config)))``
        Passes.
    i_weight : ``In(stream.Signature(code_bits * cols * rows_per_load_cycle))``
        Weight rows, the northernmost and its column 0 in the low bits.
    i_activation : ``In(stream.Signature(code_bits * rows))``
        Activation rows, lane 0 in the low bits.
    o_result : ``Out(stream.Signature(result_layout(config)))``
        Finished rows.
    """

    module_name = "tensor_engine"

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "i_command": In(stream.Signature(struct(command_layout(config)))),
                "i_weight": In(stream.Signature(weight_layout(config).width)),
                "i_activation": In(stream.Signature(config.code_bits * config.rows)),
                "o_result": Out(stream.Signature(struct(result_layout(config)))),
            }
        )

    def elaborate(self, platform) -> Assembly:
        m = Assembly(self)
        config = self.config
        psum = psum_layout(config).width
        freed = m.wire(Signal(name="freed"))
        seeds, reads = (m.wire(Signal(psum * config.cols, name=name)) for name in ("seeds", "reads"))
        sequencer = place(
            m,
            "sequencer",
            Sequencer,
            config,
            i_command__valid=self.i_command.valid,
            i_command__payload=self.i_command.payload,
            i_command__ready=self.i_command.ready,
            i_weight_valid=self.i_weight.valid,
            o_weight_ready=self.i_weight.ready,
            i_activation_valid=self.i_activation.valid,
            o_activation_ready=self.i_activation.ready,
            i_freed=freed,
        )
        west = place(
            m,
            "west_edge",
            WestEdge,
            config,
            i_codes=self.i_activation.payload,
            i_format=sequencer.o_activation_format,
            i_valid=sequencer.o_activation_en,
            i_swap=sequencer.o_swap,
            i_tile_k=sequencer.o_tile_k,
            i_load=sequencer.o_load,
        )
        north = place(
            m,
            "north_edge",
            NorthEdge,
            config,
            i_codes=self.i_weight.payload,
            i_format=sequencer.o_weight_format,
            i_valid=sequencer.o_weight_en,
        )
        grid = place(m, "grid", Grid, config, i_beats=west.o_beats, i_weights=north.o_weights, i_psums=seeds)
        readout = place(
            m,
            "readout",
            Readout,
            config,
            i_row_en=sequencer.o_row_en,
            i_row_address=sequencer.o_row_address,
            i_row=sequencer.o_row,
            i_finished=sequencer.o_finished,
            o_freed=freed,
            i_psums=reads,
            o__valid=self.o_result.valid,
            o__payload=self.o_result.payload,
            o__ready=self.o_result.ready,
        )
        seed, store, address = sequencer.o_seed, sequencer.o_store, readout.o_read_address
        for col in range(config.cols):
            bank = place(
                m,
                f"psum_{col}",
                PsumBank,
                config,
                i_seed=seed,
                i_store=store,
                i_psum=grid.o_psums.word_select(col, psum),
                o_psum=seeds.word_select(col, psum),
                i_advance=readout.o_advance,
                i_read_address=address,
                o_read=reads.word_select(col, psum),
            )
            seed, store, address = bank.o_seed, bank.o_store, bank.o_read_address
        return m
