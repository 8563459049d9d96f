// No PSUM row is given to a tile before all columns read it out, or read out of a column before its store. The
// read-out stands beside the sequencer.

// In the place of the read-out's own: rounding is not the question here.
module rounder #(
  parameter PSUM = 1
) (
  input clk, rst, i_en, i_saturate, input [1:0] i_select, input [PSUM-1:0] i_psum, output [31:0] o_code
);
  assign o_code = 0;
endmodule

module proof #(
  parameter COMMAND = 1,      // bits of a command
  parameter PSUM = 1,         // of a partial sum
  parameter RESULT = 1,       // of a result row
  parameter DEPTH = 1,        // PSUM rows
  parameter COLS = 1,         // columns
  parameter STORED = 1,       // cycles from a row taken to its store in column 0
  parameter DUE = 1,          // cycles from the last row of a tile taken to the read-out that may read it
  parameter STAGES = 1        // of the read-out behind the memory
) (
  input clk, rst, command_valid, weight_valid, activation_valid, ready,
  input [COMMAND-1:0] command
);
  localparam ADDRESS = $clog2(DEPTH), COUNT = $clog2(DEPTH + 1), AGE = $clog2(DUE + 1);
  wire advance, freed, valid;
  wire [ADDRESS-1:0] read_address;
  `include "signals"

  wire [RESULT-1:0] payload;
  readout readout (
    .clk(clk), .rst(rst), .i_row_en(row_en), .i_row_address(row_address), .i_row(row), .i_finished(finished),
    .o_advance(advance), .o_read_address(read_address), .o_freed(freed), .i_psums({(PSUM * COLS){1'b0}}),
    .o__valid(valid), .o__ready(ready), .o__payload(payload));
  // Registers of the read-out.
  wire [COUNT-1:0] r_rows_ready;
  wire [STAGES-1:0] r_stages;
  wire r_row_waits;
  wire read_en = advance && r_row_waits;

  // Tiles take rows in ring order and finish in ring order: `handed` and `ended` are the next row of either kind.
  reg [ADDRESS-1:0] handed = 0, ended = 0;
  reg [COUNT-1:0] open = 0;
  // The row that the last column reads next.
  reg [ADDRESS-1:0] leaves = 0;
  // Any PSUM row: in use, its tile finished, and the cycles since (at most DUE).
  (* anyconst *) wire [ADDRESS-1:0] tag;
  reg held = 0, done = 0;
  reg [AGE-1:0] age = 0;
  reg [STAGES:0] leaving = 0;
  wire taken = m_row_taken && address == tag;
  wire last_reads = COLS > 1 ? leaving[COLS > 1 ? COLS - 2 : 0] : r_row_waits;
  wire read = read_en && read_address == tag;
  wire tag_freed = freed && leaves == tag;
  wire first_row = m_row_taken && x_first;
  wire final_row = m_row_taken && x_last;
  always @(posedge clk)
    if (rst) {handed, ended, open, leaves, held, done, age, leaving} <= 0;
    else begin
      handed <= handed + first_row;
      ended <= ended + final_row;
      open <= open + first_row - final_row;
      leaves <= leaves + freed;
      held <= (held && !tag_freed) || (taken && x_first);
      done <= (done && !tag_freed) || (taken && x_last);
      age <= taken && x_last ? 1 : age == DUE ? age : age + 1;
      if (!valid || ready) leaving <= {leaving, read_en};
    end
  // A row is read out.
  (* keep *) wire out = valid && ready;
  wire [ADDRESS-1:0] offset = tag - leaves;
  // Rows that column 0 has read and the last column has not; rows whose tile has ended and is not finished yet, and
  // those of them that ended before the tag's.
  reg [COUNT-1:0] between, ending, before;
  always @* begin
    between = 0;
    for (i = 0; i < COLS - 1; i = i + 1) between = between + r_stages[i];
    ending = 0;
    before = 0;
    for (i = 0; i < DUE - 1; i = i + 1) begin
      ending = ending + m_finished[i];
      if (i >= age) before = before + m_finished[i];
    end
  end
  wire [COUNT:0] unread = r_rows_ready + between;
  always @* begin
    assume (!first_row || address == handed);
    assume (!final_row || address == ended);
    assume (!final_row || x_first || open != 0);
    inv_read: assert (read_address == (leaves + between) % DEPTH);
    inv_used: assert (occupied == 8'd0 + open + ending + unread && occupied <= DEPTH);
    inv_handed: assert ((ended + open - handed) % DEPTH == 0);
    inv_ended: assert ((read_address + ending + r_rows_ready - ended) % DEPTH == 0);
    inv_held: assert (held == (offset < occupied));
    inv_done: assert (done == (offset < ending + unread));
    inv_ending: assert (!done || age == 0 || age >= DUE || (m_finished[age - 1] && offset == unread + before));
    inv_ready: assert (!done || age < DUE || offset < unread);
    inv_waits: assert (r_row_waits == (r_rows_ready != 0));
    inv_age: assert (age <= DUE && (!done || age != 0));
    row_is_free: assert (!taken || !x_first || !held);
    // Reads go east no faster than stores.
    read_after_store: assert (!read || (held && done && age >= STORED + 1));
    last_column: assert (freed == (advance && last_reads));
    row_leaves_once: assert ({valid, r_stages} == leaving);
  end
endmodule
