// Passes as docs/architecture.md tells them: a queue of commands from which weights, then activations are served in
// order. `pushed`, `w_pass` and `x_pass` number the next command, the pass that takes weights, the pass that takes rows.
module passes #(
  parameter COMMAND = 25, K = 2, M = 5, TILE_M = 0, TILE_K = 5, FIRST = 16, DISTANCE = 13, DISTANCE_BITS = 3,
  DEPTH = 16, HAZARD = 4, TOGETHER = 1
) (
  input clk, rst, command_valid, weight_valid, activation_valid, freed,
  input [COMMAND-1:0] command,
  output command_ready, weight_ready, activation_ready,
  output command_taken, weight_taken, row_taken, last_row,
  output executing, loading, wait_weights,
  output [1:0] outstanding, ahead,
  output [COMMAND-1:0] w_command, x_command, load_command,
  output reg [HAZARD-2:0] recent,
  output reg [K-1:0] w_row,
  output reg [M-1:0] x_row,
  output reg [M-1:0] occupied
);
  reg [COMMAND-1:0] queue [0:3];
  reg [1:0] pushed, w_pass, x_pass;
  assign w_command = queue[w_pass];
  assign x_command = queue[x_pass];
  assign outstanding = pushed - x_pass;
  assign ahead = w_pass - x_pass;

  // A pass executes once its weights are complete; the next pass' weights wait for its first row, which swaps planes.
  assign executing = x_pass != w_pass;
  wire [1:0] loader = x_pass + executing;
  assign load_command = queue[loader];
  assign loading = pushed != loader;
  assign wait_weights = w_pass == loader && loading;
  assign weight_ready = wait_weights && (!executing || x_row != 0 || row_taken);
  assign weight_taken = weight_valid && weight_ready;
  // `w_row` counts beats of TOGETHER weight rows.
  wire last_weight = weight_taken && (w_row + 1) * TOGETHER >= w_command[TILE_K +: K];

  integer i;
  reg [DISTANCE_BITS-1:0] in_flight;
  always @* begin
    in_flight = 0;
    for (i = 0; i < HAZARD - 1; i = i + 1) in_flight = in_flight + recent[i];
  end
  wire first = x_command[FIRST];
  assign activation_ready =
    executing && (first ? occupied < DEPTH : in_flight < x_command[DISTANCE +: DISTANCE_BITS]);
  assign row_taken = activation_valid && activation_ready;
  assign last_row = row_taken && x_row + 1 == x_command[TILE_M +: M];

  // The loader is free for a command, or hands one over in this cycle.
  assign command_ready = !loading || ((!wait_weights || last_weight) && (!executing || last_row));
  assign command_taken = command_valid && command_ready;

  initial {pushed, w_pass, x_pass, w_row, x_row, occupied, recent} = 0;
  always @(posedge clk)
    if (rst) {pushed, w_pass, x_pass, w_row, x_row, occupied, recent} <= 0;
    else begin
      if (command_taken) begin
        queue[pushed] <= command;
        pushed <= pushed + 1;
      end
      if (weight_taken) w_row <= last_weight ? 0 : w_row + 1;
      if (last_weight) w_pass <= w_pass + 1;
      if (row_taken) x_row <= last_row ? 0 : x_row + 1;
      if (last_row) x_pass <= x_pass + 1;
      recent <= {recent, row_taken};
      occupied <= occupied + (row_taken && first) - freed;
    end
endmodule
