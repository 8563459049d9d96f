"""The command ``cycles``: one product, real networks, one's own list."""

import json
import tomllib
from functools import partial
from pathlib import Path

import pytest

from arch.tensor.presets import PRESETS
from golden.tensor.efficiency import losses, scale_sim_cycles
from golden.tensor.schedule import gemm_cycles, ideal_cycles, readout_cycles, utilization
from scripts import cli
from scripts.running.cycles import WORKLOADS, load_workloads, total

ONE = ("--m", "5", "--k", "100", "--n", "90")
HEADER = "workload,layer,m,k,n,count\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Rich would take the captured output for a terminal.
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


@pytest.fixture
def run(run):
    """The command."""
    return partial(run, "cycles")


def test_one_product(run):
    code, out, err = run(*ONE, "--config", "bf16", "--json")
    record = json.loads(out)
    config = PRESETS["bf16"]
    assert (code, err) == (0, "")
    assert record.pop("pe_cycles") == vars(losses(5, 100, 90, config))
    assert record.pop("utilization") == pytest.approx(utilization(5, 100, 90, config))
    assert record == {
        "config": "bf16",
        "shape": {"m": 5, "k": 100, "n": 90},
        "cycles": gemm_cycles(5, 100, 90, config),
        "ideal_cycles": ideal_cycles(5, 100, 90, config),
        "readout_cycles": readout_cycles(5, 100, 90, config),
        "scale_sim_cycles": scale_sim_cycles(5, 100, 90, config),
    }


def test_one_product_for_people(run):
    code, out, _ = run(*ONE)
    config = PRESETS["fp8"]
    lines = [line.split() for line in out.splitlines() if line.strip()]
    figures = {" ".join(words[:-2]): words[-2:] for words in lines[2:]}
    parts = losses(5, 100, 90, config)
    assert code == 0 and len(figures) == 8
    assert figures["all"] == [f"{gemm_cycles(5, 100, 90, config):.1f}", "100.0%"]
    assert figures["every PE multiplies"] == [f"{5 * 100 * 90 / 256:.1f}", f"{utilization(5, 100, 90, config):.1%}"]
    assert figures["later weights load"][0] == f"{parts.load_bound / 256:.1f}"
    assert figures["sums not back yet"][0] == f"{parts.hazard / 256:.1f}"


def test_all_workloads(run):
    code, out, _ = run("--config", "mxu", "--json")
    record = json.loads(out)
    workloads = load_workloads()
    assert code == 0 and list(record["workloads"]) == list(workloads)
    for name, layers in workloads.items():
        whole = record["workloads"][name]
        parts = total(layers, PRESETS["mxu"])
        assert whole["pe_cycles"] == vars(parts)
        assert sum(layer["cycles"] for layer in whole["layers"]) == whole["cycles"] == parts.total // 128**2
        for layer, line in zip(layers, whole["layers"], strict=True):
            assert line["cycles"] == layer.count * gemm_cycles(layer.m, layer.k, layer.n, PRESETS["mxu"])


@pytest.mark.parametrize("preset", PRESETS)
def test_tables_fit_a_terminal(run, preset):
    for options in ((), *(("--workload", name) for name in load_workloads())):
        code, out, _ = run("--config", preset, *options)
        assert code == 0 and "…" not in out and max(map(len, out.splitlines())) <= 80


def test_a_workload_layer_by_layer(run):
    record = json.loads(run("--workload", "gpt2-decode", "--json")[1])
    assert record["workload"] == "gpt2-decode" and record["layers"][0]["shape"] == {"m": 1, "k": 768, "n": 2304}
    lines = run("--workload", "gpt2-decode")[1].splitlines()
    names = [line[:17].strip() for line in lines if line.strip()]
    assert names[0] == "layer" and names[2:-1] == [layer["layer"] for layer in record["layers"]] + ["all"]
    whole = next(line.split() for line in lines if line.strip().startswith("all "))
    assert whole[2] == f"{record['cycles'] / 1e3:,.0f}" and whole[3] == f"{100 * record['utilization']:.1f}"
    assert sum(map(float, whole[3:])) == pytest.approx(100, abs=0.31)


def test_ones_own_list(run):
    Path("own.csv").write_text(HEADER + "a,one,3,4,5,2\n\nb,two,1,1,1,1\na,three,7,8,9,1\n", encoding="utf-8")
    record = json.loads(run("--file", "own.csv", "--config", "tiny", "--json")[1])["workloads"]
    assert {name: [layer["layer"] for layer in part["layers"]] for name, part in record.items()} == {
        "a": ["one", "three"],
        "b": ["two"],
    }
    assert record["a"]["cycles"] == 2 * gemm_cycles(3, 4, 5, PRESETS["tiny"]) + gemm_cycles(7, 8, 9, PRESETS["tiny"])
    assert json.loads(run("--file", "own.csv", "--workload", "b", "--json")[1])["cycles"] > 0


@pytest.mark.parametrize("name", ["mlp[up]", "[/]", ":smile:"])
def test_names_of_a_list_are_printed_as_they_are(run, name):
    Path("own.csv").write_text(f"{HEADER}{name},{name},3,4,5,1\n", encoding="utf-8")
    code, out, err = run("--file", "own.csv")
    assert (code, err) == (0, "") and name in out
    assert name in run("--file", "own.csv", "--workload", name)[1]


def test_layers_of_one_name_have_a_line_each(run):
    Path("own.csv").write_text(f"{HEADER}a,all,3,4,5,1\na,one,7,8,9,1\na,one,1,2,3,1\n", encoding="utf-8")
    words = run("--file", "own.csv", "--workload", "a")[1].split()
    assert [word for word in words if word in ("one", "all")] == ["all", "one", "one", "all", "all"]  # of the caption


