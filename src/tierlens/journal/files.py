"""One process's files in a journal: its lock, and the segment it appends to.

Used under the Journal's lock only; every method may raise OSError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tierlens.journal.lock import FileLock
from tierlens.journal.segment import (
    create_directory,
    lock_path,
    open_for_append,
    segment_path,
    sync_directory,
)

_ATTEMPTS = 8


class WriterFiles:
    """The open segment of one writer; a number is never used twice.

    Attributes:
        name: the writer's name, "" until ``open``.
        number: the open segment's number.
        fd: the open segment's descriptor, or -1.
        retired: descriptors of full segments that are still to be synced and closed.
    """

    def __init__(self, directory: Path, new_name: Callable[[], str]) -> None:
        self.directory = directory
        self._new_name = new_name
        self._lock: FileLock | None = None
        self.name = ""
        self.number = 0
        self.fd = -1
        self.retired: list[int] = []

    def open(self) -> None:
        """Take a name, lock it, and create the first segment."""
        create_directory(self.directory)
        for _ in range(_ATTEMPTS):
            name = self._new_name()
            lock = FileLock(lock_path(self.directory, name))
            if lock.acquire():
                break
        else:
            raise OSError(f"no writer's lock could be taken in {self.directory}")
        try:
            fd = open_for_append(self.directory, name, 1)
        except OSError:
            lock.release(unlink=True)
            raise
        self._lock, self.name, self.number, self.fd = lock, name, 1, fd

    def rotate(self) -> None:
        """Continue in the next segment; the full one stays open until it is synced.

        The new file exists before the old one is left, so a reader that sees it may take the old one as
        complete.
        """
        fd = open_for_append(self.directory, self.name, self.number + 1)
        old, self.fd = self.fd, fd
        self.number += 1
        self.retired.append(old)

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def displaced(self) -> bool:
        """Whether somebody deleted the open segment or moved it away, so that nobody here will ever read it."""
        if self.fd < 0:
            return False
        try:
            named = segment_path(self.directory, self.name, self.number).stat(follow_symlinks=False)
        except FileNotFoundError:
            return True
        return not os.path.samestat(os.fstat(self.fd), named)

    def descriptors_to_sync(self) -> list[int]:
        """Copies of the open descriptor and the retired ones themselves: all for the caller to sync and
        close."""
        retired, self.retired = self.retired, []
        return [*retired, os.dup(self.fd)] if self.fd >= 0 else retired

    def close(self) -> None:
        """Sync and close; a segment that was never written to goes away with its lock."""
        if self.fd < 0:
            return
        empty = self.number == 1 and self.size() == 0
        sync_and_close(self.descriptors_to_sync())
        if empty:
            segment_path(self.directory, self.name, 1).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release(unlink=empty)
        self.forget()

    def abandon(self) -> None:
        """Forget the descriptor without closing it: the host closed it, and its number may be another file's
        now."""
        self.fd = -1
        self.forget()

    def forget(self) -> None:
        """Close without touching the files: they are the parent's, or gone."""
        for fd in (self.fd, *self.retired):
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)
        if self._lock is not None:
            self._lock.drop()
        self._lock, self.fd, self.name, self.number, self.retired = None, -1, "", 0, []


def sync_and_close(descriptors: list[int]) -> None:
    """fsync and close each; a descriptor that cannot be synced is closed all the same."""
    for fd in descriptors:
        with suppress(OSError):
            os.fsync(fd)
        with suppress(OSError):
            os.close(fd)


def sync_names(directory: Path) -> None:
    """fsync the directory, where there still is one."""
    with suppress(OSError):
        sync_directory(directory)
