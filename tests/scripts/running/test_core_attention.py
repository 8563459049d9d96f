"""Attention on the simulated core: golden's bits, what is counted, and what is left to the tensor engine."""

import numpy as np
import pytest

from arch.core.layouts import DOINGS
from arch.core.presets import CORES
from arch.tensor.presets import PRESETS
from golden import attention
from golden.core.model import Core
from scripts.running import attention as commands
from scripts.running.attention import run_attention
from scripts.running.core_attention import OffCore, core_for, plan
from verif.core import unit
from verif.simulation import simulate

SEED = 4
PLAIN = {"recipe": "per-tensor", "x_format": "e4m3", "w_format": "e4m3", "causal": False}


def tensors(heads=2, queries=5, keys=7, channels=6) -> list[np.ndarray]:
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    shapes = (heads, queries, channels), (1, keys, channels), (1, keys, channels)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.fixture
def models(monkeypatch) -> list[Core]:
    """The models of cores that were made."""
    made = []

    class Counted(Core):
        def __init__(self, config):
            super().__init__(config)
            made.append(self)

    monkeypatch.setattr(unit, "Core", Counted)
    return made


@pytest.mark.parametrize(("recipe", "causal"), [("per-tensor", True), ("per-token", False)])
def test_the_core_gives_the_bits_of_golden_attention(models, recipe, causal):
    q, k, v = tensors()
    options = PLAIN | {"recipe": recipe, "causal": causal}
    summary = run_attention(q, k, v, PRESETS["tiny"], backend="rtl", **options)
    assert np.array_equal(summary.result.view(np.uint32), attention(q, k, v, **options).view(np.uint32))
    assert summary.mismatches == 0 and "All of it on the core" in summary.remark
    # One run of the model is what the RTL was compared with, and counted.
    assert len(models) == 1 and summary.compared_cycles > summary.cycles > summary.ideal_cycles > 0
    record = summary.record()
    assert "readout_cycles" not in record and record["memory_bytes"] >= sum(t.nbytes for t in (q, k, v, q))
    for doings in record["engines"].values():
        # The start bit comes a cycle before the program runs.
        assert set(doings) == set(DOINGS) and 0 <= summary.cycles - sum(doings.values()) <= 2
        assert doings["busy"] > 0
    assert set(record["engines"]) == set(CORES["tiny"].queues)
    assert record["engines"]["tensor"]["busy"] >= summary.ideal_cycles
    pairs = 3 + 4 + 5 + 6 + 7 if causal else 5 * 7
    assert summary.ideal_cycles == -(-2 * 2 * pairs * 6 // 16)
    (head,) = run_attention(q[:1], k, v, PRESETS["tiny"], backend="rtl", **options).result
    alone = run_attention(q[0], k[0], v[0], PRESETS["tiny"], backend="rtl", **options)
    assert np.array_equal(alone.result, head)


def test_another_result_than_golden_attentions_is_a_mismatch(monkeypatch):
    q, k, v = tensors()
    monkeypatch.setattr(commands, "attention", lambda *given, **options: attention(*given, **options) + 1)
    summary = run_attention(q, k, v, PRESETS["tiny"], backend="rtl", **PLAIN)
    assert summary.mismatches == 1 and summary.failures == [
        ("the RTL", "has 60 results that are not golden.attention's")
    ]


def test_rtl_that_differs_has_no_cycles(monkeypatch):
    q, k, v = tensors()
    real = simulate.simulate_unit

    def fake(*given, **options):
        run = real(*given, **options)
        run.failures.append("it went wrong")
        return run

    monkeypatch.setattr(simulate, "simulate_unit", fake)
    summary = run_attention(q, k, v, PRESETS["tiny"], backend="rtl", **PLAIN)
    record = summary.record()
    assert (summary.cycles, summary.mismatches) == (0, 1) and record["utilization"] == 0 and "engines" not in record


@pytest.mark.parametrize(
    ("preset", "recipe", "reason"),
    [
        ("mxu", "per-tensor", "only the cores of tiny, fp8, bf16 are simulated"),
        ("tiny", "hadamard", "the core's program knows per-tensor and per-token, not hadamard"),
        ("tiny", "given", "the core's program knows per-tensor and per-token, not given"),
    ],
)
def test_what_the_core_does_not_do(preset, recipe, reason):
    with pytest.raises(OffCore, match=f"^{reason}$"):
        core_for(PRESETS[preset], recipe)


def test_every_simulated_core_is_found_by_its_engine():
    for name in ("tiny", "fp8", "bf16"):
        assert core_for(PRESETS[name], "per-token") is CORES[name]


def test_what_sbuf_does_not_hold_runs_on_the_engine():
    q, k, v = tensors(1, 2, 400, 2)
    with pytest.raises(OffCore, match="SBUF is too small: a tile must fit in what is free of 4096 bytes a lane"):
        plan(q, k, v, CORES["tiny"], **PLAIN)
    summary = run_attention(q, k, v, PRESETS["tiny"], backend="rtl", **PLAIN)
    assert summary.mismatches == 0 and "\nNot on the core: SBUF is too small" in summary.remark
    assert np.array_equal(summary.result.view(np.uint32), attention(q, k, v, **PLAIN).view(np.uint32))
