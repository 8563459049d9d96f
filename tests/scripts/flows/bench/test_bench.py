"""Benchmarks: what is measured, the table, the JSON and the page. No figure is asserted but that there is one."""

import json
from itertools import groupby

import numpy as np
import pytest

from arch.tensor.config import EngineConfig
from scripts.cli import main
from scripts.flows.bench import cores as bench_cores
from scripts.flows.bench import golden as bench_golden
from scripts.flows.bench import run as bench
from scripts.flows.bench import simulation as bench_sim
from scripts.flows.bench.measure import Figure, Workload, growth, measure, ratio
from scripts.flows.bench.run import COMMAND, run_bench
from scripts.ground.errors import InputError
from scripts.ground.pages import around_table

SMALL = EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=32)


def silent(what):
    pass


class TestMeasure:
    def test_takes_turns(self):
        calls = []
        workloads = [
            Workload(name=name, unit="calls/s", amount=1, run=lambda name=name: calls.append(name), beside=beside)
            for name, beside in (("a", {}), ("b", {"other": "a"}))
        ]
        first, second = measure("group", workloads, 3)
        assert calls == ["a", "b"] * 4
        assert [len(figure.values) for figure in (first, second)] == [3, 3]
        assert second.ratios == {"other": ratio(second.values, first.values)} and not first.ratios
        calls.clear()
        measure("group", workloads, 1, settle=1e-6)
        runs = [(name, len(list(group))) for name, group in groupby(calls)]
        assert [name for name, _ in runs] == ["a", "b", "a", "b"]
        assert all(count >= 2 for _, count in runs[2:])

    def test_ratio_is_of_neighbours(self):
        assert ratio([1, 20, 3], [2, 10, 6]) == 0.5

    @pytest.mark.parametrize("exponent", [0.3, 1.0, 2.0])
    def test_growth(self, exponent):
        sizes = np.array([16, 64, 256, 4096])
        assert growth("g", "n", sizes, 3 * sizes**exponent).values == pytest.approx([exponent])

    def test_cells(self):
        figure = Figure(group="g", name="n", unit="GMAC/s", values=[1234.5, 0.123, 45.67], ratios={"f32": 0.7})
        assert figure.cells() == ["g", "n", "45.7", "0.12..1,234", "GMAC/s", "0.70 f32"]
        assert Figure(group="g", name="n", unit="s", values=[2.0]).cells()[3] == ""


class TestGolden:
    def test_products(self, monkeypatch):
        monkeypatch.setattr(bench_golden, "QUICK_SIZES", {20: 2})
        figures = list(bench_golden.products(quick=True, seed=1, say=silent))
        names = [figure.name for figure in figures]
        assert names[:2] == ["numpy float32, 20\u00b3, 1 thread", "numpy float64, 20\u00b3, 1 thread"]
        for pair in bench_golden.PRODUCTS:
            assert "{} x {}, {}, 20\u00b3, 1 thread".format(*pair) in names
        assert all(figure.ratios.keys() == {"f32", "f64"} for figure in figures if "numpy" not in figure.name)
        assert all(value > 0 for figure in figures for value in figure.values)

    def test_conversions(self):
        figures = list(bench_golden.conversions(quick=True, seed=1, say=silent))
        ours = [figure.name for figure in figures if figure.ratios]
        assert ours == [f"{way} {fmt}" for fmt in ("e4m3", "e5m2", "bf16") for way in ("encode", "decode")]

    def test_cycle_models(self):
        (figure,) = bench_golden.cycle_models(quick=True, seed=1, say=silent)
        assert figure.name == "cycle model, tiny 4x4" and min(figure.values) > 0


class TestSimulation:
    @pytest.mark.slow
    def test_every_way_to_run_is_timed(self):
        rates = bench_sim.flat_rates(SMALL, cycles=2000, seed=1, rounds=2)
        assert {way: len(values) for way, values in rates.items()} == {"bare": 2, "ports": 2, "registers": 2}
        assert all(rate > 0 for values in rates.values() for rate in values)
        assert bench_sim.whole_rate(SMALL, cycles=2000, seed=1) > 0

    @pytest.mark.slow
    def test_builds(self, monkeypatch):
        """Nothing is cached, and what counts as large is timed as well."""
        monkeypatch.setattr(bench_sim, "SIZES", (2,))
        monkeypatch.setattr(bench_sim, "FLAT_PES", 3)
        names = [figure.name for figure in bench_sim.builds(quick=True, seed=1, say=silent)]
        assert names == ["build e4m3 2x2", "2x2, ports"]

    def test_emission(self, monkeypatch):
        monkeypatch.setattr(bench_sim, "SIZES", (1, 2))
        figures = list(bench_sim.emission(quick=True, seed=1, say=silent))
        assert [figure.name for figure in figures] == ["emit e4m3 1x1", "emit e4m3 2x2", "emit, growth from 1x1 to 2x2"]
        assert figures[-1].unit == "exponent of PEs"

    def test_finds_the_large_size_of_flat_arrays(self):
        assert all(config.rows * config.cols <= bench_sim.FLAT_PES for config in bench_sim.FLAT.values())


