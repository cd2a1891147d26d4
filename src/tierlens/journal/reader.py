"""Reading a segment from any offset on, past whatever damage there is.

A damaged line is counted and skipped. What follows it is searched for the next line's prefix, because damage
may have taken a newline with it and glued an undamaged line to a damaged one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from tierlens.errors import DamagedLine
from tierlens.journal.codec import PREFIX, Line, decode, undamaged_length
from tierlens.journal.segment import open_for_reading

_LEAST: Final = 2 * len(PREFIX)
_LONGEST_LINE: Final = 80 << 20


class Record(NamedTuple):
    """A line and the bytes of the segment that are dealt with once it is: ``start`` up to ``end``."""

    line: Line
    start: int
    end: int


class SegmentReader:
    """Reads one segment's lines in order.

    Attributes:
        offset: where the next unread line begins.
        damaged: damaged lines passed so far.

    Raises:
        OSError: the segment cannot be opened or read.
    """

    def __init__(self, path: Path, offset: int = 0, longest_line: int = _LONGEST_LINE) -> None:
        self.path, self.offset, self.damaged = path, offset, 0
        self._longest = longest_line
        self._fd = open_for_reading(path)

    def read(self, about: int, final: bool) -> list[Record]:
        """The next lines, ``about`` so many bytes; none at the end of what is there.

        Args:
            final: nobody writes to the segment any more, so that an unfinished last line is a damaged one.
        """
        chunk = self._complete(about, final)
        records: list[Record] = []
        start = self.offset
        for raw in chunk.split(b"\n"):
            end = start + len(raw) + 1
            try:
                records.append(Record(decode(raw), start, end))
            except DamagedLine:
                records.extend(Record(line, start, end) for line in self._salvage(raw))
            start = end
        self.offset += len(chunk)
        if records and records[-1].end > self.offset:
            last = records[-1]
            records[-1] = Record(last.line, last.start, self.offset)
        return records

    def line_at(self, offset: int, length: int) -> Line:
        """One line read before.

        Raises:
            DamagedLine: it is no longer what it was.
        """
        return decode(os.pread(self._fd, length, offset).rstrip(b"\n"))

    def close(self) -> None:
        os.close(self._fd)

    def _complete(self, about: int, final: bool) -> bytes:
        """Whole lines from the offset on; what cannot become a line is passed without being held in
        memory."""
        size = about = max(about, _LEAST)
        while True:
            chunk = os.pread(self._fd, size, self.offset)
            if final and len(chunk) < size:
                return chunk
            if newline := chunk.rfind(b"\n") + 1:
                return chunk[:newline]
            if len(chunk) < size:
                return b""
            if size >= self._longest or not chunk.startswith(PREFIX):
                self._pass_over(chunk)
                size = about
            else:
                size *= 2

    def _pass_over(self, chunk: bytes) -> None:
        self.damaged += 1
        found = chunk.find(PREFIX, 1)
        self.offset += found if found > 0 else max(len(chunk) - len(PREFIX), 1)

    def _salvage(self, raw: bytes) -> Iterator[Line]:
        bounds = [0, *_occurrences(raw), len(raw)]
        for start, end in pairwise(bounds):
            piece = raw[start:end]
            length = undamaged_length(piece)
            if line := _try(piece[:length]):
                yield line
            # One byte may be left over: what has become of the newline.
            self.damaged += len(piece) > length + bool(length)


def _occurrences(raw: bytes) -> Iterator[int]:
    at = raw.find(PREFIX, 1)
    while at > 0:
        yield at
        at = raw.find(PREFIX, at + 1)


def _try(raw: bytes) -> Line | None:
    try:
        return decode(raw)
    except DamagedLine:
        return None
