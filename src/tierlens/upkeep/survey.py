"""What lies in a journal and how delivery is doing: looked at without a lock, and without moving anything."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tierlens import presence
from tierlens.errors import DamagedLine
from tierlens.journal.chain import Chain
from tierlens.journal.codec import Line
from tierlens.journal.cursor import Cursor, Ends, read_cursor
from tierlens.journal.lock import is_orphan
from tierlens.journal.moments import latest_ns
from tierlens.journal.quota import usage
from tierlens.journal.segment import SHIPPER_LOCK, Writer, cursor_path, lock_path, segment_path, writers
from tierlens.journal.totals import Totals, read_totals
from tierlens.shipping.deadletter import DeadLetters
from tierlens.shipping.handover import state


@dataclass(frozen=True, slots=True)
class WriterSurvey:
    """One writer's part of a journal.

    Attributes:
        alive: its process is there.
        segments, size: its segments, and their bytes.
        stored: finished spans that a sink has taken.
        pending: finished spans that nobody has acknowledged.
        refused: spans that were not accepted, or that no sink would take, by reason.
        refusing: nothing was accepted after the last refusal that it has on record.
        refused_since_ns: when the last span before the first refusal of those still on record ended, Unix
            nanoseconds, 0 where that was the first of all; None where none is on record.
        damaged: damaged lines.
        open: spans whose start is on record, and not their end.
        oldest_ns: when the oldest pending span ended, Unix nanoseconds; None where none is pending.
        experiments: those that pending spans are for, by name.
    """

    name: str
    alive: bool
    segments: int
    size: int
    stored: int
    pending: int
    refused: Mapping[str, int]
    refusing: bool
    refused_since_ns: int | None
    damaged: int
    open: int
    oldest_ns: int | None
    experiments: frozenset[str]


@dataclass(frozen=True, slots=True)
class Survey:
    """A journal at one moment.

    Attributes:
        writers: those that left files, oldest first.
        past: what became of the spans of those that left none.
        dead_letters: how many there are, by reason; "damaged" where that cannot be read.
        size: bytes of all files.
        free: bytes left on the disk.
        shipper: the process that ships, 0 where it does not say which; None where nobody ships.
        failing: that process's last answer was an outage's, or refused credentials.
    """

    writers: tuple[WriterSurvey, ...]
    past: Totals
    dead_letters: Mapping[str, int]
    size: int
    free: int
    shipper: int | None
    failing: bool

    @property
    def living(self) -> int:
        return sum(writer.alive for writer in self.writers)

    @property
    def orphaned(self) -> int:
        return len(self.writers) - self.living

    @property
    def pending(self) -> int:
        return sum(writer.pending for writer in self.writers)

    @property
    def open(self) -> int:
        """Spans that dead processes have left unended, and that have not been given out as such yet."""
        return sum(writer.open for writer in self.writers if not writer.alive)

    @property
    def stored(self) -> int:
        return self.past.stored + sum(writer.stored for writer in self.writers)

    @property
    def damaged(self) -> int:
        return self.past.damaged + sum(writer.damaged for writer in self.writers)

    @property
    def refused(self) -> Mapping[str, int]:
        counted = Counter(self.past.refused) + Counter(self.past.lost)
        for writer in self.writers:
            counted.update(writer.refused)
        return dict(counted)

    @property
    def refusing(self) -> bool:
        """Whether some living process has accepted nothing since it last refused something."""
        return any(writer.refusing and writer.alive for writer in self.writers)

    @property
    def refused_since_ns(self) -> int | None:
        """When refusing began, as far as that is still on record."""
        began = (writer.refused_since_ns for writer in self.writers)
        return min((moment for moment in began if moment is not None), default=None)

    @property
    def experiments(self) -> frozenset[str]:
        """Those that pending spans are for, by name."""
        return frozenset[str]().union(*(writer.experiments for writer in self.writers))

    @property
    def oldest_ns(self) -> int | None:
        return min((writer.oldest_ns for writer in self.writers if writer.oldest_ns is not None), default=None)

    def lag_s(self, now_ns: int) -> float:
        """For how long the oldest pending span has waited, in seconds; 0 where none is pending."""
        return max(now_ns - self.oldest_ns, 0) / 1e9 if self.oldest_ns is not None else 0.0


def survey(directory: Path) -> Survey:
    """Look at a journal; what is written meanwhile may be counted or not. One that is not there is empty.

    Raises:
        OSError: it cannot be looked at.
    """
    shipped = not is_orphan(directory / SHIPPER_LOCK)
    said = state(directory) if shipped else None
    nearest = next(path for path in (directory, *directory.absolute().parents) if presence.exists(path))
    return Survey(
        tuple(_look_at(directory, writer) for writer in writers(directory)),
        read_totals(directory),
        dict(_dead_letters(DeadLetters(directory))),
        usage(directory),
        shutil.disk_usage(nearest).free,
        (said.pid if said else 0) if shipped else None,
        bool(said and said.health.failing),
    )


def ends(directory: Path) -> Ends:
    """By writer, its last segment and where that ends just now."""
    found = {writer.name: writer.segments[-1] for writer in writers(directory) if writer.segments}
    return {name: (last, _size(segment_path(directory, name, last))) for name, last in found.items()}


def unread_bytes(directory: Path, until: Ends) -> int:
    """How much of the segments lies behind their cursors and before those ends."""
    left = 0
    for writer in writers(directory):
        last, end = until.get(writer.name, (0, 0))
        cursor = read_cursor(cursor_path(directory, writer.name)) or Cursor()
        for number in writer.segments:
            if cursor.segment <= number <= last:
                size = end if number == last else _size(segment_path(directory, writer.name, number))
                left += max(size - (cursor.offset if number == cursor.segment else 0), 0)
    return left


def _look_at(directory: Path, writer: Writer) -> WriterSurvey:
    alive = not is_orphan(lock_path(directory, writer.name))
    cursor = read_cursor(cursor_path(directory, writer.name)) or Cursor()
    chain = Chain(directory, writer.name, *cursor.position)
    chain.look(writer.segments, complete=not alive)
    unread = _Unread(set(cursor.open), Counter(cursor.refused) + Counter(cursor.lost))
    for record in chain.records():
        unread.count(record.line)
    chain.close()
    return WriterSurvey(
        writer.name,
        alive,
        len(writer.segments),
        sum(_size(segment_path(directory, writer.name, number)) for number in writer.segments),
        cursor.stored,
        unread.pending,
        {reason: count for reason, count in unread.refused.items() if count},
        unread.refusing,
        unread.refused_since_ns,
        cursor.damaged + chain.damaged,
        len(unread.open),
        unread.oldest_ns,
        frozenset(unread.experiments),
    )


@dataclass(slots=True)
class _Unread:
    """What the lines behind a cursor come to, with what the cursor itself knows; fields as `WriterSurvey` has them."""

    open: set[str]
    refused: Counter[str]
    pending: int = 0
    refusing: bool = False
    refused_since_ns: int | None = None
    oldest_ns: int | None = None
    experiments: set[str] = field(default_factory=set)
    latest_ns: int = 0

    def count(self, line: Line) -> None:
        if line.kind == "start":
            self.open.add(line.span)
        elif line.kind == "span":
            self.open.discard(line.span)
            self.pending += 1
            self.experiments.add(line.experiment)
            self.latest_ns = latest_ns(line)
            self.oldest_ns = min(self.oldest_ns or self.latest_ns, self.latest_ns)
        self.refusing = bool(line.refused)
        if self.refusing and self.refused_since_ns is None:
            self.refused_since_ns = self.latest_ns
        self.refused.update(line.refused or {})


def _dead_letters(letters: DeadLetters) -> Counter[str]:
    counted: Counter[str] = Counter()
    for name in letters.names():
        try:
            counted[letters.read(name)[0].reason] += 1
        except FileNotFoundError:
            continue
        except (OSError, DamagedLine):
            counted["damaged"] += 1
    return counted


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
