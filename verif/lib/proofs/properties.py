"""Properties of queue, register slice, arbiter and memory, by name."""

from collections.abc import Iterator

from amaranth.lib import wiring

from hw.lib.arbiter import Arbiter
from hw.lib.joining import join_modules
from hw.lib.memory import SyncMemory
from hw.lib.queue import StreamQueue
from hw.lib.register_slice import RegisterSlice
from verif.modules import plain_modules
from verif.proofs.prover import Property

__all__ = ["PROPERTIES"]

#: Bits of a payload or a word: what they are is not looked at.
WIDTH = 3
#: Any payload is followed from where it is taken: how many are given before it, and whether it is on its way.
_FOLLOWED = """
  wire taken = i_valid && i_ready, given = o_valid && o_ready;
  reg followed = 0;
  reg [{top}:0] data = 0;
  reg [3:0] ahead = 0, inside = 0;
  always @(posedge clk) begin
    inside <= rst ? 0 : inside + taken - given;
    ahead <= ahead - (given && ahead != 0);
    if (given && ahead == 0) followed <= 0;
    if (taken && follow && !followed) begin
      followed <= 1;
      data <= i_payload;
      ahead <= inside - given;
    end
    if (rst) followed <= 0;
  end
  // What was on offer and not taken.
  reg stalled = 0;
  reg [{top}:0] offered = 0;
  always @(posedge clk) begin
    stalled <= !rst && o_valid && !o_ready;
    offered <= o_payload;
  end"""
_STREAM = """
module proof(input clk, rst, follow, i_valid, o_ready, input [{top}:0] i_payload);
  wire i_ready, o_valid;
  wire [{top}:0] o_payload;"""
_KEPT = """
    in_order: assert (!followed || ahead != 0 || !o_valid || o_payload == data);
    nothing_lost: assert (!followed || ahead < inside);
    kept: assert (!stalled || (o_valid && o_payload == offered));"""


def _device(block: wiring.Component) -> str:
    return join_modules(plain_modules(block))


def _slice() -> Property:
    top = WIDTH - 1
    harness = f"""{_STREAM.format(top=top)}
  register_slice dut (.clk(clk), .rst(rst), .i__valid(i_valid), .i__ready(i_ready), .i__payload(i_payload),
    .o__valid(o_valid), .o__ready(o_ready), .o__payload(o_payload));{_FOLLOWED.format(top=top)}
  wire [{top}:0] d_spare;
  wire d_spare_valid;
  reg came = 0;
  always @(posedge clk) came <= !rst && taken;
  always @* begin
    inv_inside: assert (inside == o_valid + d_spare_valid && (o_valid || !d_spare_valid));
    inv_spare: assert (!followed || ahead != 1 || d_spare == data);{_KEPT}
    in_a_cycle: assert (!came || o_valid);
    room: assert (i_ready == (inside < 2));
  end
endmodule
"""
    return Property(
        name="register_slice",
        claim="every payload leaves once, in order, from the cycle after it came; two fit; an offer stays",
        device=lambda: _device(RegisterSlice(WIDTH)),
        harness=harness,
        engine="induction",
        depth=6,
        peeks={"d_spare": "dut.spare", "d_spare_valid": "dut.spare_valid"},
        quick=True,
    )


def _queue(depth: int) -> Property:
    top, behind = WIDTH - 1, depth - 1
    address = max(1, (behind - 1).bit_length())
    words = [f"d_{row}" for row in range(behind)]
    harness = f"""{_STREAM.format(top=top)}
  wire [{depth.bit_length() - 1}:0] level;
  stream_queue dut (.clk(clk), .rst(rst), .i__valid(i_valid), .i__ready(i_ready), .i__payload(i_payload),
    .o__valid(o_valid), .o__ready(o_ready), .o__payload(o_payload), .o_level(level));{_FOLLOWED.format(top=top)}
  wire [{top}:0] {", ".join(words)};
  wire [{WIDTH * behind - 1}:0] words = {{{", ".join(reversed(words))}}};
  wire [{behind.bit_length() - 1}:0] d_line;
  wire [{address - 1}:0] d_in, d_out;
  // Where the payload that is followed stands in the memory.
  wire [4:0] place = d_out + ahead - o_valid;
  wire [4:0] row = place >= {behind} ? place - {behind} : place;
  reg came = 0;
  always @(posedge clk) came <= !rst && inside != 0 && !o_valid;
  always @* begin
    inv_line: assert (inside == d_line + o_valid && d_line <= {behind} && d_in < {behind} && d_out < {behind});
    inv_ring: assert (d_in == (d_out + d_line) % {behind});
    inv_word: assert (!followed || (o_valid && ahead == 0) || words[row * {WIDTH} +: {WIDTH}] == data);{_KEPT}
    counted: assert (level == inside);
    in_two_cycles: assert (!came || o_valid);
    room: assert (i_ready == (inside - o_valid < {behind}));
  end
endmodule
"""
    peeks = {word: f"dut.fifo.storage[{row}]" for row, word in enumerate(words)}
    return Property(
        name=f"stream_queue-{depth}",
        claim=f"every payload leaves once, in order, on offer two cycles after it came to an empty queue; {depth} fit",
        device=lambda: _device(StreamQueue(WIDTH, depth)),
        harness=harness,
        engine="induction",
        depth=2 * depth,
        peeks=peeks
        | {"d_line": "dut.fifo.inner_level", "d_in": "dut.fifo.w_port__addr", "d_out": "dut.fifo.r_port__addr"},
        quick=True,
    )


