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

    One simulation runs the matrix products of all heads; the attention is then computed from what the RTL gave.
    """
    check_values("attention", Q=q, K=k, V=v)
    single = q.ndim == 2
    q, k, v = (array[None] if array.ndim == 2 else array for array in (q, k, v))
    heads, queries, channels = q.shape
    _check_tokens(k.shape[1], config)
    options = {"recipe": recipe, "x_format": x_format, "w_format": w_format, "causal": causal}
    # Scores, then values and the row sum.
    with computing(heads * queries * k.shape[1] * (2 * channels + 1)) as advance:
        products = _Products(config, keep=backend == "rtl", advance=advance)
        try:
            result = attention(q, k, v, accumulation=config.accumulation, matmul=products, **options)
        except ValueError as error:
            raise InputError(str(error)) from None
    run = simulate_jobs(products.jobs, config) if backend == "rtl" else None
    if run and not run.mismatches:
        # Once more, with the RTL's own results in the place of the golden ones.
        result = attention(q, k, v, accumulation=config.accumulation, matmul=products.replayed(run), **options)
    error = error_report(result, attention_reference(q, k, v, causal=causal))
    return summarize(
        products.shapes,
        run,
        config,
        shape={"H": heads, "S": queries, "T": k.shape[1], "D": channels},
        result=result[0] if single else result,
        notes={"cosine": error.cosine, "relative_l1": error.relative_l1, "rmse": error.rmse},
        remark="Matrix products and row sums on the engine; softmax and quantisation in the golden model.",
    )


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
