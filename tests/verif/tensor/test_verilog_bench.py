"""The bench in plain Verilog: it passes on the engine, and a planted bug turns it red at the right place."""

import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from arch.tensor.presets import PRESETS
from golden.tensor.jobs import golden_result
from hw.tensor.axi import axi_verilog, data_bytes
from hw.tensor.verilog import engine_verilog
from tests.verif.plain import run_plain
from verif.tensor.verilog.bench import bench_verilog, run_command
from verif.tensor.verilog.vectors import STREAMS, bench_gemms, make_vectors

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "one": EngineConfig(rows=1, cols=1, formats=("e5m2",), accumulation="exact", psum_depth=16),
    "fp32": EngineConfig(rows=2, cols=3, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=32),
}
icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")


@pytest.fixture(params=["tiny"])
def folder(request, tmp_path) -> Path:
    """All files of an engine ``e.v``."""
    config = CONFIGS[request.param]
    vectors = make_vectors(config, bench_gemms(config))
    texts = {"e.v": engine_verilog(config), "e_axis.sv": axi_verilog(config)}
    texts["e_tb.v"] = bench_verilog(config, "e.v", vectors)
    for name, text in texts.items() | {(f"e_{stream}.hex", text) for stream, text in vectors.files.items()}:
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def _run(folder: Path, *arguments: str) -> tuple[int, str]:
    return run_plain(" ".join([run_command("e.v"), *arguments]), folder)


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _expect_results(folder: Path, more: int) -> int:
    """Make the bench expect so many result rows more than there are; how many there are."""
    rows = len(re.findall(r"^[0-9a-f]", (folder / "e_result.hex").read_text(encoding="utf-8"), re.MULTILINE))
    _change(folder / "e_tb.v", f"RESULT_BEATS = {rows};", f"RESULT_BEATS = {rows + more};")
    return rows


@icarus
@pytest.mark.parametrize("folder", list(CONFIGS), indirect=True)
@pytest.mark.parametrize("seed", [1, 2025])
def test_passes(folder, seed):
    code, output = _run(folder, f"+seed={seed}")
    rows = len(re.findall(r"^[0-9a-f]", (folder / "e_result.hex").read_text(encoding="utf-8"), re.MULTILINE))
    gemms = len(re.findall("^//", (folder / "e_result.hex").read_text(encoding="utf-8"), re.MULTILINE))
    assert re.fullmatch(rf"PASS: {gemms} GEMMs, {rows} result rows, \d+ cycles\n", output), output
    assert code == 0


@icarus
@pytest.mark.parametrize("folder", list(CONFIGS), indirect=True)
def test_every_stream_pauses_and_stalls(folder):
    """However small the array, and so the run."""
    watch = ""
    for stream in STREAMS:
        for event, what in (("stalls", "{s}_tvalid && !{s}_tready"), ("pauses", "!{s}_tvalid && {s}_tready")):
            line = f'$display("{stream} {event}");'
            watch += f"  always @(posedge aclk) if (aresetn && {what.format(s=stream)}) {line}\n"
    bench = folder / "e_tb.v"
    head, _, tail = bench.read_text(encoding="utf-8").partition("  always #5 aclk = !aclk;\n")
    assert tail
    # The bench's own module is the one with the clock: its end is the first.
    inside, end, after = tail.partition("endmodule")
    bench.write_text(f"{head}  always #5 aclk = !aclk;\n{inside}{watch}{end}{after}", encoding="utf-8")
    lines = _run(folder)[1].splitlines()
    for stream in STREAMS:
        assert lines.count(f"{stream} stalls") > 10 and lines.count(f"{stream} pauses") > 10


@icarus
def test_pauses_and_stalls_differ_by_seed(folder):
    assert _run(folder, "+seed=1")[1] != _run(folder, "+seed=77")[1]


