"""What the cycle model takes: probabilities, commands, codes, and what it refuses."""

from fractions import Fraction

import numpy as np
import pytest
from traces import Trace, ones

from arch.tensor.layouts import command_layout
from arch.tensor.presets import PRESETS
from golden.tensor.engine import TensorEngine
from golden.tensor.stimulus import gemm_stimulus

TINY = PRESETS["tiny"]


def test_a_run_that_would_never_be_done_is_refused():
    engine = TensorEngine(TINY)
    message = "idle and stall must be below 1 for a run that ends when it is done, not"
    for never in ({"stall": 1.0}, {"idle": 1}, {"idle": (0, 1.0, 0)}):
        with pytest.raises(ValueError, match=message):
            engine.run(10, until_done=True, **never)
        assert len(engine.run(10, **never)) == 10


def test_a_probability_below_one_ends_and_one_above_zero_happens():
    """Neither is rounded to never or to always."""
    x, w = ones(1, 1, 1)
    stimulus = gemm_stimulus(x, w, TINY, x_format="e4m3", w_format="e4m3")
    engine = TensorEngine(TINY, registers=False)
    engine.offer(*stimulus)
    engine.run(20, stall=1.0)
    assert engine.results.size == 0
    assert len(engine.run(2_000_000, stall=1 - 1e-9, until_done=True)) < 2_000_000 and engine.done
    stalled = Trace(TensorEngine(TINY, registers=False).run(500_000, stall=1e-9), TINY, registers=False)
    assert 0 < (stalled.signals["o_result__ready"] == 0).sum() < 50


def test_probabilities_of_any_type_are_those_of_floats():
    x, w = ones(8, 4, 4)
    traces = []
    for idle, stall in ((0.5, 0.25), (np.float32(0.5), np.float32(0.25)), (Fraction(1, 2), np.float64(0.25))):
        engine = TensorEngine(TINY)
        engine.offer(*gemm_stimulus(x, w, TINY, x_format="e4m3", w_format="e4m3"))
        traces.append(engine.run(100, idle=idle, stall=stall, seed=np.int32(5)))
    traces.append(TensorEngine(TINY).run(0, idle=np.array([0.5, 0, 1], np.float32)))
    assert (traces[0] == traces[1]).all() and (traces[0] == traces[2]).all()


def test_refusals():
    engine = TensorEngine(TINY)
    layout = command_layout(TINY)
    good = {"tile_m": 1, "tile_k": 1, "tile_n": 1, "first": 1, "last": 1, "x_format": 2, "w_format": 2}
    for change, message in (
        ({"tile_m": 0}, "tile_m must be in 1..1024, not 0"),
        ({"tile_k": 5}, "tile_k must be in 1..4, not 5"),
        ({"tile_n": 0}, "tile_n must be in 1..4, not 0"),
        ({"first": 0}, "distance must be in 1..6, not 0"),
        ({"x_format": 3}, "x_format must select one of e4m3, not 3"),
        ({"w_format": 0}, "w_format must select one of e4m3, not 0"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.offer(np.array([layout.pack(**good | change)], np.uint64))
    with pytest.raises(TypeError, match=r"commands must be uint64\[n\], not int64 of shape \(1,\)"):
        engine.offer(np.zeros(1, np.int64))
    with pytest.raises(TypeError, match="weights must be uint8 codes, not uint16"):
        engine.offer(weights=np.zeros((1, 4), np.uint16))
    with pytest.raises(ValueError, match=r"activations must have shape \(n, 4\), not \(4,\)"):
        engine.offer(activations=np.zeros(4, np.uint8))
    for change, error, message in (
        ({"idle": 1.5}, ValueError, "idle must be a probability, 0..1, not 1.5"),
        ({"idle": (0, -0.1, 0)}, ValueError, "idle must be a probability, 0..1, not -0.1"),
        ({"idle": (0, 0)}, ValueError, "idle must be one probability or three, not 2"),
        ({"idle": float("nan")}, ValueError, "idle must be a probability, 0..1, not nan"),
        ({"stall": np.float32("nan")}, ValueError, "stall must be a probability, 0..1, not"),
        ({"stall": float("inf")}, ValueError, "stall must be a probability, 0..1, not inf"),
        ({"stall": "0.5"}, TypeError, "stall must be a probability, 0..1, not '0.5'"),
        ({"idle": "abc"}, TypeError, "idle must be a probability, 0..1, not 'a'"),
        ({"idle": None}, TypeError, "idle must be one probability or three, not None"),
    ):
        with pytest.raises(error, match=message):
            engine.run(1, **change)
    with pytest.raises(ValueError, match=r"out must be a contiguous uint32 array of shape \(1, 172\)"):
        engine.run(1, out=np.zeros((1, 128), np.uint32))
