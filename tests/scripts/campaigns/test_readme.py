"""README.md shows what ``make sim SEED=1`` prints, to the digit."""

import pytest

from golden.tensor.jobs import golden_result
from golden.tensor.schedule import gemm_cycles
from scripts.campaigns import sim
from scripts.campaigns.sim import PAGE, PAGE_COMMAND, PAGE_SEED, run_campaign
from scripts.ground.errors import InputError
from scripts.ground.pages import around_table
from verif.simulation.rerun import Case
from verif.tensor.engine import EngineRun
from verif.tensor.unit import tensor_unit


def unsimulated(config, jobs, *, seed=0, idle=0.0, stall=0.0, **_) -> EngineRun:
    """What a simulation shows where the RTL agrees with the golden model: every figure is the golden model's."""
    unit = tensor_unit(config, registers=False)
    case = Case(unit=unit, jobs=jobs, pace={"seed": seed, "idle": idle, "stall": stall})
    return EngineRun(
        compared_cycles=sum(len(chunk) for chunk in case.stimulus().chunks()),
        compared_signals=sum(not field.drive for field in tensor_unit(config).record.fields),
        results=[golden_result(job, config) for job in jobs],
        cycles=[gemm_cycles(*job.shape, config) for job in jobs],
    )


@pytest.fixture
def agreeing(monkeypatch):
    """RTL that agrees with the golden model, in no time."""
    monkeypatch.setattr(sim, "simulate", unsimulated)
    monkeypatch.setattr("verif.tensor.engine.simulate", unsimulated)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A copy of README.md without the figures."""
    head, tail = around_table(PAGE, PAGE_COMMAND)
    copy = tmp_path / "README.md"
    copy.write_text(f"{head}stale\n{tail}", encoding="utf-8")
    monkeypatch.setattr(sim, "PAGE", copy)
    return copy


@pytest.mark.slow
def test_the_block_is_what_the_command_prints(agreeing, page):
    """After a change of the campaign: ``make sim SEED=1 PAGE=1``."""
    assert not run_campaign(None, seed=PAGE_SEED, simulator="verilator", waves=False, page=True)
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_a_run_that_differs_is_not_put_there(monkeypatch, page):
    wrong = EngineRun(compared_cycles=9, failures=["a result is wrong"])
    monkeypatch.setattr(sim, "simulate", lambda *_, **__: wrong)
    assert run_campaign(None, seed=PAGE_SEED, simulator="verilator", waves=False, page=True)
    assert "stale" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "tiny", "seed": PAGE_SEED, "simulator": "verilator"},
        {"preset": None, "seed": 2, "simulator": "verilator"},
        {"preset": None, "seed": PAGE_SEED, "simulator": "icarus"},
    ],
)
def test_parts_of_a_run_are_refused(page, options):
    with pytest.raises(InputError, match=r"^--page: is of a whole run with --seed 1; needs that, no --config and"):
        run_campaign(**options, waves=False, page=True)
