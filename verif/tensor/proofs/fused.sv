// fma(x, w, c) in binary32, to nearest even, of the exact product x * w = (-1)**sign * magnitude * 2**(exponent + LSB):
// the exact sum as an integer, rounded once.
module fused_sum #(parameter MAG = 16, EXP = 10, LSB = -280) (
  input [31:0] c,
  input [MAG-1:0] magnitude,
  input [EXP-1:0] exponent,
  input sign, nan, inf,
  output reg signed [12:0] distance,
  output reg [31:0] result
);
  // Beyond this distance the smaller operand is less than a quarter of the last place of the sum, wherever the sum's
  // leading bit is: any other number as small, of the same sign, rounds alike. So the distance need not grow further.
  localparam signed [12:0] FAR = 52;
  localparam WIDTH = 24 + 52 + 1;

  reg c_nan, c_inf, s;
  reg [23:0] c_sig;
  reg signed [12:0] c_unit, p_unit, near, unit;
  reg signed [WIDTH:0] c_int, p_int, sum;
  reg [WIDTH-1:0] size;
  wire [39:0] code;
  rounded #(.WIDTH(WIDTH)) round (.size(size), .unit(unit), .code(code));
  always @* begin
    // c = c_sig * 2**c_unit, product = magnitude * 2**p_unit.
    c_nan = c[30:23] == 255 && c[22:0] != 0;
    c_inf = c[30:23] == 255 && c[22:0] == 0;
    c_sig = {c[30:23] != 0, c[22:0]};
    c_unit = $signed({5'b0, c[30:23] == 0 ? 8'd1 : c[30:23]}) - 150;
    p_unit = $signed({1'b0, exponent}) + LSB;
    distance = c_unit - p_unit;

    // Both as integers in one unit.
    near = distance > FAR ? FAR : distance < -FAR ? -FAR : distance;
    c_int = c_sig;
    p_int = magnitude;
    if (near >= 0) c_int = c_int <<< near; else p_int = p_int <<< -near;
    if (near >= 0) unit = c_sig == 0 ? p_unit : c_unit - near;
    else unit = magnitude == 0 ? c_unit : p_unit + near;
    sum = (c[31] ? -c_int : c_int) + (sign ? -p_int : p_int);
    s = sum < 0;
    size = s ? -sum : sum;

    if (nan || c_nan || (inf && c_inf && sign != c[31])) result = 32'h7fc00000;
    else if (inf) result = {sign, 31'h7f800000};
    else if (c_inf) result = c;
    else if (sum == 0) result = {c_sig == 0 && magnitude == 0 && c[31] && sign, 31'b0};
    else if (code >= 32'h7f800000) result = {s, 31'h7f800000};
    else result = {s, code[30:0]};
  end
endmodule
