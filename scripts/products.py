"""Matrix products and attention for the command line, on the golden model or on the simulated RTL."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite, prod

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from arch.tensor.config import EngineConfig
from golden.numerics.attention import attention, attention_reference, error_report
from golden.numerics.conversions import code_dtype, encode
from golden.numerics.panels import BLOCK_M
from golden.numerics.quantize import quantize
from golden.tensor.schedule import gemm_cycles, ideal_cycles, readout_cycles
from scripts.failures import waves_folder
from scripts.tensors import InputError
from verif.tensor.engine import EngineRun, Gemm, golden_result, simulate

__all__ = ["GEMM_RECIPES", "Summary", "progress_bar", "run_attention", "run_gemm"]

#: Recipes of ``gemm``: how X and how W is scaled.
GEMM_RECIPES = {
    "per-tensor": ("per-tensor", "per-tensor"),
    "per-token": ("per-token", "per-channel"),
    "per-channel": ("per-tensor", "per-channel"),
    "per-block": ("per-block", "per-block"),
}
#: Products that the golden model takes about a second for; more get a progress bar.
LONG = 1 << 35
#: Rows it computes between two movements of the bar: as many as it takes at a time anyway.
ROWS = BLOCK_M


@dataclass(kw_only=True)
class Summary:
    """What a product or an attention came to.

    shape : dict of str to int
    result : float32 values, or codes; without meaning if there were mismatches
    cycles, ideal_cycles, readout_cycles : int
        Of all matrix products: taken by the engine, with every PE busy in every cycle, and after the last store.
        ``cycles`` is 0 where the RTL went wrong before they could be counted.
    compared_cycles, mismatches : int
        Of the RTL simulation; 0 without one.
    failures : list of str
        What differs, a line each.
    notes : dict of str to float
        Further figures, errors against float64.
    remark : str
        A line below the figures.
    """

    shape: dict[str, int]
    result: np.ndarray | None
    cycles: int
    ideal_cycles: int
    readout_cycles: int
    compared_cycles: int = 0
    mismatches: int = 0
    failures: Sequence[str] = ()
    notes: dict[str, float] = field(default_factory=dict)
    remark: str = ""

    def record(self) -> dict:
        """What ``--json`` prints, with backend and config."""
        return {
            "shape": self.shape,
            "cycles": self.cycles,
            "ideal_cycles": self.ideal_cycles,
            "utilization": self.ideal_cycles / self.cycles if self.cycles else 0.0,
            "readout_cycles": self.readout_cycles,
            "compared_cycles": self.compared_cycles,
            "mismatches": self.mismatches,
            # JSON has no NaN; an error against a reference of zeros is one.
            **{name: value if isfinite(value) else None for name, value in self.notes.items()},
        }

    def table(self, record: dict) -> Table:
        """The same for a person."""
        table = Table(show_header=False, box=None, caption=self.remark or None, caption_justify="left")
        for name, value in record.items():
            if name == "shape":
                value = "  ".join(f"{dim}={size}" for dim, size in value.items())
            elif name == "utilization":
                value = f"{value:.1%}"
            elif isinstance(value, float):
                value = f"{value:.6g}"
            elif isinstance(value, int):
                value = f"{value:,}"
            style = "bold red" if name == "mismatches" and self.mismatches else None
            table.add_row(name.replace("_", " "), str(value), style=style)
        return table


def progress_bar(*, disable: bool = False) -> Progress:
    """A bar on standard error, gone when it is done, for work that takes longer than a second or two."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=disable or not console.is_terminal,
    )


@contextmanager
def _computing(products: int) -> Iterator[Callable[[int], None]]:
    """A bar for the golden model; the function it gives is told how many products were computed."""
    with progress_bar(disable=products < LONG) as progress:
        task = progress.add_task("computing, million products", total=products / 1e6)
        yield lambda count: progress.advance(task, count / 1e6)


def _check_sizes(shape: tuple[int, int, int], config: EngineConfig) -> None:
    try:
        gemm_cycles(*shape, config)
    except ValueError as error:
        raise InputError(str(error)) from None


def _golden_results(jobs: Sequence[Gemm], config: EngineConfig) -> Iterator[np.ndarray]:
    """``golden_result`` of each job, made some rows at a time so that a bar can move."""
    with _computing(sum(prod(job.shape) for job in jobs)) as advance:
        for job in jobs:
            m, _, n = job.shape
            result = np.empty((m, n), np.uint32)
            for start in range(0, m, ROWS):
                part = replace(job, x=job.x[start : start + ROWS])
                result[start : start + ROWS] = golden_result(part, config)
                advance(prod(part.shape))
            yield result


