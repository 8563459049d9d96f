"""Properties of the sequencer: passes, PSUM hazards, the ring of PSUM rows."""

from collections.abc import Iterator
from dataclasses import replace

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, psum_layout, result_layout
from hw.lib.joining import join_modules
from hw.tensor.readout import Readout
from hw.tensor.sequencer import Sequencer
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.tensor.proofs.arithmetic import specification
from verif.tensor.proofs.pass_model import PEEKS, ports, signals

__all__ = ["sequencer_properties"]

#: Small; commands still have every field. Some tiles fill their last beat of weights in part.
CONFIG = EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=16)
TOGETHER = replace(CONFIG, rows=3, rows_per_load_cycle=2)


def _device(config: EngineConfig) -> str:
    return join_modules(plain_modules(Sequencer(config)))


def _passes(config: EngineConfig, name: str = "sequencer-passes") -> Property:
    width = 1 + config.address_bits + config.cols.bit_length()
    top = width * config.store_latency - 1
    harness = f"""{specification("passes")}
module proof({ports(config)});
{signals(config)}
  always @* begin
    ready: assert ({{command_ready, weight_ready, activation_ready}}
      == {{m_command_ready, m_weight_ready, m_activation_ready}});
    taken: assert ({{weight_en, activation_en}} == {{m_weight_taken, m_row_taken}});
    weights: assert (load == (m_weight_taken << w_row));
    format_of_pass: assert (!m_weight_taken || weight_format == w_w_format);
    row_of_pass: assert (!m_row_taken || (activation_format == x_x_format && swap == (x_row == 0)
      && tile_k == x_tile_k && row_address == address));
    read_out: assert (row_en == (m_row_taken && x_last));
    read_out_row: assert (!row_en || row == {{x_saturate, x_out_format, m_last_row, x_tile_n}});
    finished_later: assert (finished == m_finished[{config.read_latency - 2}]);
    store_request: assert (store[0] == m_store[{top + 1 - width}]
      && (!store[0] || store[{width - 1}:0] == m_store[{top} -: {width}]));
    store_column_0: assert (store[{width}] == store[0]);
  end
endmodule
"""
    return Property(
        name=name,
        claim="every pass once, in order, with tile_k weight rows and tile_m activation rows; ready as documented",
        device=lambda: _device(config),
        harness=harness,
        engine="induction",
        depth=20,
        peeks=PEEKS,
        quick=True,
    )


def _seeds(config: EngineConfig) -> Property:
    address = config.address_bits
    width = 1 + address + config.cols.bit_length()
    hazard = config.store_latency
    harness = f"""{specification("passes")}
module proof({ports(config)});
{signals(config)}
  // Any PSUM row; the rows taken since one that uses it, at most {hazard}; its rows between seed and store.
  (* anyconst *) wire [{address - 1}:0] tag;
  reg [{hazard.bit_length() - 1}:0] since = {hazard}, between = 0;
  wire taken = m_row_taken && address == tag;
  wire seeded = seed[0] && seed[2 +: {address}] == tag;
  wire stored = store[0] && store[1 +: {address}] == tag;
  always @(posedge clk)
    if (rst) begin
      since <= {hazard};
      between <= 0;
    end else begin
      if (m_row_taken) since <= taken ? 0 : since == {hazard} ? since : since + 1;
      between <= between + seeded - stored;
    end
  // The youngest row of the tag that is on its way to its store, and how many rows follow it.
  reg [{hazard - 1}:0] on_way;
  reg found;
  reg [{hazard.bit_length() - 1}:0] after, older;
  always @* begin
    found = 0;
    after = 0;
    older = 0;
    for (i = 0; i < {hazard}; i = i + 1) begin
      on_way[i] = m_store[i * {width}] && m_store[i * {width} + 1 +: {address}] == tag;
      if (on_way[i]) found = 1;
      if (m_store[i * {width}] && !found) after = after + 1;
      if (i > 0) older = older + on_way[i];
    end
  end
  always @* begin
    // What ``distance`` means.
    assume (!taken || x_first || since + 1 >= x_distance);
    inv_since: assert (since <= {hazard} && (!found || since == after));
    inv_between: assert (between == older);
    inv_same: assert (m_seed[0] == m_store[0] && m_seed[2 +: {address}] == m_store[1 +: {address}]);
    inv_taken: assert (m_store[0] == m_recent[0]);
    for (i = 0; i < {hazard - 1}; i = i + 1) assert (m_recent[i] == m_store[i * {width}]);
    // The memory is read at the end of the seed's cycle and written at the end of the store's.
    seed_after_store: assert (!seeded || !seed[1] || between == 0);
  end
endmodule
"""
    return Property(
        name="sequencer-seeds",
        claim="no PSUM row is read as a seed before the pass before it has stored it",
        device=lambda: _device(config),
        harness=harness,
        engine="induction",
        depth=20,
        peeks=PEEKS,
        quick=True,
    )


