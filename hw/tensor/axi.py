"""The tensor engine behind AXI4-Stream ports, in SystemVerilog, and the lint waivers of what is generated."""

from pathlib import Path

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import activation_layout, command_layout, result_layout, weight_layout
from hw.lib.waivers import emitted_waivers
from hw.tensor.engine import TensorEngine
from hw.tensor.verilog import banner

__all__ = ["WRAPPER", "axi_verilog", "data_bytes", "waivers", "wrapper_name"]


def wrapper_name(engine: str = TensorEngine.module_name) -> str:
    """The module of the wrapper around the module ``engine``."""
    return f"{engine}_axis"


#: Its name unless the engine's is another.
WRAPPER = wrapper_name()


def data_bytes(config: EngineConfig) -> dict[str, int]:
    """Bytes of each stream's ``tdata``: AXI takes no other widths. The result's ``last`` is ``tlast``."""
    bits = {
        "command": command_layout(config).width,
        "weight": weight_layout(config).width,
        "activation": activation_layout(config).width,
        "result": result_layout(config).width - 1,
    }
    return {name: -(-width // 8) for name, width in bits.items()}


def axi_verilog(config: EngineConfig, engine: str = TensorEngine.module_name) -> str:
    """SystemVerilog of the wrapper, module ``wrapper_name(engine)``; it instantiates the module ``engine``."""
    tdata = {name: f"[{8 * count - 1}:0]" for name, count in data_bytes(config).items()}
    command, result = command_layout(config).width, result_layout(config)
    codes = result.fields["codes"]
    slave = "".join(
        f"""
  input  logic {tdata[name]} s_axis_{name}_tdata,
  input  logic s_axis_{name}_tvalid,
  output logic s_axis_{name}_tready,
"""
        for name in ("command", "weight", "activation")
    )
    pins = "".join(
        f"""\
    .i_{name}__payload(s_axis_{name}_tdata{f"[{command - 1}:0]" if name == "command" else ""}),
    .i_{name}__valid(s_axis_{name}_tvalid && aresetn),
    .i_{name}__ready({name}_ready),
"""
        for name in ("command", "weight", "activation")
    )
    return f"""{banner(config, "Tensor engine with AXI4-Stream ports")}\
// aclk clocks everything; aresetn is a synchronous reset, active low. While it is low nothing is transferred.
// Of a command, tdata bits from {command} up are ignored. m_axis_result_tlast marks the last row of an output tile.

module {wrapper_name(engine)} (
  input  logic aclk,
  input  logic aresetn,
{slave}
  output logic {tdata["result"]} m_axis_result_tdata,
  output logic m_axis_result_tvalid,
  output logic m_axis_result_tlast,
  input  logic m_axis_result_tready
);
  logic command_ready, weight_ready, activation_ready, result_valid;
  assign s_axis_command_tready = command_ready && aresetn;
  assign s_axis_weight_tready = weight_ready && aresetn;
  assign s_axis_activation_tready = activation_ready && aresetn;
  assign m_axis_result_tvalid = result_valid && aresetn;

  {engine} engine (
    .clk(aclk),
    .rst(!aresetn),
{pins}\
    .o_result__payload({{m_axis_result_tlast, m_axis_result_tdata[{codes - 1}:0]}}),
    .o_result__valid(result_valid),
    .o_result__ready(m_axis_result_tready && aresetn)
  );
endmodule
"""


def waivers(engine: str) -> str:
    """Verilator's control file for the engine in a file ``NAME.v`` and its wrapper: what ``-Wall`` is not to say."""
    wrapper = f"{Path(engine).stem}_axis.sv"
    return f"""\
{emitted_waivers(engine, wrapper)}\
// What leaves the array at its east and south edges, and carries that are cut off.
lint_off -rule UNUSEDSIGNAL -file "*{engine}"
// Bits above a command, up to whole bytes.
lint_off -rule UNUSEDSIGNAL -file "*{wrapper}" -match "*s_axis_command_tdata*"
"""
