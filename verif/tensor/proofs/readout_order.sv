// Every row leaves as it was ordered to, however many have left before it: `last` and the columns in use are those noted
// when it was taken.

// In the place of the read-out's own: rounding is not the question here.
module rounder #(
  parameter PSUM = 1
) (
  input clk, rst, i_en, i_saturate, input [1:0] i_select, input [PSUM-1:0] i_psum, output [31:0] o_code
);
  assign o_code = 0;
endmodule

module proof #(
  parameter PSUM = 1,         // bits of a partial sum
  parameter RESULT = 1,       // of a result row, `last` highest
  parameter ORDER = 1,        // of an order: the columns in use, then whether the row ends its tile
  parameter COLUMNS = 1,      // of the columns in use
  parameter DEPTH = 1,        // PSUM rows
  parameter COLS = 1,         // columns
  parameter PIPE = 1          // stages from the word read to the code of column 0
) (
  input clk, rst, row_en, finished, ready, input [$clog2(DEPTH)-1:0] row_address, input [ORDER-1:0] row
);
  // Rows are on their way in so many stages; then comes the result port.
  localparam ADDRESS = $clog2(DEPTH), STAGES = PIPE + COLS;
  wire advance, valid;
  wire [ADDRESS-1:0] read_address;
  wire [RESULT-1:0] payload;
  readout readout (
    .clk(clk), .rst(rst), .i_row_en(row_en), .i_row_address(row_address), .i_row(row), .i_finished(finished),
    .o_advance(advance), .o_read_address(read_address), .o_freed(), .i_psums({(PSUM * COLS){1'b0}}),
    .o__valid(valid), .o__ready(ready), .o__payload(payload));
  // Registers of the read-out: `memory` of orders, `rows` behind it, `in_use` of each column.
  wire r_row_waits;
  wire [STAGES-1:0] r_stages;
  wire [ORDER-1:0] r_data;
  `include "registers"

  // Any PSUM row: the order noted last, and in each stage whether its order is there, and which.
  (* anyconst *) wire [ADDRESS-1:0] tag;
  reg [ORDER-1:0] word = 0;
  reg [STAGES:0] there = 0;
  reg [(STAGES+1)*ORDER-1:0] want = 0;
  always @(posedge clk) begin
    if (row_en && row_address == tag) word <= row;
    if (rst) there <= 0;
    else if (advance) there <= {there, r_row_waits && read_address == tag};
    if (advance) want <= {want, word};
  end
  (* keep *) wire reached = valid && there[STAGES] && payload[RESULT-1];
  integer i;
  always @* begin
    inv_memory: assert (memory[tag * ORDER +: ORDER] == word);
    inv_stages: assert ((there & ~{valid, r_stages}) == 0);
    inv_data: assert (!there[0] || r_data == want[0 +: ORDER]);
    for (i = 1; i < STAGES; i = i + 1)
      assert (!there[i] || rows[(i - 1) * ORDER +: ORDER] == want[i * ORDER +: ORDER]);
    for (i = 0; i < COLS; i = i + 1)
      assert (!there[PIPE + i] || in_use[i] == (want[(PIPE + i) * ORDER +: COLUMNS] > i));
    last_as_ordered: assert (!there[STAGES] || payload[RESULT-1] == want[STAGES * ORDER + COLUMNS]);
  end
endmodule
