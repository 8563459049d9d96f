"""Properties of a core's registers: how their channels behave, and counters of values that no simulation reaches."""

from collections.abc import Iterator

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from arch.core.registers import COUNTER_BITS, SLVERR, counters
from hw.core.registers import CoreRegisters
from hw.lib.joining import join_modules
from verif.core.blocks.registers import ports
from verif.modules import plain_modules
from verif.proofs.prover import Property

__all__ = ["register_properties"]

CONFIG = CORES["tiny"]
#: Streams that the registers offer.
_OFFERED = ("o_b", "o_r", "o_program")


def _device() -> str:
    return join_modules(plain_modules(CoreRegisters(CONFIG)))


def _inputs(config: CoreConfig, prefix: str = "") -> str:
    return ", ".join(f"input [{width - 1}:0] {prefix}{name}" for name, width in ports(config)[0].items())


def _instance(config: CoreConfig, name: str, prefix: str = "") -> str:
    """Registers whose outputs are wires ``{name}_...``."""
    inputs, outputs = ports(config)
    wires = "".join(f"\n  wire [{width - 1}:0] {name}_{port};" for port, width in outputs.items())
    pins = [f".{port}({prefix}{port})" for port in inputs] + [f".{port}({name}_{port})" for port in outputs]
    return f"{wires}\n  core_registers {name} (.clk(clk), .rst(rst), {', '.join(pins)});"


def _held() -> Property:
    """From any state, with any inputs."""
    kept, held = [], []
    for stream in _OFFERED:
        width = ports(CONFIG)[1][f"{stream}__payload"]
        kept.append(f"""
  reg {stream}_stalled = 0;
  reg [{width - 1}:0] {stream}_before;
  always @(posedge clk) begin
    {stream}_stalled <= dut_{stream}__valid && !{stream}__ready && !rst;
    {stream}_before <= dut_{stream}__payload;
  end""")
        held.append(f"""
    {stream}_kept: assert (!known || !{stream}_stalled || dut_{stream}__valid);
    {stream}_held: assert (!known || !{stream}_stalled || dut_{stream}__payload == {stream}_before);
    {stream}_empty: assert (!known || !was_reset || !dut_{stream}__valid);""")
    harness = f"""
module proof(input clk, input rst, {_inputs(CONFIG)});{_instance(CONFIG, "dut")}
  reg known = 0, was_reset = 0;
  always @(posedge clk) begin
    known <= 1;
    was_reset <= rst;
  end{"".join(kept)}
  always @* begin{"".join(held)}
  end
endmodule
"""
    return Property(
        name="core-registers-held",
        claim="answers, data read and the program stay, unchanged, until they are taken; reset empties all three",
        device=_device,
        harness=harness,
        engine="induction",
        depth=8,
        quick=True,
    )


def _registered() -> Property:
    """Registers in one state, any it be, with other inputs."""
    # The interrupt follows the core's own register.
    seen = [name for name in ports(CONFIG)[1] if name != "o_interrupt"]
    checks = "".join(f"\n    {name}: assert (dut_{name} == other_{name});" for name in seen)
    harness = f"""
module proof(input clk, input rst, {_inputs(CONFIG)}, {_inputs(CONFIG, "any_")});
{_instance(CONFIG, "dut")}{_instance(CONFIG, "other", "any_")}
  always @* begin{checks}
  end
endmodule
"""
    return Property(
        name="core-registers-registered",
        claim="no output of a channel depends on an input of its cycle",
        device=_device,
        harness=harness,
        twins=("dut", "other"),
        quick=True,
    )


def _counted() -> Property:
    """Of a counter of any value: both of its registers, and the value after it, unless a start makes that 0."""
    declared, clocked, asserted, peeks = [], [], [], {}
    for name, address in counters(CONFIG).items():
        wire = f"{name.lower()}_now"
        peeks[wire] = f"dut.{name.lower()}"
        declared.append(f"\n  wire [{COUNTER_BITS - 1}:0] {wire};\n  reg [{COUNTER_BITS - 1}:0] {wire}_before;")
        clocked.append(f"\n    {wire}_before <= {wire};")
        for half, bits in ((address, "[31:0]"), (address + 4, f"[{COUNTER_BITS - 1}:32]")):
            asserted.append(f"\n    read_{half:x}: assert (!read || address != {half} || data == {wire}_before{bits});")
        asserted.append(
            f"\n    step_{wire}: assert (!known || {wire} == 0 || {wire} == {wire}_before"
            f" || (ran && {wire} == {wire}_before + 48'd1));"
        )
    harness = f"""
module proof(input clk, input rst, {_inputs(CONFIG)});{_instance(CONFIG, "dut")}{"".join(declared)}
  reg known = 0, read = 0, ran = 0;
  reg [11:0] address;
  wire [31:0] data = dut_o_r__payload[31:0];
  always @(posedge clk) begin
    known <= 1;
    ran <= i_running;
    read <= i_ar__valid && dut_i_ar__ready && !rst;
    address <= i_ar__payload;{"".join(clocked)}
  end
  always @* if (known) begin{"".join(asserted)}
    read_offered: assert (!read || dut_o_r__valid);
    nothing_there: assert (!read || address[1:0] == 0 || dut_o_r__payload == {{2'd{SLVERR}, 32'd0}});
  end
endmodule
"""
    return Property(
        name="core-registers-counted",
        claim=f"counters of {COUNTER_BITS} bits stay, go up by one while a program runs, or become 0; both are read",
        device=_device,
        harness=harness,
        engine="induction",
        depth=8,
        peeks=peeks,
        quick=True,
    )


def register_properties() -> Iterator[Property]:
    """All of them."""
    yield _held()
    yield _registered()
    yield _counted()
