"""What all tests share: a part of them at a time."""

import os

import pytest


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
