"""What must hold for every unit: record, probes and model fit together, and its reports name what is wrong.

The adder of ``tests/verif/adder`` is registered here, in one line, and gets all of it: record, replay, reports with
place and stage, waveforms, coverage and mutants. It takes 310 lines in four files, and none of anybody else's.
"""

import os
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.verif.adder import unit as adder
from tests.verif.adder.unit import ADDER
from verif.coverage.measure import measure
from verif.mutants.campaign import judge_all, wrong_without_mutant
from verif.registry.units import UNITS
from verif.simulation.replay import Mismatch
from verif.simulation.rerun import Case, investigate
from verif.simulation.simulate import simulate_unit
from verif.simulation.unit import UnitModel

REGISTERED = {**UNITS, "adder": ADDER}
ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("SEED", 3))
#: Icarus builds in a second, and these runs are short.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
PACE = {"seed": SEED, "idle": 0.3, "stall": 0.3}

each_unit = pytest.mark.parametrize("name", REGISTERED)
each_config = pytest.mark.parametrize(
    ("name", "config"), [(name, config) for name, registered in REGISTERED.items() for config in registered.configs]
)


def unit_of(name: str, config: str | None = None):
    registered = REGISTERED[name]
    return registered.unit(registered.configs[config or next(iter(registered.configs))])


def case_of(name: str, config: str | None = None, count: int = 3) -> Case:
    print("seed", SEED)
    unit = unit_of(name, config)
    return Case(unit=unit, jobs=REGISTERED[name].jobs(unit.config, np.random.default_rng(SEED), count), pace=PACE)


def value(records: np.ndarray, unit, field) -> np.ndarray:
    """A field's contents in every cycle."""
    words = records[:, unit.record.at(field.name, field.row, field.col)]
    return np.array([sum(int(word) << 32 * i for i, word in enumerate(row)) for row in words], object)


@each_config
def test_every_entry_has_a_probe_and_every_probe_an_entry(name, config):
    unit = unit_of(name, config)
    assert {f.name for f in unit.record.fields if not f.drive} == set(unit.probes)


@each_config
def test_every_place_has_a_name_of_its_own(name, config):
    unit = unit_of(name, config)
    compared = [f for f in unit.record.fields if not f.drive]
    assert len({unit.place(f) for f in compared}) == len({unit.order(f) for f in compared}) == len(compared)


@each_config
def test_inside_are_paths_and_outside_ports(name, config):
    """What the simulation drives is a port; what is compared is one or has a path of its own."""
    unit = unit_of(name, config)
    paths = [unit.path(f) for f in unit.record.fields]
    inside = [path for path in paths if path is not None]
    assert len(set(inside)) == len(inside) and all("dut" in path for path in inside)
    outside = [f for f, path in zip(unit.record.fields, paths, strict=True) if path is None]
    assert all(f.row is None and f.col is None for f in outside)
    assert all(f in outside for f in unit.record.fields if f.drive)


@each_config
def test_a_run_cut_into_pieces_is_the_same_run(name, config):
    """The model takes its beats and keeps its pace in one go as in pieces, and says when it is done."""
    case = case_of(name, config, count=2)
    whole = np.concatenate([chunk.copy() for chunk in case.stimulus().chunks()])
    stimulus = case.stimulus()
    run = stimulus.model.run

    def short(cycles, *, out=None, **options):
        return run(min(cycles, 7), **options)

    stimulus.model.run = short
    pieces = np.concatenate([chunk.copy() for chunk in stimulus.chunks()])
    assert len(pieces) >= len(whole) - case.unit.drain
    assert (pieces[: len(whole)] == whole[: len(pieces)]).all()


@each_config
def test_a_wrong_bit_of_every_signal_is_reported(name, config):
    """In a busy cycle of each: its place, a stage with files that are there, and causes that came before."""
    case = case_of(name, config)
    unit = case.unit
    records = np.concatenate([chunk.copy() for chunk in case.stimulus().chunks()])
    rng, terms = np.random.default_rng(SEED), set()
    for entry in unit.probes:
        fields = [f for f in unit.record.fields if f.name == entry]
        field = fields[int(rng.integers(len(fields)))]
        contents = value(records, unit, field)
        busy = np.flatnonzero(contents != 0)
        cycle = int(rng.choice(busy if len(busy) else len(contents)))
        wrong = int(contents[cycle]) ^ 1 << int(rng.integers(field.width))
        found = investigate(case, Mismatch(cycle, [(field, int(contents[cycle]), wrong)]), build=None)
        assert (found.cycle, found.first.place, found.first.field) == (cycle, unit.place(field), field)
        files = re.findall(r"[\w/]+\.py", found.stage)
        assert files and all((ROOT / file).is_file() for file in files), found.stage
        assert all(cause.cycle <= cycle for cause in found.inputs)
        assert found.expected != found.actual
        sections = dict(found.sections())
        assert sections["stage"] == found.stage and sections[unit.job] == found.job[1]
        terms.add(found.term)
    assert terms - {""}


