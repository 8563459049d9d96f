"""What all tests share: a part of them at a time, and builds of simulators that are as quick as can be."""

import os

import pytest

from verif.simulation.simulator import MAX_OPT_LEVEL


def pytest_configure(config: pytest.Config) -> None:
    """But for slow tests, what is simulated is short: to compile it at -O3 takes longer than to run it at -O1."""
    if "not slow" in config.option.markexpr:
        os.environ.setdefault(MAX_OPT_LEVEL, "1")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``SHARE=I/N``: of the tests that were chosen those whose place modulo N is I modulo N."""
    share = os.environ.get("SHARE")
    if not share:
        return
    turn, parts = map(int, share.split("/"))
    left_out = [item for place, item in enumerate(items) if (place - turn) % parts]
    items[:] = [item for place, item in enumerate(items) if not (place - turn) % parts]
    config.hook.pytest_deselected(items=left_out)
