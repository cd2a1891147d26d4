"""Making what was written outlast a power loss, and saying when the journal is nearly full: off the agent's thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tierlens.journal import blobs
from tierlens.journal.append import Appender
from tierlens.journal.files import WriterFiles, sync_and_close, sync_names

log = logging.getLogger("tierlens.journal")

_ALARM_SHARE: Final = 0.8
_ALARM_EVERY_S: Final = 60.0
_DISPLACED: Final = (
    "journal %s was deleted or moved while it was written to; a new one is begun in %s. What was moved is delivered by "
    "`tierlens ship --once --journal-dir` with the folder where it lies now"
)


class Syncer:
    """Syncs the files of one writer.

    Args:
        lock: the Journal's, under which ``files`` and ``lines`` are used.
        written: how many records were written so far.
    """

    def __init__(
        self,
        files: WriterFiles,
        lines: Appender,
        lock: threading.RLock,
        written: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._files, self._lines, self._lock = files, lines, lock
        self._written, self._monotonic = written, monotonic
        self._synced = (0, 0)
        self._new_blobs: list[str] = []
        self._alarmed_at = monotonic() - _ALARM_EVERY_S

    def expect(self, sha256: str) -> None:
        """A blob was written, which is to be synced before the lines that name it."""
        with self._lock:
            self._new_blobs.append(sha256)

    def sync(self) -> bool:
        """Sync what was written since the last time; whether there was anything."""
        with self._lock:
            mark = self._mark()
            if mark == self._synced and not self._new_blobs:
                return False
            new_blobs, self._new_blobs = self._new_blobs, []
            self.leave_displaced()
            descriptors = self._files.descriptors_to_sync()
        try:
            # Before the lines that name them, so that no power loss leaves a name without its file.
            if new_blobs:
                blobs.sync_blobs(self._files.directory, new_blobs)
        finally:
            sync_and_close(descriptors)
        if mark[1] != self._synced[1]:
            sync_names(self._files.directory)
        self._synced = mark
        self._alarm()
        return True

    def leave_displaced(self) -> None:
        """Leave files that were deleted or moved away, under the lock: the next line begins new ones."""
        with suppress(OSError):  # what cannot be looked at is no reason to leave what can be written
            if self._files.displaced():
                log.error(_DISPLACED, self._files.name, self._files.directory)
                self._files.forget()
                self._lines.revoke_room()

    def is_idle(self) -> bool:
        """Whether nothing was written since; asked under the lock."""
        return self._mark() == self._synced

    def _mark(self) -> tuple[int, int]:
        return self._written(), self._files.number

    def _alarm(self) -> None:
        now = self._monotonic()
        if now - self._alarmed_at < _ALARM_EVERY_S:
            return
        used, refused = self._lines.allowance.used_share, self._lines.losses.total
        if used >= _ALARM_SHARE or refused:
            self._alarmed_at = now
            where = self._files.directory
            log.warning("journal %s: %.0f %% of its quota in use; refused: %s", where, used * 100, refused)
