"""Top of the tensor engine: sequencer, edges, array, PSUM and read-out, joined."""

from amaranth.hdl import Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, psum_layout, result_layout, weight_layout
from hw.lib.assembly import Assembly
from hw.lib.blocks import Ports, place, struct
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
        psums = psum_layout(config).width * config.cols
        # What goes back to a block placed earlier: a row read out in all columns, sums into the array, rows read.
        freed = m.wire(Signal(name="freed"))
        seeds = m.wire(Signal(psums, name="seeds"))
        reads = m.wire(Signal(psums, name="reads"))
        sequencer = self._place_sequencer(m, freed)
        west, north = self._place_edges(m, sequencer)
        grid = place(m, "grid", Grid, config, i_beats=west.o_beats, i_weights=north.o_weights, i_psums=seeds)
        readout = self._place_readout(m, sequencer, freed, reads)
        self._place_banks(m, sequencer, readout, grid.o_psums, seeds, reads)
        return m

    def _place_sequencer(self, m: Assembly, freed: Signal) -> Ports:
        """It sees commands, and the handshakes of weights and activations."""
        return place(
            m,
            "sequencer",
            Sequencer,
            self.config,
            i_command__valid=self.i_command.valid,
            i_command__payload=self.i_command.payload,
            i_command__ready=self.i_command.ready,
            i_weight_valid=self.i_weight.valid,
            o_weight_ready=self.i_weight.ready,
            i_activation_valid=self.i_activation.valid,
            o_activation_ready=self.i_activation.ready,
            i_freed=freed,
        )

    def _place_edges(self, m: Assembly, sequencer: Ports) -> tuple[Ports, Ports]:
        """West and north; the payloads go to them alone."""
        west = place(
            m,
            "west_edge",
            WestEdge,
            self.config,
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
            self.config,
            i_codes=self.i_weight.payload,
            i_format=sequencer.o_weight_format,
            i_valid=sequencer.o_weight_en,
        )
        return west, north

    def _place_readout(self, m: Assembly, sequencer: Ports, freed: Signal, reads: Signal) -> Ports:
        """It gives the results."""
        return place(
            m,
            "readout",
            Readout,
            self.config,
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

    def _place_banks(
        self, m: Assembly, sequencer: Ports, readout: Ports, sums: Value, seeds: Signal, reads: Signal
    ) -> None:
        """One under each column; requests enter the first and go east from bank to bank."""
        width = psum_layout(self.config).width
        seed, store, address = sequencer.o_seed, sequencer.o_store, readout.o_read_address
        for col in range(self.config.cols):
            bank = place(
                m,
                f"psum_{col}",
                PsumBank,
                self.config,
                i_seed=seed,
                i_store=store,
                i_psum=sums.word_select(col, width),
                o_psum=seeds.word_select(col, width),
                i_advance=readout.o_advance,
                i_read_address=address,
                o_read=reads.word_select(col, width),
            )
            seed, store, address = bank.o_seed, bank.o_store, bank.o_read_address
