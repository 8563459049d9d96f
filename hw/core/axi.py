"""The core behind AXI4 and AXI4-Lite: a wrapper in SystemVerilog around it and its registers."""

from pathlib import Path

from arch.core.config import CoreConfig
from arch.core.instructions import MEMORY_BITS
from arch.core.layouts import (
    answer_layout,
    burst_layout,
    program_layout,
    read_beat_layout,
    stop_layout,
    write_beat_layout,
)
from arch.core.registers import ADDRESS_WIDTH
from hw.core.core import Core
from hw.core.verilog import core_verilog, registers_verilog
from hw.lib.waivers import emitted_waivers
from hw.tensor.verilog import banner

__all__ = [
    "BEAT_BYTES_MAX",
    "WRAPPER",
    "axi_verilog",
    "check_axi",
    "modules_verilog",
    "registers_name",
    "waivers",
    "wrapper_name",
]

#: Of AXI4's data.
BEAT_BYTES_MAX = 128


def wrapper_name(core: str = Core.module_name) -> str:
    """The module of the wrapper around the module ``core``."""
    return f"{core}_axi"


def registers_name(core: str = Core.module_name) -> str:
    """The module of the registers beside the module ``core``."""
    return f"{core}_registers"


#: Its name unless the core's is another.
WRAPPER = wrapper_name()


def check_axi(config: CoreConfig) -> None:
    """ValueError for a core whose beats AXI4 does not know."""
    if config.beat_bytes > BEAT_BYTES_MAX:
        raise ValueError(f"beat_bytes must be at most {BEAT_BYTES_MAX} behind AXI4, not {config.beat_bytes}")


def _ports(config: CoreConfig) -> str:
    """The wrapper's ports but for clock and reset, in AXI's order."""
    data, address = 8 * config.beat_bytes, [("addr", MEMORY_BITS)]
    constant = [("id", 1), ("len", 8), ("size", 3), ("burst", 2), ("lock", 1), ("cache", 4), ("prot", 3)]
    lite, word, response = [("addr", ADDRESS_WIDTH)], ("data", 32), ("resp", 2)
    # Of each channel: its prefix, whether the wrapper gives its payload, and that.
    channels = [
        ("s_axil_aw", False, lite),
        ("s_axil_w", False, [word, ("strb", 4)]),
        ("s_axil_b", True, [response]),
        ("s_axil_ar", False, lite),
        ("s_axil_r", True, [word, response]),
        ("m_axi_aw", True, address + constant),
        ("m_axi_w", True, [("data", data), ("strb", config.beat_bytes), ("last", 1)]),
        ("m_axi_b", False, [("id", 1), response]),
        ("m_axi_ar", True, address + constant),
        ("m_axi_r", False, [("id", 1), ("data", data), response, ("last", 1)]),
    ]
    lines = []
    for prefix, gives, payload in channels:
        ways = ("output", "input ") if gives else ("input ", "output")
        lines += [
            f"  {ways[0]} logic {f'[{width - 1}:0] ' if width > 1 else ''}{prefix}{name}," for name, width in payload
        ]
        lines += [f"  {ways[0]} logic {prefix}valid,", f"  {ways[1]} logic {prefix}ready,"]
        lines.append("")
    return "\n".join(lines)


def _bits(layout, name: str) -> str:
    """Where a field is in its payload, in Verilog."""
    low = layout.offset(name)
    return f"[{low + layout.fields[name] - 1}:{low}]"


def _memory(config: CoreConfig) -> str:
    """What is between the core's payloads and AXI's."""
    burst, beat = burst_layout(config), write_beat_layout(config)
    lines = []
    for name in ("aw", "ar"):
        lines.append(f"""\
  assign m_axi_{name}addr = {name}{_bits(burst, "address")};
  assign m_axi_{name}len = {name}{_bits(burst, "beats")};
  assign m_axi_{name}id = 1'b0;
  assign m_axi_{name}size = 3'd{(config.beat_bytes - 1).bit_length()};
  assign m_axi_{name}burst = 2'b01;
  assign m_axi_{name}lock = 1'b0;
  assign m_axi_{name}cache = 4'b0011;
  assign m_axi_{name}prot = 3'b000;
""")
    lines.append(f"""\
  assign m_axi_wdata = w{_bits(beat, "data")};
  assign m_axi_wstrb = w{_bits(beat, "strobes")};
  assign m_axi_wlast = w{_bits(beat, "last")};
""")
    return "".join(lines)


#: AXI4-Lite, of the registers.
_LITE_PINS = """\
    .i_aw__payload(s_axil_awaddr),
    .i_aw__valid(s_axil_awvalid && aresetn),
    .i_aw__ready(lite_aw_ready),
    .i_w__payload({s_axil_wstrb, s_axil_wdata}),
    .i_w__valid(s_axil_wvalid && aresetn),
    .i_w__ready(lite_w_ready),
    .o_b__payload(s_axil_bresp),
    .o_b__valid(lite_b_valid),
    .o_b__ready(s_axil_bready && aresetn),
    .i_ar__payload(s_axil_araddr),
    .i_ar__valid(s_axil_arvalid && aresetn),
    .i_ar__ready(lite_ar_ready),
    .o_r__payload({s_axil_rresp, s_axil_rdata}),
    .o_r__valid(lite_r_valid),
    .o_r__ready(s_axil_rready && aresetn),
"""


