"""Points, bins and their counts."""

import numpy as np
import pytest

from verif.coverage.points import Excluded, Hits, Point

POINT = Point(
    "pairs",
    "Two letters.",
    {"first": ("a", "b"), "second": ("x", "y", "z")},
    [Excluded("b is never with z", {"first": ["b"], "second": ["z"]})],
)


def test_bins_are_counted_where_they_are():
    hits = Hits([POINT])
    hits.add("pairs", np.array([0, 0, 1]), np.array([2, 2, 0]))
    hits.add("pairs", 1, np.array([1, 0]), times=np.array([5, 0]))
    assert hits.counts["pairs"].tolist() == [[0, 0, 2], [1, 5, 0]]
    assert hits.covered("pairs") == (3, 5)
    assert [labels for _, labels in hits.holes()] == [("a", "x"), ("a", "y")]
    assert not list(hits.refuted())


def test_a_negative_index_counts_nothing():
    hits = Hits([POINT])
    hits.add("pairs", np.array([-1, 0]), np.array([0, -1]))
    hits.add("not in the plan", 0)
    assert not hits.counts["pairs"].any()


def test_counts_of_two_runs_add_up():
    one, other = Hits([POINT]), Hits([POINT])
    one.add("pairs", 0, 0)
    other.add("pairs", 0, 0)
    other.add("pairs", 1, 1)
    one.merge(other)
    assert one.counts["pairs"].tolist() == [[2, 0, 0], [0, 1, 0]]


def test_a_hit_in_an_excluded_bin_refutes_its_reason():
    hits = Hits([POINT])
    hits.add("pairs", 1, 2)
    ((point, labels, reason),) = hits.refuted()
    assert (point, labels, reason) == (POINT, ("b", "z"), "b is never with z")
    assert hits.covered("pairs") == (0, 5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"second": ["w"]}, "labels of pairs.second must be among x, y, z, not w"),
        ({"third": ["x"]}, "an exclusion of pairs must name axes among first, second"),
        ({}, "an exclusion of pairs must name axes among first, second"),
    ],
)
def test_an_exclusion_that_means_nothing_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        Point("pairs", "", POINT.axes, [Excluded("", labels)])