def _simulate(jobs: Sequence[Gemm], config: EngineConfig) -> EngineRun:
    total = sum(gemm_cycles(*job.shape, config) + readout_cycles(*job.shape, config) for job in jobs)
    with progress_bar() as progress:
        task = progress.add_task("building the simulation", total=None)

        def advance(cycles: int) -> None:
            progress.update(task, description="simulating, cycles", total=total, completed=min(cycles, total))

        return simulate(config, jobs, progress=advance, waves_folder=waves_folder)


def _summary(shapes: Sequence[tuple[int, int, int]], run: EngineRun | None, config: EngineConfig, **rest) -> Summary:
    """Counts are the RTL's own; without a run cycles come from the schedule's closed form."""
    measured = {}
    if run is not None:
        measured = {
            "compared_cycles": run.compared_cycles,
            "mismatches": run.mismatches,
            "failures": run.lines(),
        }
    return Summary(
        cycles=sum(gemm_cycles(*shape, config) for shape in shapes) if run is None else sum(run.cycles),
        ideal_cycles=sum(ideal_cycles(*shape, config) for shape in shapes),
        readout_cycles=sum(readout_cycles(*shape, config) for shape in shapes),
        **measured,
        **rest,
    )


def _codes(array: np.ndarray, name: str, fmt: str) -> np.ndarray:
    """Codes of ``fmt``: float32 is converted (scale 1, saturating), codes of the format's own dtype are kept."""
    if array.dtype == np.float32:
        return encode(array, fmt)
    if array.dtype == code_dtype(fmt):
        return array
    raise InputError(f"{name}: dtype {array.dtype}; needs float32 values or {code_dtype(fmt)} codes of {fmt}")


def _check_values(purpose: str, **tensors: np.ndarray) -> None:
    """InputError unless tensors that get a scale are float32 and finite."""
    for name, array in tensors.items():
        if array.dtype != np.float32:
            raise InputError(f"{name}: dtype {array.dtype}; {purpose} needs float32 values")
        if not np.isfinite(array).all():
            raise InputError(f"{name}: has NaN or Inf; a scale needs finite values")


def run_gemm(
    x: np.ndarray,
    w: np.ndarray,
    config: EngineConfig,
    *,
    x_format: str,
    w_format: str,
    out_format: str,
    recipe: str | None,
    backend: str,
) -> Summary:
    """X[M, K] @ W[K, N]: codes of ``out_format``, float32 for fp32.

    With a recipe float32 operands are scaled first. The engine's fp32 results are scaled back and blocks along K are
    added in ascending order, in float64, where scales of any size neither overflow nor underflow
    (``y * x_scale * w_scale``); the sum is rounded to float32, then converted to the out format.
    """
    if x.shape[1] != w.shape[0]:
        raise InputError(f"X is {x.shape} and W is {w.shape}; X's columns must be as many as W's rows")
    formats = {"x_format": x_format, "w_format": w_format}
    if recipe is None:
        _check_sizes((*x.shape, w.shape[1]), config)
        jobs = [Gemm(x=_codes(x, "X", x_format), w=_codes(w, "W", w_format), out_format=out_format, **formats)]
        scales = None
    else:
        jobs, scales = _scaled_jobs(x, w, recipe, formats)
        _check_sizes(jobs[0].shape, config)  # the longest in K
    run = _simulate(jobs, config) if backend == "rtl" else None
    results = run.results if run else _golden_results(jobs, config)

    if run and run.mismatches:
        result = None
    elif scales is None:
        (codes,) = results
        result = codes.view(np.float32) if out_format == "fp32" else codes.astype(code_dtype(out_format))
    else:
        result = _scaled_sum(results, scales)
        result = result if out_format == "fp32" else encode(result, out_format)
    shape = dict(zip("MKN", (*x.shape, w.shape[1]), strict=True))
    return _summary([job.shape for job in jobs], run, config, shape=shape, result=result)


