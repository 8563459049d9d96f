// size * 2**unit in binary32, to nearest even. The caller sees overflow by a code of infinity or above.
module nearest #(parameter WIDTH = 27) (input [WIDTH-1:0] size, input signed [12:0] unit, output reg [39:0] code);
  reg signed [12:0] last, shift;
  reg [39:0] field;
  reg [WIDTH+1:0] kept, rest, half;
  integer i;
  always @* begin
    // The exponent of the last place: 23 below the leading bit, but not below that of subnormal numbers.
    last = -149;
    for (i = 0; i < WIDTH; i = i + 1) if (size[i] && unit + i - 23 > -149) last = unit + i - 23;
    // Beyond WIDTH the number is less than half of the last place, however far beyond.
    shift = last - unit > WIDTH ? WIDTH + 1 : last - unit;
    kept = shift >= 0 ? {2'b0, size} >> shift : {2'b0, size} << -shift;
    rest = shift > 0 ? {2'b0, size} - (kept << shift) : 0;
    half = shift > 0 ? {{WIDTH+1{1'b0}}, 1'b1} << (shift - 1) : 1;
    if (rest > half || (rest == half && kept[0])) kept = kept + 1;
    // In the lowest binade the exponent field is 0 or 1, which is the hidden bit itself.
    field = last + 149;
    code = kept + (field << 23);
  end
endmodule
