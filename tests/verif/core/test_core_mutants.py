"""Mutants of the blocks that have benches of their own: their benches kill each, or a proof clears it."""

import pytest

from verif.core.mutants import BLOCK_MUTANTS
from verif.mutants.campaign import judge_all, wrong_without_mutant


@pytest.mark.slow
def test_no_mutant_survives(tmp_path):
    mutation = BLOCK_MUTANTS.mutation("blocks", count=14, seed=1, root=tmp_path)
    benches = BLOCK_MUTANTS.benches(mutation)
    assert wrong_without_mutant(mutation.mutants, mutation, benches) == []
    fates = list(judge_all(mutation.mutants, mutation, benches))
    assert {fate.mutant.module for fate in fates} == set(mutation.modules)
    assert [(fate.mutant.place, fate.reason) for fate in fates if fate.survived] == []
    # Most do something.
    assert sum(fate.killed_by == "unit" for fate in fates) >= 9
