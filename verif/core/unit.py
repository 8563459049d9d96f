"""The core as the simulation machinery sees it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from arch.core.config import CoreConfig
from arch.core.signals import core_record
from golden.core.jobs import Job
from golden.core.model import Core
from hw.core.verilog import core_verilog
from verif.core.axi_rules import AxiRules
from verif.core.signals import PROBES
from verif.core.terms import MARKS
from verif.simulation.unit import Unit

__all__ = ["core_unit", "watched_unit"]


def _beats(jobs: Sequence[Job]) -> Iterator[Iterator[tuple]]:
    """A program for each job; what memory answers the model itself knows."""
    return (iter([(job,)]) for job in jobs)


def core_unit(config: CoreConfig) -> Unit:
    """A core that runs programs, with the memory around it."""
    return Unit(
        name="core",
        config=config,
        top="core",
        verilog=partial(core_verilog, config),
        record=core_record(config),
        probes=PROBES,
        model=partial(Core, config),
        beats=_beats,
        drain=16,
        # Reports look back over what an element takes from SBUF to SBUF.
        lookback=32,
        marks=MARKS,
        rules=partial(AxiRules, config),
        job="program",
        opt_level=3 if config.lanes <= 16 else 1,
    )


def watched_unit(config: CoreConfig) -> tuple[Unit, list[Core]]:
    """The same, and the models that are made for it: a run's is the first, and one that differs makes another one."""
    models: list[Core] = []

    def model() -> Core:
        models.append(Core(config))
        return models[-1]

    return replace(core_unit(config), model=model), models
