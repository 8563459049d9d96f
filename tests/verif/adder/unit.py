"""The verification of the adder, as ``verif`` has that of a unit: probes, unit, coverage, mutants; and its one line."""

from functools import partial

import numpy as np

from verif.coverage.hook import CoverageHook
from verif.coverage.points import Hits, Point
from verif.mutants.hook import MutantHook
from verif.mutants.replay import UnitReplay
from verif.registry.units import Registered
from verif.simulation.hints import earlier_or_later, elsewhere, one_bit, only_part
from verif.simulation.unit import Probe, Unit

from .facts import AdderConfig, adder_record
from .model import AdderModel, Sums, beats
from .rtl import adder_verilog

__all__ = ["ADDER", "adder_unit"]

RTL = "tests/verif/adder/rtl.py"


def _beat(stream):
    """The number of the beat that a stream gives next."""
    return lambda at: f"beat {np.searchsorted(at.window.events[stream], at.cycle)}"


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
    "waits": Probe(place="a pair waits", stage="entry", files=RTL, path="{dut}.waits", rank=1),
    "o__valid": Probe(place="port o__valid", stage="sum", files=RTL, rank=2, causes=lambda at: [at.at("waits", ago=1)]),
    "o__payload": Probe(
        place="port o__payload",
        stage="sum",
        files=RTL,
        rank=2,
        causes=lambda at: [at.at("pair", lane, ago=1) for lane in range(at.config.lanes)],
        term=_beat("o"),
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
        for lane in range(self.config.lanes):
            pair = trace[:, self._record.at("pair", lane)][:, 0][trace[:, self._record.at("waits")][:, 0] != 0]
            numbers = pair & (1 << self.config.width) - 1, pair >> self.config.width
            self._hits.add("carry", (numbers[0] + numbers[1]) >> self.config.width)

    def hits(self) -> Hits:
        return self._hits


PLAN = (Point("carry", "sums that need the bit more", {"carry": ("no", "yes")}),)
SMALL = AdderConfig(lanes=2, width=4)


def _benches(mutation):
    jobs = random_sums(mutation.config, np.random.default_rng(mutation.seed), 20)
    return (
        UnitReplay(mutation=mutation, unit=adder_unit(mutation.config), jobs=jobs, pace={"idle": 0.3, "stall": 0.3}),
    )


ADDER = Registered(
    configs={"small": SMALL, "wide": AdderConfig(lanes=3, width=20)},
    unit=adder_unit,
    jobs=random_sums,
    coverage=CoverageHook(plan=lambda config: PLAN, sampler=Carries),
    mutants=MutantHook(
        configs={"small": SMALL}, modules=lambda _: ("stream_adder",), verilog=adder_verilog, benches=_benches
    ),
)
