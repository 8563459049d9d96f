
// Pauses and stalls: four streams take eight bits each of a shift register. Every 16 cycles a stream draws whether it
// goes ahead always, or in three, two or one of four cycles.
module tb_pace #(
  parameter [31:0] OTHER = 32'h0
) (
  input aclk,
  output reg [3:0] go
);
  reg [31:0] lfsr = 32'h1 ^ OTHER;
  reg [7:0] pace = 8'h0;
  integer cycle = 0;
  integer seed;
  initial begin
    go = 4'hf;
    if ($value$plusargs("seed=%d", seed)) lfsr = seed != 0 ? seed ^ OTHER : 1;
  end
  integer lane;
  always @(posedge aclk) begin
    cycle <= cycle + 1;
    // x^32 + x^22 + x^2 + x + 1, eight steps; the register is never zero.
    lfsr <= shifted(lfsr);
    if (cycle % 16 == 15) pace <= {lfsr[25:24], lfsr[17:16], lfsr[9:8], lfsr[1:0]};
    for (lane = 0; lane < 4; lane = lane + 1) go[lane] <= lfsr[8 * lane + 4 +: 2] >= pace[2 * lane +: 2];
  end

  function [31:0] shifted(input [31:0] value);
    integer step;
    begin
      shifted = value;
      for (step = 0; step < 8; step = step + 1)
        shifted = {shifted[30:0], shifted[31] ^ shifted[21] ^ shifted[1] ^ shifted[0]};
    end
  endfunction
endmodule
