"""Properties of the engine's stream ports."""

from collections.abc import Iterator
from functools import partial

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import activation_layout, command_layout, result_layout, weight_layout
from hw.lib.joining import join_modules
from hw.tensor.engine import TensorEngine
from verif.modules import plain_modules
from verif.proofs.prover import Property

__all__ = ["stream_properties"]

#: Small, of either kind of sum.
CONFIGS = {
    "exact": EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", k_max=8, psum_depth=16),
    "fp32": EngineConfig(rows=2, cols=2, formats=("e5m2",), accumulation="fp32", psum_depth=16),
}


def _engine(name: str, config: EngineConfig, *, ready: str, **inputs: str) -> str:
    """An engine whose ports are wires ``{name}_...``; inputs that are not given are the harness' own."""
    lines, connections = [], [f".clk(clk), .rst(rst), .o_result__ready({ready})"]
    for port in ("command", "weight", "activation"):
        lines.append(f"  wire {name}_{port}_ready;")
        valid = inputs.get(f"{port}_valid", f"{port}_valid")
        payload = inputs.get(port, port)
        connections.append(
            f".i_{port}__valid({valid}), .i_{port}__payload({payload}), .i_{port}__ready({name}_{port}_ready)"
        )
    width = result_layout(config).width
    lines.append(f"  wire {name}_valid;\n  wire [{width - 1}:0] {name}_payload;")
    connections.append(f".o_result__valid({name}_valid), .o_result__payload({name}_payload)")
    return "\n".join([*lines, f"  tensor_engine {name} ({', '.join(connections)});"])


def _inputs(config: EngineConfig) -> str:
    return f"""input clk, rst, ready, command_valid, weight_valid, activation_valid,
  input [{command_layout(config).width - 1}:0] command, input [{weight_layout(config).width - 1}:0] weight,
  input [{activation_layout(config).width - 1}:0] activation"""


def _held(key: str, config: EngineConfig) -> Property:
    """From any state, those that never occur included: no assumption is made about anything."""
    harness = f"""
module proof({_inputs(config)});
{_engine("dut", config, ready="ready")}
  reg known = 0, was_reset = 0, was_stalled = 0;
  reg [{result_layout(config).width - 1}:0] payload;
  always @(posedge clk) begin
    known <= 1;
    was_reset <= rst;
    was_stalled <= dut_valid && !ready && !rst;
    payload <= dut_payload;
  end
  always @* begin
    valid_kept: assert (!known || !was_stalled || dut_valid);
    payload_held: assert (!known || !was_stalled || dut_payload == payload);
    reset_empties: assert (!known || !was_reset || !dut_valid);
  end
endmodule
"""
    return Property(
        name=f"stream-held-{key}",
        claim="o_result keeps valid and payload until it is taken; reset empties it",
        device=partial(_device, config),
        harness=harness,
        engine="induction",
        depth=24,
        quick=True,
    )


def _independent(key: str, config: EngineConfig) -> Property:
    """Engines in one state, any it be: what may not see an input is the same with other inputs."""
    changed = {
        port: {f"{port}_valid": f"other_{port}_valid", port: f"other_{port}"}
        for port in ("command", "weight", "activation")
    }
    everything = changed["command"] | changed["weight"] | changed["activation"]
    harness = f"""
module proof({_inputs(config)},
  input other_ready, other_command_valid, other_weight_valid, other_activation_valid,
  input [{command_layout(config).width - 1}:0] other_command, input [{weight_layout(config).width - 1}:0] other_weight,
  input [{activation_layout(config).width - 1}:0] other_activation);
{_engine("dut", config, ready="ready")}
{_engine("all", config, ready="other_ready", **everything)}
{_engine("command_", config, ready="ready", **changed["command"])}
{_engine("weight_", config, ready="ready", **changed["weight"])}
{_engine("activation_", config, ready="ready", **changed["activation"])}
  always @* begin
    result_sees_no_input: assert (all_valid == dut_valid && all_payload == dut_payload);
    command_ready: assert (command__command_ready == dut_command_ready);
    weight_ready: assert (weight__weight_ready == dut_weight_ready);
    activation_ready: assert (activation__activation_ready == dut_activation_ready);
  end
endmodule
"""
    return Property(
        name=f"stream-independent-{key}",
        claim="o_result depends on no input of its cycle; no ready on its own port's valid or payload",
        device=partial(_device, config),
        harness=harness,
        twins=("dut", "all", "command_", "weight_", "activation_"),
        quick=True,
    )


def _device(config: EngineConfig) -> str:
    return join_modules(plain_modules(TensorEngine(config)))


def stream_properties() -> Iterator[Property]:
    """For either kind of sum."""
    for key, config in CONFIGS.items():
        yield _held(key, config)
        yield _independent(key, config)
