"""What was accepted against what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class StoredSpan(NamedTuple):
    """One row of MLflow's table of spans.

    Attributes:
        died: it is the open span of a process that died, so that nobody could know its digest.
    """

    trace_id: str
    span_id: str
    digest: bytes
    died: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Span ids by what became of them.

    Attributes:
        accepted: how many appends returned.
        stored: how many of those are stored, with the digest they were accepted with.
        lost: accepted and not stored.
        altered: accepted and stored with another digest.
        duplicated: stored in more than one row.
        unknown: stored, and never announced by any worker.
    """

    accepted: int
    stored: int
    lost: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.lost or self.altered or self.duplicated or self.unknown)

    def as_json(self) -> dict[str, Any]:
        sets = ("lost", "altered", "duplicated", "unknown")
        return {"accepted": self.accepted, "stored": self.stored} | {name: len(getattr(self, name)) for name in sets}


def compare(
    accepted: Mapping[str, bytes],
    announced: Collection[str],
    rows: Iterable[StoredSpan],
    *,
    changed: Collection[str] = (),
) -> Comparison:
    """The verdict's figures.

    Args:
        announced: every span that may be stored; a worker killed in an append leaves one that was not accepted.
        changed: accepted spans that had to be stored otherwise than as they were accepted.
    """
    found = list(rows)
    counts = Counter(row.span_id for row in found)
    lost = tuple(sorted(accepted.keys() - counts.keys()))
    altered = {
        row.span_id
        for row in found
        if row.span_id in accepted and row.digest != accepted[row.span_id] and row.span_id not in changed
    }
    return Comparison(
        accepted=len(accepted),
        stored=len(accepted) - len(lost) - len(altered),
        lost=lost,
        altered=tuple(sorted(altered)),
        duplicated=tuple(sorted(span for span, count in counts.items() if count > 1)),
        unknown=tuple(sorted(counts.keys() - announced)),
    )
