"""What the bench of the engine refuses: runs that would never end, and runs of nothing."""

import shutil

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from golden.tensor.jobs import Gemm
from verif.tensor.engine import simulate

CONFIG = EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", k_max=4, psum_depth=16)
JOB = Gemm(x=np.ones((3, 2), np.uint8), w=np.ones((2, 2), np.uint8), x_format="e4m3", w_format="e4m3")
SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"


@pytest.mark.parametrize(
    ("pace", "message"),
    [
        ({"stall": 1.0}, r"stall must be a probability, at least 0 and below 1, not 1\.0"),
        ({"stall": 1 - 2**-20}, r"stall must be a probability, at least 0 and below 1, not 0\.99999"),
        ({"stall": -0.5}, r"stall must be .* not -0\.5"),
        ({"stall": float("nan")}, r"stall must be .* not nan"),
        ({"stall": np.float32("nan")}, r"stall must be .* not .*nan"),
        ({"stall": "0.5"}, r"stall must be .* not '0\.5'"),
        ({"idle": 1}, r"idle must be .* not 1$"),
        ({"idle": (0.0, 1.0, 0.0)}, r"idle must be .* not 1\.0"),
        ({"idle": (0.0, float("nan"), 0.0)}, r"idle must be .* not nan"),
        ({"idle": (0.0, 0.5)}, r"idle must be one probability or three, not \(0\.0, 0\.5\)"),
    ],
    ids=str,
)
def test_pace_that_lets_no_run_end(pace, message):
    with pytest.raises(ValueError, match=message):
        simulate(CONFIG, [JOB], simulator=SIMULATOR, **pace)


def test_no_gemm_is_no_run():
    with pytest.raises(ValueError, match=r"jobs must hold at least one GEMM, not \[\]"):
        simulate(CONFIG, [], simulator=SIMULATOR)


@pytest.mark.parametrize(
    "pace",
    [
        {"idle": np.float32(0.5), "stall": np.float32(0.5)},
        {"idle": np.full(3, 0.25), "stall": np.float64(0)},
        {"idle": (0, 0, 0), "stall": 0},
    ],
    ids=str,
)
def test_numbers_of_any_kind(pace):
    run = simulate(CONFIG, [JOB], simulator=SIMULATOR, **pace)
    assert run.mismatches == 0 and len(run.results) == 1
