"""A file lock that the kernel frees when its process dies: a lock that can be taken is an orphan's.

``flock`` belongs to the open file, which a forked child shares; so a child must call ``drop``, or its parent
would seem alive for as long as the child is.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class FileLock:
    """One lock on one path; not reentrant, and another FileLock on the path in this process is another
    owner."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    @classmethod
    def inherited(cls, path: Path, descriptor: int) -> FileLock:
        """The lock on ``path`` that the process which started this one took for it, and passed as
        ``descriptor``."""
        lock = cls(path)
        os.set_inheritable(descriptor, False)
        lock._descriptor = descriptor
        return lock

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    @property
    def descriptor(self) -> int:
        """The open file that the lock belongs to, to be passed to a child; -1 while it is not held."""
        return self._descriptor

    @property
    def lost(self) -> bool:
        """Whether it is held on a file that was deleted or moved away: another one can be taken in its place."""
        with suppress(OSError):
            return self.held and not self._still_named(self._descriptor)
        return False

    def acquire(self) -> bool:
        """Take the lock if it is free now, creating its file.

        Raises:
            OSError: the file cannot be opened, or the file system cannot lock.
        """
        descriptor = os.open(self.path, _FLAGS, 0o600)
        if _lock(descriptor) and self._still_named(descriptor):
            self._descriptor = descriptor
            return True
        os.close(descriptor)
        return False

    def _still_named(self, descriptor: int) -> bool:
        # Whoever cleaned up after a dead process may have unlinked the file between our open and our lock.
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def release(self, unlink: bool = False) -> None:
        """Free the lock; with ``unlink``, take its file away first, while nobody else can hold it."""
        if not self.held:
            return
        if unlink:
            self.path.unlink(missing_ok=True)
        self.drop()

    def drop(self) -> None:
        """Close the descriptor: in a forked child the parent's lock stays, otherwise the lock is freed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def is_orphan(path: Path) -> bool:
    """Whether no living process holds the lock; a missing file has no holder.

    Raises:
        OSError: the file is there but cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