def _arbiter(inputs: int) -> Property:
    top = WIDTH - 1
    ports = "".join(
        f", .i__{n}__valid(valid[{n}]), .i__{n}__ready(ready[{n}]), .i__{n}__payload(payloads[{n * WIDTH} +: {WIDTH}])"
        for n in range(inputs)
    )
    lowest = "0"
    for index in reversed(range(inputs)):
        lowest = f"valid[{index}] ? {index} : {lowest}"
    index = (inputs - 1).bit_length()
    harness = f"""
module proof(input clk, rst, o_ready, input [{inputs - 1}:0] valid, input [{inputs * WIDTH - 1}:0] payloads);
  wire [{inputs - 1}:0] ready, d_stalled;
  wire o_valid;
  wire [{top}:0] payload;
  wire [{index - 1}:0] source;
  arbiter dut (.clk(clk), .rst(rst), .o__valid(o_valid), .o__ready(o_ready), .o__payload(payload),
    .o_source(source){ports});
  // Sources hold what they offer.
  reg [{inputs - 1}:0] waits = 0;
  reg stalled = 0;
  reg [{index - 1}:0] before = 0;
  always @(posedge clk) begin
    waits <= rst ? 0 : valid & ~ready;
    stalled <= !rst && o_valid && !o_ready;
    before <= source;
  end
  always @* begin
    assume ((waits & ~valid) == 0);
    inv_stalled: assert (d_stalled == (stalled ? {inputs}'d1 << before : 0) && (!stalled || waits[before]));
    inv_before: assert (before < {inputs});
    any: assert (o_valid == |valid);
    lowest: assert (!o_valid || source == (stalled ? before : {lowest}));
    its_payload: assert (!o_valid || payload == payloads[source * {WIDTH} +: {WIDTH}]);
    one_is_taken: assert ((ready & valid) == (o_valid && o_ready ? {inputs}'d1 << source : 0));
  end
endmodule
"""
    return Property(
        name=f"arbiter-{inputs}",
        claim="the lowest input that is valid is passed on, or the one whose offer stalled; no other is taken",
        device=lambda: _device(Arbiter(WIDTH, inputs)),
        harness=harness,
        engine="induction",
        depth=4,
        peeks={"d_stalled": "dut.stalled"},
        quick=True,
    )


def _memory() -> Property:
    depth, granule = 4, 2
    width = 2 * granule
    words = [f"d_{row}" for row in range(depth)]
    harness = f"""
module proof(input clk, rst, input [1:0] en, input [1:0] address, input [{width - 1}:0] data,
  input [1:0] read_en, input [1:0] read_0, read_1);
  wire [{width - 1}:0] found_0, found_1;
  memory dut (.clk(clk), .rst(rst), .write__en(en), .write__address(address), .write__data(data),
    .reads__0__en(read_en[0]), .reads__0__address(read_0), .reads__0__data(found_0),
    .reads__1__en(read_en[1]), .reads__1__address(read_1), .reads__1__data(found_1));
  wire [{width - 1}:0] {", ".join(words)};
  wire [{width * depth - 1}:0] words = {{{", ".join(reversed(words))}}};
  // Any word, what was written there last, and what each port read of it.
  (* anyconst *) wire [1:0] tag;
  reg [{width - 1}:0] word = 0, want_0 = 0, want_1 = 0;
  reg reads_0 = 0, reads_1 = 0;
  always @(posedge clk) begin
    if (en[0] && address == tag) word[{granule - 1}:0] <= data[{granule - 1}:0];
    if (en[1] && address == tag) word[{width - 1}:{granule}] <= data[{width - 1}:{granule}];
    if (read_en[0]) {{reads_0, want_0}} <= {{read_0 == tag, word}};
    if (read_en[1]) {{reads_1, want_1}} <= {{read_1 == tag, word}};
  end
  always @* begin
    inv_word: assert (words[tag * {width} +: {width}] == word);
    old_word_0: assert (!reads_0 || found_0 == want_0);
    old_word_1: assert (!reads_1 || found_1 == want_1);
  end
endmodule
"""
    return Property(
        name="memory",
        claim="a read gives what was written last before its cycle, granule by granule, and holds it; resets or not",
        device=lambda: _device(SyncMemory(width, depth, 2, "old", granule)),
        harness=harness,
        engine="induction",
        depth=4,
        peeks={word: f"dut.words[{row}]" for row, word in enumerate(words)},
        quick=True,
    )


def _properties() -> Iterator[Property]:
    yield _slice()
    yield from map(_queue, (3, 4))
    yield from map(_arbiter, (2, 3))
    yield _memory()


PROPERTIES: dict[str, Property] = {prop.name: prop for prop in _properties()}
