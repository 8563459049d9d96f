module tb;
  // What follows from the core, its registers and its program.
  localparam BEAT_BYTES = 8;
  localparam LATENCY = 8;
  localparam BASE = 40'h0;
  localparam BEATS = 1;
  localparam IMAGE_FILE = "image.hex";
  localparam EXPECTED_FILE = "expected.hex";
  localparam PROGRAM = 40'h0;
  localparam INSTRUCTIONS = 1;
  localparam PAGES = 1;
  localparam ID = 32'h0;
  localparam AT_ID = 12'h0;
  localparam AT_CONTROL = 12'h0;
  localparam AT_STATUS = 12'h0;
  localparam AT_ERROR_NUMBER = 12'h0;
  localparam AT_PROGRAM_LOW = 12'h0;
  localparam AT_PROGRAM_HIGH = 12'h0;
  localparam AT_PROGRAM_COUNT = 12'h0;
  localparam AT_PAGES = 12'h0;
  localparam AT_CYCLES_LOW = 12'h0;
  localparam AT_BEATS_READ_LOW = 12'h0;
  localparam AT_BEATS_WRITTEN_LOW = 12'h0;
  // Cycles without a transfer of memory after which nothing more will come.
  localparam PATIENCE = 5000;
  localparam BITS = 8 * BEAT_BYTES;
  // Bursts that memory takes before it has answered the first.
  localparam BURSTS = 64;

  reg aclk = 1'b0;
  reg aresetn = 1'b0;
  always #5 aclk = !aclk;
  wire [3:0] go, going;
  tb_pace pace (.aclk(aclk), .go(go));
  tb_pace #(.OTHER(32'h5a5a0f0f)) other_pace (.aclk(aclk), .go(going));
  integer cycle = 0;
  always @(posedge aclk) cycle <= cycle + 1;

  reg [11:0] s_axil_awaddr, s_axil_araddr;
  reg [31:0] s_axil_wdata;
  reg s_axil_awvalid = 1'b0, s_axil_wvalid = 1'b0, s_axil_bready = 1'b0, s_axil_arvalid = 1'b0, s_axil_rready = 1'b0;
  wire s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid;
  wire [1:0] s_axil_bresp, s_axil_rresp;
  wire [31:0] s_axil_rdata;
  wire [39:0] awaddr, araddr;
  wire [7:0] awlen, arlen;
  wire [2:0] awsize, arsize;
  wire [1:0] awburst, arburst;
  wire awvalid, wvalid, wlast, bready, arvalid, rready, irq;
  wire [BITS - 1:0] wdata;
  wire [BEAT_BYTES - 1:0] wstrb;
  reg awready = 1'b0, wready = 1'b0, bvalid = 1'b0, arready = 1'b0, rvalid = 1'b0, rlast;
  reg [BITS - 1:0] rdata;

  core_axi dut (
    .aclk(aclk),
    .aresetn(aresetn),
    .s_axil_awaddr(s_axil_awaddr),
    .s_axil_awvalid(s_axil_awvalid),
    .s_axil_awready(s_axil_awready),
    .s_axil_wdata(s_axil_wdata),
    .s_axil_wstrb(4'hf),
    .s_axil_wvalid(s_axil_wvalid),
    .s_axil_wready(s_axil_wready),
    .s_axil_bresp(s_axil_bresp),
    .s_axil_bvalid(s_axil_bvalid),
    .s_axil_bready(s_axil_bready),
    .s_axil_araddr(s_axil_araddr),
    .s_axil_arvalid(s_axil_arvalid),
    .s_axil_arready(s_axil_arready),
    .s_axil_rdata(s_axil_rdata),
    .s_axil_rresp(s_axil_rresp),
    .s_axil_rvalid(s_axil_rvalid),
    .s_axil_rready(s_axil_rready),
    .m_axi_awaddr(awaddr),
    .m_axi_awlen(awlen),
    .m_axi_awsize(awsize),
    .m_axi_awburst(awburst),
    .m_axi_awvalid(awvalid),
    .m_axi_awready(awready),
    .m_axi_wdata(wdata),
    .m_axi_wstrb(wstrb),
    .m_axi_wlast(wlast),
    .m_axi_wvalid(wvalid),
    .m_axi_wready(wready),
    .m_axi_bid(1'b0),
    .m_axi_bresp(2'b00),
    .m_axi_bvalid(bvalid),
    .m_axi_bready(bready),
    .m_axi_araddr(araddr),
    .m_axi_arlen(arlen),
    .m_axi_arsize(arsize),
    .m_axi_arburst(arburst),
    .m_axi_arvalid(arvalid),
    .m_axi_arready(arready),
    .m_axi_rid(1'b0),
    .m_axi_rdata(rdata),
    .m_axi_rresp(2'b00),
    .m_axi_rlast(rlast),
    .m_axi_rvalid(rvalid),
    .m_axi_rready(rready),
    .irq(irq)
  );

  // Memory: bursts are read and written in order, a while after their address; it answers at random.
  reg [BITS - 1:0] memory [0:BEATS - 1];
  reg [BITS - 1:0] expected [0:BEATS - 1];
  initial $readmemh(IMAGE_FILE, memory);
  initial $readmemh(EXPECTED_FILE, expected);
  integer read_at [0:BURSTS - 1], read_left [0:BURSTS - 1], read_from [0:BURSTS - 1];
  integer write_at [0:BURSTS - 1], write_left [0:BURSTS - 1];
  integer asked = 0, given = 0, opened = 0, closed = 0, answered = 0;
  integer beats_read = 0, beats_written = 0, waited = 0, byte_number;
  always @(posedge aclk) if (aresetn && !failed) begin
    awready <= go[0] && opened - answered < BURSTS - 1;
    wready <= go[1];
    arready <= go[2] && asked - given < BURSTS - 1;
    if (arvalid && arready) begin
      read_at[asked % BURSTS] = (araddr - BASE) / BEAT_BYTES;
      read_left[asked % BURSTS] = arlen;
      read_from[asked % BURSTS] = cycle + LATENCY;
      asked = asked + 1;
    end
    if (rvalid && rready) beats_read = beats_read + 1;
    if (!rvalid || rready) begin
      rvalid <= 1'b0;
      rdata <= {BITS{1'bx}};
      rlast <= 1'bx;
      if (given != asked && going[0] && cycle >= read_from[given % BURSTS]) begin
        rvalid <= 1'b1;
        rdata <= memory[read_at[given % BURSTS]];
        rlast <= read_left[given % BURSTS] == 0;
        read_at[given % BURSTS] = read_at[given % BURSTS] + 1;
        read_left[given % BURSTS] = read_left[given % BURSTS] - 1;
        if (read_left[given % BURSTS] < 0) given = given + 1;
      end
    end
    if (wvalid && opened == closed) fail("data is written without an address");
    else if (wvalid && wready) begin
      if (wlast !== (write_left[closed % BURSTS] == 0)) fail("wlast is at the wrong beat");
      for (byte_number = 0; byte_number < BEAT_BYTES; byte_number = byte_number + 1)
        if (wstrb[byte_number])
          memory[write_at[closed % BURSTS]][8 * byte_number +: 8] = wdata[8 * byte_number +: 8];
      write_at[closed % BURSTS] = write_at[closed % BURSTS] + 1;
      write_left[closed % BURSTS] = write_left[closed % BURSTS] - 1;
      if (write_left[closed % BURSTS] < 0) closed = closed + 1;
      beats_written = beats_written + 1;
    end
    if (awvalid && awready) begin
      write_at[opened % BURSTS] = (awaddr - BASE) / BEAT_BYTES;
      write_left[opened % BURSTS] = awlen;
      opened = opened + 1;
    end
    if (!bvalid || bready) begin
      bvalid <= going[1] && answered != closed;
      if (going[1] && answered != closed) answered = answered + 1;
    end
    waited <= arvalid && arready || rvalid && rready || awvalid && awready || wvalid && wready ? 0 : waited + 1;
  end

  // What AXI asks of each channel.
  wire [4:0] changed;
  tb_held #(.BITS(48)) held_aw (aclk, aresetn, awvalid, awready, {awaddr, awlen}, changed[0]);
  tb_held #(.BITS(BITS + BEAT_BYTES + 1)) held_w (aclk, aresetn, wvalid, wready, {wdata, wstrb, wlast}, changed[1]);
  tb_held #(.BITS(48)) held_ar (aclk, aresetn, arvalid, arready, {araddr, arlen}, changed[2]);
  tb_held #(.BITS(2)) held_lite_b (aclk, aresetn, s_axil_bvalid, s_axil_bready, s_axil_bresp, changed[3]);
  tb_held #(.BITS(34)) held_lite_r (aclk, aresetn, s_axil_rvalid, s_axil_rready, {s_axil_rdata, s_axil_rresp}, changed[4]);
  wire [9:0] given_flags = {awvalid, wvalid, bready, arvalid, rready, s_axil_awready, s_axil_wready, s_axil_bvalid,
    s_axil_arready, s_axil_rvalid};
  always @(posedge aclk) if (!failed && cycle > 0) begin
    if (^given_flags === 1'bx) fail("a valid or a ready is undefined");
    else if (!aresetn && given_flags != 0) fail("a valid or a ready is high in a reset");
    else if (changed != 0) fail("what was offered changed before it was taken");
    else if (awvalid && !fits(awaddr, awlen, awsize, awburst)) fail("a burst to be written is none that memory has");
    else if (arvalid && !fits(araddr, arlen, arsize, arburst)) fail("a burst to be read is none that memory has");
    else if (waited == PATIENCE) fail("nothing moves any more");
  end

  function fits(input [39:0] address, input [7:0] len, input [2:0] size, input [1:0] burst);
    fits = size == $clog2(BEAT_BYTES) && burst == 2'b01 && address % BEAT_BYTES == 0 && address >= BASE
      && (address - BASE) / BEAT_BYTES + len < BEATS && address % 4096 + (len + 1) * BEAT_BYTES <= 4096;
  endfunction

  // The host.
  reg address_taken, data_taken;
  task write(input [11:0] address, input [31:0] value);
    begin
      address_taken = 1'b0;
      data_taken = 1'b0;
      s_axil_awaddr <= address;
      s_axil_wdata <= value;
      s_axil_awvalid <= 1'b1;
      s_axil_wvalid <= 1'b1;
      while (!address_taken || !data_taken) begin
        @(posedge aclk);
        if (s_axil_awvalid && s_axil_awready) begin
          address_taken = 1'b1;
          s_axil_awvalid <= 1'b0;
        end
        if (s_axil_wvalid && s_axil_wready) begin
          data_taken = 1'b1;
          s_axil_wvalid <= 1'b0;
        end
      end
      while (!going[2]) @(posedge aclk);
      s_axil_bready <= 1'b1;
      @(posedge aclk);
      while (!(s_axil_bvalid && s_axil_bready)) @(posedge aclk);
      s_axil_bready <= 1'b0;
      if (s_axil_bresp !== 2'b00) begin
        $display("FAIL in cycle %0d: register %h refuses %h", cycle, address, value);
        stop;
      end
    end
  endtask

  reg [31:0] value;
  task read(input [11:0] address);
    begin
      s_axil_araddr <= address;
      s_axil_arvalid <= 1'b1;
      @(posedge aclk);
      while (!(s_axil_arvalid && s_axil_arready)) @(posedge aclk);
      s_axil_arvalid <= 1'b0;
      while (!going[3]) @(posedge aclk);
      s_axil_rready <= 1'b1;
      @(posedge aclk);
      while (!(s_axil_rvalid && s_axil_rready)) @(posedge aclk);
      s_axil_rready <= 1'b0;
      value = s_axil_rdata;
      if (s_axil_rresp !== 2'b00) begin
        $display("FAIL in cycle %0d: register %h is not read", cycle, address);
        stop;
      end
    end
  endtask

  integer beat;
  reg [31:0] status, cycles;
  initial begin
    repeat (3) @(posedge aclk);
    aresetn <= 1'b1;
    @(posedge aclk);
    read(AT_ID);
    if (value !== ID) fail("ID is another core's");
    write(AT_PROGRAM_LOW, PROGRAM & 32'hffffffff);
    write(AT_PROGRAM_HIGH, PROGRAM >> 32);
    write(AT_PROGRAM_COUNT, INSTRUCTIONS);
    write(AT_PAGES, PAGES);
    write(AT_CONTROL, 1);
    while (irq !== 1'b1) @(posedge aclk);
    read(AT_STATUS);
    status = value;
    read(AT_ERROR_NUMBER);
    if (status !== 32'h2) begin
      $display("FAIL in cycle %0d: the core is stopped, error %0d of instruction %0d", cycle, status[5:3], value);
      stop;
    end
    for (beat = 0; beat < BEATS; beat = beat + 1)
      if (!failed && memory[beat] !== expected[beat]) begin
        $display("FAIL: memory at %h is %h, expected %h", BASE + beat * BEAT_BYTES, memory[beat], expected[beat]);
        stop;
      end
    read(AT_BEATS_READ_LOW);
    if (value !== beats_read) fail("BEATS_READ is wrong");
    read(AT_BEATS_WRITTEN_LOW);
    if (value !== beats_written) fail("BEATS_WRITTEN is wrong");
    read(AT_CYCLES_LOW);
    if (!failed) begin
      $display("PASS: %0d instructions, %0d cycles, %0d beats read, %0d written", INSTRUCTIONS, value, beats_read,
        beats_written);
      $finish;
    end
  end

  reg failed = 1'b0;
  task fail(input [8 * 64 - 1:0] what);
    begin
      if (!failed) $display("FAIL in cycle %0d: %0s", cycle, what);
      stop;
    end
  endtask
  task stop;
    begin
      failed = 1'b1;
      $fatal(1, "the core is wrong");
    end
  endtask
endmodule

// Whether a payload changed, or its valid went, before it was taken.
module tb_held #(
  parameter BITS = 1
) (
  input aclk,
  input aresetn,
  input valid,
  input ready,
  input [BITS - 1:0] payload,
  output changed
);
  reg waits = 1'b0;
  reg [BITS - 1:0] earlier;
  assign changed = waits && aresetn && (valid !== 1'b1 || payload !== earlier);
  always @(posedge aclk) begin
    waits <= aresetn && valid && !ready;
    earlier <= payload;
  end
endmodule
