"""Labels of metrics, kept few: what takes a value too many is called ``other``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

OTHER: Final = "other"
"""Stands for all values that came when there were as many as may be."""

COMBINATION: Final = "combination"
"""Stands, among labels that were folded, for labels whose values were few, and their combinations too many."""

COMBINATIONS: Final = 20
"""How many times as many combinations of labels a metric may have as a label may have values."""

_LONGEST: Final = 120


class Labels:
    """Keeps the first ``values`` values of each label, and ``COMBINATIONS`` times as many combinations a metric.

    A label has few values by nature, until somebody names brands after their users. So the values that come first
    stay as they are, and the rest are one.

    Args:
        values: how many values of a label stay.
        free: labels whose values are the program's own, and few.
    """

    def __init__(self, values: int, free: Iterable[str] = ()) -> None:
        self._values, self._free = values, frozenset(free)
        self._seen: dict[str, set[str]] = {}
        self._combinations: dict[str, dict[tuple[tuple[str, str], ...], dict[str, str]]] = {}
        self._folded: Counter[str] = Counter()

    def fold(self, metric: str, labels: Mapping[str, str]) -> Mapping[str, str]:
        """The labels a measurement is recorded with."""
        known = self._combinations.setdefault(metric, {})
        if (seen := known.get(tuple(labels.items()))) is not None:
            return seen
        kept = {name: value if name in self._free else self._kept(name, value) for name, value in labels.items()}
        combination = tuple(kept.items())
        if combination not in known and len(known) >= self._values * COMBINATIONS:
            self._folded[COMBINATION] += 1
            return {name: value if name in self._free else OTHER for name, value in kept.items()}
        return known.setdefault(combination, kept)

    def take_folded(self) -> Counter[str]:
        """How many measurements lost a value since this was last called, by label."""
        taken, self._folded = self._folded, Counter()
        return taken

    def _kept(self, name: str, value: str) -> str:
        seen, shown = self._seen.setdefault(name, set()), presentable(value)
        if shown not in seen:
            if len(seen) >= self._values:
                self._folded[name] += 1
                return OTHER
            seen.add(shown)
        return shown


def presentable(value: str) -> str:
    """A value as it can be shown and queried: of 120 characters at most, all of them printable."""
    if len(value) <= _LONGEST and value.isprintable():
        return value
    shown = "".join(letter if letter.isprintable() else "�" for letter in value[:_LONGEST])
    return f"{shown[:-1]}…" if len(value) > _LONGEST else shown
