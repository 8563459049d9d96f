// What the sequencer gives in every cycle, beside the model of passes (passes.sv).

module proof #(
  parameter COMMAND = 1,      // bits of a command
  parameter ADDRESS = 1,      // of the address of a PSUM row
  parameter COLUMNS = 1,      // of a number of columns
  parameter STORED = 1,       // cycles from a row taken to its store
  parameter FINISHED = 1      // cycles from the last row of a tile taken to the report that it is finished
) (
  input clk, rst, command_valid, weight_valid, activation_valid, freed,
  input [COMMAND-1:0] command
);
  `include "signals"

  // A store: valid, the row, and columns in use.
  localparam STORE = 1 + ADDRESS + COLUMNS;
  wire [STORE-1:0] due = m_store[STORE * (STORED - 1) +: STORE];
  always @* begin
    ready: assert ({command_ready, weight_ready, activation_ready}
      == {m_command_ready, m_weight_ready, m_activation_ready});
    taken: assert ({weight_en, activation_en} == {m_weight_taken, m_row_taken});
    weights: assert (load == (m_weight_taken << w_row));
    format_of_pass: assert (!m_weight_taken || weight_format == w_w_format);
    row_of_pass: assert (!m_row_taken || (activation_format == x_x_format && swap == (x_row == 0)
      && tile_k == x_tile_k && row_address == address));
    read_out: assert (row_en == (m_row_taken && x_last));
    read_out_row: assert (!row_en || row == {x_saturate, x_out_format, m_last_row, x_tile_n});
    finished_later: assert (finished == m_finished[FINISHED - 1]);
    store_request: assert (store[0] == due[0] && (!store[0] || store[STORE-1:0] == due));
    store_column_0: assert (store[STORE] == store[0]);
  end
endmodule
