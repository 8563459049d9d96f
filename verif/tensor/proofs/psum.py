"""Properties of a PSUM bank: what it stores is what it gives, and requests move on to the next column."""

from collections.abc import Iterator

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout
from hw.lib.joining import join_modules
from hw.tensor.bank import PsumBank
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.tensor.proofs.sequencer import CONFIG

__all__ = ["psum_properties"]


def _bank(config: EngineConfig) -> Property:
    width, depth = psum_layout(config).width, config.psum_depth
    address, columns = max(1, (depth - 1).bit_length()), config.cols.bit_length()
    words = [f"d_{row}" for row in range(depth)]
    harness = f"""
module proof(input clk, rst, advance, input [{address + 1}:0] seed, input [{address + columns + 1}:0] store,
  input [{width - 1}:0] psum, input [{address - 1}:0] read_address);
  wire [{address + 1}:0] seed_on;
  wire [{address + columns + 1}:0] store_on;
  wire [{width - 1}:0] seeded, read;
  wire [{address - 1}:0] read_on;
  psum_bank dut (
    .clk(clk), .rst(rst), .i_seed(seed), .o_seed(seed_on), .i_store(store), .o_store(store_on), .i_psum(psum),
    .o_psum(seeded), .i_advance(advance), .i_read_address(read_address),
    .o_read_address(read_on), .o_read(read));
  wire [{width - 1}:0] {", ".join(words)};
  wire [{width * depth - 1}:0] memory = {{{", ".join(reversed(words))}}};

  // Any row, the word stored there last, and what the two ports are to give.
  (* anyconst *) wire [{address - 1}:0] tag;
  reg [{width - 1}:0] word = 0, want_read = 0, want_seed = 0;
  reg reads_tag = 0, seeds = 0;
  reg [{address - 1}:0] last_read = 0;
  reg [{address + 1}:0] last_seed = 0;
  reg [{address + columns + 1}:0] last_store = 0;
  wire stores = store[{address + columns + 1}];
  wire [{columns - 1}:0] columns = store[{address + columns}:{address + 1}];
  wire [{columns - 1}:0] left = columns - (columns != 0);
  always @(posedge clk) begin
    if (stores && store[{address}:1] == tag) word <= psum;
    if (advance) begin
      reads_tag <= read_address == tag;
      want_read <= word;
    end
    seeds <= !rst && (!seed[1] || seed[{address + 1}:2] == tag);
    want_seed <= seed[1] ? word : 0;
    if (rst || advance) last_read <= rst ? 0 : read_address;
    last_seed <= rst ? 0 : seed;
    last_store <= rst ? 0 : {{store[0] && left != 0, left, store[{address}:0]}};
  end
  always @* begin
    inv_memory: assert (memory[tag * {width} +: {width}] == word);
    read_out: assert (!reads_tag || read == want_read);
    seed_given: assert (!seeds || seeded == want_seed);
    // One column fewer for the next bank.
    passed_on: assert (seed_on == last_seed && store_on == last_store && read_on == last_read);
  end
endmodule
"""
    return Property(
        name="psum_bank",
        claim="seeds and read-outs give the word stored last; requests go east a column a cycle or a move",
        device=lambda: join_modules(plain_modules(PsumBank(config))),
        harness=harness,
        engine="induction",
        depth=6,
        peeks={word: f"dut.memory.words[{row}]" for row, word in enumerate(words)},
        quick=True,
    )


def psum_properties() -> Iterator[Property]:
    """In the configuration of the sequencer's properties."""
    yield _bank(CONFIG)
