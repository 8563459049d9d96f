"""Scoreboards fail on a difference, on leftovers of either side, and when nothing was compared."""

import pytest

from verif.simulation.scoreboard import CycleScoreboard, ValueScoreboard

KINDS = (ValueScoreboard, CycleScoreboard)


@pytest.mark.parametrize("kind", KINDS)
def test_agreement_in_either_order(kind):
    board = kind("row")
    board.expect(1)
    board.observe(1)
    board.observe(2)
    board.observe(3)
    assert board.outstanding == 0
    board.expect(2)
    board.expect(3)
    board.close()
    assert board.compared == 3


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_compared(kind):
    with pytest.raises(AssertionError, match="row: nothing was compared"):
        kind("row").close()


@pytest.mark.parametrize("kind", KINDS)
def test_dropped_tail(kind):
    board = kind("row")
    for item in (1, 2, 3):
        board.expect(item)
    board.observe(1)
    assert board.outstanding == 2
    with pytest.raises(AssertionError, match="row: 2 expected and never observed"):
        board.close()


@pytest.mark.parametrize("kind", KINDS)
def test_one_too_many(kind):
    board = kind("row")
    board.expect(1)
    board.observe(1)
    board.observe(1)
    with pytest.raises(AssertionError, match="row: 1 observed and never expected"):
        board.close()


@pytest.mark.parametrize("kind", KINDS)
def test_cleared_leftovers_are_no_comparison(kind):
    board = kind("row")
    board.expect(1)
    board.clear()
    with pytest.raises(AssertionError, match="nothing was compared"):
        board.close()


def test_different_value():
    board = ValueScoreboard("row")
    board.expect(16)
    board.observe(16)
    board.observe(17)
    with pytest.raises(AssertionError, match="row 1: 0x11, expected 0x10"):
        board.expect(16)


@pytest.mark.parametrize(("observed", "message"), [(12, "12 cycles, expected 10: 2 late"), (9, "9 cycles, .* 1 early")])
def test_different_cycle(observed, message):
    board = CycleScoreboard("GEMM")
    board.expect(10)
    with pytest.raises(AssertionError, match=f"GEMM 0: {message}"):
        board.observe(observed)
