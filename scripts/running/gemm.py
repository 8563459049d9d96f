"""Matrix products for the command line, on the golden model or on the simulated RTL."""

from collections.abc import Iterable

import numpy as np

from arch.tensor.config import EngineConfig
from golden.numerics.conversions import code_dtype, encode
from golden.numerics.quantize import quantize
from golden.tensor.jobs import Gemm
from scripts.ground.errors import InputError
from scripts.running.backends import golden_results, simulate_jobs
from scripts.running.operands import check_sizes, check_values, codes_of
from scripts.running.summary import Summary, summarize

__all__ = ["GEMM_RECIPES", "run_gemm"]

#: Recipes of ``gemm``: how X and how W is scaled.
GEMM_RECIPES = {
    "per-tensor": ("per-tensor", "per-tensor"),
    "per-token": ("per-token", "per-channel"),
    "per-channel": ("per-tensor", "per-channel"),
    "per-block": ("per-block", "per-block"),
}


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
        check_sizes((*x.shape, w.shape[1]), config)
        jobs = [Gemm(x=codes_of(x, "X", x_format), w=codes_of(w, "W", w_format), out_format=out_format, **formats)]
        scales = None
    else:
        jobs, scales = _scaled_jobs(x, w, recipe, formats)
        check_sizes(jobs[0].shape, config)  # the longest in K
    run = simulate_jobs(jobs, config) if backend == "rtl" else None
    results = run.results if run else golden_results(jobs, config)

    if run and run.mismatches:
        result = None
    elif scales is None:
        (codes,) = results
        result = codes.view(np.float32) if out_format == "fp32" else codes.astype(code_dtype(out_format))
    else:
        result = _scaled_sum(results, scales)
        result = result if out_format == "fp32" else encode(result, out_format)
    shape = dict(zip("MKN", (*x.shape, w.shape[1]), strict=True))
    return summarize([job.shape for job in jobs], run, config, shape=shape, result=result)


def _scaled_jobs(x: np.ndarray, w: np.ndarray, recipe: str, formats: dict[str, str]):
    """A GEMM and its pair of scales for each block of K; one block unless the recipe is per-block."""
    if recipe not in GEMM_RECIPES:
        raise InputError(f"--recipe: {recipe!r}; needs {', '.join(GEMM_RECIPES)}")
    check_values("a recipe", X=x, W=w)
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
