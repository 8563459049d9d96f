"""Properties of the float blocks and of the registers, by name. Of float pipelines the function is proved, with their
registers as wires."""

import re
from collections.abc import Iterator
from pathlib import Path

from amaranth.lib import wiring

from arch.elements import ELEMENTS
from arch.formats import FP32
from hw.arithmetic.element_narrower import ElementNarrower
from hw.arithmetic.float_adder import FloatAdder
from hw.arithmetic.float_multiplier import FloatMultiplier
from hw.arithmetic.float_order import FloatOrder
from hw.arithmetic.widener import Widener
from hw.lib.joining import join_modules
from verif.core.proofs.order import order_properties
from verif.core.proofs.registers import register_properties
from verif.modules import plain_modules
from verif.proofs.prover import Property

__all__ = ["PROPERTIES"]

#: Distances of the exponents of addends from here on are one case: the smaller one is below the guard bits.
FAR = 27
#: Bits of such a sum without its sign.
WHOLE = 24 + FAR + 1
_ROUNDED = Path(__file__).with_name("rounded.sv").read_text(encoding="utf-8")
#: A register with its enable, as emitted; and one of its assignments.
_REGISTER = re.compile(
    r"^  always @\(posedge clk\)\n    if \(i_en\)(.*?;)(?=\n  \w|\nendmodule)", re.DOTALL | re.MULTILINE
)
_ASSIGNED = re.compile(r"(?<=[\w\]] )<=")


def _combinational(block: type[wiring.Component]) -> str:
    """A pipeline's Verilog with every register a wire."""
    text = join_modules(plain_modules(block()))
    text = re.sub(r"^(  reg .*?) = .*;$", r"\1;", text, flags=re.MULTILINE)
    text = _REGISTER.sub(lambda m: f"  always @*\n   {_ASSIGNED.sub('=', m[1])}", text)
    if "posedge" in text:
        raise ValueError(f"every register of {block.module_name} must have the enable i_en and no more")
    return text


def _fields(name: str) -> str:
    """Parts of a code as wires."""
    return f"""
  wire {name}_nan = {name}[30:23] == 255 && {name}[22:0] != 0, {name}_inf = {name}[30:0] == 31'h{FP32.inf:08x};
  wire [23:0] {name}_size = {{{name}[30:23] != 0, {name}[22:0]}};
  wire signed [12:0] {name}_unit = $signed({{5'b0, {name}[30:23] == 0 ? 8'd1 : {name}[30:23]}}) - 150;"""


_PAIR = """
module proof(input [31:0] a, b);
  wire [31:0] o;
  {module} dut (.clk(1'b0), .rst(1'b0), .i_en(1'b1), .i_a(a), .i_b(b), .o(o));"""


def _adder() -> Property:
    harness = f"""{_ROUNDED}{_PAIR.format(module="float_adder")}
{_fields("a")}{_fields("b")}
  wire signed [12:0] distance = a_unit - b_unit;
  // From {FAR} on the smaller addend is less than a quarter of the sum's last place: any other as small rounds alike.
  wire signed [12:0] near = distance > {FAR} ? {FAR} : distance < -{FAR} ? -{FAR} : distance;
  wire signed [{WHOLE}:0] a_whole = near > 0 ? {{{WHOLE}'b0, a_size}} << near : a_size;
  wire signed [{WHOLE}:0] b_whole = near < 0 ? {{{WHOLE}'b0, b_size}} << -near : b_size;
  wire signed [12:0] unit = near > 0 ? a_unit - near : near < 0 ? b_unit + near : a_unit;
  wire signed [{WHOLE}:0] sum = (a[31] ? -a_whole : a_whole) + (b[31] ? -b_whole : b_whole);
  wire sign = sum < 0;
  wire [{WHOLE}:0] size = sign ? -sum : sum;
  wire [39:0] code;
  nearest #(.WIDTH({WHOLE})) rounding (.size(size[{WHOLE - 1}:0]), .unit(unit), .code(code));
  wire [30:0] finite = code > 40'h{FP32.inf:x} ? 31'h{FP32.inf:08x} : code[30:0];
  wire [31:0] want = a_nan || b_nan || (a_inf && b_inf && a[31] != b[31]) ? 32'h{FP32.nan:08x}
    : a_inf ? a : b_inf ? b : sum == 0 ? {{a[31] && b[31], 31'b0}} : {{sign, finite}};
  (* keep *) wire signed [12:0] split = near;
  always @* sum_of_two: assert (o == want);
endmodule
"""
    return Property(
        name="float_adder",
        claim="a + b in binary32, for every a and b",
        device=lambda: _combinational(FloatAdder),
        harness=harness,
        cases=range(-FAR, FAR + 1),
        timeout=3600,
    )