def _ring(config: EngineConfig) -> Property:
    layout = command_layout(config)
    address = config.address_bits
    due, count = config.read_latency, config.psum_depth.bit_length()
    age = due.bit_length()
    stages = config.readout_latency + config.cols - 2
    # Rows that column 0 has read and the last column has not.
    between = " + ".join(["0", *(f"r_stages[{index}]" for index in range(config.cols - 1))])
    last_reads = f"leaving[{config.cols - 2}]" if config.cols > 1 else "r_row_waits"
    # Rounding is not the question here.
    rounder = f"""
module rounder(input clk, rst, i_en, i_saturate, input [1:0] i_select, input [{psum_layout(config).width - 1}:0] i_psum,
  output [31:0] o_code);
  assign o_code = 0;
endmodule
"""
    harness = f"""{specification("passes")}{rounder}
module proof(input clk, rst, command_valid, weight_valid, activation_valid, ready,
  input [{layout.width - 1}:0] command);
  wire advance, freed, valid;
  wire [{address - 1}:0] read_address;
{signals(config, "assert")}
  wire [{result_layout(config).width - 1}:0] payload;
  readout readout (
    .clk(clk), .rst(rst), .i_row_en(row_en), .i_row_address(row_address), .i_row(row), .i_finished(finished),
    .o_advance(advance), .o_read_address(read_address), .o_freed(freed),
    .i_psums({psum_layout(config).width * config.cols}'b0), .o__valid(valid), .o__ready(ready), .o__payload(payload));
  wire [{count - 1}:0] r_rows_ready;
  wire [{stages - 1}:0] r_stages;
  wire r_row_waits;
  wire read_en = advance && r_row_waits;

  // Tiles take rows in ring order and finish in ring order: `handed` and `ended` are the next row of either kind.
  reg [{address - 1}:0] handed = 0, ended = 0;
  reg [{count - 1}:0] open = 0;
  // The row that the last column reads next.
  reg [{address - 1}:0] leaves = 0;
  // Any PSUM row: in use, its tile finished, and the cycles since (at most {due}).
  (* anyconst *) wire [{address - 1}:0] tag;
  reg held = 0, done = 0;
  reg [{age - 1}:0] age = 0;
  reg [{stages}:0] leaving = 0;
  wire taken = m_row_taken && address == tag;
  wire last_reads = {last_reads};
  wire read = read_en && read_address == tag;
  wire tag_freed = freed && leaves == tag;
  wire first_row = m_row_taken && x_first;
  wire final_row = m_row_taken && x_last;
  always @(posedge clk)
    if (rst) {{handed, ended, open, leaves, held, done, age, leaving}} <= 0;
    else begin
      handed <= handed + first_row;
      ended <= ended + final_row;
      open <= open + first_row - final_row;
      leaves <= leaves + freed;
      held <= (held && !tag_freed) || (taken && x_first);
      done <= (done && !tag_freed) || (taken && x_last);
      age <= taken && x_last ? 1 : age == {due} ? age : age + 1;
      if (!valid || ready) leaving <= {{leaving, read_en}};
    end
  reg [{count - 1}:0] ending, before;
  // A row is read out.
  (* keep *) wire out = valid && ready;
  wire [{address - 1}:0] offset = tag - leaves;
  wire [{count}:0] unread = r_rows_ready + {between};
  always @* begin
    ending = 0;
    before = 0;
    for (i = 0; i < {due - 1}; i = i + 1) begin
      ending = ending + m_finished[i];
      if (i >= age) before = before + m_finished[i];
    end
  end
  always @* begin
    assume (!first_row || address == handed);
    assume (!final_row || address == ended);
    assume (!final_row || x_first || open != 0);
    inv_read: assert (read_address == (leaves + {between}) % {config.psum_depth});
    inv_used: assert (occupied == 8'd0 + open + ending + unread && occupied <= {config.psum_depth});
    inv_handed: assert ((ended + open - handed) % {config.psum_depth} == 0);
    inv_ended: assert ((read_address + ending + r_rows_ready - ended) % {config.psum_depth} == 0);
    inv_held: assert (held == (offset < occupied));
    inv_done: assert (done == (offset < ending + unread));
    inv_ending: assert (!done || age == 0 || age >= {due} || (m_finished[age - 1] && offset == unread + before));
    inv_ready: assert (!done || age < {due} || offset < unread);
    inv_waits: assert (r_row_waits == (r_rows_ready != 0));
    inv_age: assert (age <= {due} && (!done || age != 0));
    row_is_free: assert (!taken || !x_first || !held);
    // Column 0's store is {config.store_latency} cycles after the row was taken; reads go east no faster than stores.
    read_after_store: assert (!read || (held && done && age >= {config.store_latency + 1}));
    last_column: assert (freed == (advance && last_reads));
    row_leaves_once: assert ({{valid, r_stages}} == leaving);
  end
endmodule
"""

    def device() -> str:
        modules = plain_modules(Sequencer(config)) | plain_modules(Readout(config))
        # The harness has a rounder of its own.
        return join_modules({name: text for name, text in modules.items() if name not in ("rounder", "narrower")})

    return Property(
        name="sequencer-ring",
        claim="no PSUM row is given to a tile before all columns read it out, or read out of a column before its store",
        device=device,
        harness=harness,
        engine="induction",
        depth=20,
        peeks=PEEKS
        | {"r_rows_ready": "readout.rows_ready", "r_stages": "readout.stages", "r_row_waits": "readout.row_waits"},
        quick=True,
    )


def sequencer_properties() -> Iterator[Property]:
    """In small configurations."""
    yield _passes(CONFIG)
    yield _passes(TOGETHER, "sequencer-passes-together")
    yield _seeds(CONFIG)
    yield _ring(CONFIG)
