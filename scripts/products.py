"""Matrix products and attention for the command line, on the golden model or on the simulated RTL."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from golden.attention import attention, attention_reference, error_report
from golden.formats import encode
from golden.quantize import quantize
from golden.schedule import gemm_cycles, gemm_passes, ideal_cycles, readout_cycles
from golden.spec.config import EngineConfig
from golden.spec.formats import FORMATS
from scripts.tensors import InputError, to_codes
from verif.engine import EngineRun, Gemm, golden_result, simulate

__all__ = ["GEMM_RECIPES", "Summary", "progress_bar", "run_attention", "run_gemm"]

#: Recipes of ``gemm``: how X and how W is scaled.
GEMM_RECIPES = {
    "per-tensor": ("per-tensor", "per-tensor"),
    "per-token": ("per-token", "per-channel"),
    "per-channel": ("per-tensor", "per-channel"),
    "per-block": ("per-block", "per-block"),
}


@dataclass(kw_only=True)
class Summary:
    """What a product or an attention came to.

    shape : dict of str to int
    result : float32 values, or codes
    cycles, ideal_cycles, readout_cycles : int
        Of all matrix products: taken by the engine, with every PE busy in every cycle, and after the last store.
    compared_cycles, mismatches : int
        Of the RTL simulation; 0 without one.
    failures : list of str
        What differs, a line each.
    notes : dict of str to float
        Further figures, errors against float64.
    """

    shape: dict[str, int]
    result: np.ndarray
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
            "utilization": self.ideal_cycles / self.cycles,
            "readout_cycles": self.readout_cycles,
            "compared_cycles": self.compared_cycles,
            "mismatches": self.mismatches,
            **self.notes,
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


def progress_bar() -> Progress:
    """A bar on standard error, gone when it is done, for work that takes longer than a second or two."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _check_sizes(job: Gemm, config: EngineConfig) -> None:
    try:
        gemm_passes(*job.shape, config)
    except ValueError as error:
        raise InputError(str(error)) from None


def _run(jobs: Sequence[Gemm], config: EngineConfig, backend: str) -> EngineRun:
    """The products on a backend; cycles on ``golden`` come from the schedule's closed form."""
    if backend == "golden":
        return EngineRun(
            results=[golden_result(job, config) for job in jobs],
            cycles=[gemm_cycles(*job.shape, config) for job in jobs],
        )
    total = sum(gemm_cycles(*job.shape, config) + readout_cycles(*job.shape, config) for job in jobs)
    with progress_bar() as progress:
        task = progress.add_task("building the simulation", total=None)

        def advance(cycles: int) -> None:
            progress.update(task, description="simulating, cycles", total=total, completed=min(cycles, total))

        return simulate(config, jobs, progress=advance)


