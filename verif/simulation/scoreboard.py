"""Scoreboards: what a bench expects against what it observes, values and cycles."""

from collections import deque

__all__ = ["CycleScoreboard", "ValueScoreboard"]


class _Scoreboard:
    """Pairs expected and observed items in order; either may come first. A pair that differs is an AssertionError."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.compared = 0
        self._expected: deque[int] = deque()
        self._observed: deque[int] = deque()

    def expect(self, item: int) -> None:
        """The next item that should be observed."""
        self._expected.append(item)
        self._compare()

    def observe(self, item: int) -> None:
        """The next item that was."""
        self._observed.append(item)
        self._compare()

    @property
    def outstanding(self) -> int:
        """Items expected and not yet observed."""
        return len(self._expected)

    def clear(self) -> None:
        """Forget what is left over, as after a reset. What was compared still counts."""
        self._expected.clear()
        self._observed.clear()

    def close(self) -> None:
        """Assert that something was compared and that nothing is left over on either side."""
        assert not self._expected, f"{self.name}: {len(self._expected)} expected and never observed"
        assert not self._observed, f"{self.name}: {len(self._observed)} observed and never expected"
        assert self.compared, f"{self.name}: nothing was compared"

    def _compare(self) -> None:
        while self._expected and self._observed:
            expected, observed = self._expected.popleft(), self._observed.popleft()
            assert expected == observed, f"{self.name} {self.compared}: {self._difference(expected, observed)}"
            self.compared += 1

    def _difference(self, expected: int, observed: int) -> str:
        raise NotImplementedError


class ValueScoreboard(_Scoreboard):
    """Compares payloads, bit for bit."""

    def _difference(self, expected: int, observed: int) -> str:
        return f"{observed:#x}, expected {expected:#x}"


class CycleScoreboard(_Scoreboard):
    """Compares times or durations, in clock cycles."""

    def _difference(self, expected: int, observed: int) -> str:
        late = observed - expected
        return f"{observed} cycles, expected {expected}: {abs(late)} {'late' if late > 0 else 'early'}"
