"""The second half of the fused multiply-add: the exact product, which is proved elsewhere, and the sum."""

from collections.abc import Iterator

from arch.tensor.config import EngineConfig
from hw.arithmetic.fused_adder import FusedAdder
from hw.lib.joining import join_modules
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.tensor.blocks.configs import UNIT_CONFIGS
from verif.tensor.proofs.arithmetic import max_product_exponent, product_fields, specification, split_fields
from verif.tensor.sums import possible_sum

__all__ = ["fused_properties"]

#: Distances of the exponents from here on are one case: the smaller operand is below the guard bits.
FAR = 28


def _fused(key: str, config: EngineConfig) -> Property:
    layout = product_fields(config)
    bits, exponent = layout.fields["magnitude"], layout.fields["exponent"]
    inf = "p_inf" if config.has_inf else "1'b0"
    enable = "" if config.sums_in_range else ", .i_enable(enable)"
    harness = f"""{specification("rounded")}{specification("fused")}
module proof(input [31:0] c, input enable, input [{layout.width - 1}:0] p);
{split_fields("p", "p", layout)}
  wire [31:0] o, want;
  wire signed [12:0] distance;
  fused_adder dut (.i_psum(c), .i_product(p){enable}, .o_psum(o));
  fused_sum #(.MAG({bits}), .EXP({exponent}), .LSB({config.product_lsb_exp})) spec (
    .c(c), .magnitude(p_magnitude), .exponent(p_exponent), .sign(p_sign), .nan(p_nan), .inf({inf}),
    .distance(distance), .result(want));
  (* keep *) wire signed [12:0] split = distance > {FAR} ? {FAR} : distance < -{FAR} ? -{FAR} : distance;
  always @* begin
    // What the multiplier is proved to give.
    assume (p_magnitude == 0 || p_magnitude[{bits - 1}:{bits - 2}] != 0);
    assume (!(p_nan || {inf}) || p_magnitude == 0);
    assume (p_exponent <= {max_product_exponent(config)});
    assume (!p_nan || (!p_sign && !{inf}));
    // What a PE makes of a product that does not count.
    assume (enable || p == 0);
    // What this adder is proved to give; the first sum is +0.
    assume ({possible_sum(config, "c")});
    sum: assert (o == (enable ? want : c));
    possible: assert ({possible_sum(config, "o")});
  end
endmodule
"""
    return Property(
        name=f"fused_adder-{key}",
        claim=f"fma in binary32 for every sum c and every product of {', '.join(config.formats)}; c if not enabled",
        device=lambda: join_modules(plain_modules(FusedAdder(config))),
        harness=harness,
        cases=range(-FAR, FAR + 1),
    )


def fused_properties() -> Iterator[Property]:
    """In every configuration with fp32 sums."""
    for key, config in UNIT_CONFIGS.items():
        if not config.exact:
            yield _fused(key, config)