def _core_pins() -> str:
    """Streams of the core, by the wrapper's channel."""
    pins = []
    for port, channel, payload in (
        ("o_ar", "ar", "ar"),
        ("i_r", "r", "{m_axi_rlast, m_axi_rresp, m_axi_rdata}"),
        ("o_aw", "aw", "aw"),
        ("o_w", "w", "w"),
        ("i_b", "b", "m_axi_bresp"),
    ):
        gives = port.startswith("o_")
        valid, ready = (
            (f"{channel}_valid", f"m_axi_{channel}ready && aresetn")
            if gives
            else (f"m_axi_{channel}valid && aresetn", f"{channel}_ready")
        )
        pins.append(f"    .{port}__payload({payload}),\n    .{port}__valid({valid}),\n    .{port}__ready({ready}),\n")
    return "".join(pins)


def modules_verilog(config: CoreConfig, core: str = Core.module_name) -> str:
    """Verilog-2005 of what the wrapper holds: the modules ``core`` and ``registers_name(core)``, under a header."""
    modules = core_verilog(config, name=core) + "\n" + registers_verilog(config, name=registers_name(core))
    return f"""{banner(config, "Core")}\
// Modules {core} and, for its wrapper, {registers_name(core)}. Clock clk; reset rst, synchronous, active high.

{modules}"""


def axi_verilog(config: CoreConfig, core: str = Core.module_name) -> str:
    """SystemVerilog of the wrapper, module ``wrapper_name(core)``; it instantiates ``core`` and its registers.

    Raises ValueError for a core whose beats AXI4 does not know.
    """
    check_axi(config)
    # What the pins below put together.
    if tuple(read_beat_layout(config).fields) != ("data", "response", "last") or answer_layout(config).width != 2:
        raise LookupError("the wrapper knows other payloads of memory")
    burst, beat, queues = burst_layout(config).width, write_beat_layout(config).width, len(config.queues)
    doing = ", ".join(f"doing_{number}" for number in reversed(range(queues)))
    declared = "".join(f"  logic [2:0] doing_{number};\n" for number in range(queues))
    pins = "    .o_stop(stop),\n" + "".join(f"    .o_doing__{number}(doing_{number}),\n" for number in range(queues))
    masked = "".join(
        f"  assign {port} = {signal} && aresetn;\n"
        for port, signal in (
            *((f"m_axi_{channel}valid", f"{channel}_valid") for channel in ("aw", "w", "ar")),
            *((f"m_axi_{channel}ready", f"{channel}_ready") for channel in ("b", "r")),
            *((f"s_axil_{channel}ready", f"lite_{channel}_ready") for channel in ("aw", "w", "ar")),
            *((f"s_axil_{channel}valid", f"lite_{channel}_valid") for channel in ("b", "r")),
            ("irq", "pending"),
        )
    )
    return f"""{banner(config, "Core with AXI4 and AXI4-Lite ports")}\
// aclk clocks everything; aresetn is a synchronous reset, active low. While it is low nothing is transferred.
// s_axil: registers of 32 bits. m_axi: memory; one ID, bursts of whole beats within 4 KiB.

module {wrapper_name(core)} (
  input  logic aclk,
  input  logic aresetn,

{_ports(config)}
  output logic irq
);
  logic aw_valid, w_valid, b_ready, ar_valid, r_ready;
  logic [{burst - 1}:0] aw, ar;
  logic [{beat - 1}:0] w;
  logic lite_aw_ready, lite_w_ready, lite_b_valid, lite_ar_ready, lite_r_valid, pending;
  logic program_valid, program_ready, running, reset;
  logic [{program_layout(config).width - 1}:0] program_payload;
  logic [{stop_layout().width - 1}:0] stop;
{declared}
{masked}
{_memory(config)}
  {core} core (
    .clk(aclk),
    .rst(!aresetn || reset),
{_core_pins()}\
    .i_program__payload(program_payload),
    .i_program__valid(program_valid),
    .i_program__ready(program_ready),
{pins}\
    .o_running(running)
  );

  {registers_name(core)} registers (
    .clk(aclk),
    .rst(!aresetn),
{_LITE_PINS}\
    .o_program__payload(program_payload),
    .o_program__valid(program_valid),
    .o_program__ready(program_ready),
    .i_running(running),
    .i_stop(stop),
    .i_doing({{{doing}}}),
    .i_read(m_axi_rvalid && m_axi_rready),
    .i_written(m_axi_wvalid && m_axi_wready),
    .o_reset(reset),
    .o_interrupt(pending)
  );
endmodule
"""


def waivers(core: str) -> str:
    """Verilator's control file for the core in a file ``NAME.v`` and its wrapper: what ``-Wall`` is not to say."""
    wrapper = f"{Path(core).stem}_axi.sv"
    return f"""\
{emitted_waivers(core, wrapper)}\
// A choice of many is a casez over bits of which one at most is set.
lint_off -rule CASEOVERLAP -file "*{core}"
// Fields of an instruction and of a row that a block has no use for, and carries that are cut off.
lint_off -rule UNUSEDSIGNAL -file "*{core}"
// There is one ID.
lint_off -rule UNUSEDSIGNAL -file "*{wrapper}" -match "*m_axi_?id*"
"""