@icarus
@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "e.v",
            "i_x[3:0] * i_w[3:0]",
            "(i_x[3:0] * i_w[3:0]) ^ (&i_x[3:0])",
            r"FAIL in result row \d+, column \d: GEMM \d+, Y\[\d+, \d+\] is [0-9a-f]{8}, expected [0-9a-f]{8} \(cycle",
        ),
        # The last row of a tile loses its mark.
        (
            "e_tb.v",
            ".m_axis_result_tlast(result_tlast)",
            ".m_axis_result_tlast()",
            r"FAIL in result row 0: tlast is z, expected 1",
        ),
        # A result that the sink does not take is gone.
        ("e_axis.sv", ".o_result__ready(m_axis_result_tready && aresetn)", ".o_result__ready(1'b1)", r"FAIL in "),
        # Commands never get in.
        (
            "e_axis.sv",
            ".i_command__valid(s_axis_command_tvalid && aresetn)",
            ".i_command__valid(1'b0)",
            r"FAIL in cycle \d+: nothing moves after result row 0 of \d+",
        ),
    ],
)
def test_a_bug_turns_it_red(folder, file, old, new, message):
    _change(folder / file, old, new)
    code, output = _run(folder)
    assert code == 1 and "PASS" not in output
    assert re.match(message, output[output.index("FAIL") :]), output


@icarus
def test_a_wrong_vector_is_told_with_row_and_column(folder):
    """The bits of the third row's column 1 are changed: the bench names GEMM, row and column."""
    path = folder / "e_result.hex"
    lines = path.read_text(encoding="utf-8").splitlines()
    at = [number for number, line in enumerate(lines) if not line.startswith("//")][2]
    word = int(lines[at], 16) ^ 1 << 32
    lines[at] = f"{word:0{len(lines[at])}x}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    codes = [golden_result(job, CONFIGS["tiny"]) for job in bench_gemms(CONFIGS["tiny"])]
    # Row 0 is the first product's only one; the second product has two.
    right = int(codes[1][1, 1])
    _, output = _run(folder)
    assert output.startswith(
        f"FAIL in result row 2, column 1: GEMM 2, Y[1, 1] is {right:08x}, expected {right ^ 1:08x} (cycle "
    )


@icarus
def test_a_missing_result_is_noticed(folder):
    """The bench waits for one row more than there is."""
    rows = _expect_results(folder, 1)
    code, output = _run(folder)
    assert code == 1 and f"nothing moves after result row {rows} of" in output


@icarus
def test_a_result_too_many_is_noticed(folder):
    _expect_results(folder, -1)
    code, output = _run(folder)
    assert code == 1 and "a result after the last" in output


@icarus
def test_an_input_that_is_not_taken_is_noticed(folder):
    """One weight row more is offered than the commands ask for."""
    path = folder / "e_weight.hex"
    count = len(re.findall(r"^[0-9a-f]", path.read_text(encoding="utf-8"), re.MULTILINE))
    path.write_text(path.read_text(encoding="utf-8") + "0\n", encoding="utf-8")
    _change(folder / "e_tb.v", f"WEIGHT_BEATS = {count};", f"WEIGHT_BEATS = {count + 1};")
    code, output = _run(folder)
    assert code == 1 and "FAIL: all results came, and inputs were not taken" in output


@pytest.mark.parametrize("config", [*CONFIGS.values(), PRESETS["fp8"], PRESETS["bf16"]])
def test_every_pair_of_formats_and_every_output_is_there(config):
    jobs = bench_gemms(config)
    assert {(job.x_format, job.w_format) for job in jobs} == set(product(config.formats, repeat=2))
    assert {job.out_format for job in jobs} == set(FORMATS)
    assert {job.saturate for job in jobs} == {False, True}
    shapes = np.array([job.shape for job in jobs])
    # Ragged, and of more than one tile, in K and in N, where a tile has more than one lane.
    for sizes, lanes in ((shapes[:, 1], config.rows), (shapes[:, 2], config.cols)):
        assert (sizes > lanes).any() and (lanes == 1 or (sizes % lanes).any())


def test_vectors_are_commands_of_whole_bytes():
    config = PRESETS["fp8"]
    vectors = make_vectors(config, bench_gemms(config)[:1])
    assert list(vectors.files) == list(STREAMS)
    comment, command = vectors.files["command"].splitlines()[:2]
    assert comment == "// 1: GEMM M=1 K=1 N=1, e4m3 x e4m3 to fp32"
    assert len(command) == 2 * data_bytes(config)["command"]
    fields = command_layout(config).unpack(int(command, 16))
    assert (fields["tile_m"], fields["tile_k"], fields["tile_n"], fields["first"], fields["last"]) == (1, 1, 1, 1, 1)
