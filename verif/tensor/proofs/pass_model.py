"""The sequencer beside the model of passes (passes.sv), and what relates the two in every state that occurs."""

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from verif.tensor.proofs.arithmetic import split_fields

__all__ = ["PEEKS", "signals"]

#: Registers of the sequencer.
PEEKS = {
    f"d_{name}": f"dut.{name}"
    for name in (
        "loading",
        "loading_valid",
        "loaded",
        "running",
        "running_valid",
        "swapped",
        "row",
        "row_is_last",
        "full",
        "beat_is_last",
        "occupied",
        "in_flight",
        "in_flight_line",
        "o_activation_ready",
        "finished_line",
        "store_line",
    )
}
#: What relates them to the model of passes in every state that occurs.
_INVARIANT = """
  integer i;
  reg [7:0] m_count;
  always @* begin
    m_count = 0;
    for (i = 0; i < $bits(m_recent); i = i + 1) m_count = m_count + m_recent[i];
  end
  always @* begin
    inv_run: assert (d_running_valid == m_executing);
    inv_run_command: assert (!m_executing || (d_running == x_command && d_row == x_row && d_swapped == (x_row != 0)));
    inv_row: assert (m_executing || x_row == 0);
    inv_last: assert (!m_executing || d_row_is_last == (x_row + 1 == x_tile_m));
    inv_load: assert (d_loading_valid == m_loading);
    inv_load_command: assert (!m_loading || d_loading == m_load_command);
    inv_loaded: assert (!m_loading || d_loaded == (m_wait_weights ? w_row : l_beats));
    inv_full: assert (!m_loading || d_full == !m_wait_weights);
    inv_last_beat: assert (!m_loading || !m_wait_weights || d_beat_is_last == (w_row + 1 == l_beats));
    inv_w_row: assert (m_wait_weights ? w_row < l_beats : w_row == 0);
    inv_outstanding: assert (m_outstanding <= 1 + m_executing && m_ahead <= m_outstanding);
    inv_shadow: assert (!m_loading || !m_executing || m_wait_weights || x_row != 0);
    inv_occupied: assert (d_occupied == occupied);
    inv_open: assert (d_o_activation_ready == m_activation_ready);
    inv_recent: assert (d_in_flight_line == m_recent && d_in_flight == m_count);
    inv_finished: assert (d_finished_line == m_finished);
    for (i = 0; i < LATENCY; i = i + 1)
      assert (d_store_line[i * WIDTH] == m_store[i * WIDTH] && (!m_store[i * WIDTH]
        || d_store_line[i * WIDTH +: WIDTH] == m_store[i * WIDTH +: WIDTH]));
    seed_request: assert (seed[0] == m_seed[0] && (!seed[0] || seed == m_seed));
    inv_legal: assert (!m_executing || (x_row < x_tile_m));
    inv_legal_load: assert (!m_loading || (l_tile_k != 0 && l_tile_m != 0));
  end
"""


def signals(config: EngineConfig, freed: str = "assume") -> str:
    """The sequencer beside the model of passes; every command is legal.

    ``freed``: that no row is freed where none is held is an assumption, or proved as well.
    """
    command = command_layout(config)
    together = config.rows_per_load_cycle
    beats = "l_tile_k" if together == 1 else f"(l_tile_k + {together - 1}) / {together}"
    return f"""
{_sequencer(config)}
{_observed(config)}
{_model(config)}
{split_fields("c", "command", command)}
{split_fields("w", "w_command", command)}
{split_fields("x", "x_command", command)}
{split_fields("l", "m_load_command", command)}
  wire [{config.address_bits - 1}:0] address = x_base + x_row;
  wire [{command.fields["tile_k"] - 1}:0] l_beats = {beats};
{_INVARIANT}
  always @* begin
    assume (c_tile_m >= 1 && c_tile_m <= {config.psum_depth});
    assume (c_tile_k >= 1 && c_tile_k <= {config.rows});
    assume (c_tile_n >= 1 && c_tile_n <= {config.cols});
    assume (c_distance >= 1 && c_distance <= {config.store_latency});
    {freed} (!freed || occupied != 0);
    inv_depth: assert (occupied <= {config.psum_depth});
  end
"""


def _store_bits(config: EngineConfig) -> int:
    """A request to store, and in how many columns."""
    return 1 + config.address_bits + config.cols.bit_length()


