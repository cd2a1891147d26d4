"""Durations, kept as counts: a list of millions would itself be what grows."""

from __future__ import annotations

from array import array

_LONGEST_US = 100_000


class Histogram:
    """Counts by whole microseconds; what is longer than 100 ms counts as that. Threads may share one."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * (_LONGEST_US + 1)))

    def append(self, took_us: float) -> None:
        self._counts[min(int(took_us), _LONGEST_US)] += 1

    @property
    def count(self) -> int:
        return sum(self._counts)

    def percentile(self, percent: float) -> float:
        """The least whole microsecond that so many percent did not exceed; NaN of nothing."""
        wanted, seen = self.count * percent / 100, 0
        for took_us, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return float(took_us + 1)
        return float("nan")


class Both:
    """What goes into two histograms."""

    def __init__(self, one: Histogram, other: Histogram) -> None:
        self._one, self._other = one, other

    def append(self, took_us: float) -> None:
        self._one.append(took_us)
        self._other.append(took_us)
