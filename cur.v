module grid(i_weights, i_psums, clk, rst, o_psums, i_beats);
  wire [191:0] _0_;
  input clk;
  wire clk;
  input [255:0] i_beats;
  wire [255:0] i_beats;
  input [1295:0] i_psums;
  wire [1295:0] i_psums;
  input [191:0] i_weights;
  wire [191:0] i_weights;
  output [1295:0] o_psums;
  wire [1295:0] o_psums;
  wire [1295:0] row_0__o_psums;
  wire [191:0] row_0__o_weights;
  wire [1295:0] row_10__o_psums;
  wire [191:0] row_10__o_weights;
  wire [1295:0] row_11__o_psums;
  wire [191:0] row_11__o_weights;
  wire [1295:0] row_12__o_psums;
  wire [191:0] row_12__o_weights;
  wire [1295:0] row_13__o_psums;
  wire [191:0] row_13__o_weights;
  wire [1295:0] row_14__o_psums;
  wire [191:0] row_14__o_weights;
  wire [1295:0] row_1__o_psums;
  wire [191:0] row_1__o_weights;
  wire [1295:0] row_2__o_psums;
  wire [191:0] row_2__o_weights;
  wire [1295:0] row_3__o_psums;
  wire [191:0] row_3__o_weights;
  wire [1295:0] row_4__o_psums;
  wire [191:0] row_4__o_weights;
  wire [1295:0] row_5__o_psums;
  wire [191:0] row_5__o_weights;
  wire [1295:0] row_6__o_psums;
  wire [191:0] row_6__o_weights;
  wire [1295:0] row_7__o_psums;
  wire [191:0] row_7__o_weights;
  wire [1295:0] row_8__o_psums;
  wire [191:0] row_8__o_weights;
  wire [1295:0] row_9__o_psums;
  wire [191:0] row_9__o_weights;
  input rst;
  wire rst;
  row row_0 (
    .clk(clk),
    .i_beat(i_beats[15:0]),
    .i_psums(i_psums),
    .i_weights(i_weights),
    .o_psums(row_0__o_psums),
    .o_weights(row_0__o_weights),
    .rst(rst)
  );
  row row_1 (
    .clk(clk),
    .i_beat(i_beats[31:16]),
    .i_psums(row_0__o_psums),
    .i_weights(row_0__o_weights),
    .o_psums(row_1__o_psums),
    .o_weights(row_1__o_weights),
    .rst(rst)
  );
  row row_10 (
    .clk(clk),
    .i_beat(i_beats[175:160]),
    .i_psums(row_9__o_psums),
    .i_weights(row_9__o_weights),
    .o_psums(row_10__o_psums),
    .o_weights(row_10__o_weights),
    .rst(rst)
  );
  row row_11 (
    .clk(clk),
    .i_beat(i_beats[191:176]),
    .i_psums(row_10__o_psums),
    .i_weights(row_10__o_weights),
    .o_psums(row_11__o_psums),
    .o_weights(row_11__o_weights),
    .rst(rst)
  );
  row row_12 (
    .clk(clk),
    .i_beat(i_beats[207:192]),
    .i_psums(row_11__o_psums),
    .i_weights(row_11__o_weights),
    .o_psums(row_12__o_psums),
    .o_weights(row_12__o_weights),
    .rst(rst)
  );
  row row_13 (
    .clk(clk),
    .i_beat(i_beats[223:208]),
    .i_psums(row_12__o_psums),
    .i_weights(row_12__o_weights),
    .o_psums(row_13__o_psums),
    .o_weights(row_13__o_weights),
    .rst(rst)
  );
  row row_14 (
    .clk(clk),
    .i_beat(i_beats[239:224]),
    .i_psums(row_13__o_psums),
    .i_weights(row_13__o_weights),
    .o_psums(row_14__o_psums),
    .o_weights(row_14__o_weights),
    .rst(rst)
  );
  row row_15 (
    .clk(clk),
    .i_beat(i_beats[255:240]),
    .i_psums(row_14__o_psums),
    .i_weights(row_14__o_weights),
    .o_psums(o_psums),
    .o_weights(_0_),
    .rst(rst)
  );
  row row_2 (
    .clk(clk),
    .i_beat(i_beats[47:32]),
    .i_psums(row_1__o_psums),
    .i_weights(row_1__o_weights),
    .o_psums(row_2__o_psums),
    .o_weights(row_2__o_weights),
    .rst(rst)
  );
  row row_3 (
    .clk(clk),
    .i_beat(i_beats[63:48]),
    .i_psums(row_2__o_psums),
    .i_weights(row_2__o_weights),
    .o_psums(row_3__o_psums),
    .o_weights(row_3__o_weights),
    .rst(rst)
  );
  row row_4 (
    .clk(clk),
    .i_beat(i_beats[79:64]),
    .i_psums(row_3__o_psums),
    .i_weights(row_3__o_weights),
    .o_psums(row_4__o_psums),
    .o_weights(row_4__o_weights),
    .rst(rst)
  );
  row row_5 (
    .clk(clk),
    .i_beat(i_beats[95:80]),
    .i_psums(row_4__o_psums),
    .i_weights(row_4__o_weights),
    .o_psums(row_5__o_psums),
    .o_weights(row_5__o_weights),
    .rst(rst)
  );
  row row_6 (
    .clk(clk),
    .i_beat(i_beats[111:96]),
    .i_psums(row_5__o_psums),
    .i_weights(row_5__o_weights),
    .o_psums(row_6__o_psums),
    .o_weights(row_6__o_weights),
    .rst(rst)
  );
  row row_7 (
    .clk(clk),
    .i_beat(i_beats[127:112]),
    .i_psums(row_6__o_psums),
    .i_weights(row_6__o_weights),
    .o_psums(row_7__o_psums),
    .o_weights(row_7__o_weights),
    .rst(rst)
  );
  row row_8 (
    .clk(clk),
    .i_beat(i_beats[143:128]),
    .i_psums(row_7__o_psums),
    .i_weights(row_7__o_weights),
    .o_psums(row_8__o_psums),
    .o_weights(row_8__o_weights),
    .rst(rst)
  );
  row row_9 (
    .clk(clk),
    .i_beat(i_beats[159:144]),
    .i_psums(row_8__o_psums),
    .i_weights(row_8__o_weights),
    .o_psums(row_9__o_psums),
    .o_weights(row_9__o_weights),
    .rst(rst)
  );
