"""Attention for the command line, on the golden model or on the simulated RTL."""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from arch.tensor.config import EngineConfig
from golden.numerics.attention import attention, attention_reference, error_report
from golden.tensor.jobs import Gemm, golden_result
from scripts.ground.errors import InputError
from scripts.running.backends import computing, simulate_jobs
from scripts.running.core_attention import LATENCY, OffCore, core_for, plan, simulate_plan
from scripts.running.operands import check_sizes, check_values
from scripts.running.summary import Summary, summarize

if TYPE_CHECKING:
    from verif.tensor.engine import EngineRun

__all__ = ["run_attention"]


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

    On the RTL all of it runs on the core around the engine, from float32 numbers in memory to the result in memory.
    Where that cannot be, and on the golden model, the engine computes the matrix products: one simulation runs those of
    all heads, and the attention is then computed from what the RTL gave.
    """
    check_values("attention", Q=q, K=k, V=v)
    heads = [array[None] if array.ndim == 2 else array for array in (q, k, v)]
    _check_tokens(heads[1].shape[1], config)
    options = {"recipe": recipe, "x_format": x_format, "w_format": w_format, "causal": causal}
    remark = "Matrix products and row sums on the engine; softmax and quantisation in the golden model."
    summary = None
    try:
        if backend == "rtl":
            try:
                summary = _on_core(*heads, config, **options)
            except OffCore as reason:
                remark = f"{remark}\nNot on the core: {reason}."
        summary = summary or _on_engine(*heads, config, simulated=backend == "rtl", remark=remark, **options)
    except ValueError as error:
        raise InputError(str(error)) from None
    if q.ndim == 2:
        summary.result = summary.result[0]
    return summary


def _on_core(q: np.ndarray, k: np.ndarray, v: np.ndarray, config: EngineConfig, **options) -> Summary:
    """All of it on the simulated core; OffCore if that cannot be."""
    core = core_for(config, options["recipe"])
    for shape in (q.shape[1], q.shape[2], k.shape[1]), (q.shape[1], k.shape[1], q.shape[2] + 1):
        check_sizes(shape, config)
    expected = attention(q, k, v, accumulation=config.accumulation, **options)
    planned = plan(q, k, v, core, **options)
    done = simulate_plan(planned)
    failures = done.run.sections()
    wrong = int((done.result.view(np.uint32) != expected.view(np.uint32)).sum())
    if wrong and not failures:
        failures.append(("the RTL", f"has {wrong} results that are not golden.attention's"))
    products = 2 * q.shape[0] * _pairs(q.shape[1], k.shape[1], options["causal"]) * q.shape[2]
    return Summary(
        shape=_shape(q, k),
        result=done.result,
        cycles=done.cycles,
        ideal_cycles=-(-products // core.lanes**2),
        engines=done.engines,
        memory_bytes=planned.job.size,
        compared_cycles=done.run.compared_cycles,
        mismatches=len(failures),
        failures=failures,
        notes=_errors(done.result, q, k, v, options["causal"]),
        remark=f"All of it on the core, from float32 numbers in a memory {LATENCY} cycles away.",
    )


def _on_engine(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, config: EngineConfig, *, simulated: bool, remark: str, **options
) -> Summary:
    """The matrix products on the engine, simulated or not, and all else in the golden model."""
    heads, queries, channels = q.shape
    # Scores, then values and the row sum.
    with computing(heads * queries * k.shape[1] * (2 * channels + 1)) as advance:
        products = _Products(config, keep=simulated, advance=advance)
        result = attention(q, k, v, accumulation=config.accumulation, matmul=products, **options)
    run = simulate_jobs(products.jobs, config) if simulated else None
    if run and not run.mismatches:
        # Once more, with the RTL's own results in the place of the golden ones.
        result = attention(q, k, v, accumulation=config.accumulation, matmul=products.replayed(run), **options)
    notes = _errors(result, q, k, v, options["causal"])
    return summarize(products.shapes, run, config, shape=_shape(q, k), result=result, notes=notes, remark=remark)


def _pairs(queries: int, keys: int, causal: bool) -> int:
    """Queries with each of the keys that they see."""
    return queries * (keys - queries) + queries * (queries + 1) // 2 if causal else queries * keys


def _shape(q: np.ndarray, k: np.ndarray) -> dict[str, int]:
    return {"H": q.shape[0], "S": q.shape[1], "T": k.shape[1], "D": q.shape[2]}


def _errors(result: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool) -> dict[str, float]:
    """Against float64 attention on the tensors themselves."""
    error = error_report(result, attention_reference(q, k, v, causal=causal))
    return {"cosine": error.cosine, "relative_l1": error.relative_l1, "rmse": error.rmse}


def _check_tokens(tokens: int, config: EngineConfig) -> None:
    """The engine's own words would be of K, which is the keys here, and would come when the scores are done."""
    if config.exact and tokens > config.k_max:
        raise InputError(
            f"K and V must have at most k_max = {config.k_max} tokens under exact accumulation, which sums over them, "
            f"not {tokens}"
        )


class _Products:
    """The golden product, which keeps account of what an attention multiplies, so that one simulation runs it all."""

    def __init__(self, config: EngineConfig, *, keep: bool, advance: Callable[[int], None]):
        self.config, self.keep, self.advance = config, keep, advance
        self.shapes: list[tuple[int, int, int]] = []
        self.jobs: list[Gemm] = []

    def __call__(self, x: np.ndarray, w: np.ndarray, *, x_format: str, w_format: str) -> np.ndarray:
        job = Gemm(x=x, w=w, x_format=x_format, w_format=w_format)
        check_sizes(job.shape, self.config)
        self.shapes.append(job.shape)
        if self.keep:
            self.jobs.append(job)
        result = golden_result(job, self.config)
        self.advance(prod(job.shape))
        return result.view(np.float32)

    def replayed(self, run: "EngineRun") -> Callable[..., np.ndarray]:
        """A matmul that gives the results of ``run`` in order, to the very operands they were computed from."""
        pending = iter(zip(self.jobs, run.results, strict=True))

        def matmul(x, w, *, x_format, w_format):
            job, result = next(pending)
            if not (np.array_equal(x, job.x) and np.array_equal(w, job.w)):
                raise AssertionError("the RTL's results led to other operands than the golden model's")
            return result.view(np.float32)

        return matmul
