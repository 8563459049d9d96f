"""The AXI4-Stream wrapper, seen through the ports of the engine in it: the engine's golden model checks it."""

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import result_layout
from arch.tensor.signals import engine_record
from hw.tensor.axi import WRAPPER, axi_verilog, data_bytes
from verif.simulation.harness import RESET, Harness, Log
from verif.simulation.unit import Unit

__all__ = ["ENGINE", "axi_harness", "plain_wrapper", "shim_verilog"]

#: The shim, which gives the wrapper the engine's ports; and where the engine is from the harness.
SHIM = "axi_shim"
ENGINE = "dut.axis.engine"


def plain_wrapper(config: EngineConfig) -> str:
    """The wrapper in Verilog, which yosys reads: it has nothing of SystemVerilog but the word for a signal."""
    return axi_verilog(config).replace(" logic ", " wire ")


def shim_verilog(config: EngineConfig) -> str:
    """The module that the harness drives. Bits of ``tdata`` above a beat are high, which must not matter."""
    ports = [f for f in engine_record(config, registers=False).fields]
    declared = [f"{'input' if f.drive else 'output'} [{f.width - 1}:0] {f.name}" for f in ports]
    widths = {f.name: f.width for f in ports}
    pins = []
    for name, count in data_bytes(config).items():
        if name == "result":
            continue
        beat = f"i_{name}__payload"
        pad = 8 * count - widths[beat]
        data = f"{{{{{pad}{{1'b1}}}}, {beat}}}" if pad else beat
        pins += [
            f".s_axis_{name}_tdata({data})",
            f".s_axis_{name}_tvalid(i_{name}__valid)",
            f".s_axis_{name}_tready(i_{name}__ready)",
        ]
    codes = result_layout(config).fields["codes"]
    return f"""
module {SHIM}(input clk, input rst, {", ".join(declared)});
  wire [{8 * data_bytes(config)["result"] - 1}:0] tdata;
  wire tlast;
  assign o_result__payload = {{tlast, tdata[{codes - 1}:0]}};
  {WRAPPER} axis (.aclk(clk), .aresetn(!rst), {", ".join(pins)},
    .m_axis_result_tdata(tdata), .m_axis_result_tlast(tlast),
    .m_axis_result_tvalid(o_result__valid), .m_axis_result_tready(o_result__ready));
endmodule
"""


def axi_harness(unit: Unit, log: Log | None = None) -> Harness:
    """Replays a masked session of a tensor engine through the wrapper; the engine's registers are compared too."""
    return Harness(dut=SHIM, fields=(RESET, *unit.record.fields), path=lambda field: unit.path(field, ENGINE), log=log)
