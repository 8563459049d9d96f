"""Benchmarks of the golden model: matrix products beside NumPy's, conversions beside ml_dtypes', the cycle model."""

import os
from collections.abc import Callable, Iterator

import ml_dtypes
import numpy as np
from threadpoolctl import threadpool_limits

from arch.tensor.presets import PRESETS
from arch.tensor.signals import engine_record
from golden.numerics.conversions import code_dtype, decode, encode
from golden.numerics.gemm import gemm
from golden.tensor.engine import TensorEngine
from golden.tensor.schedule import gemm_cycles
from golden.tensor.stimulus import gemm_stimulus
from scripts.flows.bench.measure import Figure, Workload, measure
from verif.tensor.workload.operands import random_codes

__all__ = ["GROUPS", "conversions", "cycle_models", "products"]

PRODUCTS = (
    ("e4m3", "e4m3", "fp32"),
    ("e4m3", "e5m2", "fp32"),
    ("e5m2", "e5m2", "fp32"),
    ("bf16", "bf16", "fp32"),
    ("e4m3", "e4m3", "exact"),
    ("e4m3", "e5m2", "exact"),
    ("e5m2", "e4m3", "exact"),
    ("e5m2", "e5m2", "exact"),
)
ORACLES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "bf16": ml_dtypes.bfloat16}
#: M = K = N of the products, and how often each is measured.
SIZES, QUICK_SIZES = {256: 25, 512: 15, 1024: 9, 2048: 5}, {256: 3}
#: Seconds after which a BLAS's threads are at rest: OpenBLAS's spin for a tenth of one.
SETTLE = 0.12


def products(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Every pair and accumulation on one thread and on all, in turn with NumPy on as many."""
    rng = np.random.default_rng(seed)
    every = os.cpu_count() or 1
    for size, rounds in (QUICK_SIZES if quick else SIZES).items():
        for threads in sorted({1, every}):
            say(f"golden: products of {size}, {threads} threads")
            with threadpool_limits(threads):
                yield from measure("golden", _products(rng, size, threads), rounds, SETTLE if threads > 1 else 0.0)


def _products(rng: np.random.Generator, size: int, threads: int) -> list[Workload]:
    single = rng.standard_normal((size, size), dtype=np.float32)
    double, giga = single.astype(np.float64), size**3 / 1e9
    where = f"{size}\u00b3, {threads} thread{'s' * (threads > 1)}"
    names = {"f32": f"numpy float32, {where}", "f64": f"numpy float64, {where}"}
    rows = [
        Workload(name=names["f32"], unit="GMAC/s", amount=giga, run=lambda: single @ single),
        Workload(name=names["f64"], unit="GMAC/s", amount=giga, run=lambda: double @ double),
    ]
    operands = {fmt: _operand(rng, size, fmt) for fmt in ORACLES}
    for x_format, w_format, accumulation in PRODUCTS:

        def run(x_format=x_format, w_format=w_format, accumulation=accumulation):
            kinds = {"x_format": x_format, "w_format": w_format, "accumulation": accumulation, "threads": threads}
            return gemm(operands[x_format], operands[w_format], **kinds)

        name = f"{x_format} x {w_format}, {accumulation}, {where}"
        rows.append(Workload(name=name, unit="GMAC/s", amount=giga, run=run, beside=names))
    return rows


def _operand(rng: np.random.Generator, size: int, fmt: str) -> np.ndarray:
    """Finite codes. Random bf16 patterns overflow to NaN after a few products, so bf16 gets Gaussians."""
    if fmt == "bf16":
        return encode(rng.standard_normal((size, size), dtype=np.float32), fmt)
    return random_codes(rng, (size, size), fmt, "finite")


def conversions(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Random bit patterns, so that every branch is taken; not saturating, which ml_dtypes cannot."""
    say("convert: encode and decode")
    elements, rng = 1 << (16 if quick else 20), np.random.default_rng(seed)
    values = rng.integers(0, 1 << 32, elements, dtype=np.uint32).view(np.float32)
    for fmt, dtype in ORACLES.items():
        codes = encode(values, fmt)
        calls = {
            f"encode {fmt}": (lambda f=fmt: encode(values, f, saturate=False), lambda d=dtype: values.astype(d)),
            f"decode {fmt}": (
                lambda c=codes, f=fmt: decode(c, f),
                lambda c=codes, d=dtype: c.view(d).astype(np.float32),
            ),
        }
        for name, (ours, theirs) in calls.items():
            unit = {"unit": "M elements/s", "amount": elements / 1e6}
            other = f"ml_dtypes {name}"
            pair = [
                Workload(name=other, run=theirs, **unit),
                Workload(name=name, run=ours, beside={"ml_dtypes": other}, **unit),
            ]
            with np.errstate(all="ignore"):
                yield from measure("convert", pair, 3 if quick else 25)


def cycle_models(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """The cycle model on a GEMM that keeps the array busy, every port and PE register traced."""
    rng = np.random.default_rng(seed)
    for name in ("tiny",) if quick else ("tiny", "fp8", "bf16"):
        say(f"cycles: {name}")
        config = PRESETS[name]
        fmt = config.formats[-1]
        x = random_codes(rng, (32 * config.rows, 32 * config.rows), fmt, "finite")
        assert x.dtype == code_dtype(fmt)
        beats = gemm_stimulus(x, x, config, x_format=fmt, w_format=fmt)
        trace = np.empty((1024, engine_record(config).words), np.uint32)
        pieces = gemm_cycles(*x.shape, x.shape[1], config) // len(trace)

        def run(config=config, beats=beats, pieces=pieces, trace=trace):
            engine = TensorEngine(config)
            engine.offer(*beats)
            for _ in range(pieces):
                engine.run(len(trace), out=trace)
                engine.forget()

        title = f"cycle model, {name} {config.rows}x{config.cols}"
        row = Workload(name=title, unit="k cycles/s", amount=pieces * len(trace) / 1e3, run=run)
        yield from measure("cycles", [row], 2 if quick else 5)


GROUPS = {"golden": products, "convert": conversions, "cycles": cycle_models}
