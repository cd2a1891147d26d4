"""One writer's segments read as one stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tierlens import presence
from tierlens.errors import DamagedLine
from tierlens.journal.codec import Line
from tierlens.journal.cursor import Place
from tierlens.journal.reader import Record, SegmentReader
from tierlens.journal.segment import segment_path

_SLICE: Final = 1 << 20
_NEVER: Final = (sys.maxsize, 0)


class Chain:
    """Reads segment after segment from a position on.

    Attributes:
        segment: number of the segment that the next line is read from; 0 before the first.
        offset: where in it that line begins.
        damaged: damaged lines passed.
        numbers: the segments known to be there.
        exhausted: the last read found nothing left to read.
    """

    def __init__(self, directory: Path, writer: str, segment: int, offset: int) -> None:
        self._directory, self._writer = directory, writer
        self.segment, self.offset = segment, offset
        self.damaged = 0
        self.exhausted = False
        self.numbers: tuple[int, ...] = ()
        self._complete = False
        self._reader: SegmentReader | None = None

    def look(self, numbers: tuple[int, ...], complete: bool) -> None:
        """Take note of which segments there are.

        Args:
            complete: the writer was known to be gone before they were listed, so nothing will be added.
        """
        if (numbers, complete) != (self.numbers, self._complete):
            # What was the end at the last read need not be: the writer may have gone on until it died.
            self.exhausted = False
        self.numbers, self._complete = numbers, complete

    def read(self, about: int) -> list[Record]:
        """The next lines, ``about`` so many bytes, all from ``segment``.

        Raises:
            OSError: the segment is there but cannot be read; the position stays before it.
        """
        self.exhausted = False
        while (reader := self._current()) is not None:
            # A writer leaves a segment only after the next one is there, so what is not the last is complete.
            final = self._complete or self._next() is not None
            before, damaged = reader.offset, reader.damaged
            records = reader.read(about, final)
            self.offset = reader.offset
            self.damaged += reader.damaged - damaged
            if records:
                return records
            if self.offset > before or (not final and self._found_after(self.segment)):
                continue
            if not final or not self._advance():
                break
        self.exhausted = True
        return []

    def slices(self, about: int = _SLICE, *, before: tuple[int, int] = _NEVER) -> Iterator[list[Record]]:
        """All lines from here on, ``about`` so many bytes at a time, as far as they can be read: a segment that cannot
        be may be at the next look, and one that was unlinked meanwhile holds nothing that is needed.

        Args:
            before: segment and offset of the first line that is not wanted.
        """
        with suppress(OSError):
            while self.position < before and (records := self.read(about)):
                yield [record for record in records if (self.segment, record.start) < before]

    def records(self, about: int = _SLICE, *, before: tuple[int, int] = _NEVER) -> Iterator[Record]:
        """The same one by one, each from ``segment``: there may be more than memory holds."""
        for records in self.slices(about, before=before):
            yield from records

    @property
    def position(self) -> tuple[int, int]:
        """Segment and offset of the next line to read."""
        return self.segment, self.offset

    def end(self) -> tuple[int, int]:
        """Number and size of the last segment there is, just now; the position where that cannot be seen."""
        while self._found_after(self.numbers[-1] if self.numbers else self.segment):
            pass
        last = self.numbers[-1] if self.numbers else self.segment
        try:
            return last, self._size(last)
        except OSError:
            return self.position

    def unread_bytes(self) -> int:
        """What is written and was not read, damaged lines included.

        Raises:
            OSError: a segment cannot be seen.
        """
        sizes = [self._size(number) for number in self.numbers if number >= self.segment]
        return max(sum(sizes) - self.offset, 0)

    def line_at(self, place: Place) -> Line:
        """A line read earlier.

        Raises:
            OSError, DamagedLine: it is not there any more, or no longer what it was.
        """
        number, offset, length = place
        reader = SegmentReader(segment_path(self._directory, self._writer, number))
        try:
            line = reader.line_at(offset, length)
        finally:
            reader.close()
        if line.kind == "loss":
            # Nobody notes the place of such a record: somebody has erased the span that stood here.
            raise DamagedLine("it was erased")
        return line

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _current(self) -> SegmentReader | None:
        if self._reader is None:
            if self.segment not in self.numbers and not self._advance():
                return None
            self._reader = self._opened()
        return self._reader

    def _opened(self) -> SegmentReader | None:
        try:
            return SegmentReader(segment_path(self._directory, self._writer, self.segment), self.offset)
        except FileNotFoundError:
            return None

    def _found_after(self, number: int) -> bool:
        """Whether the writer has gone on to the segment after this one since they were listed."""
        following = number + 1
        if self._complete or not presence.exists(segment_path(self._directory, self._writer, following)):
            return False
        self.numbers = (*self.numbers, following)
        return True

    def _size(self, number: int) -> int:
        return segment_path(self._directory, self._writer, number).stat().st_size

    def _next(self) -> int | None:
        return min((number for number in self.numbers if number > self.segment), default=None)

    def _advance(self) -> bool:
        following = self._next()
        if following is None:
            return False
        self.close()
        self.segment, self.offset = following, 0
        return True