endmodule

module row(i_weights, i_psums, clk, rst, o_weights, o_psums, i_beat);
  wire [15:0] _0_;
  input clk;
  wire clk;
  input [15:0] i_beat;
  wire [15:0] i_beat;
  input [1295:0] i_psums;
  wire [1295:0] i_psums;
  input [191:0] i_weights;
  wire [191:0] i_weights;
  output [1295:0] o_psums;
  wire [1295:0] o_psums;
  output [191:0] o_weights;
  wire [191:0] o_weights;
  wire [15:0] pe_0__o_beat;
  wire [80:0] pe_0__o_psum;
  wire [11:0] pe_0__o_weight;
  wire [15:0] pe_10__o_beat;
  wire [80:0] pe_10__o_psum;
  wire [11:0] pe_10__o_weight;
  wire [15:0] pe_11__o_beat;
  wire [80:0] pe_11__o_psum;
  wire [11:0] pe_11__o_weight;
  wire [15:0] pe_12__o_beat;
  wire [80:0] pe_12__o_psum;
  wire [11:0] pe_12__o_weight;
  wire [15:0] pe_13__o_beat;
  wire [80:0] pe_13__o_psum;
  wire [11:0] pe_13__o_weight;
  wire [15:0] pe_14__o_beat;
  wire [80:0] pe_14__o_psum;
  wire [11:0] pe_14__o_weight;
  wire [80:0] pe_15__o_psum;
  wire [11:0] pe_15__o_weight;
  wire [15:0] pe_1__o_beat;
  wire [80:0] pe_1__o_psum;
  wire [11:0] pe_1__o_weight;
  wire [15:0] pe_2__o_beat;
  wire [80:0] pe_2__o_psum;
  wire [11:0] pe_2__o_weight;
  wire [15:0] pe_3__o_beat;
  wire [80:0] pe_3__o_psum;
  wire [11:0] pe_3__o_weight;
  wire [15:0] pe_4__o_beat;
  wire [80:0] pe_4__o_psum;
  wire [11:0] pe_4__o_weight;
  wire [15:0] pe_5__o_beat;
  wire [80:0] pe_5__o_psum;
  wire [11:0] pe_5__o_weight;
  wire [15:0] pe_6__o_beat;
  wire [80:0] pe_6__o_psum;
  wire [11:0] pe_6__o_weight;
  wire [15:0] pe_7__o_beat;
  wire [80:0] pe_7__o_psum;
  wire [11:0] pe_7__o_weight;
  wire [15:0] pe_8__o_beat;
  wire [80:0] pe_8__o_psum;
  wire [11:0] pe_8__o_weight;
  wire [15:0] pe_9__o_beat;
  wire [80:0] pe_9__o_psum;
  wire [11:0] pe_9__o_weight;
  input rst;
  wire rst;
  pe pe_0 (
    .clk(clk),
    .i_beat(i_beat),
    .i_psum(i_psums[80:0]),
    .i_weight(i_weights[11:0]),
    .o_beat(pe_0__o_beat),
    .o_psum(pe_0__o_psum),
    .o_weight(pe_0__o_weight),
    .rst(rst)
  );
  pe pe_1 (
    .clk(clk),
    .i_beat(pe_0__o_beat),
    .i_psum(i_psums[161:81]),
    .i_weight(i_weights[23:12]),
    .o_beat(pe_1__o_beat),
    .o_psum(pe_1__o_psum),
    .o_weight(pe_1__o_weight),
    .rst(rst)
  );
  pe pe_10 (
    .clk(clk),
    .i_beat(pe_9__o_beat),
    .i_psum(i_psums[890:810]),
    .i_weight(i_weights[131:120]),
    .o_beat(pe_10__o_beat),
    .o_psum(pe_10__o_psum),
    .o_weight(pe_10__o_weight),
    .rst(rst)
  );
  pe pe_11 (
    .clk(clk),
    .i_beat(pe_10__o_beat),
    .i_psum(i_psums[971:891]),
    .i_weight(i_weights[143:132]),
    .o_beat(pe_11__o_beat),
    .o_psum(pe_11__o_psum),
    .o_weight(pe_11__o_weight),
    .rst(rst)
  );
  pe pe_12 (
    .clk(clk),
    .i_beat(pe_11__o_beat),
    .i_psum(i_psums[1052:972]),
    .i_weight(i_weights[155:144]),
    .o_beat(pe_12__o_beat),
    .o_psum(pe_12__o_psum),
    .o_weight(pe_12__o_weight),
    .rst(rst)
  );
  pe pe_13 (
    .clk(clk),
    .i_beat(pe_12__o_beat),
    .i_psum(i_psums[1133:1053]),
    .i_weight(i_weights[167:156]),
    .o_beat(pe_13__o_beat),
    .o_psum(pe_13__o_psum),
    .o_weight(pe_13__o_weight),
    .rst(rst)
  );
  pe pe_14 (
    .clk(clk),
    .i_beat(pe_13__o_beat),
    .i_psum(i_psums[1214:1134]),
    .i_weight(i_weights[179:168]),
    .o_beat(pe_14__o_beat),
    .o_psum(pe_14__o_psum),
    .o_weight(pe_14__o_weight),
    .rst(rst)
  );
  pe pe_15 (
    .clk(clk),
    .i_beat(pe_14__o_beat),
    .i_psum(i_psums[1295:1215]),
    .i_weight(i_weights[191:180]),
    .o_beat(_0_),
    .o_psum(pe_15__o_psum),
    .o_weight(pe_15__o_weight),
    .rst(rst)
  );
  pe pe_2 (
    .clk(clk),
    .i_beat(pe_1__o_beat),
    .i_psum(i_psums[242:162]),
    .i_weight(i_weights[35:24]),
    .o_beat(pe_2__o_beat),
    .o_psum(pe_2__o_psum),
    .o_weight(pe_2__o_weight),
    .rst(rst)
  );
  pe pe_3 (
    .clk(clk),
    .i_beat(pe_2__o_beat),
    .i_psum(i_psums[323:243]),
    .i_weight(i_weights[47:36]),
    .o_beat(pe_3__o_beat),
    .o_psum(pe_3__o_psum),
    .o_weight(pe_3__o_weight),
    .rst(rst)
  );
  pe pe_4 (
    .clk(clk),
    .i_beat(pe_3__o_beat),
    .i_psum(i_psums[404:324]),
    .i_weight(i_weights[59:48]),
    .o_beat(pe_4__o_beat),
    .o_psum(pe_4__o_psum),
    .o_weight(pe_4__o_weight),
    .rst(rst)
  );
  pe pe_5 (
    .clk(clk),
    .i_beat(pe_4__o_beat),
    .i_psum(i_psums[485:405]),
    .i_weight(i_weights[71:60]),
    .o_beat(pe_5__o_beat),
    .o_psum(pe_5__o_psum),
    .o_weight(pe_5__o_weight),
    .rst(rst)
  );
  pe pe_6 (
    .clk(clk),
    .i_beat(pe_5__o_beat),
    .i_psum(i_psums[566:486]),
    .i_weight(i_weights[83:72]),
    .o_beat(pe_6__o_beat),
    .o_psum(pe_6__o_psum),
    .o_weight(pe_6__o_weight),
    .rst(rst)
  );
  pe pe_7 (
    .clk(clk),
    .i_beat(pe_6__o_beat),
    .i_psum(i_psums[647:567]),
    .i_weight(i_weights[95:84]),
    .o_beat(pe_7__o_beat),
    .o_psum(pe_7__o_psum),
    .o_weight(pe_7__o_weight),
    .rst(rst)
  );
  pe pe_8 (
    .clk(clk),
    .i_beat(pe_7__o_beat),
    .i_psum(i_psums[728:648]),
    .i_weight(i_weights[107:96]),
    .o_beat(pe_8__o_beat),
    .o_psum(pe_8__o_psum),
    .o_weight(pe_8__o_weight),
    .rst(rst)
  );
  pe pe_9 (
    .clk(clk),
    .i_beat(pe_8__o_beat),
    .i_psum(i_psums[809:729]),
    .i_weight(i_weights[119:108]),
    .o_beat(pe_9__o_beat),
    .o_psum(pe_9__o_psum),
    .o_weight(pe_9__o_weight),
    .rst(rst)
  );
  assign o_weights = { pe_15__o_weight, pe_14__o_weight, pe_13__o_weight, pe_12__o_weight, pe_11__o_weight, pe_10__o_weight, pe_9__o_weight, pe_8__o_weight, pe_7__o_weight, pe_6__o_weight, pe_5__o_weight, pe_4__o_weight, pe_3__o_weight, pe_2__o_weight, pe_1__o_weight, pe_0__o_weight };
  assign o_psums = { pe_15__o_psum, pe_14__o_psum, pe_13__o_psum, pe_12__o_psum, pe_11__o_psum, pe_10__o_psum, pe_9__o_psum, pe_8__o_psum, pe_7__o_psum, pe_6__o_psum, pe_5__o_psum, pe_4__o_psum, pe_3__o_psum, pe_2__o_psum, pe_1__o_psum, pe_0__o_psum };
