"""The vectors of the test bench in plain Verilog: what crosses the ports, from the golden model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from arch.formats import FORMATS
from arch.layout import Layout
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import result_layout
from golden.tensor.jobs import Gemm, golden_result
from golden.tensor.schedule import Pass
from hw.tensor.axi import data_bytes
from verif.tensor.workload.gemms import draw_gemm
from verif.tensor.workload.operands import CLASSES
from verif.tensor.workload.program import Program, packed, result_rows

__all__ = ["STREAMS", "Vectors", "bench_gemms", "expected_layout", "make_vectors"]

#: GEMMs of each pair of formats, and at least so many in all; and activation rows, so that the run of a small array
#: is long enough for pauses and stalls of every stream.
EACH, LEAST, ROWS = 2, 8, 400
#: A file of vectors for each.
STREAMS = ("command", "weight", "activation", "result")


def expected_layout(config: EngineConfig) -> Layout:
    """A line of the result's vectors: what must leave, and for the report where it belongs."""
    return Layout(**result_layout(config).fields, first_column=16, row=16, gemm=16)


@dataclass(frozen=True)
class Vectors:
    """Beats of every stream in order.

    files : dict of str to str
        By stream: $readmemh's text, a line for each beat.
    counts : dict of str to int
        By stream: beats. ``gemms``: products.
    """

    files: dict[str, str]
    counts: dict[str, int]


def bench_gemms(config: EngineConfig, seed: int = 1) -> list[Gemm]:
    """Products of every pair of formats, read out in every format; tiles ragged, whole, and a single element."""
    rng = np.random.default_rng(seed)
    rows, cols = config.rows, config.cols
    pairs = list(product(config.formats, repeat=2))
    least = max(EACH * len(pairs), LEAST)
    deepest = config.k_max if config.exact else 2 * rows + 1
    sizes = [(1, 1, 1), (2, min(rows, deepest), cols), (3, min(2 * rows + 1, deepest), 2 * cols + 1)]
    jobs: list[Gemm] = []
    while len(jobs) < least or sum(_rows(job, config) for job in jobs) < ROWS:
        index = len(jobs)
        x_format, w_format = pairs[index % len(pairs)]
        spec = draw_gemm(
            rng,
            config,
            **dict(zip("mkn", sizes[index], strict=True)) if index < len(sizes) else {},
            # A few tiles: the vectors are files.
            longest=100 + 4 * rows,
            x_format=x_format,
            w_format=w_format,
            out_format=list(FORMATS)[index % len(FORMATS)],
            # Without saturation once round the formats, then with it.
            saturate=bool(index // len(FORMATS) % 2),
            kind=CLASSES[index % len(CLASSES)],
        )
        jobs.append(spec.job(rng))
    return jobs


def _rows(job: Gemm, config: EngineConfig) -> int:
    """Activation rows of a product: all of M for each tile of K and N."""
    m, k, n = job.shape
    return m * -(-k // config.rows) * -(-n // config.cols)


def make_vectors(config: EngineConfig, jobs: Iterable[Gemm]) -> Vectors:
    """What crosses the ports for GEMMs one after the other, without a pause between them."""
    lines: dict[str, list[str]] = {name: [] for name in STREAMS}
    counts = dict.fromkeys(lines, 0)
    digits = {name: 2 * count for name, count in data_bytes(config).items()}
    digits["result"] = -(-expected_layout(config).width // 4)
    program, number = Program(config), 0
    for number, job in enumerate(jobs, 1):
        words: dict[str, list[int]] = {name: [] for name in lines}
        codes = golden_result(job, config)
        for tile, (commands, weights, activations) in zip(*program.add(job), strict=True):
            words["command"] += [int(word) for word in commands]
            words["weight"] += packed(weights)
            words["activation"] += packed(activations)
            words["result"] += _expected(config, number, tile, codes)
        for name, values in words.items():
            lines[name] += [f"// {number}: {job}", *(f"{value:0{digits[name]}x}" for value in values)]
            counts[name] += len(values)
    files = {name: "\n".join(text) + "\n" for name, text in lines.items()}
    return Vectors(files, counts | {"gemms": number})


def _expected(config: EngineConfig, gemm: int, tile: Pass, codes: np.ndarray) -> Iterator[int]:
    layout = expected_layout(config)
    for row, part in enumerate(packed(result_rows(tile, codes))):
        yield layout.pack(
            codes=part, last=int(row + 1 == tile.tile_m), first_column=tile.n0, row=tile.m0 + row, gemm=gemm
        )
