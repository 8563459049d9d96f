// size * 2**unit in a format with MAN mantissa bits, to nearest even. Subnormals are multiples of 2**LSB. The exponent
// field has as many bits as it takes: the caller sees overflow by a code above the largest.
module rounded #(parameter WIDTH = 64, MAN = 23, LSB = -149) (
  input [WIDTH-1:0] size,
  input signed [12:0] unit,
  output reg [39:0] code
);
  reg signed [12:0] ulp, shift;
  reg signed [39:0] field;
  reg [WIDTH+1:0] quotient, rest, half;
  integer i;
  always @* begin
    // The last place: MAN below the leading bit, but not below that of subnormals.
    ulp = LSB;
    for (i = 0; i < WIDTH; i = i + 1) if (size[i]) ulp = unit + (i - MAN);
    if (ulp < LSB) ulp = LSB;
    // Beyond WIDTH the number is less than half of the last place, however far beyond.
    shift = ulp - unit > WIDTH ? WIDTH + 1 : ulp - unit;
    quotient = size;
    quotient = shift >= 0 ? quotient >> shift : quotient << -shift;
    rest = shift > 0 ? size - (quotient << shift) : 0;
    half = shift > 0 ? {{WIDTH+1{1'b0}}, 1'b1} << (shift - 1) : 1;
    if (rest > half || (rest == half && quotient[0])) quotient = quotient + 1;
    // At ulp = 2**LSB the exponent field is 0 or 1, which the quotient's own top bit tells.
    field = ulp - LSB;
    code = quotient + (field << MAN);
  end
endmodule
