"""Every unit, and what each role of verification has of it: a new unit is a line here, and rooms of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arch.core.presets import CORES
from verif.core.coverage.hook import COVERAGE as CORE_COVERAGE
from verif.core.mutants import BLOCK_MUTANTS
from verif.core.mutants import MUTANTS as CORE_MUTANTS
from verif.core.proofs.properties import PROPERTIES as CORE_PROPERTIES
from verif.core.unit import core_unit
from verif.core.workload import short_jobs
from verif.coverage.hook import CoverageHook
from verif.lib.mutants import MUTANTS as LIB_MUTANTS
from verif.lib.proofs.properties import PROPERTIES as LIB_PROPERTIES
from verif.mutants.hook import MutantHook
from verif.simulation.unit import Unit
from verif.tensor.blocks.configs import UNIT_CONFIGS
from verif.tensor.coverage.hook import COVERAGE
from verif.tensor.mutants.hook import MUTANTS
from verif.tensor.proofs.properties import PROPERTIES as TENSOR_PROPERTIES
from verif.tensor.unit import tensor_unit
from verif.tensor.workload.gemms import random_gemms

__all__ = ["MUTANT_HOOKS", "PROPERTIES", "UNITS", "Registered"]


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A unit, as the house knows it.

    Parameters
    ----------
    configs : mapping of str to a configuration
        Those in which what must hold for every unit is checked.
    unit : callable
        Of a configuration: the unit.
    jobs : callable
        Of a configuration, a random generator and a number: so many jobs.
    coverage : CoverageHook
    mutants : MutantHook
    """

    configs: Mapping[str, Any]
    unit: Callable[[Any], Unit]
    jobs: Callable[[Any, np.random.Generator, int], Sequence]
    coverage: CoverageHook
    mutants: MutantHook


UNITS = {
    "tensor": Registered(configs=UNIT_CONFIGS, unit=tensor_unit, jobs=random_gemms, coverage=COVERAGE, mutants=MUTANTS),
    "core": Registered(
        configs={"tiny": CORES["tiny"]},
        unit=core_unit,
        jobs=short_jobs,
        coverage=CORE_COVERAGE,
        mutants=CORE_MUTANTS,
    ),
}
#: What is mutated: units, and the blocks that they are made with.
MUTANT_HOOKS = (*(unit.mutants for unit in UNITS.values()), LIB_MUTANTS, BLOCK_MUTANTS)
#: What is proved, by name.
PROPERTIES = TENSOR_PROPERTIES | LIB_PROPERTIES | CORE_PROPERTIES
