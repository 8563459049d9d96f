"""Measures coverage."""

import time
from collections.abc import Callable, Iterable

from verif.coverage.hook import CoverageHook
from verif.coverage.points import Hits
from verif.coverage.report import Coverage

__all__ = ["measure"]


def measure(hooks: Iterable[CoverageHook], *, seed: int, announce: Callable[[str], None] = lambda _: None) -> Coverage:
    """Run all runs of some units; ``announce`` is told of each before it begins."""
    started = time.monotonic()
    coverage = Coverage(seed)
    for hook in hooks:
        coverage.waivers += tuple(hook.waivers)
        for name in hook.names:
            coverage.hits[name] = Hits(hook.plan(name))
            for run in hook.runs(name, seed):
                announce(f"{name}: {run.name}")
                coverage.add(name, run.name, run.measure())
    coverage.seconds = time.monotonic() - started
    return coverage
