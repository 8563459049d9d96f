"""Properties of decoders and multipliers, for all inputs."""

from collections.abc import Iterator
from pathlib import Path

from arch.formats import Format
from arch.layout import Layout
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import operand_layout, product_layout
from hw.arithmetic.decoder import Decoder
from hw.arithmetic.multiplier import Multiplier
from hw.lib.joining import join_modules
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.tensor.blocks.configs import UNIT_CONFIGS

__all__ = [
    "arithmetic_properties",
    "max_product",
    "max_product_exponent",
    "product_fields",
    "specification",
    "split_fields",
]


def specification(name: str) -> str:
    """A specification beside this file."""
    return (Path(__file__).with_name(f"{name}.sv")).read_text(encoding="utf-8")


def split_fields(prefix: str, bus: str, layout: Layout) -> str:
    """Wires for the fields of a packed bus, 0 where a field has no bits; one that is left out is not declared."""
    return "\n".join(
        f"  wire [{width - 1}:0] {prefix}_{name} = {bus}[{layout.offset(name) + width - 1}:{layout.offset(name)}];"
        if width
        else f"  wire {prefix}_{name} = 1'b0;"
        for name, width in layout.fields.items()
    )


def product_fields(config: EngineConfig) -> Layout:
    """The product without its tags."""
    fields = dict(product_layout(config).fields)
    return Layout(**{name: width for name, width in fields.items() if name not in ("valid", "enable")})


def max_product_exponent(config: EngineConfig) -> int:
    """The largest exponent of a product of normalised operands."""
    top = max(fmt.max_exp - fmt.bias for fmt in config.operand_formats)
    return 2 * (top - (config.significand_bits - 1) - config.operand_lsb_exp)


def max_product(config: EngineConfig) -> int:
    """The largest magnitude of a product, in units of ``2**product_lsb_exp``."""
    return int(max(fmt.max_value for fmt in config.operand_formats) * 2.0**-config.operand_lsb_exp) ** 2


def _magnitude_bits(config: EngineConfig) -> int:
    """Bits of the largest operand as an integer multiple of ``2**operand_lsb_exp``."""
    return max(fmt.max_exp - fmt.bias + 1 for fmt in config.operand_formats) - config.operand_lsb_exp


def _value(config: EngineConfig, lane: str) -> str:
    """What a lane's code is in the format its select names: wires ``_sign``, ``_nan``, ``_inf``, ``_significand``,
    ``_magnitude``."""
    width, unit = _magnitude_bits(config), config.operand_lsb_exp
    lines = []

    def choose(what: str) -> str:
        # A select that names no format of the configuration is the first one.
        first, *others = (f"{lane}_{fmt.name}_{what}" for fmt in config.operand_formats)
        for fmt, wire in zip(config.operand_formats[1:], others, strict=True):
            first = f"{lane}_select == {fmt.select} ? {wire} : {first}"
        return first

    for fmt in config.operand_formats:
        own = f"{lane}_{fmt.name}"
        lines += [
            f"  wire {own}_sign, {own}_nan, {own}_inf;",
            f"  wire [{fmt.man_bits}:0] {own}_significand;",
            f"  wire [{width - 1}:0] {own}_magnitude;",
            f"  code_value #({_facts(fmt)}, .UNIT({unit}), .WIDTH({width})) {own} (",
            f"    .code({lane}_code[{fmt.bits - 1}:0]), .sign({own}_sign), .nan({own}_nan), .inf({own}_inf),",
            f"    .significand({own}_significand), .magnitude({own}_magnitude));",
        ]
    for what, bits in (
        ("sign", 1),
        ("nan", 1),
        ("inf", 1),
        ("significand", config.significand_bits),
        ("magnitude", width),
    ):
        lines.append(f"  wire [{bits - 1}:0] {lane}_{what} = {choose(what)};")
    return "\n".join(lines)


def _facts(fmt: Format) -> str:
    return f".EXP({fmt.exp_bits}), .MAN({fmt.man_bits}), .BIAS({fmt.bias}), .HAS_INF({int(fmt.has_inf)})"


def _operand(config: EngineConfig, lane: str) -> str:
    """A code of any format, its value and the device's operand of it."""
    layout = operand_layout(config)
    return f"""
  wire [{layout.width - 1}:0] {lane}_operand;
  decoder {lane}_decoder (.i_code({lane}_code), .i_select({lane}_select), .o({lane}_operand));
{_value(config, lane)}
"""


