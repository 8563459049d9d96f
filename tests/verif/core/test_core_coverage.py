"""Coverage of the core: random programs reach every bin of the plan, and bins are counted as they are meant."""

import numpy as np
import pytest

from arch.core.instructions import Instruction
from arch.core.presets import CORES
from golden.core.jobs import Job
from verif.core.coverage.hook import faulty_stimulus, stimuli
from verif.core.coverage.plan import plan
from verif.core.coverage.sampling import CoreSampler
from verif.core.stops import stretches
from verif.core.unit import core_unit
from verif.core.workload import random_jobs
from verif.coverage.points import Hits
from verif.simulation.rerun import Case

TINY = CORES["tiny"]


def sampled(jobs, **pace) -> Hits:
    """What the golden model's run of some jobs hits."""
    sampler = CoreSampler(TINY)
    for chunk in Case(unit=core_unit(TINY), jobs=jobs, pace=pace).stimulus().chunks():
        sampler.see(chunk)
    return sampler.hits()


def counts(hits: Hits, name: str) -> dict[tuple[str, ...], int]:
    """The bins of a point that were hit."""
    return {
        hits.points[name].labels(index): int(hits.counts[name][tuple(index)])
        for index in np.argwhere(hits.counts[name])
    }


@pytest.mark.slow
def test_random_programs_hit_every_bin():
    total = Hits(plan(TINY))
    for _, jobs, pace in stimuli(TINY, 1):
        total.merge(sampled(jobs, **pace))
    jobs, pace = faulty_stimulus(TINY, 1)
    sampler = CoreSampler(TINY)
    for records, _ in stretches(TINY, jobs, **pace):
        sampler.see(records[:, 1:])
    total.merge(sampler.hits())
    assert [(point.name, *labels) for point, labels in total.holes()] == []
    assert [*total.refuted()] == []


def test_what_programs_lack_is_not_hit():
    jobs = random_jobs(TINY, np.random.default_rng(1), 3, kinds=("dma", "vector"), transposed=False, work=128)
    holes = [(point.name, *labels) for point, labels in sampled(jobs).holes()]
    assert ("lanes", "matmul", "all") in holes and ("dma", "transposed", "sbuf", "4") in holes
    assert {name for name, *_ in holes} >= {"scalar types", "scalar function", "matmul types", "matmul tiles"}
    assert ("stream", "command", "no") in holes and ("level", "scalar", "between") in holes


def test_counts_of_a_program():
    """A load, a doubling that waits for it, and a store that waits for that."""
    load = Instruction("dma", lanes=4, size="4", count0=4, source_pitch=16, sink_space="sbuf", sink_address=1024)
    double = Instruction("vector", lanes=4, x_address=1024, x_type="fp32", x_stride0=4, op0="multiply", a=0x40000000,
                         write=True, y_address=1024, y_type="fp32", y_stride0=4, count0=4, wait_dma0=1)  # fmt: skip
    store = Instruction("dma", lanes=3, size="4", count0=4, queue=1, source_space="sbuf", source_address=1024,
                        sink_address=64, sink_pitch=16, wait_vector=1)  # fmt: skip
    hits = sampled([Job(program=[load, double, store], address=256, size=1024)])
    assert counts(hits, "lanes") == {("dma", "all"): 1, ("dma", "some"): 1, ("vector", "all"): 1}
    assert counts(hits, "dma") == {("memory", "sbuf", "4"): 1, ("sbuf", "memory", "4"): 1}
    assert counts(hits, "vector types") == {("fp32", "fp32"): 1}
    assert counts(hits, "vector operations") == {("multiply", "bypass"): 1}
    assert counts(hits, "wait") == {("vector", "dma0", "yes"): 1, ("dma1", "vector", "yes"): 1}
    assert counts(hits, "read") == {("vector_x", "1"): 4, ("dma1", "1"): 4}
    assert counts(hits, "write") == {("vector", "1"): 4, ("dma0", "1"): 4}
    # Three lanes of four words, in whole beats of two.
    assert counts(hits, "strobes") == {("yes",): 6}
    assert not hits.counts["read conflict"].any() and not hits.counts["write conflict"].any()
