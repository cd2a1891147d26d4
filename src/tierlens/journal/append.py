"""Appending lines to segments: the rare ways in which a write does not simply succeed.

Used under the Journal's lock only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from tierlens.errors import JournalRefused
from tierlens.journal.files import WriterFiles
from tierlens.journal.losses import Losses
from tierlens.journal.quota import Allowance

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNUSABLE: Final = frozenset({errno.EBADF, errno.ESTALE})
_TRIES: Final = 3


class End(NamedTuple):
    """The place behind the last line of a writer."""

    writer: str
    segment: int
    offset: int


class Appender:
    """Writes whole lines, within the quota, into segments of a given size.

    Args:
        files: the writer's files, not yet open.
        ready: called before room is looked for; may raise JournalRefused.
        opened: called when the writer's files were opened.

    Attributes:
        losses: what was refused.
        allowance: the quota, as last measured.
    """

    def __init__(
        self,
        files: WriterFiles,
        allowance: Allowance,
        segment_bytes: int,
        *,
        ready: Callable[[], None],
        opened: Callable[[], None],
    ) -> None:
        self._files, self.allowance, self._segment_bytes = files, allowance, segment_bytes
        self._ready, self._opened = ready, opened
        self.losses = Losses()
        self._room = 0  # what may be written without a further look; 0 sends the next line through _make_room
        self._torn = False

    def write(self, line: bytes) -> None:
        """Append a line.

        Raises:
            JournalRefused: ``reason`` is full | quota | closed | io; nothing readable was written.
        """
        size = len(line)
        if size > self._room:
            self._make_room(size)
        try:
            written = os.write(self._files.fd, line)
        except OSError as error:
            self._escape(error)
            self._write_again(line)
        else:
            if written != size:
                self._torn = True
                self._write_again(line)
        self._room -= size

    def refuse(self, reason: str) -> None:
        """Count a span that was not accepted, and say so in the journal when that is due."""
        self.losses.count(reason)
        self.revoke_room()
        if self.losses.due and self._files.fd >= 0:
            with suppress(OSError):
                self._record_losses(accepting=False)

    def revoke_room(self) -> None:
        """Send the next line through a fresh look at the quota, the segment and the journal's state."""
        self.allowance.give_back(self._room)
        self._room = 0

    def close(self) -> None:
        """Say what was refused, where that is still possible, and close the files."""
        self.revoke_room()
        with suppress(OSError):
            if self.losses.unwritten and self._files.fd >= 0:
                self._record_losses(accepting=False)
        with suppress(OSError):
            self._files.close()

    def end(self) -> End:
        files = self._files
        with suppress(OSError):
            return End(files.name, files.number, files.size() if files.fd >= 0 else 0)
        return End(files.name, files.number, 0)

    def _write_again(self, line: bytes) -> None:
        for _ in range(_TRIES):
            try:
                self._mend()
                if os.write(self._files.fd, line) == len(line):
                    return
                self._torn = True
            except OSError as error:
                self._escape(error)
        raise JournalRefused("full", "every write was cut short")

    def _mend(self) -> None:
        if self._torn:
            os.write(self._files.fd, b"\n")
            self._torn = False

    def _escape(self, error: OSError) -> None:
        """Leave a segment that takes no more although the disk would; raise the refusal where that cannot
        help."""
        try:
            if error.errno == errno.EFBIG and self._files.size() > 0:
                self._files.rotate()
            elif error.errno in _UNUSABLE:
                self._files.abandon()
                self._open()
            else:
                raise error
        except OSError as final:
            raise refusal(final) from error
        self._torn = False

    def _make_room(self, size: int) -> None:
        self._ready()
        self.revoke_room()
        try:
            if self._files.fd < 0:
                self._open()
            left = self._segment_bytes - self._files.size()
            fits = size <= left or left == self._segment_bytes
            granted = self.allowance.take(size, left if fits else self._segment_bytes)
            if not granted:
                raise JournalRefused("quota", "the journal has what it may have")
            self._room = granted
            if not fits:
                self._files.rotate()
                self._torn = False
            self._mend()
            if self.losses.unwritten:
                self._record_losses(accepting=True)
        except OSError as error:
            raise refusal(error) from error

    def _open(self) -> None:
        self._files.open()
        self._torn = False
        self._opened()

    def _record_losses(self, accepting: bool) -> None:
        self._mend()
        record = self.losses.record()
        if os.write(self._files.fd, record) != len(record):
            self._torn = True
            raise OSError(errno.ENOSPC, "the loss record was cut short")
        self.losses.written(accepting)


def refusal(error: OSError) -> JournalRefused:
    """The refusal that an error of the file system amounts to."""
    return JournalRefused("full" if error.errno in _FULL else "io", str(error))
