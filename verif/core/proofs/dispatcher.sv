// Any beat is followed from memory to the queue of its instruction, which has two. Its place among the beats of the
// program is that of its instruction and which half it is.

module proof #(
  parameter QUEUES = 1,       // queues of instructions
  parameter BITS = 1,         // of a number of instructions in one of them
  parameter MOST = 1,         // instructions that one may have
  parameter WIDTH = 1,        // bits of a beat
  parameter ROWS = 1,         // beats in the memory of the queue of beats, which has room for one more
  parameter NUMBER = 1,       // bits of an instruction's number
  parameter PROGRAM = 1,      // of what starts a program
  parameter COUNT = 1,        // the lowest bit in it of how many instructions there are
  parameter WAITS = 1         // the lowest bit in an instruction of what it waits for, 4 for each of the first queues
) (
  input clk, rst, follow, program_valid, ask_ready, beat_valid, last, stopped, quiet,
  input [PROGRAM-1:0] program,
  input [WIDTH-1:0] beat,
  input [QUEUES-1:0] room, completes
);
  localparam DEPTH = ROWS + 1, LINE = $clog2(ROWS + 1), PLACE = LINE + 2;
  wire program_ready, ask_valid, beat_ready, running, illegal;
  wire [QUEUES-1:0] gives;
  wire [2*WIDTH-1:0] code;
  wire [NUMBER-1:0] number_given, next, wanted, coming;
  wire [QUEUES*BITS-1:0] remaining, outstanding;
  // What is inside the device: the queue of beats, and where they become an instruction.
  wire [WIDTH*ROWS-1:0] words;
  wire [LINE-1:0] d_line, d_in, d_out;
  wire [WIDTH-1:0] d_offer;
  wire [2*WIDTH-1:0] d_code;
  wire [NUMBER-1:0] d_left;
  wire [$clog2(DEPTH + 1)-1:0] d_reserved;
  wire d_valid, d_goes, d_count, d_whole;
  `include "device"

  // Beats that were asked for and did not come; that came and are in the queue. The next one's place.
  reg [PLACE-1:0] owed = 0, inside = 0;
  reg [NUMBER-1:0] in_number = 0, total = 0;
  reg half = 0;
  wire started = program_valid && program_ready, asked = ask_valid && ask_ready, came = beat_valid && beat_ready;
  wire [NUMBER:0] in_place = {in_number, half}, gone = in_place - inside;
  // The beat that is followed: in the queue behind so many others, or in the instruction.
  reg followed = 0, queued = 0, f_half = 0;
  reg [NUMBER-1:0] f_number = 0;
  reg [WIDTH-1:0] data = 0;
  reg [PLACE-1:0] ahead = 0;
  wire [PLACE-1:0] place = d_out + ahead - d_valid, row = place >= ROWS ? place - ROWS : place;
  // What was before.
  reg known = 0, was_stopped = 0, was_running = 0, gave = 0, took = 0;
  reg [NUMBER-1:0] was_next = 0;
  always @(posedge clk) begin
    known <= !rst;
    was_stopped <= stopped && !rst;
    was_running <= running;
    was_next <= next;
    gave <= gives != 0;
    took <= started;
    owed <= owed + (asked ? 2 : 0) - came;
    inside <= inside + came - d_goes;
    if (came) {in_number, half} <= in_place + 1;
    if (d_goes && queued && ahead == 0) queued <= 0;
    if (d_goes && ahead != 0) ahead <= ahead - 1;
    if (gives != 0 && followed && !queued) followed <= 0;
    if (came && follow && !followed) begin
      followed <= 1;
      queued <= 1;
      data <= beat;
      f_number <= in_number;
      f_half <= half;
      ahead <= inside - d_goes;
    end
    if (started) begin
      total <= program[COUNT +: NUMBER];
      in_number <= 0;
    end
    if (rst) begin
      owed <= 0;
      inside <= 0;
      in_number <= 0;
      total <= 0;
      half <= 0;
      followed <= 0;
      queued <= 0;
    end
  end

  // Instructions that each queue was given and has not completed.
  wire [QUEUES-1:0] empty, counted, right;
  genvar queue;
  generate
    for (queue = 0; queue < QUEUES; queue = queue + 1) begin : given
      reg [BITS-1:0] count = 0;
      always @(posedge clk) count <= rst ? 0 : count + gives[queue] - completes[queue];
      always @* begin
        assume (!completes[queue] || count != 0);
        assume (!room[queue] || count < MOST);
      end
      assign empty[queue] = count == 0;
      assign counted[queue] = outstanding[queue*BITS +: BITS] == count && count <= MOST;
      // How far back in that queue the instruction lies that it waits for: complete with that one.
      wire [3:0] back = code[WAITS + 4*queue +: 4];
      assign right[queue] = remaining[queue*BITS +: BITS]
        == (back == 0 || back > count ? 0 : count - back + 1 - completes[queue]);
    end
  endgenerate

  always @* begin
    // Memory gives what it was asked for, and says which beats are the last.
    assume (!beat_valid || owed != 0);
    assume (last == half);
    // Who stops it does so for good.
    assume (!was_stopped || stopped);
    inv_reserved: assert (d_reserved == owed + inside && owed <= DEPTH && inside <= DEPTH && d_reserved <= DEPTH);
    inv_half: assert (owed[0] == half);
    inv_line: assert (inside == d_line + d_valid && d_line <= ROWS && d_in < ROWS && d_out < ROWS);
    inv_ring: assert (d_in == (d_out + d_line) % ROWS);
    inv_word: assert (!queued || (d_valid && ahead == 0) || words[row*WIDTH +: WIDTH] == data);
    inv_offer: assert (!queued || ahead != 0 || !d_valid || d_offer == data);
    inv_gone: assert (gone == {next, 1'b0} + d_count + {d_whole, 1'b0} && !(d_whole && d_count));
    inv_numbers: assert (coming == in_number && {wanted, 1'b0} == in_place + owed && d_left + wanted == total);
    inv_bounds: assert (next <= in_number && gone <= in_place && in_place <= {wanted, 1'b0} && wanted <= total);
    inv_place: assert (!queued || (followed && ahead < inside && {f_number, f_half} == gone + ahead));
    inv_code: assert (!followed || queued || (f_number == next && (d_whole || f_half < d_count)
      && d_code[f_half*WIDTH +: WIDTH] == data));
    inv_idle: assert (running || was_stopped || (d_left == 0 && d_reserved == 0 && !d_whole && !d_count));
    inv_counted: assert (&counted);
    // The instruction of a number is made of that number's beats, and is given once, after all before it.
    in_order: assert (gives == 0 || !followed || f_number != number_given
      || (!queued && code[f_half*WIDTH +: WIDTH] == data));
    none_passed: assert (!followed || gives == 0 || number_given <= f_number);
    once: assert (!known || next == (took ? 0 : was_next + gave));
    numbered: assert (gives == 0 || (number_given == next && next < total));
    to_one: assert ((gives & (gives - 1)) == 0 && (gives & ~room) == 0);
    never_then: assert (gives == 0 || !(illegal || stopped || !running));
    all_given: assert (!known || !was_running || running || was_stopped || (next == total && &empty));
    waits: assert (gives == 0 || &right);
  end
endmodule
