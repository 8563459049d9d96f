"""Benchmarks of cores: how busy attention keeps the array, how fast the cycle model and the functions are."""

from collections.abc import Callable, Iterator

import numpy as np

from arch.core.presets import CORES
from arch.core.signals import core_record
from golden import exp, reciprocal, rsqrt
from golden.core.model import Core
from kernels.library.attention import attention
from scripts.flows.bench.measure import Figure, Workload, measure
from scripts.running.kernels import run
from verif.core.workload import random_jobs

__all__ = ["GROUPS", "attentions", "functions"]

#: Heads, tokens, channels.
SIZES = ((1, 1024, 64), (4, 256, 64), (4, 128, 64), (12, 47, 32), (4, 128, 128))
QUICK_SIZES = ((1, 32, 16),)


def attentions(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Products that are needed over cycles x P x P, by the cycle model, from codes in memory: the same in every run."""
    rng = np.random.default_rng(seed)
    for heads, tokens, channels in QUICK_SIZES if quick else SIZES:
        shape = f"{heads} x {tokens} x {channels}"
        say(f"cores: attention {shape}")
        tensors = [(rng.standard_normal((heads, tokens, channels)).astype(np.float32), "e4m3") for _ in "qkv"]
        for causal in (False, True):
            options = {"config": "fp8", "backend": "cycles", "scale": channels**-0.5, "causal": causal}
            cycles = run(attention, tensors, **options).cycles
            pairs = tokens * (tokens + 1) // 2 if causal else tokens * tokens
            used = 2 * heads * pairs * channels / (cycles * CORES["fp8"].lanes ** 2)
            name = f"attention, fp8 core, {shape}{', causal' if causal else ''}"
            yield Figure(group="cores", name=name, unit="of the array", values=[used])
    yield from _cycle_models(quick, seed, say)


def _cycle_models(quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """The cycle model on random programs, every port traced."""
    for name in ("tiny",) if quick else ("tiny", "bf16", "fp8"):
        say(f"cores: cycle model, {name}")
        config = CORES[name]
        jobs = random_jobs(config, np.random.default_rng(seed), 2 if quick else 20)
        trace = np.empty((1024, core_record(config).words), np.uint32)

        def job_run(config=config, jobs=jobs, trace=trace) -> int:
            model, cycles = Core(config), 0
            for job in jobs:
                model.offer(job)
            while not model.done:
                cycles += len(model.run(len(trace), until_done=True, latency=20, out=trace))
            return cycles

        amount = job_run() / 1e3
        title = f"cycle model, {name} core, {config.lanes} lanes"
        row = Workload(name=title, unit="k cycles/s", amount=amount, run=job_run)
        yield from measure("cores", [row], 2 if quick else 5)


def functions(*, quick: bool, seed: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """Random bit patterns, so that every branch is taken."""
    say("functions: exp, reciprocal, rsqrt")
    elements = 1 << (16 if quick else 22)
    values = np.random.default_rng(seed).integers(0, 1 << 32, elements, np.uint32).view(np.float32)
    rows = [
        Workload(name=each.__name__, unit="M elements/s", amount=elements / 1e6, run=lambda each=each: each(values))
        for each in (exp, reciprocal, rsqrt)
    ]
    yield from measure("functions", rows, 3 if quick else 15)


GROUPS = {"cores": attentions, "functions": functions}
