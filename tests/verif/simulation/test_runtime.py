"""Objects of Verilator's library: compiled by the first build, taken by later ones."""

import pytest
from delay_line import DELAY, HARNESS, delay_trace

from verif.simulation import runtime
from verif.simulation.replay import replay
from verif.simulation.simulator import build


@pytest.fixture
def shelves(tmp_path, monkeypatch):
    """A folder of its own for what builds share."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr(runtime, "cache_folder", lambda name: folder)
    return folder


def compiled(root) -> bool:
    """Whether the compiler made one of the library's objects there: it says what an object depends on."""
    return bool(list(root.rglob("verilated_vpi.d")))


@pytest.mark.slow
def test_second_build_compiles_the_library_no_more(tmp_path, shelves):
    build([DELAY], HARNESS, opt_level=0, root=tmp_path / "first")
    assert compiled(tmp_path / "first")
    (shelf,) = shelves.glob("runtime-*")
    assert (shelf / "verilated_vpi.o").exists()
    # Of another level, and in blocks of its own.
    second = build([DELAY], HARNESS, opt_level=1, hier_blocks=("cell_",), root=tmp_path / "second")
    assert not compiled(tmp_path / "second")
    assert list(shelves.glob("runtime-*")) == [shelf]
    assert replay(second, [delay_trace(20)]).passed


@pytest.mark.slow
def test_other_options_have_objects_of_their_own(tmp_path, shelves):
    build([DELAY], HARNESS, opt_level=0, root=tmp_path / "first")
    build([DELAY], HARNESS, opt_level=0, waves=True, root=tmp_path / "waves")
    assert compiled(tmp_path / "waves")
    assert len(list(shelves.glob("runtime-*"))) == 2


@pytest.mark.slow
def test_damaged_objects_are_made_anew(tmp_path, shelves):
    build([DELAY], HARNESS, opt_level=0, root=tmp_path / "first")
    (shelf,) = shelves.glob("runtime-*")
    whole = (shelf / "verilated.o").read_bytes()
    (shelf / "verilated.o").write_bytes(whole[:100])
    simulation = build([DELAY], HARNESS, opt_level=0, root=tmp_path / "second")
    assert compiled(tmp_path / "second")
    assert (shelf / "verilated.o").stat().st_size == len(whole)
    assert replay(simulation, [delay_trace(20)]).passed
