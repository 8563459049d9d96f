"""``systolith coverage``: its exit code says what is missing, its files are where they should be."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.campaigns.coverage import run_coverage
from scripts.ground.errors import InputError
from verif.coverage.hook import CoverageHook, CoverageRun, Measured
from verif.coverage.points import Hits, Point

POINT = Point("letter", "A letter.", {"name": ("a", "b")})


def hook(*letters: int) -> CoverageHook:
    """A unit with two bins, and a run that hits some of them."""
    hits = Hits([POINT])
    hits.add("letter", np.array(letters, np.int64))
    run = CoverageRun("short", lambda: Measured(cycles=7, hits=hits))
    return CoverageHook(names=("adder",), plan=lambda _: [POINT], runs=lambda *_: [run])


def test_a_missing_stimulus_is_named(tmp_path, capsys):
    folder = tmp_path / "reports"
    assert run_coverage([hook(0)], seed=4, folder=folder)
    out, err = capsys.readouterr()
    assert "adder: short" in err
    assert "seed 4, 7 cycles compared" in out and "functional bins: 1 of 2" in out
    assert "adder: letter: not hit: b" in out and "lines: none were counted" in out
    record = json.loads((folder / "coverage.json").read_text(encoding="utf-8"))
    assert record["seed"] == 4 and record["bins"] == {"hit": 1, "declared": 2}
    assert "adder: letter: not hit: b" in record["complaints"]
    assert "adder: letter: not hit: b" in (folder / "index.html").read_text(encoding="utf-8")


def test_the_table_has_bins_hit_and_declared(tmp_path, capsys):
    run_coverage([hook(0, 1)], seed=4, folder=tmp_path)
    out = capsys.readouterr().out
    assert "letter" in out and "2/2" in out and "not hit" not in out


def test_a_folder_that_cannot_be_made_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, _, err = run("coverage", "--out", "file/reports")
    assert code == 2
    assert err.startswith("systolith: cannot make folder file/reports") and err.count("\n") == 1


def test_a_page_of_ones_own_is_not_replaced(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("index.html").write_text("my own", encoding="utf-8")
    message = "^--out: index.html would be replaced and is no file of an earlier run; needs another name$"
    with pytest.raises(InputError, match=message):
        run_coverage([hook(0)], seed=1, folder=Path())
    for _ in range(2):
        assert run_coverage([hook(0)], seed=1, folder=Path("reports"))
    assert Path("reports/index.html").exists()
