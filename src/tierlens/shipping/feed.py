"""One writer's lines, from the first unacknowledged one on, and the account of what became of each."""

from __future__ import annotations

import errno
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tierlens.errors import DamagedLine
from tierlens.journal.chain import Chain
from tierlens.journal.codec import Line
from tierlens.journal.cursor import Cursor, Place, read_cursor, write_cursor
from tierlens.journal.lock import FileLock
from tierlens.journal.moments import latest_ns
from tierlens.journal.reader import Record
from tierlens.journal.segment import cursor_path, lock_path, segment_path, temporary_path
from tierlens.journal.totals import read_totals, write_totals
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.died import died
from tierlens.shipping.entry import STORED, Entry

_SLICE: Final = 128 << 10


class Feed:
    """Reads a writer's lines in order; its position passes a line only once that line is settled.

    Args:
        passed: told of each stored line once the position is behind it.

    Attributes:
        chain: its segments as one stream.
        dead: the writer's process is gone.
        buried: its open spans have been given out as errors.
        opens: which feed each open span's start record came from, shared by all feeds of a shipper, because a span
            begun before a fork may end in the child.
    """

    def __init__(
        self,
        directory: Path,
        writer: str,
        opens: dict[str, Feed],
        alarms: Alarms,
        passed: Callable[[Line], None] | None = None,
    ) -> None:
        self._passed = passed
        self.directory, self.writer, self.opens, self._alarms = directory, writer, opens, alarms
        self.dead = False
        self._lines: deque[Entry] = deque()
        self.buried = False
        self._saved = read_cursor(cursor_path(directory, writer)) or Cursor()
        cursor = self._saved
        self.chain = Chain(directory, writer, *cursor.position)
        self._stored, self._damaged, self._last_ns = cursor.stored, cursor.damaged, cursor.last_ns
        self._refused = Counter(cursor.refused)
        self._lost_before, self._losses = cursor.lost, list[tuple[Place, Mapping[str, int]]]()
        self._unseen: dict[Place, None] = {}
        self._open, self._held = dict(cursor.open), dict(cursor.held)
        opens.update(dict.fromkeys(self._open, self))

    def look(self, numbers: tuple[int, ...], dead: bool) -> None:
        """Take note of the segments there are, listed after it was found out whether the writer is
        ``dead``."""
        self.dead = dead
        self.chain.look(numbers, dead)

    def read(self, about: int) -> list[Entry]:
        """The next finished spans, from ``about`` so many bytes; none at the end of what is there.

        Raises:
            OSError: a segment is there but cannot be read; nothing of it is passed over.
        """
        while records := self.chain.read(about):
            entries = [entry for record in records if (entry := self._take(record)) is not None]
            self._last_ns = max(self._last_ns, latest_ns(records[-1].line))
            if entries:
                self._lines.extend(entries)
                return entries
        return []

    @property
    def settled_to(self) -> tuple[int, int]:
        """Segment and offset before which every line is settled."""
        return self._lines[0].place[:2] if self._lines else self.chain.position

    @property
    def drained(self) -> bool:
        """Whether all that lay there at the last read has been settled."""
        return self.chain.exhausted and not self._lines

    def bury(self) -> list[Entry]:
        """Once a dead writer is drained, its open spans as errors; they are given out once."""
        if self.buried or not (self.dead and self.drained):
            return []
        self.buried = True
        entries = [self._died(span) for span in list(self._open)]
        return [entry for entry in entries if entry is not None]

    def held_entries(self) -> list[Entry]:
        """Stored spans whose metrics were still waiting for their trace's root when the cursor was
        written."""
        entries = []
        for span, place in list(self._held.items()):
            try:
                line = self.chain.line_at(place)
            except (OSError, DamagedLine):
                self._alarms.warn("held", f"metrics of span {span} are lost: their line cannot be read")
                del self._held[span]
                continue
            entries.append(Entry(line, self.writer, place, len(line.payload)))
        return entries

    def settle(self, entry: Entry, outcome: str) -> None:
        """A sink took the span, or it was refused for good."""
        entry.outcome = outcome
        if entry.loose:
            if outcome == STORED and self._passed is not None:
                self._passed(entry.line)
            self._end(entry.line.span)
            return
        while self._lines and self._lines[0].outcome:
            passed = self._lines.popleft()
            if passed.outcome == STORED:
                self._stored += 1
                if self._passed is not None:
                    self._passed(passed.line)
            else:
                self._refused[passed.outcome] += 1
            self._end(passed.line.span)

    def hold(self, entry: Entry) -> None:
        """Keep the line, although its span is stored: its metrics are not."""
        self._held[entry.line.span] = entry.place

    def release(self, span: str) -> None:
        self._held.pop(span, None)

    def await_seen(self, place: Place) -> None:
        """The sink took the line there, and is to be asked whether it has it: keep it until then."""
        self._unseen[place] = None

    def seen(self, place: Place) -> None:
        """The sink has it, or cannot be asked."""
        self._unseen.pop(place, None)

    def line_at(self, place: Place) -> Line:
        """A line read earlier.

        Raises:
            OSError, DamagedLine: it is not there any more, or no longer what it was.
        """
        return self.chain.line_at(place)

    def start_of(self, span: str) -> Line | None:
        """The start record of a span that was open at the last acknowledgement, or that has begun since."""
        place = self._open.get(span)
        with suppress(OSError, DamagedLine):
            return self.chain.line_at(place) if place is not None else None
        return None

    def unseen_entries(self) -> Iterator[Entry]:
        """Spans that had been taken, and not been seen in the sink, when the cursor was written."""
        cursor = self._saved
        chain = Chain(self.directory, self.writer, *cursor.seen)
        chain.look(self.chain.numbers, self.dead)
        for record in chain.records(_SLICE, before=cursor.position):
            if record.line.kind == "span":
                place = (chain.segment, record.start, record.end - record.start)
                yield Entry(record.line, self.writer, place, len(record.line.payload), STORED)
        chain.close()

    def redeem(self, outcome: str) -> None:
        """A span counted as refused was taken after all."""
        if self._refused[outcome] > 0:
            self._refused[outcome] -= 1
            self._stored += 1

    def save(self) -> None:
        """Acknowledge, then unlink what nobody needs any more.

        A crash before the cursor is written sends again what was sent; after it, segments are left that the
        next shipper unlinks.

        Raises:
            OSError: the cursor could not be written; nothing was unlinked.
        """
        cursor = self._cursor()
        if cursor != self._saved:
            self._write(cursor)
        self._unlink_before(cursor.segment)

    def _write(self, cursor: Cursor) -> None:
        try:
            write_cursor(cursor_path(self.directory, self.writer), cursor)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                # A full disk would otherwise stay full for want of the room to say that it need not be.
                self._unlink_before(cursor.segment)
            raise
        self._saved = cursor

    def _unlink_before(self, segment: int) -> None:
        needed = {place[0] for places in (self._open, self._held) for place in places.values()}
        needed.update(place[0] for place in self._unseen)
        kept = tuple(n for n in self.chain.numbers if n >= segment or n in needed)
        for number in set(self.chain.numbers) - set(kept):
            segment_path(self.directory, self.writer, number).unlink(missing_ok=True)
        self.chain.numbers = kept

    @property
    def finished(self) -> bool:
        """Whether the writer is dead and nothing of it is needed any more."""
        return self.buried and self.drained and not (self._open or self._held or self._unseen)

    def remove(self) -> None:
        """Take a finished writer's files away: segments, then cursor, then lock; its counts go to the totals.

        Raises:
            OSError: some file could not be removed; the rest is left for the next attempt.
        """
        lock = FileLock(lock_path(self.directory, self.writer))
        if not lock.acquire():
            return
        try:
            for number in self.chain.numbers:
                segment_path(self.directory, self.writer, number).unlink(missing_ok=True)
            write_totals(self.directory, read_totals(self.directory).plus(self.writer, self._cursor()))
            cursor = cursor_path(self.directory, self.writer)
            temporary_path(cursor).unlink(missing_ok=True)
            cursor.unlink(missing_ok=True)
            lock.release(unlink=True)
        finally:
            lock.release()
        self.close()

    def close(self) -> None:
        self.chain.close()

    def _take(self, record: Record) -> Entry | None:
        line = record.line
        place = (self.chain.segment, record.start, record.end - record.start)
        if line.kind == "span":
            return Entry(line, self.writer, place, len(line.payload))
        if line.kind == "start":
            self._open[line.span] = place
            self.opens[line.span] = self
        elif line.refused:
            self._losses.append((place, line.refused))
            text = f"journal writer {self.writer} had to refuse spans: {dict(line.refused)}"
            self._alarms.warn(f"loss {self.writer}", text)
        return None

    def _end(self, span: str) -> None:
        owner = self.opens.pop(span, None)
        if owner is not None:
            owner._open.pop(span, None)

    def _died(self, span: str) -> Entry | None:
        place = self._open[span]
        try:
            line = died(self.chain.line_at(place), self._last_ns)
        except (OSError, DamagedLine, ValueError, KeyError):
            self._alarms.warn("died", f"the start record of span {span} cannot be read any more")
            self._end(span)
            return None
        return Entry(line, self.writer, place, len(line.payload), loose=True)

    def _cursor(self) -> Cursor:
        chain = self.chain
        position = self.settled_to
        return Cursor(
            *position,
            self._stored,
            {reason: count for reason, count in self._refused.items() if count},
            self._damaged + chain.damaged,
            self._last_ns,
            # What lies behind the position is read again: after reading ahead, that is nearly all.
            {span: place for span, place in self._open.items() if place[:2] < position},
            dict(self._held),
            self._lost(position),
            min([position, *(place[:2] for place in self._unseen)]),
        )

    def _lost(self, position: tuple[int, int]) -> dict[str, int]:
        """What the loss records before the position say; those behind it are read again, and counted then."""
        lost = Counter(self._lost_before)
        for place, refused in self._losses:
            if place[:2] < position:
                lost.update(refused)
        return dict(lost)