def _decoder(key: str, config: EngineConfig) -> Property:
    width = _magnitude_bits(config)
    significand = config.significand_bits
    if config.integer_operands:
        form = "d_significand == x_magnitude"
    elif config.exact:
        form = "d_significand == x_significand"
    else:
        form = f"d_significand == 0 || d_significand[{significand - 1}]"
    harness = f"""{specification("value")}
module proof(input [{config.code_bits - 1}:0] x_code, input [1:0] x_select);
{_operand(config, "x")}
{split_fields("d", "x_operand", operand_layout(config))}
  wire [{width - 1}:0] d_wide = d_significand;
  wire [{width - 1}:0] d_magnitude = d_wide << d_exponent;
  always @* begin
    nan: assert (d_nan == x_nan);
    inf: assert ({"d_inf" if config.has_inf else "1'b0"} == x_inf);
    sign: assert (d_sign == (x_sign && !x_nan));
    value: assert (d_magnitude == x_magnitude);
    no_bit_lost: assert (d_magnitude >> d_exponent == d_significand);
    form: assert ({form});
    zero: assert (d_significand != 0 || d_exponent == 0);
  end
endmodule
"""
    return Property(
        name=f"decoder-{key}",
        claim=f"every code of {', '.join(config.formats)}: value, specials, canonical form",
        device=lambda: join_modules(plain_modules(Decoder(config))),
        harness=harness,
        quick=True,
    )


def _multiplier(key: str, config: EngineConfig) -> Property:
    """From the codes of both lanes to the product."""
    width = 2 * _magnitude_bits(config)
    specials = (
        "{p_nan, p_inf && p_sign, p_inf && !p_sign}"
        if not config.exact
        else "{&p_special, p_special == 2'b10, p_special == 2'b01}"
        if config.has_inf
        else "{p_special, 2'b00}"
    )
    if not config.exact:
        value = "p_magnitude == x_o_significand * w_o_significand && p_exponent == x_o_exponent + w_o_exponent"
        top = 2 * config.significand_bits - 1
        form = (
            f"(p_magnitude == 0 || p_magnitude[{top}:{top - 1}] != 0) && p_exponent <= {max_product_exponent(config)}"
        )
    else:
        value = "p_value == x_wide * w_wide"
        form = f"p_value <= {width}'d{max_product(config)}"
    harness = f"""{specification("value")}
module proof(
  input [{config.code_bits - 1}:0] x_code, w_code, input [1:0] x_select, w_select
);
{_operand(config, "x")}
{_operand(config, "w")}
{split_fields("x_o", "x_operand", operand_layout(config))}
{split_fields("w_o", "w_operand", operand_layout(config))}
  wire [{product_fields(config).width - 1}:0] p;
  multiplier dut (.i_x(x_operand), .i_w(w_operand), .o(p));
{split_fields("p", "p", product_fields(config))}
  wire [{width - 1}:0] p_wide = p_magnitude;
  wire [{width - 1}:0] p_value = p_wide << p_exponent;
  wire [{width - 1}:0] x_wide = x_magnitude;
  wire [{width - 1}:0] w_wide = w_magnitude;
  wire x_zero = !x_nan && !x_inf && x_magnitude == 0;
  wire w_zero = !w_nan && !w_inf && w_magnitude == 0;
  wire nan = x_nan || w_nan || (x_inf && w_zero) || (x_zero && w_inf);
  wire inf = (x_inf || w_inf) && !nan;
  wire sign = (x_sign ^ w_sign) && !nan;
  always @* begin
    specials: assert ({specials} == {{nan, inf && sign, inf && !sign}});
    sign_bit: assert (p_sign == sign);
    value: assert ({value});
    special_is_zero: assert (!(nan || inf) || p_magnitude == 0);
    form: assert ({form});
  end
endmodule
"""
    return Property(
        name=f"multiplier-{key}",
        claim=f"every pair of codes of {', '.join(config.formats)}, decoded: the exact product, specials",
        device=lambda: join_modules(plain_modules(Multiplier(config)) | plain_modules(Decoder(config))),
        harness=harness,
        quick=key != "fp8",
    )


def arithmetic_properties() -> Iterator[Property]:
    """In every configuration that the units are benched in."""
    for make in (_decoder, _multiplier):
        for key, config in UNIT_CONFIGS.items():
            if config.product_latency == 1:
                yield make(key, config)
