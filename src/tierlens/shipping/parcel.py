"""What is sent in one request, how often it has been tried, and how it is taken apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

import orjson

from tierlens.journal.otlp import cut_text
from tierlens.shipping.entry import Destination, Entry, Group
from tierlens.shipping.retry import Attempt
from tierlens.sinks.base import Batch, Finish, Record

_LONGEST: Final = 16_384


@dataclass(slots=True, eq=False)
class Parcel:
    """Traces for one destination, with the metrics and files that go with them.

    Attributes:
        groups: empty where only metrics and files of stored traces, or records of their runs, are sent.
        records: what stored spans say to runs, each with its span; goes alone.
        tries: how often it was sent.
        passes: how many parcels had been taken when this one first was not.
        letter: name of the dead letter it was made from, or "".
        delivery: names the latest try to send it.
    """

    destination: Destination
    groups: list[Group]
    finishes: tuple[Finish, ...] = ()
    records: tuple[tuple[Entry, Record], ...] = ()
    tries: int = 0
    passes: int | None = None
    truncated: bool = False
    letter: str = ""
    payloads: dict[str, bytes] = field(default_factory=dict)
    delivery: str = ""

    def entries(self) -> Iterator[Entry]:
        for group in self.groups:
            yield from group.entries

    @property
    def size(self) -> int:
        return sum(group.size for group in self.groups)

    @property
    def spans(self) -> int:
        return sum(len(group.entries) for group in self.groups)

    def batch(self, tags: Mapping[str, Mapping[str, str]]) -> Batch:
        """What a sink is sent, with tags by trace id."""
        spans = [self.payloads.get(entry.line.span, entry.line.payload) for entry in self.entries()]
        return Batch(self.destination.experiment, self.destination.resource, spans, self.finishes, tags)

    def attempt(self, passes: int) -> Attempt:
        """This parcel as the answer table sees it, ``passes`` parcels having been taken so far."""
        return Attempt(
            spans=self.spans,
            traces=len(self.groups),
            finishes=len(self.finishes),
            records=len(self.records),
            tries=self.tries,
            others_pass=self.passes is not None and passes > self.passes,
            truncated=self.truncated,
        )

    def with_groups(self, groups: list[Group]) -> Parcel:
        """The same with some of its spans; metrics stay with the part that has the trace's root."""
        roots = {group.trace for group in groups if group.rooted}
        finishes = tuple(finish for finish in self.finishes if finish.trace_id in roots)
        return replace(self, groups=groups, finishes=finishes)


def halves(parcel: Parcel) -> list[Parcel]:
    """Two parcels of about half the bytes each: between traces, inside the only one, or between records."""
    if parcel.records:
        middle = len(parcel.records) // 2
        return [replace(parcel, records=part) for part in (parcel.records[:middle], parcel.records[middle:])]
    if len(parcel.groups) > 1:
        at = _middle([group.size for group in parcel.groups])
        parts = [parcel.groups[:at], parcel.groups[at:]]
    else:
        group = parcel.groups[0]
        at = _middle([entry.size for entry in group.entries])
        parts = [[group.part(group.entries[:at])], [group.part(group.entries[at:])]]
    return [parcel.with_groups(part) for part in parts]


def _middle(sizes: list[int]) -> int:
    before = list(accumulate(sizes))
    return min(range(1, len(sizes)), key=lambda at: abs(2 * before[at - 1] - before[-1]))


def detached(parcel: Parcel) -> list[Parcel]:
    """Its spans, and then, one by one, what it has to say of their traces."""
    finishes = [Parcel(parcel.destination, [], (finish,)) for finish in parcel.finishes]
    return [replace(parcel, finishes=()), *finishes]


def truncated(parcel: Parcel) -> Parcel:
    """The same single span with every string attribute over 16,384 characters cut to size and digest."""
    (entry,) = parcel.entries()
    return replace(parcel, truncated=True, payloads={entry.line.span: truncated_payload(entry.line.payload)})


def truncated_payload(payload: bytes) -> bytes:
    """A span's OTLP JSON with long strings replaced, its events' included."""
    span = orjson.loads(payload)
    owners = [span, *span.get("events", ()), *span.get("links", ())]
    for attribute in (attribute for owner in owners for attribute in owner.get("attributes", ())):
        text = attribute["value"].get("stringValue")
        if text is not None and len(text) > _LONGEST:
            attribute["value"]["stringValue"] = cut_text(text)
    return orjson.dumps(span)
