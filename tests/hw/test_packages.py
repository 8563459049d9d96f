"""The packages are this repository's own: PyPI has others of the same names."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["golden", "golden.spec", "hw", "verif", "verif.formal", "scripts"])
def test_package_resolves_inside_the_repository(name):
    module = importlib.import_module(name)
    assert Path(module.__file__).is_relative_to(ROOT)


def _imports(path: Path) -> list[str]:
    lines = (line.split() for line in path.read_text().splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] in ("import", "from")]


def test_golden_never_imports_the_rtl():
    files = list((ROOT / "golden").rglob("*.py"))
    assert len(files) > 10
    for path in files:
        assert not [name for name in _imports(path) if name.split(".")[0] in ("hw", "amaranth", "verif", "scripts")]


def test_rtl_imports_facts_only():
    files = list((ROOT / "hw").rglob("*.py"))
    assert len(files) > 10
    for path in files:
        golden = [name for name in _imports(path) if name.split(".")[0] == "golden"]
        assert all(name.startswith("golden.spec.") for name in golden), path
