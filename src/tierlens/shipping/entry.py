"""A finished span on its way from a segment to a sink, and the traces that entries are gathered into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tierlens.journal.codec import Line
from tierlens.journal.cursor import Place

STORED: Final = "stored"
BESIDES: Final = 1_000
"""Bytes of memory that an entry takes beside its payload, about."""


@dataclass(slots=True, eq=False)
class Entry:
    """One line that is neither stored nor refused yet.

    Attributes:
        writer: whose line it is.
        place: segment, offset and length of the line.
        size: bytes of its payload.
        outcome: "" until settled; then ``STORED`` or the reason it was refused for.
        loose: not one of the feed's finished lines: a span that died open, or a dead letter tried again.
        earlier: another line of the same span, which this one replaces and shares its fate with: how a failed try
            ended is written again once it was tried anew.
    """

    line: Line
    writer: str
    place: Place
    size: int
    outcome: str = ""
    loose: bool = False
    earlier: Entry | None = None

    @property
    def has_findings(self) -> bool:
        return bool(self.line.metrics or self.line.artifacts)


class Destination(NamedTuple):
    """What one request can hold spans of."""

    experiment: str
    resource: bytes


@dataclass(slots=True, eq=False)
class Group:
    """Entries of one trace for one destination.

    Attributes:
        since: monotonic time of the first one.
        rooted: the trace's root in this process is among them.
    """

    trace: str
    destination: Destination
    since: float
    entries: list[Entry] = field(default_factory=list)
    size: int = 0
    rooted: bool = False
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take an entry in, in place of an earlier one of the same span: MLflow, sent both at once, would count
        all below it twice."""
        place = self._places.setdefault(entry.line.span, len(self.entries))
        if place < len(self.entries):
            entry.earlier = self.entries[place]
            self.size -= entry.earlier.size
            self.entries[place] = entry
        else:
            self.entries.append(entry)
        self.size += entry.size
        self.rooted = self.rooted or entry.line.root

    @property
    def memory(self) -> int:
        """Bytes that its entries take."""
        return self.size + BESIDES * len(self.entries)

    def part(self, entries: Iterable[Entry]) -> Group:
        """The same trace with only some of its entries."""
        part = Group(self.trace, self.destination, self.since)
        for entry in entries:
            part.add(entry)
        return part


class Gathering:
    """Entries wait here for the rest of their trace: until its root has come, or they have grown old.

    Attributes:
        memory: bytes that all waiting entries take, ready ones included.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._open: dict[tuple[str, Destination], Group] = {}
        self._ready: dict[Destination, list[Group]] = {}
        self.memory = 0

    def add(self, entry: Entry, now: float) -> None:
        line = entry.line
        destination = Destination(line.experiment, line.resource)
        key = (line.trace, destination)
        group = self._open.get(key)
        if group is None:
            group = self._open[key] = Group(line.trace, destination, now)
        self.memory -= group.memory
        group.add(entry)
        self.memory += group.memory
        if line.root:
            self._ready.setdefault(destination, []).append(self._open.pop(key))

    def ripen(self, now: float, urgent: bool = False) -> None:
        """Let go of traces that have waited long enough for their root, or of all."""
        while self._open:
            key, group = next(iter(self._open.items()))
            if not urgent and now - group.since < self._patience_s:
                return
            self._ready.setdefault(key[1], []).append(self._open.pop(key))

    def next_ripe_at(self) -> float | None:
        """Monotonic time at which the oldest rootless trace has waited long enough."""
        oldest = next(iter(self._open.values()), None)
        return oldest.since + self._patience_s if oldest else None

    def take(self, destination: Destination, traces: int, size: int) -> list[Group]:
        """The oldest ready traces that fit into a request; at least one, or a part of it."""
        ready = self._ready[destination]
        taken = list(_fitting(ready, traces, size))
        del ready[: len(taken)]
        if len(taken) == 1 and taken[0].size > size:
            taken, rest = _first_part(taken[0], size)
            ready[:0] = rest
        if not ready:
            del self._ready[destination]
        self.memory -= sum(group.memory for group in taken)
        return taken

    def ready(self) -> Iterator[tuple[Destination, Group, int]]:
        """Destinations with ready traces: the oldest trace of each, and how many there are."""
        for destination, groups in self._ready.items():
            yield destination, groups[0], len(groups)

    def __bool__(self) -> bool:
        return bool(self._open or self._ready)


def _fitting(groups: list[Group], traces: int, size: int) -> Iterator[Group]:
    total = 0
    for count, group in enumerate(groups):
        total += group.size
        if count and (count >= traces or total > size):
            return
        yield group


def _first_part(group: Group, size: int) -> tuple[list[Group], list[Group]]:
    total, cut = 0, 0
    for entry in group.entries:
        total += entry.size
        if cut and total > size:
            break
        cut += 1
    parts = [group.part(group.entries[:cut]), group.part(group.entries[cut:])]
    return parts[:1], [part for part in parts[1:] if part.entries]
