"""The walls between rooms: what may import what, and that no arrow runs in a circle."""

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: The packages, and what each may import of the others and of the libraries that belong to one side.
WALLS = {
    "arch": set(),
    "golden": {"arch"},
    "hw": {"arch", "amaranth"},
    "verif": {"arch", "golden", "hw", "amaranth", "cocotb"},
    "kernels": {"arch"},
    "scripts": {"arch", "golden", "hw", "kernels", "verif"},
}
GUARDED = {*WALLS, "amaranth", "cocotb", "tests"}
#: Rooms that every unit uses: they know none.
COMMON = (
    "golden.numerics",
    "hw.lib",
    "verif.simulation",
    "verif.proofs",
    "verif.coverage",
    "verif.mutants",
)


@pytest.mark.parametrize("name", WALLS)
def test_package_resolves_inside_the_repository(name):
    """PyPI has others of the same names."""
    assert Path(importlib.import_module(name).__file__).is_relative_to(ROOT)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def _files() -> dict[str, Path]:
    """Every module of the packages by its name."""
    return {_module(path): path for package in WALLS for path in sorted((ROOT / package).rglob("*.py"))}


def _imports(text: str, modules: dict[str, Path] | None = None) -> Iterator[str]:
    """The modules that a source imports, wherever in it."""
    modules = _files() if modules is None else modules
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else node.module for name in inner)


@cache
def _arrows() -> dict[str, frozenset[str]]:
    return {name: frozenset(_imports(path.read_text(encoding="utf-8"))) for name, path in _files().items()}


def _breaches(arrows: dict[str, frozenset[str]]) -> list[str]:
    """Imports across a wall."""
    breaches = []
    for module, targets in arrows.items():
        package = module.partition(".")[0]
        for target in targets:
            other = target.partition(".")[0]
            if other in GUARDED - WALLS[package] - {package}:
                breaches.append(f"{module} imports {target}")
    return breaches


def _circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def _room(module: str) -> str:
    """The folder a module lies in."""
    return module if _files()[module].name == "__init__.py" else module.rpartition(".")[0]


def test_no_import_crosses_a_wall():
    assert len(_arrows()) > 100
    assert _breaches(_arrows()) == []


def test_facts_need_the_standard_library_alone():
    import sys

    for module, targets in _arrows().items():
        if module.startswith("arch"):
            foreign = [t for t in targets if t.partition(".")[0] not in {"arch", *sys.stdlib_module_names}]
            assert foreign == [], module


def test_no_file_is_in_a_circle():
    inner = {module: {t for t in targets if t in _files()} for module, targets in _arrows().items()}
    assert _circle(inner) == []


def test_no_room_is_in_a_circle():
    rooms: dict[str, set[str]] = {}
    for module, targets in _arrows().items():
        room = _room(module)
        rooms.setdefault(room, set()).update(_room(t) for t in targets if t in _files() and _room(t) != room)
    assert _circle(rooms) == []


def test_common_rooms_know_no_unit():
    units = {f"{package}.{unit}" for package in WALLS for unit in ("tensor", "core")}
    for module, targets in _arrows().items():
        if module.startswith(COMMON):
            known = [t for t in targets if any(t == unit or t.startswith(f"{unit}.") for unit in units)]
            assert known == [], module


def test_tests_of_a_package_see_no_package_above_it():
    above = {"arch": {"golden", "hw", "verif", "scripts"}, "golden": {"hw", "scripts"}, "verif": {"scripts"}}
    for package, higher in above.items():
        for path in (ROOT / "tests" / package).rglob("*.py"):
            seen = {t.partition(".")[0] for t in _imports(path.read_text(encoding="utf-8"))}
            assert not seen & higher, path


def test_a_breach_and_a_circle_are_found():
    """The checks can fail."""
    assert _breaches({"golden.x": frozenset({"hw.tensor.pe"})}) == ["golden.x imports hw.tensor.pe"]
    assert _breaches({"hw.x": frozenset({"golden.gemm"})}) == ["hw.x imports golden.gemm"]
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert list(_imports("def f():\n    from golden.tensor import schedule")) == ["golden.tensor.schedule"]


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def test_files_and_functions_stay_short():
    """A file that a person can hold: at most 400 lines, a function at most 80."""
    sources = [*_files().values(), *(ROOT / "tests").rglob("*.py")]
    long = [f"{p.relative_to(ROOT)}" for p in sources if len(p.read_text(encoding="utf-8").splitlines()) > 400]
    assert long == []
    long = [f"{p.relative_to(ROOT)}: {name}, {n} lines" for p in sources for name, n in _functions(p) if n > 80]
    assert long == []