def _summary(jobs: Sequence[Gemm], run: EngineRun, config: EngineConfig, **rest) -> Summary:
    return Summary(
        cycles=sum(run.cycles),
        ideal_cycles=sum(ideal_cycles(*job.shape, config) for job in jobs),
        readout_cycles=sum(readout_cycles(*job.shape, config) for job in jobs),
        compared_cycles=run.compared_cycles,
        mismatches=run.mismatches,
        failures=run.lines(),
        **rest,
    )


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

    With a recipe float32 operands are scaled first, the engine's fp32 results are scaled back in float32
    (``y * x_scale * w_scale``, both roundings to nearest even), blocks along K are added in ascending order, and the
    sum is converted to the out format.
    """
    if x.shape[1] != w.shape[0]:
        raise InputError(f"X is {x.shape} and W is {w.shape}; X's columns must be as many as W's rows")
    formats = {"x_format": x_format, "w_format": w_format}
    if recipe is None:
        x_codes, w_codes = to_codes(x, "X", x_format), to_codes(w, "W", w_format)
        jobs = [Gemm(x=x_codes, w=w_codes, out_format=out_format, **formats)]
        scales = None
    else:
        jobs, scales = _scaled_jobs(x, w, recipe, formats)
    for job in jobs:
        _check_sizes(job, config)
    run = _run(jobs, config, backend)

    shape = dict(zip("MKN", (*x.shape, w.shape[1]), strict=True))
    if len(run.results) < len(jobs):
        result = np.empty(0)
    elif scales is None:
        codes = run.results[0]
        width = FORMATS[out_format].bytes
        result = codes.view(np.float32) if out_format == "fp32" else codes.astype(f"u{width}")
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [r.view(np.float32) * sx * sw for r, (sx, sw) in zip(run.results, scales, strict=True)]
            total = parts[0]
            for part in parts[1:]:
                total = total + part
        result = total if out_format == "fp32" else encode(total, out_format)
    return _summary(jobs, run, config, shape=shape, result=result)


def _scaled_jobs(x: np.ndarray, w: np.ndarray, recipe: str, formats: dict[str, str]):
    """A GEMM and its pair of scales for each block of K; one block unless the recipe is per-block."""
    if recipe not in GEMM_RECIPES:
        raise InputError(f"--recipe: {recipe!r}; needs {', '.join(GEMM_RECIPES)}")
    for name, array in (("X", x), ("W", w)):
        if array.dtype != np.float32:
            raise InputError(f"{name}: dtype {array.dtype}; a recipe scales float32 values")
        if not np.isfinite(array).all():
            raise InputError(f"{name}: has NaN or Inf; a scale needs finite values")
    x_recipe, w_recipe = GEMM_RECIPES[recipe]
    along_k = {"per-token": -1, "per-channel": 0}
    axes = {"axis": 1} if x_recipe == "per-block" else {}
    xq = quantize(x, formats["x_format"], recipe=x_recipe, **axes)
    axes = {"axis": along_k[w_recipe]} if w_recipe in along_k else {"axis": 0} if w_recipe == "per-block" else {}
    wq = quantize(w, formats["w_format"], recipe=w_recipe, **axes)
    block = xq.block or x.shape[1]
    jobs, scales = [], []
    for index, start in enumerate(range(0, x.shape[1], block)):
        part = slice(start, start + block)
        jobs.append(Gemm(x=xq.codes[:, part], w=wq.codes[part], **formats))
        scales.append((xq.scale[:, index : index + 1], wq.scale[index : index + 1]))
    return jobs, scales


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
    for name, array in (("Q", q), ("K", k), ("V", v)):
        if array.dtype != np.float32:
            raise InputError(f"{name}: dtype {array.dtype}; attention needs float32 values")
        if not np.isfinite(array).all():
            raise InputError(f"{name}: has NaN or Inf; a scale needs finite values")
    single = q.ndim == 2
    q, k, v = (array[None] if array.ndim == 2 else array for array in (q, k, v))
    options = {"recipe": recipe, "x_format": x_format, "w_format": w_format, "causal": causal}
    products = _Products(config, backend)
    try:
        result = attention(q, k, v, accumulation=config.accumulation, matmul=products.golden, **options)
    except ValueError as error:
        raise InputError(str(error)) from None
    run = products.run()
    if backend == "rtl" and not run.mismatches:
        # Once more, with the RTL's own results in the place of the golden ones.
        result = attention(q, k, v, accumulation=config.accumulation, matmul=products.replayed(run), **options)
    reference = attention_reference(q, k, v, causal=causal)
    error = error_report(result, reference)
    heads, queries, channels = q.shape
    return _summary(
        products.jobs,
        run,
        config,
        shape={"H": heads, "S": queries, "T": k.shape[1], "D": channels},
        result=result[0] if single else result,
        notes={"cosine": error.cosine, "relative_l1": error.relative_l1, "rmse": error.rmse},
        remark="Matrix products and row sums on the engine; softmax and quantisation in the golden model.",
    )


class _Products:
    """Collects the matrix products of an attention, so that one simulation runs them all."""

    def __init__(self, config: EngineConfig, backend: str):
        self.config, self.backend = config, backend
        self.jobs: list[Gemm] = []

    def golden(self, x, w, *, x_format, w_format):
        job = Gemm(x=x, w=w, x_format=x_format, w_format=w_format)
        _check_sizes(job, self.config)
        self.jobs.append(job)
        return golden_result(job, self.config).view(np.float32)

    def run(self) -> EngineRun:
        return _run(self.jobs, self.config, self.backend)

    def replayed(self, run: EngineRun):
        """A matmul that gives the results of ``run`` in order, to the very operands they were computed from."""
        pending = iter(zip(self.jobs, run.results, strict=True))

        def matmul(x, w, *, x_format, w_format):
            job, result = next(pending)
            if not (np.array_equal(x, job.x) and np.array_equal(w, job.w)):
                raise AssertionError("the RTL's results led to other operands than the golden model's")
            return result.view(np.float32)

        return matmul