def test_a_list_may_begin_with_a_byte_order_mark(run):
    Path("own.csv").write_bytes(b"\xef\xbb\xbf" + f"{HEADER}a,one,3,4,5,1\n".encode())
    assert run("--file", "own.csv")[0] == 0


def test_figures_too_large_for_a_float_are_exact(run):
    sizes = 4294967295, 16383, 4294967295
    out = run(*(word for pair in zip(("--m", "--k", "--n"), map(str, sizes), strict=True) for word in pair))[1]
    assert f" {gemm_cycles(*sizes, PRESETS['fp8']):,}.0 " in out


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_narrow_terminal_loses_no_figure(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    table = run()[1]
    monkeypatch.setenv("COLUMNS", "500")
    assert table == run()[1] and "\u2026" not in table


# ---- the list -------------------------------------------------------------------------------------


def products(name, but=()):
    return sum(x.m * x.k * x.n * x.count for x in load_workloads()[name] if x.name not in but)


def test_workloads_have_the_known_numbers_of_products():
    # ResNet-50 with its strides in the 3 x 3 convolutions, at 224 x 224: 4.09 thousand million multiplications.
    assert products("resnet50") == 4_089_184_256
    attention = ("scores", "mix values")
    # Twelve layers of 768 x 768 (4) and 768 x 3072 (2) weights, for every token.
    for length in (128, 384):
        assert products(f"bert-base-{length}", attention) == length * 12 * (4 * 768**2 + 2 * 768 * 3072)
        assert products(f"bert-base-{length}") - products(f"bert-base-{length}", attention) == 12 * 2 * length**2 * 768
    layers = 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert products("gpt2-decode", attention) == layers + 768 * 50257
    assert products("gpt2-prefill", attention) == 512 * layers + 768 * 50257
    # 6,738,415,616 parameters: the embedding and 65 norms of 4096 are not multiplied.
    weights = 6_738_415_616 - 32000 * 4096 - 65 * 4096
    for batch in (1, 8, 64):
        assert products(f"llama2-7b-decode-{batch}", attention) == batch * weights
        seen = products(f"llama2-7b-decode-{batch}") - products(f"llama2-7b-decode-{batch}", attention)
        assert seen == batch * 32 * 2 * 512 * 4096
    assert products("llama2-7b-prefill", attention) == 512 * (weights - 32000 * 4096) + 32000 * 4096


def test_the_list_is_part_of_the_package():
    settings = tomllib.loads((Path(cli.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"*{WORKLOADS.suffix}" in settings["tool"]["setuptools"]["package-data"]["*"]


# ---- bad input ------------------------------------------------------------------------------------


def complaint(run, *arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("systolith: ") and err.count("\n") == 1
    return err.removeprefix("systolith: ").rstrip("\n")


TOO_LONG = "K must be at most k_max = 16384 under exact accumulation, not"
ALL = "needs all of --m, --k and --n and neither --workload nor --file, or none of the three"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--m", "5"), ALL),
        (("--m", "5", "--n", "5"), ALL),
        ((*ONE, "--workload", "resnet50"), ALL),
        ((*ONE, "--file", "own.csv"), ALL),
        (("--m", "0", *ONE[2:]), "Invalid value for '--m': 0 is not in the range x>=1."),
        (("--m", "x"), "Invalid value for '--m': 'x' is not a valid integer range."),
        (
            ("--k", "16385", "--m", "1", "--n", "1"),
            f"{TOO_LONG} 16385",
        ),
        (("--m", "9" * 400, *ONE[2:]), "--m, --k and --n must be in 1..4294967296, not 99999"),
        (("--m", "nan"), "Invalid value for '--m': 'nan' is not a valid integer range."),
        (("--m", "1e3"), "Invalid value for '--m': '1e3' is not a valid integer range."),
        (("--config", "big"), "Invalid value for '--config': 'big' is not one of"),
        (("--workload", "alexnet"), f"--workload: no 'alexnet'; needs one of {', '.join(load_workloads())}"),
        (("--file", "gone.csv"), "--file: cannot read gone.csv; needs a CSV file of workload,layer,m,k,n,count"),
        (("--file", "."), "--file: cannot read .; needs a CSV file"),
        (("--file", ""), "--file: cannot read ; needs a CSV file"),
        ((*ONE, "--file", ""), ALL),
        (("resnet50",), "Got unexpected extra argument (resnet50)"),
    ],
)
def test_bad_input(run, arguments, message):
    assert complaint(run, *arguments).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "must begin with the line workload,layer,m,k,n,count"),
        (b"name,m,k,n\n", "must begin with the line workload,layer,m,k,n,count"),
        (b"\xff\xfe", "needs a CSV file of workload,layer,m,k,n,count"),
        (HEADER.encode() + b'"a\0', "line 2: needs two names and four integers"),
        (HEADER.encode(), "has no layers; needs a line for each"),
        (HEADER.encode() + b"a,one,3,4,5\n", "line 2: needs two names and four integers"),
        (HEADER.encode() + b"a,one,3,4,5,1,1\n", "line 2: needs two names and four integers"),
        (HEADER.encode() + b"a,one,3,4,5,1\na,two,3,4.5,5,1\n", "line 3: needs two names and four integers"),
        (HEADER.encode() + b"a,one,3,4,0,1\n", "line 2: m, k, n and count must be in 1..4294967296"),
        (HEADER.encode() + b"a,one,3,4,5," + b"9" * 400 + b"\n", "line 2: m, k, n and count must be in 1..4294967296"),
        (
            HEADER.encode() + b"a,one,3,99999,5,1\n",
            f"{TOO_LONG} 99999",
        ),
    ],
)
def test_bad_lists(run, text, message):
    Path("own.csv").write_bytes(text)
    assert message in complaint(run, "--file", "own.csv")
