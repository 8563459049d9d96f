"""Measures the golden model on one thread, beside NumPy's float32 product in the same run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info, threadpool_limits

from golden.array import TensorEngine
from golden.formats import code_dtype, decode, encode
from golden.gemm import gemm
from golden.schedule import gemm_cycles, gemm_stimulus
from golden.spec.presets import PRESETS
from golden.spec.trace import engine_fields, record_words

__all__ = ["main"]

REFERENCE = "numpy float32 matmul"
PRODUCTS = (
    ("e4m3", "e4m3", "fp32"),
    ("bf16", "bf16", "fp32"),
    ("e4m3", "e4m3", "exact"),
    ("e4m3", "e5m2", "exact"),
    ("e5m2", "e5m2", "exact"),
)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One row of the table.

    name : what is measured.
    unit : what ``amount`` counts, per second, with its prefix: ``"GMAC"``, ``"M elements"``.
    amount : how many units one call of ``run`` does.
    run : the call to time.
    """

    name: str
    unit: str
    amount: float
    run: Callable[[], object]


def conversions(rng: np.random.Generator, elements: int) -> list[Workload]:
    """Random bit patterns, so that every branch of a conversion is taken."""
    values = rng.integers(0, 1 << 32, elements, dtype=np.uint32).view(np.float32)
    rows = []
    for name in ("e4m3", "e5m2", "bf16"):
        codes = encode(values, name)
        rows += [
            Workload(name=f"encode {name}", unit="M elements", amount=elements / 1e6, run=bind(encode, values, name)),
            Workload(name=f"decode {name}", unit="M elements", amount=elements / 1e6, run=bind(decode, codes, name)),
        ]
    return rows


def products(rng: np.random.Generator, size: int) -> list[Workload]:
    """NumPy's product of Gaussians, then the golden GEMM on random finite bit patterns (bf16: Gaussians)."""
    dense = rng.standard_normal((size, size), dtype=np.float32)
    giga = size**3 / 1e9
    rows = [Workload(name=REFERENCE, unit="GMAC", amount=giga, run=bind(np.matmul, dense, dense))]
    for x_format, w_format, accumulation in PRODUCTS:
        x, w = operand(rng, size, x_format), operand(rng, size, w_format)
        run = bind(gemm, x, w, x_format=x_format, w_format=w_format, accumulation=accumulation)
        rows.append(Workload(name=f"gemm {x_format} x {w_format}, {accumulation}", unit="GMAC", amount=giga, run=run))
    return rows


def operand(rng: np.random.Generator, size: int, fmt: str) -> np.ndarray:
    """Finite codes. Random bf16 patterns overflow to NaN after a few products, so bf16 gets Gaussians."""
    if fmt == "bf16":
        return encode(rng.standard_normal((size, size), dtype=np.float32), fmt)
    codes = rng.integers(0, 256, (size, size), dtype=code_dtype(fmt))
    codes[~np.isfinite(decode(codes, fmt))] = 0
    return codes


def cycle_model(rng: np.random.Generator) -> list[Workload]:
    """The cycle model on a GEMM that keeps the array busy, every port and PE register traced."""
    rows = []
    for name in ("tiny", "fp8", "bf16"):
        config = PRESETS[name]
        x = operand(rng, 32 * config.rows, config.formats[-1])
        formats = {"x_format": config.formats[-1], "w_format": config.formats[-1]}
        beats = gemm_stimulus(x, x, config, **formats)
        cycles = gemm_cycles(*x.shape, x.shape[1], config)
        trace = np.empty((1024, record_words(engine_fields(config))), np.uint32)

        def run(config=config, beats=beats, cycles=cycles, trace=trace):
            engine = TensorEngine(config)
            engine.offer(*beats)
            for _ in range(cycles // len(trace)):
                engine.run(len(trace), out=trace)
                engine.forget()

        amount = cycles // len(trace) * len(trace) / 1e3
        array = f"{config.rows}x{config.cols}"
        rows.append(Workload(name=f"cycle model {name} {array}", unit="k cycles", amount=amount, run=run))
    return rows


def bind(function: Callable, *args: object, **kwargs: object) -> Callable[[], object]:
    """The call, to be made later."""
    return lambda: function(*args, **kwargs)


def measure(workloads: list[Workload], rounds: int) -> dict[str, float]:
    """Median seconds of each workload; they take turns, so that a slow spell of the machine meets all."""
    seconds = {workload.name: [] for workload in workloads}
    for workload in workloads:
        workload.run()  # compiles, or loads what was compiled
    for _ in range(rounds):
        for workload in workloads:
            start = time.perf_counter()
            workload.run()
            seconds[workload.name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


@click.command()
@click.option("--size", default=1024, show_default=True, help="M = K = N of the products.")
@click.option("--elements", default=1 << 20, show_default=True, help="Length of the conversions.")
@click.option("--rounds", default=11, show_default=True, help="Timed calls of each, of which the median counts.")
@click.option("--seed", default=1, show_default=True)
def main(size: int, elements: int, rounds: int, seed: int) -> None:
    """Print the speed of conversions, matrix products and the cycle model on one thread."""
    rng = np.random.default_rng(seed)
    with threadpool_limits(1):
        blas = ", ".join(f"{i['internal_api']} {i.get('architecture', '')}".strip() for i in threadpool_info())
        workloads = conversions(rng, elements) + products(rng, size) + cycle_model(rng)
        seconds = measure(workloads, rounds)
    rate = {w.name: w.amount / seconds[w.name] for w in workloads}
    title = f"one thread, {size}\u00b3 products, medians of {rounds}, seed {seed}, numpy {np.__version__} with {blas}"
    table = Table("workload", title=title)
    for heading in ("speed", "unit", "x numpy"):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    for workload in workloads:
        ratio = f"{rate[workload.name] / rate[REFERENCE]:.2f}" if workload.unit == "GMAC" else ""
        table.add_row(workload.name, f"{rate[workload.name]:,.1f}", f"{workload.unit}/s", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
