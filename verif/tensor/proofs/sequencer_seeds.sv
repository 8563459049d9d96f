// No PSUM row is read as a seed before the row that it adds to is stored.

module proof #(
  parameter COMMAND = 1,      // bits of a command
  parameter ADDRESS = 1,      // of the address of a PSUM row
  parameter COLUMNS = 1,      // of a number of columns
  parameter HAZARD = 1        // cycles from a row taken to its store
) (
  input clk, rst, command_valid, weight_valid, activation_valid, freed,
  input [COMMAND-1:0] command
);
  `include "signals"

  localparam STORE = 1 + ADDRESS + COLUMNS, COUNT = $clog2(HAZARD + 1);
  // Any PSUM row; the rows taken since one that uses it, at most HAZARD; its rows between seed and store.
  (* anyconst *) wire [ADDRESS-1:0] tag;
  reg [COUNT-1:0] since = HAZARD, between = 0;
  wire taken = m_row_taken && address == tag;
  wire seeded = seed[0] && seed[2 +: ADDRESS] == tag;
  wire stored = store[0] && store[1 +: ADDRESS] == tag;
  always @(posedge clk)
    if (rst) begin
      since <= HAZARD;
      between <= 0;
    end else begin
      if (m_row_taken) since <= taken ? 0 : since == HAZARD ? since : since + 1;
      between <= between + seeded - stored;
    end
  // The youngest row of the tag that is on its way to its store, and how many rows follow it.
  reg [HAZARD-1:0] on_way;
  reg found;
  reg [COUNT-1:0] after, older;
  always @* begin
    found = 0;
    after = 0;
    older = 0;
    for (i = 0; i < HAZARD; i = i + 1) begin
      on_way[i] = m_store[i * STORE] && m_store[i * STORE + 1 +: ADDRESS] == tag;
      if (on_way[i]) found = 1;
      if (m_store[i * STORE] && !found) after = after + 1;
      if (i > 0) older = older + on_way[i];
    end
  end
  always @* begin
    // What ``distance`` means.
    assume (!taken || x_first || since + 1 >= x_distance);
    inv_since: assert (since <= HAZARD && (!found || since == after));
    inv_between: assert (between == older);
    inv_same: assert (m_seed[0] == m_store[0] && m_seed[2 +: ADDRESS] == m_store[1 +: ADDRESS]);
    inv_taken: assert (m_store[0] == m_recent[0]);
    for (i = 0; i < HAZARD - 1; i = i + 1) assert (m_recent[i] == m_store[i * STORE]);
    // The memory is read at the end of the seed's cycle and written at the end of the store's.
    seed_after_store: assert (!seeded || !seed[1] || between == 0);
  end
endmodule