@pytest.fixture
def two_groups(monkeypatch):
    """Figures that need no measuring."""

    def figures(group):
        def of(*, quick, seed, say):
            say(f"{group}, seed {seed}, quick {quick}")
            yield Figure(group=group, name="x", unit="GMAC/s", values=[1.0, 2.0, 4.0], ratios={"f32": 0.7})

        return of

    monkeypatch.setattr(bench_golden, "GROUPS", {name: figures(name) for name in ("golden", "convert", "cycles")})
    monkeypatch.setattr(bench_cores, "GROUPS", {name: figures(name) for name in ("cores", "functions")})
    monkeypatch.setattr(bench_sim, "GROUPS", {name: figures(name) for name in ("sim", "verilog", "build")})


class TestCores:
    def test_attention_and_functions(self):
        figures = list(bench_cores.attentions(quick=True, seed=1, say=silent))
        plain, causal, model = figures
        # Half of the products, in more than half of the time.
        assert 0 < causal.values[0] < plain.values[0] < 1
        assert model.unit == "k cycles/s" and min(model.values) > 0
        names = [figure.name for figure in bench_cores.functions(quick=True, seed=1, say=silent)]
        assert names == ["exp", "reciprocal", "rsqrt"]


class TestCommand:
    def test_table_and_json(self, two_groups, tmp_path, capsys):
        run_bench(["sim", "golden"], quick=True, seed=5, out=tmp_path / "new" / "bench.json")
        printed = capsys.readouterr()
        rows = [line.split() for line in printed.out.splitlines() if "GMAC/s" in line]
        assert rows == [[group, "x", "2.00", "1.00..4.00", "GMAC/s", "0.70", "f32"] for group in ("golden", "sim")]
        assert "golden, seed 5, quick True" in printed.err, "progress goes to standard error"
        record = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
        assert record["seed"] == 5 and record["quick"] and record["machine"]["versions"]["numpy"] == np.__version__
        assert record["machine"]["cores"] >= 1 and record["machine"]["cpu"]
        assert record["figures"][0] == {
            "group": "golden",
            "name": "x",
            "unit": "GMAC/s",
            "values": [1.0, 2.0, 4.0],
            "ratios": {"f32": 0.7},
            "median": 2.0,
        }
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["bench.json"]

    def test_everything_by_default(self, two_groups, tmp_path):
        run_bench([], quick=True, seed=1, out=tmp_path / "bench.json")
        record = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
        assert [figure["group"] for figure in record["figures"]] == list(bench.GROUPS)

    def test_page(self, two_groups, tmp_path, monkeypatch):
        page = tmp_path / "performance.md"
        begin, end = f"<!-- made by {COMMAND}: begin -->\n", f"<!-- made by {COMMAND}: end -->\n"
        page.write_text(f"before\n{begin}stale\n{end}after\n", encoding="utf-8")
        monkeypatch.setattr(bench, "PAGE", page)
        run_bench([], quick=False, seed=1, out=tmp_path / "bench.json", page=True)
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"before\n{begin}\n```\n group") and text.endswith(f"```\n\n{end}after\n")
        assert "stale" not in text and "0.70 f32" in text

    def test_page_without_a_place(self, two_groups, tmp_path, monkeypatch):
        """Told before anything is measured."""
        page = tmp_path / "performance.md"
        page.write_text("no place", encoding="utf-8")
        monkeypatch.setattr(bench, "PAGE", page)
        with pytest.raises(InputError, match=r"performance.md must hold the lines <!-- made by make bench: begin -->"):
            run_bench([], quick=False, seed=1, out=tmp_path / "bench.json", page=True)
        assert list(tmp_path.iterdir()) == [page]

    def test_our_page_has_a_place(self):
        assert all(around_table(bench.PAGE, COMMAND))

    @pytest.mark.parametrize(
        "arguments, message",
        [
            (
                ["--only", "gpu"],
                "--only must be among golden, convert, functions, cycles, cores, sim, verilog, build, not gpu",
            ),
            (["--page", "--quick"], "--page needs a full run, without --quick and --only"),
            (["--page", "--only", "sim"], "--page needs a full run, without --quick and --only"),
        ],
    )
    def test_errors(self, arguments, message, monkeypatch, capsys):
        monkeypatch.setattr("sys.argv", ["systolith", "bench", *arguments])
        with pytest.raises(SystemExit) as exit:
            main()
        assert exit.value.code == 2 and capsys.readouterr().err == f"systolith: {message}\n"