endmodule

module pe(i_weight, i_psum, clk, rst, o_beat, o_weight, o_psum, i_beat);
  wire [39:0] _00_;
  wire [38:0] _01_;
  wire [1:0] _02_;
  reg [11:0] active = 12'h000;
  wire [80:0] adder__o_psum;
  input clk;
  wire clk;
  input [15:0] i_beat;
  wire [15:0] i_beat;
  input [80:0] i_psum;
  wire [80:0] i_psum;
  input [11:0] i_weight;
  wire [11:0] i_weight;
  wire [16:0] multiplier__o;
  output [15:0] o_beat;
  wire [15:0] o_beat;
  output [80:0] o_psum;
  wire [80:0] o_psum;
  output [11:0] o_weight;
  reg [11:0] o_weight = 12'h000;
  reg [11:0] operand = 12'h000;
  reg [16:0] product = 17'h00000;
  reg [1:0] product_tags = 2'h0;
  reg [39:0] psum_0 = 40'h0000000000;
  reg [38:0] psum_1 = 39'h0000000000;
  reg [1:0] psum_2 = 2'h0;
  input rst;
  wire rst;
  reg [11:0] shadow = 12'h000;
  reg [3:0] tags = 4'h0;
  assign _00_ = product_tags[1] ? adder__o_psum[39:0] : i_psum[39:0];
  assign _01_ = product_tags[1] ? adder__o_psum[78:40] : i_psum[78:40];
  assign _02_ = product_tags[1] ? adder__o_psum[80:79] : i_psum[80:79];
  always @(posedge clk)
    if (rst) psum_2 <= 2'h0;
    else if (product_tags[0]) psum_2 <= _02_;
  always @(posedge clk)
    if (rst) psum_1 <= 39'h0000000000;
    else if (product_tags[0]) psum_1 <= _01_;
  always @(posedge clk)
    if (rst) psum_0 <= 40'h0000000000;
    else if (product_tags[0]) psum_0 <= _00_;
  always @(posedge clk)
    if (rst) product <= 17'h00000;
    else if (tags[1]) product <= multiplier__o;
  always @(posedge clk)
    if (rst) product_tags <= 2'h0;
    else product_tags <= tags[1:0];
  always @(posedge clk)
    if (rst) operand <= 12'h000;
    else if (i_beat[1]) operand <= i_beat[15:4];
  always @(posedge clk)
    if (rst) tags <= 4'h0;
    else tags <= i_beat[3:0];
  always @(posedge clk)
    if (rst) active <= 12'h000;
    else if (i_beat[2]) active <= shadow;
  always @(posedge clk)
    if (rst) shadow <= 12'h000;
    else if (i_beat[3]) shadow <= i_weight;
  always @(posedge clk)
    if (rst) o_weight <= 12'h000;
    else o_weight <= i_weight;
  exact_adder adder (
    .i_product(product),
    .i_psum(i_psum),
    .o_psum(adder__o_psum)
  );
  multiplier multiplier (
    .i_w(active),
    .i_x(operand),
    .o(multiplier__o)
  );
  assign o_psum = { psum_2, psum_1, psum_0 };
  assign o_beat = { operand, tags };
