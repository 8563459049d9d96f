"""The AXI4-Stream wrapper in every cycle: streams that stall and pause, resets at any time, beats offered in resets."""

import os
import shutil

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from hw.tensor.axi import axi_verilog
from hw.tensor.verilog import engine_verilog
from verif.simulation.replay import ReplayResult, replay
from verif.simulation.simulator import build
from verif.tensor.axi import axi_harness, shim_verilog
from verif.tensor.unit import tensor_unit
from verif.tensor.workload.session import Stretch, session

SEED = int(os.environ.get("SEED", 17))
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
#: Beats that are whole bytes and beats that are not, of one lane and several.
CONFIGS = {
    "exact": EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2"), accumulation="exact", psum_depth=16),
    "fp32": EngineConfig(rows=3, cols=2, formats=("bf16",), accumulation="fp32", psum_depth=32),
    "one": EngineConfig(rows=1, cols=1, formats=("e4m3",), accumulation="exact", psum_depth=8),
}


def records(config: EngineConfig) -> np.ndarray:
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    cuts = [
        Stretch(groups=3, idle=idle, stall=stall, cut=int(rng.integers(1, 60)), reset=int(rng.integers(1, 4)))
        for idle, stall in 12 * [(0.0, 0.0), (0.4, 0.0), (0.0, 0.7), (0.3, 0.3)]
    ]
    ends = [Stretch(groups=3, stall=0.6, held=60), Stretch(groups=3, idle=0.4)]
    return np.concatenate(list(session(config, rng, [*cuts, *ends], masked=True)))


def run(config: EngineConfig, wrapper: str | None = None) -> ReplayResult:
    texts = [engine_verilog(config), wrapper or axi_verilog(config), shim_verilog(config)]
    return replay(build(texts, axi_harness(tensor_unit(config)), simulator=SHORT), [records(config)])


@pytest.mark.parametrize("name", CONFIGS)
def test_every_cycle(name):
    outcome = run(CONFIGS[name])
    assert outcome.passed, outcome.mismatches or outcome.failure


@pytest.mark.parametrize("name", CONFIGS)
def test_every_channel_moves_waits_stalls_and_is_reset(name):
    config = CONFIGS[name]
    trace, record = records(config), tensor_unit(config).record
    reset = trace[:, 0] != 0
    for stream in ("i_command", "i_weight", "i_activation", "o_result"):
        valid, ready = (trace[:, 1 + record.at(f"{stream}__{end}").start] != 0 for end in ("valid", "ready"))
        for wanted in (valid & ready, valid & ~ready & ~reset, ready & ~valid & ~reset):
            assert wanted.any(), stream
        # What the other side gives in a reset, and a transfer in the cycle before one.
        assert ((ready if stream == "o_result" else valid) & reset).any()
        assert (valid[:-1] & ready[:-1] & reset[1:]).any()
    assert (reset[:-2] & reset[1:-1] & reset[2:]).any()


#: Of each fault: what of the wrapper becomes what.
FAULTS = {
    "the engine is never reset": (".rst(!aresetn)", ".rst(1'b0)"),
    "the engine is reset by a high reset": (".rst(!aresetn)", ".rst(aresetn)"),
    "tready of commands in a reset": ("command_tready = command_ready && aresetn", "command_tready = command_ready"),
    "tready of weights in a reset": ("weight_tready = weight_ready && aresetn", "weight_tready = 1'b1"),
    "tready of activations in a reset": ("activation_ready && aresetn", "activation_ready"),
    "tvalid of results in a reset": ("result_valid && aresetn", "result_valid"),
    "a command is taken in a reset": ("s_axis_command_tvalid && aresetn", "s_axis_command_tvalid && 1'b1"),
    "tlast is the lowest bit": ("{m_axis_result_tlast, m_axis_result_tdata[95:0]}",
                                "{m_axis_result_tdata[95:0], m_axis_result_tlast}"),
    "weights wait for activations": ("s_axis_weight_tvalid && aresetn", "s_axis_activation_tvalid && aresetn"),
    "results wait for commands": ("m_axis_result_tready && aresetn", "m_axis_result_tready && !command_ready"),
}  # fmt: skip
#: Registers do not take what is offered in a reset, whether it is masked or not.
NO_FAULTS = ("a command is taken in a reset",)


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault):
    old, new = FAULTS[fault]
    config = CONFIGS["exact"]
    text = axi_verilog(config)
    assert text.count(old) == 1
    outcome = run(config, text.replace(old, new))
    assert outcome.passed == (fault in NO_FAULTS), outcome.mismatches
