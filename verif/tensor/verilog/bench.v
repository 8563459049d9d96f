module tb;
  // What follows from the engine and its vectors. Bits are those of tdata; beats are lines of a file of vectors.
  localparam COLS = 4;
  localparam GEMMS = 1;
  localparam COMMAND_BITS = 64;
  localparam COMMAND_BEATS = 1;
  localparam COMMAND_FILE = "command.hex";
  localparam WEIGHT_BITS = 32;
  localparam WEIGHT_BEATS = 1;
  localparam WEIGHT_FILE = "weight.hex";
  localparam ACTIVATION_BITS = 32;
  localparam ACTIVATION_BEATS = 1;
  localparam ACTIVATION_FILE = "activation.hex";
  localparam RESULT_BITS = 128;
  localparam RESULT_BEATS = 1;
  localparam RESULT_FILE = "result.hex";
  // A line of the results: the codes from bit 0, tlast, and where they are in which product.
  localparam EXPECTED_BITS = 177;
  localparam LAST_AT = 128;
  localparam COLUMN_AT = 129;
  localparam ROW_AT = 145;
  localparam GEMM_AT = 161;
  // Cycles without a transfer after which nothing more may come, and after which nothing will.
  localparam QUIET = 30;
  localparam PATIENCE = 2030;

  reg aclk = 1'b0;
  reg aresetn = 1'b0;
  always #5 aclk = !aclk;

  // Whether each source, and the sink, goes ahead.
  wire [3:0] go;
  tb_pace pace (.aclk(aclk), .go(go));
  integer cycle = 0;
  always @(posedge aclk) cycle <= cycle + 1;

  wire [COMMAND_BITS - 1:0] command_tdata;
  wire [WEIGHT_BITS - 1:0] weight_tdata;
  wire [ACTIVATION_BITS - 1:0] activation_tdata;
  wire command_tvalid, command_tready, command_done;
  wire weight_tvalid, weight_tready, weight_done;
  wire activation_tvalid, activation_tready, activation_done;
  tb_source #(.BITS(COMMAND_BITS), .BEATS(COMMAND_BEATS), .FILE(COMMAND_FILE)) command_source (
    .aclk(aclk),
    .aresetn(aresetn),
    .go(go[0]),
    .tdata(command_tdata),
    .tvalid(command_tvalid),
    .tready(command_tready),
    .done(command_done)
  );
  tb_source #(.BITS(WEIGHT_BITS), .BEATS(WEIGHT_BEATS), .FILE(WEIGHT_FILE)) weight_source (
    .aclk(aclk),
    .aresetn(aresetn),
    .go(go[1]),
    .tdata(weight_tdata),
    .tvalid(weight_tvalid),
    .tready(weight_tready),
    .done(weight_done)
  );
  tb_source #(.BITS(ACTIVATION_BITS), .BEATS(ACTIVATION_BEATS), .FILE(ACTIVATION_FILE)) activation_source (
    .aclk(aclk),
    .aresetn(aresetn),
    .go(go[2]),
    .tdata(activation_tdata),
    .tvalid(activation_tvalid),
    .tready(activation_tready),
    .done(activation_done)
  );

  wire [RESULT_BITS - 1:0] result_tdata;
  wire result_tvalid, result_tlast;
  reg result_tready = 1'b0;
  tensor_engine_axis dut (
    .aclk(aclk),
    .aresetn(aresetn),
    .s_axis_command_tdata(command_tdata),
    .s_axis_command_tvalid(command_tvalid),
    .s_axis_command_tready(command_tready),
    .s_axis_weight_tdata(weight_tdata),
    .s_axis_weight_tvalid(weight_tvalid),
    .s_axis_weight_tready(weight_tready),
    .s_axis_activation_tdata(activation_tdata),
    .s_axis_activation_tvalid(activation_tvalid),
    .s_axis_activation_tready(activation_tready),
    .m_axis_result_tdata(result_tdata),
    .m_axis_result_tvalid(result_tvalid),
    .m_axis_result_tlast(result_tlast),
    .m_axis_result_tready(result_tready)
  );

  always @(posedge aclk) if (cycle == 2) aresetn <= 1'b1;

  // Results: what must come next, and what comes.
  reg [EXPECTED_BITS - 1:0] results [0:RESULT_BEATS - 1];
  initial $readmemh(RESULT_FILE, results);
  integer received = 0;
  wire [EXPECTED_BITS - 1:0] expected = results[received];
  wire taken = result_tvalid && result_tready;
  wire moves = command_tvalid && command_tready || weight_tvalid && weight_tready
    || activation_tvalid && activation_tready || taken;
  integer waited = 0;
  reg held = 1'b0;
  reg [RESULT_BITS:0] held_beat;
  integer column;
  reg failed = 1'b0;
  always @(posedge aclk) if (aresetn && !failed) begin
    result_tready <= go[3];
    if (result_tvalid !== 1'b0 && result_tvalid !== 1'b1) begin
      $display("FAIL in cycle %0d: m_axis_result_tvalid is undefined", cycle);
      fail;
    end else if (held && (!result_tvalid || {result_tlast, result_tdata} !== held_beat)) begin
      $display("FAIL in cycle %0d: a result changed before it was taken", cycle);
      fail;
    end else if (result_tvalid && received == RESULT_BEATS) begin
      $display("FAIL in cycle %0d: a result after the last", cycle);
      fail;
    end else if (taken) begin
      for (column = 0; column < COLS; column = column + 1)
        if (!failed && result_tdata[32 * column +: 32] !== expected[32 * column +: 32]) begin
          $display("FAIL in result row %0d, column %0d: GEMM %0d, Y[%0d, %0d] is %h, expected %h (cycle %0d)", received,
            column, expected[GEMM_AT +: 16], expected[ROW_AT +: 16], expected[COLUMN_AT +: 16] + column,
            result_tdata[32 * column +: 32], expected[32 * column +: 32], cycle);
          fail;
        end
      if (!failed && result_tlast !== expected[LAST_AT]) begin
        $display("FAIL in result row %0d: tlast is %b, expected %b (cycle %0d)", received, result_tlast,
          expected[LAST_AT], cycle);
        fail;
      end
      received <= received + 1;
    end
    held <= result_tvalid && !result_tready;
    held_beat <= {result_tlast, result_tdata};

    // The end: all has come, or nothing moves any more.
    waited <= moves ? 0 : waited + 1;
    if (!failed && received == RESULT_BEATS && waited == QUIET) begin
      if (command_done && weight_done && activation_done) begin
        $display("PASS: %0d GEMMs, %0d result rows, %0d cycles", GEMMS, received, cycle);
        $finish;
      end else begin
        $display("FAIL: all results came, and inputs were not taken");
        fail;
      end
    end else if (!failed && waited == PATIENCE) begin
      $display("FAIL in cycle %0d: nothing moves after result row %0d of %0d", cycle, received, RESULT_BEATS);
      fail;
    end
  end

  task fail;
    begin
      failed = 1'b1;
      $fatal(1, "the engine is wrong");
    end
  endtask
endmodule

// The beats of a stream, and the registers that offer them: once valid, a beat stays until it is taken.
module tb_source #(
  parameter BITS = 8,
  parameter BEATS = 1,
  parameter FILE = "beats.hex"
) (
  input aclk,
  input aresetn,
  input go,
  output reg [BITS - 1:0] tdata,
  output reg tvalid,
  input tready,
  output done
);
  reg [BITS - 1:0] beats [0:BEATS - 1];
  initial $readmemh(FILE, beats);
  integer offered = 0;
  integer sent = 0;
  assign done = sent == BEATS;
  initial tvalid = 1'b0;
  always @(posedge aclk) if (aresetn) begin
    if (tvalid && tready) sent <= sent + 1;
    if (!tvalid || tready) begin
      tvalid <= go && offered < BEATS;
      tdata <= {BITS{1'bx}};
      if (go && offered < BEATS) begin
        tdata <= beats[offered];
        offered <= offered + 1;
      end
    end
  end
endmodule
