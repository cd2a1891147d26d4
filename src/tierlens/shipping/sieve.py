"""What was erased is taken out of every parcel right before it is sent, whoever brought it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tierlens.journal.forgotten import Forgotten, Subject
from tierlens.shipping.parcel import Parcel

ERASED: Final = "erased"


class Sieve:
    """Tells the traces of a parcel that were erased; a trace once known by its user or session stays known."""

    def __init__(self, forgotten: Forgotten) -> None:
        self._forgotten = forgotten
        self._known: set[str] = set()

    def parted(self, parcel: Parcel) -> tuple[Parcel, Parcel | None]:
        """What may be sent, and what was erased, if anything."""
        if not self._forgotten:
            return parcel, None
        gone = set(filter(self._is_gone, {finish.trace_id for finish in parcel.finishes}))
        lines = [*(entry.line for entry in parcel.entries()), *(entry.line for entry, _ in parcel.records)]
        gone.update(line.trace for line in lines if line.trace in self._known or self._forgotten.has(line))
        if not gone:
            return parcel, None
        self._known |= gone
        return _part(parcel, gone, kept=True), _part(parcel, gone, kept=False)

    def _is_gone(self, trace: str) -> bool:
        return trace in self._known or self._forgotten.covers(Subject("trace", trace))


def _part(parcel: Parcel, gone: set[str], *, kept: bool) -> Parcel:
    return replace(
        parcel,
        groups=[group for group in parcel.groups if (group.trace not in gone) == kept],
        finishes=tuple(finish for finish in parcel.finishes if (finish.trace_id not in gone) == kept),
        records=tuple(record for record in parcel.records if (record[0].line.trace not in gone) == kept),
    )
