"""Properties of exact sums and of the read-out: no overflow, one rounding, the conversion to narrower formats."""

from collections.abc import Iterator

from arch.formats import FORMATS, FP32, Format
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout
from hw.arithmetic.exact_adder import ExactAdder
from hw.arithmetic.narrower import Narrower
from hw.arithmetic.rounder import Rounder
from hw.lib.joining import join_modules
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.tensor.blocks.configs import UNIT_CONFIGS
from verif.tensor.proofs.arithmetic import max_product, product_fields, specification, split_fields

__all__ = ["sum_properties"]


def _exact_adder(key: str, config: EngineConfig) -> Property:
    """The step of an induction over the products of a sum: a sum of none is 0."""
    layout, product = psum_layout(config), product_fields(config)
    acc, special = layout.fields["acc"], layout.fields["special"]
    largest, wide = max_product(config), acc + 8
    count = config.k_max.bit_length()
    harness = f"""
module proof(input [{count - 1}:0] n, input [{layout.width - 1}:0] before, input [{product.width - 1}:0] p);
  wire [{layout.width - 1}:0] after;
  exact_adder dut (.i_psum(before), .i_product(p), .o_psum(after));
{split_fields("p", "p", product)}
  wire signed [{wide - 1}:0] sum = $signed(before[{acc - 1}:0]);
  wire signed [{wide - 1}:0] next = $signed(after[{acc - 1}:0]);
  wire [{wide + 63}:0] shifted = {{{wide + 64 - product.fields["magnitude"]}'b0, p_magnitude}} << p_exponent;
  wire signed [{wide - 1}:0] size = shifted[{wide - 1}:0];
  wire signed [{wide - 1}:0] largest = {wide}'d{largest};
  wire signed [{wide - 1}:0] bound = n * largest;
  always @* begin
    // What the multiplier is proved to give; at most k_max products make a sum.
    assume (shifted <= {wide + 64}'d{largest});
    assume (n < {config.k_max});
    assume (-bound <= sum && sum <= bound);
    exact: assert (next == (p_sign ? sum - size : sum + size));
    bounded: assert (-bound - largest <= next && next <= bound + largest);
    sticky: assert (after[{layout.width - 1}:{acc}] == (before[{layout.width - 1}:{acc}] | p_special));
  end
endmodule
"""
    return Property(
        name=f"exact_adder-{key}",
        claim=f"{config.k_max} products, {acc} bits: the sum is exact, its {special} flags sticky",
        device=lambda: join_modules(plain_modules(ExactAdder(config))),
        harness=harness,
        quick=True,
    )


def _rounder(key: str, config: EngineConfig) -> Property:
    """Sums held in the harness beside those in the pipeline."""
    layout = psum_layout(config)
    acc, special = layout.fields["acc"], layout.fields["special"]
    harness = f"""{specification("rounded")}
module narrower(input [31:0] i_fp32, input [1:0] i_select, input i_saturate, output [31:0] o_code);
  assign o_code = i_fp32;
endmodule
module proof(input clk, en, input [{layout.width - 1}:0] psum);
  wire [31:0] code;
  rounder dut (.clk(clk), .rst(1'b0), .i_en(en), .i_psum(psum), .i_select(2'b0), .i_saturate(1'b0), .o_code(code));
  // The last sum taken, and what the one before it rounds to.
  reg [{layout.width - 1}:0] taken = 0;
  reg [31:0] want = 0;
  wire signed [{acc - 1}:0] sum = taken[{acc - 1}:0];
  wire [{special - 1}:0] flags = taken[{layout.width - 1}:{acc}];
  wire [{acc - 2}:0] size = sum < 0 ? -sum : sum;
  wire [39:0] rounded_code;
  rounded #(.WIDTH({acc - 1})) round (.size(size), .unit({config.product_lsb_exp}), .code(rounded_code));
  always @(posedge clk) if (en) begin
    taken <= psum;
    want <= &flags ? 32'h{FP32.nan:08x} : |flags ? {{flags[{special - 1}], 31'h{FP32.inf:08x}}}
      : sum == 0 ? 32'b0 : {{sum < 0, rounded_code[30:0]}};
  end
  wire [{acc - 2}:0] d_magnitude;
  wire d_sign;
  wire [{special - 1}:0] d_special;
  always @* begin
    // Sums within k_max are symmetric: the one number without an opposite does not occur.
    assume (psum[{acc - 1}:0] != {acc}'d{1 << acc - 1});
    inv_stage: assert (d_magnitude == size && d_special == flags && (size == 0 || d_sign == (sum < 0)));
    inv_taken: assert (sum != {acc}'d{1 << acc - 1});
    finite: assert (rounded_code[39:31] == 0 && rounded_code[30:23] != 8'hff);
    rounded_once: assert (code == want);
  end
endmodule
"""
    return Property(
        name=f"rounder-{key}",
        claim=f"every sum of {acc} bits, to fp32 once, to nearest even; flags; any stall",
        device=lambda: join_modules({"rounder": plain_modules(Rounder(config))["rounder"]}),
        harness=harness,
        engine="induction",
        depth=4,
        peeks={"d_magnitude": "dut.magnitude", "d_sign": "dut.sign", "d_special": "dut.special"},
        quick=True,
    )


