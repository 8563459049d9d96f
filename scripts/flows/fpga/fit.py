"""Whether a build fits its device, and the largest array that would."""

from dataclasses import replace

from arch.tensor.config import EngineConfig
from scripts.flows.fpga.build import Job, Synthesis
from scripts.flows.fpga.report import lut_equivalents

__all__ = ["does_not_fit", "excess", "expected", "largest", "limits", "sample"]

_NONE = "; by estimate no smaller one would"
#: An array of more PEs than this is first estimated from one of ``SAMPLE`` rows and columns at most; a core is not.
LARGE, SAMPLE = 64, 4
TITLES = {
    "logic": "LUTs",
    "ff": "flip-flops",
    "dsp": "DSP",
    "block_ram": "block RAMs",
    "lut_ram": "LUT RAMs",
}


def limits(used: dict[str, tuple[int, int]], resources: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Used and available by kind, from nextpnr's names."""
    return {kind: used[name] for kind, name in resources.items() if name in used}


def excess(pairs: dict[str, tuple[int, int]]) -> str:
    """What is over, in words; empty where all fits."""
    return ", ".join(f"{TITLES[kind]} {used:,} of {there:,}" for kind, (used, there) in pairs.items() if used > there)


def expected(job: Job, synthesis: Synthesis, rows: int, cols: int) -> dict[str, float]:
    """Cells by kind of the same build with other rows and columns, the wrapper included.

    What a block costs grows with the PEs, the lanes or the columns as its kind of block does; the edges' skew, which
    grows faster, is small.
    """
    before = job.config
    pes = rows * cols / (before.rows * before.cols)
    lanes = (rows + cols) / (before.rows + before.cols)
    columns = cols / before.cols
    growth = {"array": pes, "edges": lanes, "PSUM": columns, "read-out": columns, "wrapper": lanes}
    total: dict[str, float] = {}
    for block, cells in synthesis.blocks.items():
        kinds = {kind: cells.get(kind, 0) for kind in ("ff", "dsp", "block_ram", "lut_ram")}
        kinds["logic"] = lut_equivalents(cells, job.device.family.carry_luts)
        for kind, count in kinds.items():
            # The read-out's memory is of one row's width, however many columns there are.
            times = 1 if block == "read-out" and kind == "block_ram" else growth.get(block, 1)
            total[kind] = total.get(kind, 0) + count * times
    return total


def largest(job: Job, synthesis: Synthesis, available: dict[str, int], shape: EngineConfig) -> tuple[int, int] | None:
    """Rows and columns, in the proportion of ``shape``, of the largest smaller array that is expected to fit."""
    for rows in range(shape.rows, 0, -1):
        cols = max(1, round(rows * shape.cols / shape.rows))
        need = expected(job, synthesis, rows, cols)
        smaller = rows * cols < shape.rows * shape.cols
        if smaller and all(need.get(kind, 0) <= there for kind, there in available.items()):
            return rows, cols
    return None


def does_not_fit(name: str, job: Job, over: str, size: tuple[int, int] | None) -> str:
    """The message: what is over, and the size that would fit."""
    text = f"{name} does not fit {job.device.name}: {over}"
    if not job.core:
        text += f"; the largest that would, by estimate, is {size[0]}x{size[1]}" if size else _NONE
    if "block RAMs" in over:
        text += "; --psum-depth makes memories smaller"
    if "DSP" in over and job.dsp:
        text += "; --no-dsp uses none"
    return text


def sample(job: Job) -> Job | None:
    """A small build of the same kind to estimate a large one from; None where the job itself is small."""
    if job.pes <= LARGE or job.core:
        return None
    rows, cols = min(SAMPLE, job.config.rows), min(SAMPLE, job.config.cols)
    return replace(job, config=replace(job.config, rows=rows, cols=cols))
