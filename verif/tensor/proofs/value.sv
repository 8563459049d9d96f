// What a code stands for: a sign, an integer magnitude in units of 2**UNIT, or NaN or Inf. Nothing is rounded.
module code_value #(
  parameter EXP = 4, MAN = 3, BIAS = 7, HAS_INF = 0, UNIT = -9, WIDTH = 18
) (
  input [EXP+MAN:0] code,
  output sign, nan, inf,
  output [MAN:0] significand,
  output [WIDTH-1:0] magnitude
);
  wire [EXP-1:0] e = code[MAN +: EXP];
  wire [MAN-1:0] f = code[0 +: MAN];
  wire top = e == {EXP{1'b1}};
  assign sign = code[EXP+MAN];
  assign nan = top && (HAS_INF ? f != 0 : f == {MAN{1'b1}});
  assign inf = HAS_INF && top && f == 0;
  // (f + 2**MAN if normal) * 2**(max(e, 1) - BIAS - MAN)
  assign significand = nan || inf ? 0 : e == 0 ? {1'b0, f} : {1'b1, f};
  wire [31:0] exponent = (e == 0 ? 1 : e) - BIAS - MAN - UNIT;
  wire [WIDTH-1:0] wide = significand;
  assign magnitude = wide << exponent;
endmodule