class Liar:
    """A golden model that is wrong in one bit of one cycle."""

    def __init__(self, model: UnitModel, word: int, bit: int, cycle: int) -> None:
        self.model, self.word, self.bit, self.at = model, word, bit, cycle

    def __getattr__(self, name):
        return getattr(self.model, name)

    def run(self, cycles, **options):
        start = self.model.cycle
        records = self.model.run(cycles, **options)
        if start <= self.at < start + len(records):
            records[self.at - start, self.word] ^= np.uint32(1 << self.bit)
        return records


@each_unit
def test_rtl_and_model_agree(name):
    case = case_of(name)
    run = simulate_unit(case.unit, case.jobs, pace=case.pace, simulator=SHORT)
    assert not run.mismatches, "\n".join(run.lines())
    assert run.compared_signals == len([f for f in case.unit.record.fields if not f.drive])


@each_unit
def test_a_difference_is_placed_and_its_waveforms_kept(name, tmp_path):
    """In the last signal of the record, an inner one, whose path must be right for it to agree until then."""
    case = case_of(name)
    unit, field = case.unit, case.unit.record.fields[-1]
    records = np.concatenate([chunk.copy() for chunk in case.stimulus().chunks()])
    word = unit.record.at(field.name, field.row, field.col).start
    cycle = int(np.flatnonzero(records[:, word])[-1])
    lying = replace(unit, model=lambda: Liar(unit.model(), word, 0, cycle))
    run = simulate_unit(lying, case.jobs, pace=PACE, simulator=SHORT, waves_folder=lambda: tmp_path)
    assert (run.divergence.cycle, run.divergence.first.place) == (cycle, unit.place(field))
    assert len(run.divergence.differences) == 1
    folder = tmp_path / "0001"
    assert run.divergence.waves.startswith(f"{folder}/waves.")
    commands = (folder / "waves.sucl").read_text(encoding="utf-8")
    assert f"expected_{field.name}" in commands and "divider_add outputs" in commands


def test_coverage_of_the_adder_is_measured(monkeypatch):
    """Its plan and its runs are all that it gives; with both numbers small there is no carry."""
    # Lines would take a build with Verilator.
    assert measure([ADDER.coverage], seed=SEED).complaints() == ["lines: none were counted"]
    jobs = adder.random_sums
    monkeypatch.setattr(adder, "random_sums", lambda *args: [adder.Sums(job.pairs & 3) for job in jobs(*args)])
    lines = measure([ADDER.coverage], seed=SEED).complaints()
    assert any("carry" in line and "yes" in line for line in lines), lines


def test_mutants_of_the_adder_are_caught(tmp_path):
    """The tensor engine's have a campaign of their own."""
    hook = ADDER.mutants
    mutation = hook.mutation("small", count=12, seed=SEED, root=tmp_path)
    benches = [replace(bench, simulator=SHORT) for bench in hook.benches(mutation)]
    assert wrong_without_mutant(mutation.mutants, mutation, benches) == []
    fates = list(judge_all(mutation.mutants, mutation, benches))
    assert len(fates) == 12 and sum(fate.killed_by == "unit" for fate in fates) >= 8
    assert [fate.mutant.place for fate in fates if fate.survived] == []


def test_a_planted_bug_is_placed():
    """A carry that goes missing shows in the port of the sums, and the report has the pair that it was made of."""
    case = case_of("adder")
    lost = partial(re.sub, r"(pair_0\[7:4\] \+ pair_0\[3:0\]|pair_0\[3:0\] \+ pair_0\[7:4\])", r"4'hf & (\1)")
    text = case.unit.verilog()
    assert lost(text) != text
    found = simulate_unit(case.unit, case.jobs, pace=PACE, simulator=SHORT, rewrite=lost).divergence
    assert found.first.place == "port o__payload" and found.stage == "sum: tests/verif/adder/rtl.py"
    assert found.hint.startswith("only lane_0 differs") and found.term.startswith("beat ")
    assert [cause.place for cause in found.inputs] == ["lane 0, pair", "lane 1, pair"]


def test_an_entry_without_a_probe_is_refused():
    unit = unit_of("adder")
    with pytest.raises(ValueError, match="every compared entry of adder must have a probe, and waits has none"):
        replace(unit, probes={name: probe for name, probe in unit.probes.items() if name != "waits"})


def test_a_whole_unit_is_small():
    """docs/contributing.md says how many lines it takes, and so does the head of this file."""
    lines = sum(
        len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests/verif/adder").glob("*.py")
    )
    assert abs(lines - 310) < 10, lines
