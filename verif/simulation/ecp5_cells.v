// What the cells of an ECP5 do that hw/fpga/ecp5.py spells out. Only for simulation.

// Two bits of a carry chain, each propagating LUT4(A, B, C, D) and generating LUT2(A, B), the table
// at C = D = 0.
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

// A hard multiplier of unsigned numbers with a register behind it that is reset in step with the clock. Others of its
// modes are not described.
module MULT18X18D #(
  parameter REG_INPUTA_CLK = "CLK0", parameter REG_INPUTB_CLK = "CLK0", parameter REG_OUTPUT_CLK = "NONE",
  parameter REG_OUTPUT_CE = "CE0", parameter REG_OUTPUT_RST = "RST0", parameter RESETMODE = "SYNC",
  parameter GSR = "ENABLED"
) (
  input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
  input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
  input SIGNEDA, input SIGNEDB, input SOURCEA, input SOURCEB, input CLK0, input CE0, input RST0,
  output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
  output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
  wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  reg [35:0] product;
  always @(posedge CLK0) product <= RST0 ? 0 : CE0 ? a * b : product;
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
          P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = product;
  initial
    if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_OUTPUT_CLK != "CLK0" || REG_OUTPUT_CE != "CE0" ||
        REG_OUTPUT_RST != "RST0" || RESETMODE != "SYNC" || GSR != "DISABLED") begin
      $display("MULT18X18D: a mode that verif/simulation/ecp5_cells.v does not describe");
      $fatal;
    end
endmodule

// A buffer before a global net.
module DCCA(input CLKI, input CE, output CLKO);
  assign CLKO = CLKI & CE;
endmodule
