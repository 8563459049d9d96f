"""Waveforms of a divergence, read back from the files that a viewer gets."""

import re
from functools import partial

import pytest
from test_planted_bugs import BLOCKS, SHORT, TINY, gemm, ones, planted

from verif.simulation.fst import vcd_scopes, vcd_to_fst
from verif.simulation.replay import Mismatch
from verif.simulation.rerun import AFTER, BEFORE, Case, investigate
from verif.simulation.simulate import build_unit
from verif.simulation.waves import KEPT, fresh_folder
from verif.tensor.engine import simulate
from verif.tensor.unit import tensor_unit

pytest.importorskip("pylibfst", reason="has no wheel for this machine")
from pylibfst import ffi, helpers, lib

#: Verilator takes most of a minute to build this twice.
SIMULATORS = [SHORT, pytest.param("verilator", marks=pytest.mark.slow)]
PRODUCT = "product_r0_c0[16:0]"


class Fst:
    """A waveform as a viewer sees it: handles by name with range, and values at a time."""

    def __init__(self, path):
        self.context = lib.fstReaderOpen(str(path).encode())
        assert self.context != ffi.NULL
        _, signals = helpers.get_scopes_signals2(self.context)
        # Viewers leave out the space that the format has before a range.
        self.handles = {name.replace(" ", ""): signal.handle for name, signal in signals.by_name.items()}

    def value(self, name, time):
        buffer = ffi.new("char[256]")
        return helpers.string(lib.fstReaderGetValueFromHandleAtTime(self.context, time, self.handles[name], buffer))

    def find(self, end):
        """The one signal whose name ends so."""
        (name,) = [name for name in self.handles if name.endswith(end)]
        return name

    @property
    def span(self):
        return lib.fstReaderGetStartTime(self.context), lib.fstReaderGetEndTime(self.context)


@pytest.fixture(scope="module", params=SIMULATORS)
def red(request, tmp_path_factory):
    """Products of the wrong sign, which a first GEMM of ones does not show: the folder and the report."""
    folder = tmp_path_factory.mktemp("divergence")
    change = BLOCKS["sign of a product"][0]
    jobs = [ones(60, 4, 4), gemm([[-1]], [[-1]])]
    run = simulate(TINY, jobs, simulator=request.param, rewrite=planted(change), waves_folder=lambda: folder)
    assert run.divergence.first.place == "PE(0, 0).product" and run.divergence.cycle > BEFORE
    return folder / "0001", run.divergence


def marker(folder):
    """The time at which GTKWave's marker stands."""
    return int(re.search(r"^\*-[\d.]+ (\d+) ", (folder / "waves.gtkw").read_text(encoding="utf-8"), re.MULTILINE)[1])


def test_report_names_the_files(red):
    folder, divergence = red
    first, last = divergence.cycle - BEFORE, divergence.cycle + AFTER
    assert divergence.lines()[-3:] == [
        f"  waves     {folder}/waves.fst  (cycles {first}..{last})",
        f"            gtkwave {folder}/waves.gtkw",
        f"            surfer --command-file {folder}/waves.sucl",
    ]


def test_window_of_the_waveform(red):
    folder, divergence = red
    fst, time = Fst(folder / "waves.fst"), marker(folder)
    rtl, golden = fst.find(f"rtl.{PRODUCT}"), fst.find(f"golden.expected_{PRODUCT}")
    count = fst.find("harness.harness_compared[63:0]")
    for ahead in range(-BEFORE, AFTER + 1):
        assert int(fst.value(count, time + 2 * ahead), 2) == divergence.cycle + ahead
        same = fst.value(rtl, time + 2 * ahead) == fst.value(golden, time + 2 * ahead)
        # One product: zero follows where no lane is enabled.
        assert same == (ahead != 0)
    first = divergence.first
    assert int(fst.value(rtl, time), 2) == first.actual and int(fst.value(golden, time), 2) == first.expected
    start, end = fst.span
    # The clock rises once more, to find the end of the trace, and falls.
    assert start == time - 2 * BEFORE and end <= time + 2 * AFTER + 4


def test_save_files_name_signals_that_are_there(red):
    folder, _ = red
    fst = Fst(folder / "waves.fst")
    saved = [line for line in (folder / "waves.gtkw").read_text(encoding="utf-8").splitlines() if line[0] not in "[*@-"]
    assert set(saved) <= set(fst.handles)
    for end in (f"golden.expected_{PRODUCT}", f"rtl.{PRODUCT}", "rtl.beat_r0_c0[13:0]", "rtl.west_r0[13:0]"):
        assert fst.find(end) in saved
    commands = (folder / "waves.sucl").read_text(encoding="utf-8").splitlines()
    assert commands[0] == f"load_file {folder}/waves.fst"
    assert f"cursor_set {marker(folder)}" in commands
    shown = [line.removeprefix("variable_add ") for line in commands if line.startswith("variable_add ")]
    assert shown == [name.partition("[")[0] for name in saved]


def test_a_run_that_does_not_differ_again_is_told():
    unit = tensor_unit(TINY)
    build = partial(build_unit, unit, simulator=SHORT, window=True)
    mismatch = Mismatch(9, [(unit.record.fields[-1], 0, 1)])
    case = Case(unit=unit, jobs=[ones(3, 4, 4)])
    waves = investigate(case, mismatch, build=build, waves_folder=lambda: None).waves
    assert waves == "none: the RTL differed in cycle 9, but not when it ran again: it is not deterministic"


def test_folders_are_numbered_and_the_oldest_go(tmp_path):
    (tmp_path / "notes").mkdir()
    folders = [fresh_folder(tmp_path) for _ in range(KEPT + 3)]
    assert [folder.name for folder in folders] == [f"{index:04}" for index in range(1, KEPT + 4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{index:04}" for index in range(4, KEPT + 4)] + [
        "notes"
    ]


VCD = """\
$date today $end
$timescale 1ns $end
$scope module top $end
$var wire 1 ! clk $end
$var reg 4 " bus [3:0] $end
$scope module inner $end
$var wire 4 " same [3:0] $end
$var real 64 # volts $end
$upscope $end
$upscope $end
$enddefinitions $end
#5
$dumpvars
0!
bx "
r1.5 #
$end
#7
1!
b101 "
#9
bz1 "
"""


def test_conversion(tmp_path):
    vcd, path = tmp_path / "waves.vcd", tmp_path / "waves.fst"
    vcd.write_text(VCD, encoding="utf-8")
    names, start = vcd_scopes(vcd)
    assert names["top.clk"] == "top.clk" and names["top.inner.same"] == "top.inner.same[3:0]" and start == 5
    vcd_to_fst(vcd, path)
    fst = Fst(path)
    assert fst.span == (5, 9)
    assert [fst.value(fst.find("clk"), time) for time in (5, 6, 7, 9)] == ["0", "0", "1", "1"]
    for name in ("bus", "same"):
        full = next(handle for handle in fst.handles if name in handle)
        assert [fst.value(full, time) for time in (5, 7, 9)] == ["xxxx", "0101", "zzz1"]


def test_a_path_that_cannot_be_written(tmp_path):
    vcd = tmp_path / "waves.vcd"
    vcd.write_text(VCD, encoding="utf-8")
    with pytest.raises(OSError, match="cannot be written"):
        vcd_to_fst(vcd, tmp_path / "missing" / "waves.fst")