def _scaled_jobs(x: np.ndarray, w: np.ndarray, recipe: str, formats: dict[str, str]):
    """A GEMM and its pair of scales for each block of K; one block unless the recipe is per-block."""
    if recipe not in GEMM_RECIPES:
        raise InputError(f"--recipe: {recipe!r}; needs {', '.join(GEMM_RECIPES)}")
    _check_values("a recipe", X=x, W=w)
    x_recipe, w_recipe = GEMM_RECIPES[recipe]
    xq = quantize(x, formats["x_format"], recipe=x_recipe)
    wq = quantize(w, formats["w_format"], recipe=w_recipe, axis=None if w_recipe == "per-tensor" else 0)
    block = xq.block or x.shape[1]
    jobs, scales = [], []
    for index, start in enumerate(range(0, x.shape[1], block)):
        part = slice(start, start + block)
        jobs.append(Gemm(x=xq.codes[:, part], w=wq.codes[part], **formats))
        scales.append((xq.scale[:, index : index + 1], wq.scale[index : index + 1]))
    return jobs, scales


def _scaled_sum(results: Iterable[np.ndarray], scales: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """float32[M, N] of fp32 codes, a matrix and its scales of rows and columns for each block of K."""
    total = None
    # Overflow is defined (Inf, then NaN) and shows in the result.
    with np.errstate(over="ignore", invalid="ignore"):
        for codes, (x_scale, w_scale) in zip(results, scales, strict=True):
            part = codes.view(np.float32) * x_scale.astype(np.float64)
            part *= w_scale
            total = part if total is None else np.add(total, part, out=total)
        result = total.astype(np.float32)
    # A processor may give a NaN of its own, of either sign.
    result[np.isnan(result)] = np.nan
    return result


def run_attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    config: EngineConfig,
    *,
    recipe: str,
    x_format: str,
    w_format: str,
    causal: bool,
    backend: str,
) -> Summary:
    """Attention of every head; float32[H, S, D], or [S, D] for one head.

    One simulation runs the matrix products of all heads; the attention is then computed from what the RTL gave.
    """
    _check_values("attention", Q=q, K=k, V=v)
    single = q.ndim == 2
    q, k, v = (array[None] if array.ndim == 2 else array for array in (q, k, v))
    heads, queries, channels = q.shape
    options = {"recipe": recipe, "x_format": x_format, "w_format": w_format, "causal": causal}
    # Scores, then values and the row sum.
    with _computing(heads * queries * k.shape[1] * (2 * channels + 1)) as advance:
        products = _Products(config, keep=backend == "rtl", advance=advance)
        try:
            result = attention(q, k, v, accumulation=config.accumulation, matmul=products, **options)
        except ValueError as error:
            raise InputError(str(error)) from None
    run = _simulate(products.jobs, config) if backend == "rtl" else None
    if run and not run.mismatches:
        # Once more, with the RTL's own results in the place of the golden ones.
        result = attention(q, k, v, accumulation=config.accumulation, matmul=products.replayed(run), **options)
    error = error_report(result, attention_reference(q, k, v, causal=causal))
    return _summary(
        products.shapes,
        run,
        config,
        shape={"H": heads, "S": queries, "T": k.shape[1], "D": channels},
        result=result[0] if single else result,
        notes={"cosine": error.cosine, "relative_l1": error.relative_l1, "rmse": error.rmse},
        remark="Matrix products and row sums on the engine; softmax and quantisation in the golden model.",
    )


class _Products:
    """The golden product, which keeps account of what an attention multiplies, so that one simulation runs it all."""

    def __init__(self, config: EngineConfig, *, keep: bool, advance: Callable[[int], None]):
        self.config, self.keep, self.advance = config, keep, advance
        self.shapes: list[tuple[int, int, int]] = []
        self.jobs: list[Gemm] = []

    def __call__(self, x: np.ndarray, w: np.ndarray, *, x_format: str, w_format: str) -> np.ndarray:
        job = Gemm(x=x, w=w, x_format=x_format, w_format=w_format)
        _check_sizes(job.shape, self.config)
        self.shapes.append(job.shape)
        if self.keep:
            self.jobs.append(job)
        result = golden_result(job, self.config)
        self.advance(prod(job.shape))
        return result.view(np.float32)

    def replayed(self, run: EngineRun) -> Callable[..., np.ndarray]:
        """A matmul that gives the results of ``run`` in order, to the very operands they were computed from."""
        pending = iter(zip(self.jobs, run.results, strict=True))

        def matmul(x, w, *, x_format, w_format):
            job, result = next(pending)
            if not (np.array_equal(x, job.x) and np.array_equal(w, job.w)):
                raise AssertionError("the RTL's results led to other operands than the golden model's")
            return result.view(np.float32)

        return matmul
