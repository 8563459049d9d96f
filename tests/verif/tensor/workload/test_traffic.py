"""Random passes: a golden model that is wrong or hangs is told apart from an RTL that is."""

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from verif.tensor.workload import traffic
from verif.tensor.workload.traffic import GoldenModelError, traffic_trace

CONFIG = EngineConfig(rows=2, cols=2, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=16)


def trace() -> np.ndarray:
    return traffic_trace(CONFIG, np.random.default_rng(7), 2, idle=0.3, stall=0.3, seed=5)


def test_traffic_follows_from_the_seed():
    assert np.array_equal(trace(), trace())


def test_a_result_that_is_not_the_arithmetic_s(monkeypatch):
    right = traffic.read_out

    def wrong(*args, **options):
        codes = right(*args, **options)
        codes[-1, 0] ^= 1
        return codes

    monkeypatch.setattr(traffic, "read_out", wrong)
    with pytest.raises(GoldenModelError, match=r"^result row \d+, column 0 of the golden model is 0x[0-9a-f]+, not 0x"):
        trace()


def test_a_result_too_few(monkeypatch):
    monkeypatch.setattr(traffic.TensorEngine, "results", property(lambda _: np.zeros((3, 2), np.uint32)))
    with pytest.raises(GoldenModelError, match=r"^the golden model gave 3 result rows, \d+ were due$"):
        trace()


def test_a_model_that_hangs(monkeypatch):
    monkeypatch.setattr(traffic, "FOREVER", 20)
    with pytest.raises(GoldenModelError, match=r"^the golden model is at work after 20 cycles$"):
        trace()