def _multiplier() -> Property:
    """Whatever moves and rounds a product, apart from the multiplication of two significands of many bits."""
    harness = f"""{_ROUNDED}{_PAIR.format(module="float_multiplier")}
{_fields("a")}{_fields("b")}
  wire [47:0] size = a_size * b_size;
  wire [39:0] code;
  nearest #(.WIDTH(48)) rounding (.size(size), .unit(a_unit + b_unit), .code(code));
  wire [30:0] finite = code > 40'h{FP32.inf:x} ? 31'h{FP32.inf:08x} : code[30:0];
  wire a_zero = a[30:0] == 0, b_zero = b[30:0] == 0;
  wire [31:0] want = a_nan || b_nan || (a_inf && b_zero) || (a_zero && b_inf) ? 32'h{FP32.nan:08x}
    : {{a[31] ^ b[31], a_inf || b_inf ? 31'h{FP32.inf:08x} : size == 0 ? 31'b0 : finite}};
  always @* product: assert (o == want);
endmodule
"""
    return Property(
        name="float_multiplier",
        claim="a * b in binary32, for every a, and every b",
        device=lambda: _combinational(FloatMultiplier),
        harness=harness,
        quick=True,
    )


def _widener() -> Property:
    """Wide, then narrow again."""
    wants = ["code"] * 8
    for element in ELEMENTS.values():
        if element.bytes < 4:
            fmt, top = element.format, element.format.bits - 1
            inf = f"code[{top - 1}:0] == {fmt.inf} ? {{code[{top}], {top}'d{fmt.max_code}}} :" if fmt.has_inf else ""
            wants[element.select] = f"({inf} code[{top - 1}:0] > {fmt.max_code} ? {fmt.nan} : code)"
    wants[ELEMENTS["fp32"].select] = f"(code[30:0] > 31'h{FP32.inf:08x} ? 32'h{FP32.nan:08x} : code)"
    choice = wants[-1]
    widths = "32"
    for element in ELEMENTS.values():
        choice = f"kind == {element.select} ? {wants[element.select]} : {choice}"
        widths = f"kind == {element.select} ? {8 * element.bytes} : {widths}"
    harness = f"""
module proof(input [31:0] code, input [2:0] kind);
  wire [31:0] wide, narrow;
  widener in (.i_code(code), .i_type(kind), .o(wide));
  element_narrower out (.i(wide), .i_type(kind), .o_code(narrow));
  wire [5:0] width = {widths};
  wire [31:0] want = {choice};
  always @* begin
    assume (width == 32 || code >> width == 0);
    same: assert (narrow == want);
  end
endmodule
"""
    return Property(
        name="widener",
        claim="widened and narrowed, elements are as they were; NaN canonical, Inf of short ones the largest number",
        device=lambda: join_modules(plain_modules(Widener()) | plain_modules(ElementNarrower())),
        harness=harness,
        quick=True,
    )


def _order() -> Property:
    """A total order but for NaN: that, and where every sign and zero stand, leaves one order only."""
    pairs = ("a", "b"), ("b", "c"), ("a", "c"), ("b", "a")
    placed = "".join(
        f"""
  wire {x}{y}_less, {x}{y}_equal, {x}{y}_nan;
  float_order {x}{y} (.i_a({x}), .i_b({y}), .o_less({x}{y}_less), .o_equal({x}{y}_equal), .o_unordered({x}{y}_nan));"""
        for x, y in pairs
    )
    harness = f"""
module proof(input [31:0] a, b, c);{placed}
{_fields("a")}{_fields("b")}
  always @* begin
    one: assert (ab_less + ab_equal + ab_nan + ba_less == 1);
    nan: assert (ab_nan == (a_nan || b_nan));
    transitive: assert (!(ab_less && bc_less) || ac_less);
    equals: assert (ab_equal == (!ab_nan && (a == b || (a[30:0] == 0 && b[30:0] == 0))));
    // Of the same sign and next to each other, and across zero.
    steps: assert (ab_nan || a[31] || b != a + 1 || ab_less);
    below: assert (ab_nan || !a[31] || b != a + 1 || ba_less);
    signs: assert (ab_nan || !a[31] || b[31] || ab_less || ab_equal);
  end
endmodule
"""
    return Property(
        name="float_order",
        claim="less and equal order all numbers, from -Inf up by their codes, -0 with +0; NaN is none",
        device=lambda: join_modules(plain_modules(FloatOrder())),
        harness=harness,
        quick=True,
    )


def _properties() -> Iterator[Property]:
    yield _adder()
    yield _multiplier()
    yield _widener()
    yield _order()
    yield from register_properties()
    yield from order_properties()


PROPERTIES: dict[str, Property] = {prop.name: prop for prop in _properties()}
