"""Coverage points, their bins and the hits counted in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Excluded", "Hits", "Point"]


@dataclass(frozen=True)
class Excluded:
    """Bins that no stimulus reaches, and why. A hit in one refutes the reason and is an error.

    Parameters
    ----------
    reason : str
    labels : mapping of str to sequence of str
        Axis to labels: the bins with one of these labels on each axis named.
    """

    reason: str
    labels: Mapping[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class Point:
    """One thing to be exercised; its bins are the combinations of the labels of its axes.

    Parameters
    ----------
    name : str
    what : str
        What is counted, in a sentence.
    axes : mapping of str to sequence of str
        Each axis with its labels.
    excluded : sequence of Excluded
    """

    name: str
    what: str
    axes: Mapping[str, Sequence[str]]
    excluded: Sequence[Excluded] = ()
    #: Of each bin: the index of the exclusion it falls under, or -1.
    exclusion: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        exclusion = np.full(self.shape, -1)
        for index, rule in enumerate(self.excluded):
            bins = []
            for axis, labels in self.axes.items():
                unknown = [label for label in rule.labels.get(axis, ()) if label not in labels]
                if unknown:
                    raise ValueError(
                        f"labels of {self.name}.{axis} must be among {', '.join(labels)}, not {unknown[0]}"
                    )
                bins.append([i for i, label in enumerate(labels) if label in rule.labels.get(axis, labels)])
            if not rule.labels or set(rule.labels) - set(self.axes):
                raise ValueError(f"an exclusion of {self.name} must name axes among {', '.join(self.axes)}")
            exclusion[np.ix_(*bins)] = index
        object.__setattr__(self, "exclusion", exclusion)

    @property
    def shape(self) -> tuple[int, ...]:
        """Labels along each axis."""
        return tuple(len(labels) for labels in self.axes.values())

    def labels(self, index: Sequence[int]) -> tuple[str, ...]:
        """The labels of one bin."""
        return tuple(labels[i] for labels, i in zip(self.axes.values(), index, strict=True))


class Hits:
    """Hit counts of the bins of some points."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = {point.name: point for point in points}
        self.counts = {point.name: np.zeros(point.shape, np.int64) for point in points}

    def add(self, name: str, *where: np.ndarray | int, times: np.ndarray | int = 1) -> None:
        """Count hits: an index along each axis of the point. Where one is negative, nothing is counted.

        ``times`` is how often each happened. A point that is not in the plan counts nothing.
        """
        if name not in self.points:
            return
        shape = self.points[name].shape
        *where, times = np.broadcast_arrays(*where, times)
        counted = np.all([index >= 0 for index in where], axis=0)
        bins = np.ravel_multi_index([index[counted] for index in where], shape)
        # Sums of counts are below 2**53, where float64 is exact.
        counts = np.bincount(bins, times[counted], minlength=int(np.prod(shape)))
        self.counts[name] += counts.astype(np.int64).reshape(shape)

    def merge(self, other: "Hits") -> None:
        """Add the counts of another run of the same plan."""
        for name, counts in other.counts.items():
            self.counts[name] += counts

    def holes(self) -> Iterator[tuple[Point, tuple[str, ...]]]:
        """Bins that must be hit and were not."""
        for name, point in self.points.items():
            for index in np.argwhere((self.counts[name] == 0) & (point.exclusion < 0)):
                yield point, point.labels(index)

    def refuted(self) -> Iterator[tuple[Point, tuple[str, ...], str]]:
        """Bins that were hit though the plan says why they cannot be, and that reason."""
        for name, point in self.points.items():
            for index in np.argwhere((self.counts[name] > 0) & (point.exclusion >= 0)):
                yield point, point.labels(index), point.excluded[point.exclusion[tuple(index)]].reason

    def covered(self, name: str) -> tuple[int, int]:
        """Bins hit, and bins to be hit, of a point."""
        due = self.points[name].exclusion < 0
        return int((self.counts[name] > 0)[due].sum()), int(due.sum())
