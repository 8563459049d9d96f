// Any instruction is followed from where it is given: how many are before it, and what it still waits for.

module proof #(
  parameter DEPTH = 1,        // instructions that wait
  parameter QUEUES = 1,       // queues that an instruction may wait for
  parameter CODE = 1,         // bits of an instruction
  parameter NUMBER = 1,       // of its number in the program
  parameter BITS = 1          // of a number of instructions that it waits for
) (
  input clk, rst, follow, give, take,
  input [CODE-1:0] given,
  input [NUMBER-1:0] given_number,
  input [QUEUES*BITS-1:0] remaining,
  input [QUEUES-1:0] completes
);
  localparam LEVEL = $clog2(DEPTH + 1);
  wire [LEVEL-1:0] level;
  wire start;
  wire [CODE-1:0] instruction;
  wire [NUMBER-1:0] number_taken;
  // The engine takes what may start and nothing else.
  wire takes = take && start;
  // The device, and what it holds: entries, and what each waits for, queue after queue.
  wire [DEPTH*(NUMBER+CODE)-1:0] entries;
  wire [QUEUES*DEPTH*BITS-1:0] waits;
  `include "device"

  reg [LEVEL-1:0] inside = 0, ahead = 0;
  reg followed = 0, left = 0;
  reg [CODE-1:0] data = 0;
  reg [NUMBER-1:0] number = 0, was = 0;
  wire follow_now = give && follow && !followed;
  always @(posedge clk) begin
    inside <= inside + give - takes;
    ahead <= ahead - (takes && ahead != 0);
    left <= followed && ahead == 0 && takes && !rst;
    was <= number;
    if (takes && ahead == 0) followed <= 0;
    if (follow_now) begin
      followed <= 1;
      data <= given;
      number <= given_number;
      ahead <= inside - takes;
    end
    if (rst) begin
      inside <= 0;
      followed <= 0;
    end
  end

  // What it waits for of each queue, and whether the device says the same.
  wire [QUEUES-1:0] due, same;
  genvar queue;
  generate
    for (queue = 0; queue < QUEUES; queue = queue + 1) begin : waiting
      reg [BITS-1:0] need = 0;
      always @(posedge clk)
        if (follow_now) need <= remaining[queue*BITS +: BITS];
        else if (need != 0 && completes[queue]) need <= need - 1;
      assign due[queue] = need != 0;
      assign same[queue] = waits[(queue*DEPTH + ahead)*BITS +: BITS] == need;
    end
  endgenerate

  always @* begin
    assume (!give || inside < DEPTH);
    counted: assert (level == inside && inside <= DEPTH);
    inv_ahead: assert (!followed || ahead < inside);
    inv_entry: assert (!followed || entries[ahead*(NUMBER+CODE) +: NUMBER+CODE] == {number, data});
    inv_waits: assert (!followed || &same);
    in_order: assert (!followed || ahead != 0 || instruction == data);
    not_early: assert (!followed || ahead != 0 || !start || !(|due));
    not_late: assert (!followed || ahead != 0 || start || |due);
    named: assert (!left || number_taken == was);
  end
endmodule