def _target(fmt: Format) -> str:
    """The code of a finite fp32 number in a format, as wires ``{name}_...``."""
    name, top = fmt.name, fmt.bits - 2
    over = fmt.inf if fmt.has_inf else fmt.nan
    return f"""
  wire [39:0] {name}_exact;
  rounded #(.WIDTH(24), .MAN({fmt.man_bits}), .LSB({fmt.lsb_exp})) {name}_round (
    .size(size), .unit(unit), .code({name}_exact));
  wire {name}_over = inf || {name}_exact > {fmt.max_code};
  wire [{top}:0] {name}_size = {name}_over ? (saturate ? {fmt.max_code} : {over}) : {name}_exact[{top}:0];
  // A format without Inf overflows to its NaN, which has no sign.
  wire {name}_sign = c[31] && !({name}_over && !saturate && {int(not fmt.has_inf)});
  wire [31:0] {name}_code = nan ? {fmt.nan} : {{{name}_sign, {name}_size}};"""


def _narrower() -> Property:
    narrow = [fmt for fmt in FORMATS.values() if fmt is not FP32]
    choice = "c"
    for fmt in narrow:
        choice = f"select == {fmt.select} ? {fmt.name}_code : {choice}"
    harness = f"""{specification("rounded")}
module proof(input [31:0] c, input [1:0] select, input saturate);
  wire [31:0] code;
  narrower dut (.i_fp32(c), .i_select(select), .i_saturate(saturate), .o_code(code));
  wire nan = c[30:23] == 255 && c[22:0] != 0;
  wire inf = c[30:23] == 255 && c[22:0] == 0;
  wire [23:0] size = {{c[30:23] != 0, c[22:0]}};
  wire signed [12:0] unit = $signed({{5'b0, c[30:23] == 0 ? 8'd1 : c[30:23]}}) - 150;
{"".join(_target(fmt) for fmt in narrow)}
  wire [31:0] want = {choice};
  always @* narrowed: assert (code == want);
endmodule
"""
    return Property(
        name="narrower",
        claim=f"every fp32 code to {', '.join(fmt.name for fmt in narrow)}, saturating or not; fp32 unchanged",
        device=lambda: join_modules(plain_modules(Narrower(UNIT_CONFIGS["bf16"]))),
        harness=harness,
        quick=True,
    )


def sum_properties() -> Iterator[Property]:
    """In every configuration with exact sums; the narrower is one for all."""
    for key, config in UNIT_CONFIGS.items():
        if config.exact and config.product_latency == 1:
            yield _exact_adder(key, config)
            if not config.integer_operands:
                yield _rounder(key, config)
    yield _narrower()