endmodule

module multiplier(i_w, o, i_x);
  wire _00_;
  wire _01_;
  wire _02_;
  wire _03_;
  wire _04_;
  wire _05_;
  wire _06_;
  wire _07_;
  wire _08_;
  wire _09_;
  wire _10_;
  wire _11_;
  wire _12_;
  wire [1:0] _13_;
  wire [1:0] _14_;
  wire _15_;
  wire _16_;
  wire _17_;
  wire _18_;
  wire _19_;
  wire _20_;
  wire _21_;
  input [11:0] i_w;
  wire [11:0] i_w;
  input [11:0] i_x;
  wire [11:0] i_x;
  wire inf;
  wire nan;
  output [16:0] o;
  wire [16:0] o;
  wire [5:0] \o.exponent ;
  wire [7:0] \o.magnitude ;
  wire \o.sign ;
  wire [1:0] \o.special ;
  assign _00_ = i_x[10] | i_w[10];
  assign _10_ = | i_w[3:0];
  assign _15_ = ~ _10_;
  assign _16_ = ~ i_w[11];
  assign _17_ = _15_ & _16_;
  assign _18_ = ~ i_w[10];
  assign _19_ = _17_ & _18_;
  assign _20_ = i_x[11] & _19_;
  assign _21_ = _00_ | _20_;
  assign _01_ = | i_x[3:0];
  assign _02_ = ~ _01_;
  assign _03_ = ~ i_x[11];
  assign _04_ = _02_ & _03_;
  assign _05_ = ~ i_x[10];
  assign _06_ = _04_ & _05_;
  assign _07_ = _06_ & i_w[11];
  assign nan = _21_ | _07_;
  assign _08_ = i_x[11] | i_w[11];
  assign _09_ = ~ nan;
  assign inf = _08_ & _09_;
  assign \o.magnitude  = i_x[3:0] * i_w[3:0];
  assign \o.exponent  = i_x[8:4] + i_w[8:4];
  assign _11_ = i_x[9] ^ i_w[9];
  assign _12_ = ~ nan;
  assign \o.sign  = _11_ & _12_;
  assign _13_ = \o.sign  ? 2'h2 : 2'h1;
  assign _14_ = inf ? _13_ : 2'h0;
  assign \o.special  = nan ? 2'h3 : _14_;
  assign o = { \o.special , \o.sign , \o.exponent , \o.magnitude  };
