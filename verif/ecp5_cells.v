// What a carry cell of an ECP5 does: two bits, each propagating LUT4(A, B, C, D) and generating LUT2(A, B), the table
// at C = D = 0. Only for simulation.
module CCU2C #(
  parameter [15:0] INIT0 = 16'h0000, parameter [15:0] INIT1 = 16'h0000,
  parameter INJECT1_0 = "NO", parameter INJECT1_1 = "NO"
) (
  input CIN, input A0, input B0, input C0, input D0, input A1, input B1, input C1, input D1,
  output S0, output S1, output COUT
);
  wire propagate_0 = INIT0[{D0, C0, B0, A0}], generate_0 = INIT0[{2'b00, B0, A0}];
  wire propagate_1 = INIT1[{D1, C1, B1, A1}], generate_1 = INIT1[{2'b00, B1, A1}];
  wire carry = propagate_0 ? CIN : generate_0;
  assign S0 = propagate_0 ^ CIN;
  assign S1 = propagate_1 ^ carry;
  assign COUT = propagate_1 ? carry : generate_1;
endmodule
