"""The verification of the adder, as ``verif`` has that of a unit: probes, unit, coverage, mutants; and its one line."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from verif.coverage.hook import CoverageHook, CoverageRun, Measured
from verif.coverage.points import Hits, Point
from verif.mutants.hook import MutantHook
from verif.mutants.mutation import Mutation
from verif.mutants.replay import UnitReplay
from verif.registry.units import Registered
from verif.simulation.hints import earlier_or_later, elsewhere, one_bit, only_part
from verif.simulation.simulate import simulate_unit
from verif.simulation.unit import Probe, Unit

from .facts import AdderConfig, adder_record
from .model import AdderModel, Sums, beats
from .rtl import adder_verilog

__all__ = ["ADDER", "adder_unit"]

RTL = "tests/verif/adder/rtl.py"


PROBES = {
    "i__ready": Probe(place="port i__ready", stage="handshake", files=RTL, causes=lambda at: [at.at("i__valid")]),
    "pair": Probe(
        place="lane {row}, pair",
        stage="entry",
        files=RTL,
        path="{dut}.pair_{row}",
        rank=1,
        causes=lambda at: [at.at("i__payload", ago=1), at.ago(1)],
        term=lambda at: f"beat {np.searchsorted(at.window.events['i'], at.cycle) - 1}",
        hints=(only_part(), earlier_or_later, elsewhere, one_bit),
    ),
    "waits": Probe(
        place="a pair waits",
        stage="entry",
        files=RTL,
        path="{dut}.waits",
        rank=1,
        causes=lambda at: [at.at("i__valid", ago=1), at.at("i__ready", ago=1), at.ago(1)],
    ),
    "o__valid": Probe(place="port o__valid", stage="sum", files=RTL, rank=2, causes=lambda at: [at.at("waits", ago=1)]),
    "o__payload": Probe(
        place="port o__payload",
        stage="sum",
        files=RTL,
        rank=2,
        causes=lambda at: [at.at("pair", lane, ago=1) for lane in range(at.config.lanes)],
        term=lambda at: f"beat {np.searchsorted(at.window.events['o'], at.cycle)}",
        hints=(only_part(), one_bit),
    ),
}


def adder_unit(config: AdderConfig) -> Unit:
    """An adder that works on pairs."""
    return Unit(
        name="adder",
        config=config,
        top="stream_adder",
        verilog=partial(adder_verilog, config),
        record=adder_record(config),
        probes=PROBES,
        model=partial(AdderModel, config),
        beats=beats,
        drain=4,
        lookback=2,
        job="sums",
    )


def random_sums(config: AdderConfig, rng: np.random.Generator, count: int) -> list[Sums]:
    """Jobs of random lengths and numbers."""
    return [Sums(rng.integers(0, 1 << config.width, (rng.integers(1, 9), config.lanes, 2))) for _ in range(count)]


class Carries:
    """Counts sums with and without a carry out of the number."""

    def __init__(self, config: AdderConfig) -> None:
        self.config, self._record, self._hits = config, adder_record(config), Hits(PLAN)

    def see(self, trace: np.ndarray) -> None:
        waits = trace[:, self._record.at("waits").start] != 0
        for lane in range(self.config.lanes):
            pair = trace[waits, self._record.at("pair", lane).start]
            a, b = pair & (1 << self.config.width) - 1, pair >> self.config.width
            self._hits.add("carry", (a + b) >> self.config.width)

    def hits(self) -> Hits:
        return self._hits


PLAN = (Point("carry", "sums that need the bit more", {"carry": ("no", "yes")}),)
CONFIGS = {"small": AdderConfig(lanes=2, width=4), "wide": AdderConfig(lanes=3, width=12)}
PACE = {"idle": 0.3, "stall": 0.3}


def _coverage_runs(name: str, seed: int) -> Iterator[CoverageRun]:
    unit, sampler = adder_unit(CONFIGS[name]), Carries(CONFIGS[name])
    jobs = random_sums(unit.config, np.random.default_rng(seed), 20)

    def run() -> Measured:
        return Measured.of(
            simulate_unit(unit, jobs, pace=PACE | {"seed": seed}, simulator="icarus", observe=sampler.see), sampler
        )

    yield CoverageRun("random", run)


def _benches(mutation: Mutation) -> tuple[UnitReplay]:
    unit, rng = adder_unit(mutation.config), np.random.default_rng(mutation.seed)
    return (UnitReplay(mutation=mutation, unit=unit, jobs=random_sums(unit.config, rng, 20), pace=PACE),)


ADDER = Registered(
    configs=CONFIGS,
    unit=adder_unit,
    jobs=random_sums,
    coverage=CoverageHook(names=[*CONFIGS], plan=lambda name: PLAN, runs=_coverage_runs),
    mutants=MutantHook(
        configs={"small": CONFIGS["small"]},
        modules=lambda _: ("stream_adder",),
        verilog=adder_verilog,
        benches=_benches,
    ),
)
