"""Figures in the documents that the golden model gives in no time are those it gives now."""

import re
import shlex
from dataclasses import replace

import pytest

from arch.tensor.presets import PRESETS
from golden.tensor.efficiency import scale_sim_cycles
from golden.tensor.schedule import gemm_cycles, utilization
from scripts.ground.pages import DOCS
from scripts.running.cycles import load_workloads, total

PAGES = (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))
PERFORMANCE = (DOCS / "performance.md").read_text(encoding="utf-8")


def transcripts() -> list[tuple[str, list[str]]]:
    """Commands that a page shows with what they print."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```\n(\$ systolith .*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            for command, _, output in (part.partition("\n") for part in block.split("$ systolith ")[1:]):
                found.append((command, [line.strip() for line in output.splitlines() if line.strip()]))
    return found


def test_there_are_transcripts():
    assert len(transcripts()) >= 3


@pytest.mark.parametrize(("command", "output"), transcripts(), ids=lambda value: value if type(value) is str else "")
def test_a_command_prints_what_its_page_shows(run, command, output):
    code, out, _ = run(*shlex.split(command))
    assert code == 0
    assert [line.strip() for line in out.splitlines() if line.strip()] == output


def test_the_bars():
    rows = re.findall(
        r"^\| (\d+) x (\d+) x (\d+) \| `(\w+)` \| ([\d,]+) \| ([\d.]+) % \| ([\d,]+) \|$", PERFORMANCE, re.M
    )
    assert len(rows) == 4
    for *sizes, preset, cycles, used, scale_sim in rows:
        shape, config = [int(size) for size in sizes], PRESETS[preset]
        due = gemm_cycles(*shape, config), utilization(*shape, config), scale_sim_cycles(*shape, config)
        assert (cycles, used, scale_sim) == (f"{due[0]:,}", f"{100 * due[1]:.2f}", f"{due[2]:,}")


def test_several_weight_rows_in_a_cycle():
    rows = re.findall(r"^\| (\d+) \| ((?:[\d,]+ \([\d.]+ %\)(?: \| )?){6}) \|$", PERFORMANCE, re.M)
    assert [batch for batch, _ in rows] == ["1", "8", "64"]
    for batch, cells in rows:
        layers = load_workloads()[f"llama2-7b-decode-{batch}"]
        shown = []
        for preset, rows_per_load_cycle in (*(("fp8", g) for g in (1, 4, 16)), *(("mxu", g) for g in (1, 4, 128))):
            part = total(layers, replace(PRESETS[preset], rows_per_load_cycle=rows_per_load_cycle))
            pes = PRESETS[preset].rows * PRESETS[preset].cols
            shown.append(f"{part.total / pes / 1e3:,.0f} ({100 * float(part.shares()['useful']):.1f} %)")
        assert cells == " | ".join(shown)
