"""What was refused, counted by reason, and how much of it the journal itself does not yet say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tierlens.journal.codec import encode_loss


class Losses:
    """Refused spans by reason. Loss records hold the same counts, each what came since the one before it.

    A record is due at the first refusal of an episode, whenever the unwritten count has doubled, and before
    the next span that is accepted: the records' sum is exact then, and within a factor of two if the process
    dies before.
    """

    def __init__(self) -> None:
        self._total: Counter[str] = Counter()
        self._unwritten: Counter[str] = Counter()
        self._due_at = 1

    @property
    def total(self) -> Mapping[str, int]:
        return dict(self._total)

    @property
    def unwritten(self) -> bool:
        return bool(self._unwritten)

    @property
    def due(self) -> bool:
        return self._unwritten.total() >= self._due_at

    def count(self, reason: str) -> None:
        self._total[reason] += 1
        self._unwritten[reason] += 1

    def record(self) -> bytes:
        """The loss record of what is unwritten."""
        return encode_loss(self._unwritten)

    def written(self, accepting: bool) -> None:
        """The record stands in the segment; ``accepting`` ends the episode."""
        self._unwritten.clear()
        self._due_at = 1 if accepting else self._due_at * 2
