"""The units whose coverage is measured and into which faults are put: a line for each."""

from dataclasses import dataclass

from verif.coverage.hook import CoverageHook
from verif.mutants.hook import MutantHook
from verif.tensor.coverage.hook import COVERAGE
from verif.tensor.mutants.hook import MUTANTS

__all__ = ["UNITS", "Campaigns"]


@dataclass(frozen=True, kw_only=True)
class Campaigns:
    """What a unit gives to each campaign."""

    coverage: CoverageHook
    mutants: MutantHook


UNITS = {
    "tensor": Campaigns(coverage=COVERAGE, mutants=MUTANTS),
}