endmodule

module exact_adder(i_product, o_psum, i_psum);
  wire [70:0] _00_;
  wire [63:0] _01_;
  wire [40:0] _02_;
  wire [41:0] _03_;
  wire [63:0] _04_;
  wire [39:0] _05_;
  wire [40:0] _06_;
  wire [63:0] aligned;
  input [16:0] i_product;
  wire [16:0] i_product;
  input [80:0] i_psum;
  wire [80:0] i_psum;
  output [80:0] o_psum;
  wire [80:0] o_psum;
  wire [1:0] \o_psum.special ;
  wire [40:0] sum_0;
  wire [39:0] sum_1;
  assign _01_ = aligned ^ { i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14] };
  assign _02_ = i_psum[39:0] + _01_[39:0];
  assign { _03_[41], sum_0[40], o_psum[39:0] } = _02_ + i_product[14];
  assign _04_ = aligned ^ { i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14] };
  assign _05_ = i_psum[78:40] + { i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], i_product[14], _04_[63:40] };
  assign { _06_[40], sum_1[39], o_psum[78:40] } = _05_ + sum_0[40];
  assign \o_psum.special  = i_psum[80:79] | i_product[16:15];
  assign { _00_[70:64], aligned } = i_product[7:0] << i_product[13:8];
  assign _06_[39:0] = { sum_1[39], o_psum[78:40] };
  assign _03_[40:0] = { sum_0[40], o_psum[39:0] };
  assign o_psum[80:79] = \o_psum.special ;
  assign _00_[63:0] = aligned;
  assign sum_0[39:0] = o_psum[39:0];
  assign sum_1[38:0] = o_psum[78:40];
endmodule
