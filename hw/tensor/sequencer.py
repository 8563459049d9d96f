"""Pass sequencer: turns commands and streams into the wavefronts of the array, without bubbles."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.formats import SELECT_BITS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, readout_layout, seed_layout
from hw.lib.blocks import delayed, struct
from hw.tensor.bank import store_shape

__all__ = ["Sequencer"]


def _beats(tile_k: Value, together: int) -> Value:
    """Beats of so many weight rows together: the quotient, rounded up."""
    if together == 1:
        return tile_k
    padded = tile_k + (together - 1)
    # A power of two needs no divider.
    return padded // together if together & (together - 1) else padded[exact_log2(together) :]


class Sequencer(wiring.Component):
    """Runs passes in the order of their commands.

    The loader takes a command and its weights into the shadow plane while the executor streams the pass before it;
    when both are through, the command moves on and its first activation row swaps the planes.

    An activation row is held back while the partial sum it adds to is not stored (``in_flight``), or, on the first pass
    of a tile, while no PSUM row is free (``occupied``).

    Latency: 0 cycles from a taken beat to the edges; a pass whose weights are loaded starts in the cycle after the last
    row of the pass before it.
    Throughput: one weight beat and one activation row per cycle.

    Members
    -------
    i_command : ``In(stream.Signature(command_layout(config)))``
        Passes.
    i_weight_valid, o_weight_ready, i_activation_valid, o_activation_ready
        Handshakes of the two data streams; the data itself goes to the edges.
    o_weight_en, o_weight_format, o_load
        A weight beat is taken: its format, and one-hot the group of rows of the array it is for.
    o_activation_en, o_activation_format, o_swap, o_tile_k
        An activation row is taken: its format, first of its pass, lanes in use.
    o_seed, o_store : ``seed_layout(config)``, ``store_shape(config)``
        Requests to PSUM column 0, in the cycles the array's latency asks for.
    o_row_en, o_row_address, o_row, o_finished
        To the read-out: an activation row of a last pass is taken; such a row is stored in column 0.
    i_freed : ``In(1)``
        A PSUM row is read out in all columns.
    """

    module_name = "sequencer"

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "i_command": In(stream.Signature(struct(command_layout(config)))),
                "i_weight_valid": In(1),
                "o_weight_ready": Out(1),
                "i_activation_valid": In(1),
                "o_activation_ready": Out(1),
                "o_weight_en": Out(1),
                "o_weight_format": Out(SELECT_BITS),
                "o_load": Out(config.load_cycles(config.rows)),
                "o_activation_en": Out(1),
                "o_activation_format": Out(SELECT_BITS),
                "o_swap": Out(1),
                "o_tile_k": Out(range(config.rows + 1)),
                "o_seed": Out(struct(seed_layout(config))),
                "o_store": Out(store_shape(config)),
                "o_row_en": Out(1),
                "o_row_address": Out(config.address_bits),
                "o_row": Out(struct(readout_layout(config))),
                "o_finished": Out(1),
                "i_freed": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command = struct(command_layout(self.config))
        self.loading = Signal(command)
        self.loading_valid = Signal()
        self.running = Signal(command)
        self.running_valid = Signal()
        self.swapped = Signal()
        self.hand_over = Signal()
        self.take_weight = Signal()
        self.take_row = Signal()
        self.last_row = Signal()
        self._loader(m)
        self._executor(m)
        self._hazards(m)
        self._wavefront(m)
        return m

    def _loader(self, m: Module) -> None:
        """One command and its weights, into the shadow plane."""
        loaded = Signal(range(self.config.load_cycles(self.config.rows) + 1))
        together = self.config.rows_per_load_cycle
        # All beats are taken; the beat at hand is the last: known a cycle early, for every weight waits for it.
        full = Signal()
        beat_is_last = Signal()
        complete = Signal()
        free = Signal()
        first_row = self.take_row & ~self.swapped
        m.d.comb += [
            free.eq(~self.running_valid | self.swapped | first_row),
            self.o_weight_ready.eq(self.loading_valid & ~full & free),
            self.take_weight.eq(self.i_weight_valid & self.o_weight_ready),
            complete.eq(full | (self.take_weight & beat_is_last)),
            self.hand_over.eq(self.loading_valid & complete & (~self.running_valid | self.last_row)),
            self.i_command.ready.eq(~self.loading_valid | self.hand_over),
            self.o_weight_en.eq(self.take_weight),
            self.o_weight_format.eq(self.loading.w_format),
            self.o_load.eq(self.take_weight << loaded),
        ]
        with m.If(self.take_weight):
            m.d.sync += [loaded.eq(loaded + 1), full.eq(beat_is_last)]
            m.d.sync += beat_is_last.eq(loaded + 2 == _beats(self.loading.tile_k, together))
        with m.If(self.i_command.ready):
            m.d.sync += [self.loading_valid.eq(self.i_command.valid), self.loading.eq(self.i_command.payload)]
            beats = _beats(self.i_command.payload.tile_k, together)
            m.d.sync += [loaded.eq(0), full.eq(0), beat_is_last.eq(beats == 1)]

    def _executor(self, m: Module) -> None:
        """One command and its activation rows."""
        self.row = Signal(range(self.config.psum_depth + 1))
        # The row at hand is the last of its pass: known a cycle early, for hand-over and loader wait for it.
        row_is_last = Signal()
        m.d.comb += [
            self.take_row.eq(self.i_activation_valid & self.o_activation_ready),
            self.last_row.eq(self.take_row & row_is_last),
            self.o_activation_en.eq(self.take_row),
            self.o_activation_format.eq(self.running.x_format),
            self.o_swap.eq(~self.swapped),
            self.o_tile_k.eq(self.running.tile_k),
        ]
        with m.If(self.take_row):
            m.d.sync += [
                self.swapped.eq(1),
                self.row.eq(self.row + 1),
                row_is_last.eq(self.row + 2 == self.running.tile_m),
            ]
        with m.If(self.last_row):
            m.d.sync += self.running_valid.eq(0)
        with m.If(self.hand_over):
            m.d.sync += [self.running.eq(self.loading), self.running_valid.eq(1), self.swapped.eq(0), self.row.eq(0)]
            m.d.sync += row_is_last.eq(self.loading.tile_m == 1)

    def _hazards(self, m: Module) -> None:
        """Holds back rows whose partial sum is still in the array, or that have no PSUM row.

        Whether a row may be taken is worked out a cycle early: both streams' handshakes and the weights wait for it.
        """
        config = self.config
        in_flight = Signal(range(config.store_latency))
        remain = Signal.like(in_flight)
        occupied = Signal(range(config.psum_depth + 1))
        arrived = delayed(m, self.take_row, config.store_latency - 1, "in_flight_line")
        opens = self.take_row & self.running.first
        room = Signal()
        m.d.comb += [
            remain.eq(in_flight - arrived),
            # occupied < psum_depth in the next cycle.
            room.eq(self.i_freed | (occupied < Mux(opens, config.psum_depth - 1, config.psum_depth))),
        ]
        m.d.sync += [in_flight.eq(remain + self.take_row), occupied.eq(occupied + opens - self.i_freed)]

        def may_follow(command: data.View) -> Value:
            """in_flight < distance in the next cycle, or room."""
            settled = Mux(self.take_row, remain + 1 < command.distance, remain < command.distance)
            return Mux(command.first, room, settled)

        goes_on = self.running_valid & ~self.last_row & may_follow(self.running)
        m.d.sync += self.o_activation_ready.eq(Mux(self.hand_over, may_follow(self.loading), goes_on))

    def _wavefront(self, m: Module) -> None:
        """Requests to PSUM and read-out, each in the cycle in which the row's wavefront is there."""
        config = self.config
        address = Signal.like(self.o_row_address)
        seed = Signal(struct(seed_layout(config)))
        finished = Signal()
        store = delayed(m, Cat(self.take_row, address, self.running.tile_n), config.store_latency, "store_line")
        m.d.comb += [
            # The ring wraps: psum_depth is a power of two.
            address.eq(self.running.base + self.row),
            seed.valid.eq(self.take_row),
            seed.adds.eq(self.take_row & ~self.running.first),
            seed.address.eq(address),
            finished.eq(self.take_row & self.running.last),
            self.o_seed.eq(delayed(m, seed, 1, "seed_line")),
            # Column 0 is always in use.
            self.o_store.eq(Cat(store, store[0])),
            self.o_row_en.eq(finished),
            self.o_row_address.eq(address),
            self.o_row.columns.eq(self.running.tile_n),
            self.o_row.end.eq(self.last_row),
            self.o_row.select.eq(self.running.out_format),
            self.o_row.saturate.eq(self.running.saturate),
            self.o_finished.eq(delayed(m, finished, config.read_latency - 1, "finished_line")),
        ]