def _sequencer(config: EngineConfig) -> str:
    """The device and its outputs."""
    address, columns, tile_k = config.address_bits, config.cols.bit_length(), command_layout(config).fields["tile_k"]
    return f"""\
  localparam LATENCY = {config.store_latency}, WIDTH = {_store_bits(config)};
  wire command_ready, weight_ready, activation_ready, weight_en, activation_en, swap, row_en, finished;
  wire [1:0] weight_format, activation_format;
  wire [{config.load_cycles(config.rows) - 1}:0] load;
  wire [{tile_k - 1}:0] tile_k;
  wire [{address + 1}:0] seed;
  wire [{address + columns + 1}:0] store;
  wire [{address - 1}:0] row_address;
  wire [{columns + 3}:0] row;
  sequencer dut (
    .clk(clk), .rst(rst), .i_command__payload(command), .i_command__valid(command_valid),
    .i_command__ready(command_ready), .i_weight_valid(weight_valid), .o_weight_ready(weight_ready),
    .i_activation_valid(activation_valid), .o_activation_ready(activation_ready), .o_weight_en(weight_en),
    .o_weight_format(weight_format), .o_load(load), .o_activation_en(activation_en),
    .o_activation_format(activation_format), .o_swap(swap), .o_tile_k(tile_k), .o_seed(seed), .o_store(store),
    .o_row_en(row_en), .o_row_address(row_address), .o_row(row), .o_finished(finished), .i_freed(freed));"""


def _observed(config: EngineConfig) -> str:
    """What the model says, what is seen inside the device, and what was taken in the last cycles."""
    command = command_layout(config)
    bits, address, store = command.fields, config.address_bits, _store_bits(config)
    lines = store * config.store_latency
    return f"""\
  wire m_command_ready, m_weight_ready, m_activation_ready, m_command_taken, m_weight_taken, m_row_taken, m_last_row;
  wire m_executing, m_loading, m_wait_weights;
  wire [1:0] m_outstanding, m_ahead;
  wire [{config.store_latency - 2}:0] m_recent;
  wire [{command.width - 1}:0] w_command, x_command, m_load_command;
  wire [{command.width - 1}:0] d_loading, d_running;
  wire d_loading_valid, d_running_valid, d_swapped, d_row_is_last, d_full, d_beat_is_last;
  wire [{config.load_cycles(config.rows).bit_length() - 1}:0] d_loaded;
  wire [{bits["tile_m"] - 1}:0] d_row, d_occupied;
  wire [{config.read_latency - 2}:0] d_finished_line;
  wire [{lines - 1}:0] d_store_line;
  // Three passes have ended.
  reg [1:0] ended_passes = 0;
  always @(posedge clk) ended_passes <= rst ? 0 : ended_passes + (m_last_row && ended_passes != 3);
  (* keep *) wire reached = ended_passes == 3;
  // What was taken in the last cycles, the last lowest; zero in a cycle in which no row was.
  reg [{config.read_latency - 2}:0] m_finished = 0;
  reg [{lines - 1}:0] m_store = 0;
  reg [{address + 1}:0] m_seed = 0;
  always @(posedge clk) begin
    m_finished <= rst ? 0 : {{m_finished, m_row_taken && x_last}};
    m_store <= rst ? 0 : {{m_store, m_row_taken ? {{x_tile_n, address, 1'b1}} : {store}'b0}};
    m_seed <= rst || !m_row_taken ? 0 : {{address, !x_first, 1'b1}};
  end
  wire [{(config.store_latency - 1).bit_length() - 1}:0] d_in_flight;
  wire [{config.store_latency - 2}:0] d_in_flight_line;
  wire [{bits["tile_k"] - 1}:0] w_row;
  wire [{bits["tile_m"] - 1}:0] x_row, occupied;"""


def _model(config: EngineConfig) -> str:
    """The model of passes."""
    command = command_layout(config)
    at, bits = command.offset, command.fields
    return f"""\
  passes #(
    .COMMAND({command.width}), .K({bits["tile_k"]}), .M({bits["tile_m"]}), .TILE_M({at("tile_m")}),
    .TILE_K({at("tile_k")}), .FIRST({at("first")}), .DISTANCE({at("distance")}), .DISTANCE_BITS({bits["distance"]}),
    .DEPTH({config.psum_depth}), .HAZARD({config.store_latency}),
    .TOGETHER({config.rows_per_load_cycle})) model (
    .clk(clk), .rst(rst), .command_valid(command_valid), .weight_valid(weight_valid),
    .activation_valid(activation_valid), .freed(freed), .command(command), .command_ready(m_command_ready),
    .weight_ready(m_weight_ready), .activation_ready(m_activation_ready), .command_taken(m_command_taken),
    .weight_taken(m_weight_taken), .row_taken(m_row_taken), .last_row(m_last_row), .executing(m_executing),
    .loading(m_loading), .load_command(m_load_command), .wait_weights(m_wait_weights), .recent(m_recent),
    .outstanding(m_outstanding), .ahead(m_ahead), .w_command(w_command), .x_command(x_command), .w_row(w_row),
    .x_row(x_row), .occupied(occupied));"""
