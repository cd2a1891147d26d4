"""The journal's writing side, on the agent's thread: encode, append, account; all else is rare, or done
elsewhere."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tierlens.errors import JournalRefused
from tierlens.journal import blobs
from tierlens.journal.codec import cut, encode, encode_resource, encode_start
from tierlens.journal.files import WriterFiles, sync_and_close, sync_names
from tierlens.journal.forks import follow_forks
from tierlens.journal.keeper import Keeper
from tierlens.journal.losses import Losses
from tierlens.journal.quota import Allowance
from tierlens.journal.segment import writer_name
from tierlens.spans import Routing, Span

log = logging.getLogger("tierlens.journal")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNUSABLE: Final = frozenset({errno.EBADF, errno.ESTALE})
_TRIES: Final = 3
_CUTS: Final = (16_384, 256)
_ALARM_SHARE: Final = 0.8
_ALARM_EVERY_S: Final = 60.0

_Encoder = Callable[[Span, Routing, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Counts:
    """What one process's journal did since it was opened, or since the fork that made the process.

    Attributes:
        accepted: finished spans whose append returned.
        started: records of open spans written.
        refused: finished spans that were not accepted, by reason.
        truncated: records that lost their longest values to ``max_line_bytes``.
        starts_refused, blobs_refused: records of open spans, and artifacts, that were not accepted.
    """

    accepted: int = 0
    started: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    truncated: int = 0
    starts_refused: int = 0
    blobs_refused: int = 0


class End(NamedTuple):
    """The place behind the last line of a writer."""

    writer: str
    segment: int
    offset: int


class Journal:
    """Appends spans to this process's segment in ``directory``.

    A span is accepted when ``append`` returns: its line is then in the kernel's hands and survives the death
    of the process. Threads may share a Journal. After a fork the child writes to a segment of its own, opened
    at its first append, and its counts start at zero.

    Args:
        directory: created for its owner only, at the first append.
        resource: OTLP resource attributes; keep them few, MLflow makes each a trace tag.
        quota_bytes: for the whole directory, all processes together.
        segment_bytes: a segment this long is left for a new one; a longer line has one to itself.
        fsync_interval_s: what a power loss may cost, at most.
        max_line_bytes: a longer line is accepted with its longest values cut to their size, digest and
        beginning;
            it is refused as ``too_large`` only if even that does not fit.
        new_name: gives each process its writer name, as ``segment.writer_name`` does.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        resource: Mapping[str, str],
        quota_bytes: int = 1 << 30,
        segment_bytes: int = 8 << 20,
        fsync_interval_s: float = 0.5,
        max_line_bytes: int = 64 << 20,
        monotonic: Callable[[], float] = time.monotonic,
        new_name: Callable[[], str] = writer_name,
    ) -> None:
        self.directory = Path(directory).absolute()
        self._resource = encode_resource(resource)
        self._quota, self._segment_bytes, self._max_line = quota_bytes, segment_bytes, max_line_bytes
        self._interval_s, self._monotonic = fsync_interval_s, monotonic
        self._files = WriterFiles(self.directory, new_name)
        self._when_opened: list[Callable[[], None]] = []
        self._closed = False
        self._begin()
        follow_forks(self)

    def _begin(self) -> None:
        # Reentrant: a signal handler or a finalizer may end a span while this very thread appends one.
        self._lock = threading.RLock()
        self._losses = Losses()
        self._allowance = Allowance(self.directory, self._quota, self._monotonic)
        self._accepted = self._started = self._truncated = self._starts_refused = self._blobs_refused = 0
        self._room = 0  # what may be written without a further look; 0 sends the next append through _make_room
        self._torn = False
        self._synced = (0, 0)
        self._end = End("", 0, 0)
        self._keeper: Keeper | None = None
        self._alarmed_at = self._monotonic() - _ALARM_EVERY_S

    @property
    def writer(self) -> str:
        """This process's writer name; "" before its first append."""
        return self._files.name

    @property
    def closed(self) -> bool:
        return self._closed

    def end(self) -> End:
        """Where what was accepted so far ends; a closed journal still knows it."""
        with self._lock:
            if not self._closed:
                self._end = self._position()
            return self._end

    def when_opened(self, call: Callable[[], None]) -> None:
        """Call this whenever a process begins to write: at the first append, and at the first after a
        fork."""
        self._when_opened.append(call)

    def append(self, span: Span, routing: Routing) -> None:
        """Accept a finished span.

        Raises:
            JournalRefused: ``reason`` is full | quota | too_large | closed | io | invalid; counted under it.
        """
        try:
            line = self._encoded(encode, span, routing)
            with self._lock:
                self._write(line)
                self._accepted += 1
        except JournalRefused as refusal:
            self._count_loss(refusal.reason)
            raise

    def append_start(self, span: Span, routing: Routing) -> None:
        """Record an open span, so that it is known should this process die before the span ends.

        Raises:
            JournalRefused: as in ``append``, but counted under ``starts_refused``.
        """
        try:
            line = self._encoded(encode_start, span, routing)
            with self._lock:
                self._write(line)
                self._started += 1
        except JournalRefused:
            self._starts_refused += 1
            raise

    def store_blob(self, content: bytes) -> str:
        """Keep an artifact's bytes until they are shipped; the same content is kept once.

        Returns:
            The SHA-256 in hex, which is the blob's name.

        Raises:
            JournalRefused: ``reason`` is full | quota | closed | io; counted under ``blobs_refused``.
        """
        sha256 = blobs.digest(content)
        try:
            if self._closed:
                raise JournalRefused("closed")
            if not blobs.touch_blob(self.directory, sha256):
                self._new_blob(sha256, content)
        except OSError as error:
            self._blobs_refused += 1
            raise _refusal(error) from error
        except JournalRefused:
            self._blobs_refused += 1
            raise
        return sha256

    def counts(self) -> Counts:
        return Counts(
            self._accepted,
            self._started,
            self._losses.total,
            self._truncated,
            self._starts_refused,
            self._blobs_refused,
        )

    def close(self) -> None:
        """Sync what was written and free the writer's lock; later appends are refused as ``closed``."""
        with self._lock:
            if self._closed:
                return
            self._room = 0
            with suppress(OSError):
                if self._losses.unwritten and self._files.fd >= 0:
                    self._write_loss(accepting=False)
            self._end, self._closed = self._position(), True
            if self._keeper is not None:
                self._keeper.stop()
            with suppress(OSError):
                self._files.close()

    def _encoded(self, encoder: _Encoder, span: Span, routing: Routing) -> bytes:
        try:
            line = encoder(span, routing, self._resource)
            return line if len(line) <= self._max_line else self._cut(encoder, span, routing)
        except JournalRefused:
            raise
        except Exception as error:
            raise JournalRefused("invalid", repr(error)) from error

    def _cut(self, encoder: _Encoder, span: Span, routing: Routing) -> bytes:
        for longest in _CUTS:
            line = encoder(cut(span, longest), routing, self._resource)
            if len(line) <= self._max_line:
                self._truncated += 1
                return line
        raise JournalRefused("too_large", f"{len(line)} bytes after cutting its values")

    def _write(self, line: bytes) -> None:
        # Inside the lock although O_APPEND alone would keep lines whole: no other thread may close the
        # descriptor between our reading its number and the kernel's using it.
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
            raise _refusal(final) from error
        self._torn = False

    def _make_room(self, size: int) -> None:
        if self._closed:
            raise JournalRefused("closed")
        self._revoke_room()
        try:
            if self._files.fd < 0:
                self._open()
            if self._keeper is None:
                self._start_keeper()
            left = self._segment_bytes - self._files.size()
            fits = size <= left or left == self._segment_bytes
            granted = self._allowance.take(size, left if fits else self._segment_bytes)
            if not granted:
                raise JournalRefused("quota", f"{self._quota} bytes are taken")
            self._room = granted
            if not fits:
                self._files.rotate()
                self._torn = False
            self._mend()
            if self._losses.unwritten:
                self._write_loss(accepting=True)
        except OSError as error:
            raise _refusal(error) from error

    def _position(self) -> End:
        files = self._files
        try:
            return End(files.name, files.number, files.size() if files.fd >= 0 else 0)
        except OSError:
            return End(files.name, files.number, 0)

    def _revoke_room(self) -> None:
        self._allowance.give_back(self._room)
        self._room = 0

    def _open(self) -> None:
        self._files.open()
        self._torn = False
        for call in self._when_opened:
            call()

    def _new_blob(self, sha256: str, content: bytes) -> None:
        with self._lock:
            granted = self._allowance.take(len(content), 0)
        if not granted:
            raise JournalRefused("quota", f"{self._quota} bytes are taken")
        blobs.write_blob(self.directory, sha256, content)

    def _count_loss(self, reason: str) -> None:
        with self._lock:
            self._losses.count(reason)
            self._revoke_room()
            if self._losses.due and self._files.fd >= 0:
                with suppress(OSError):
                    self._write_loss(accepting=False)

    def _write_loss(self, accepting: bool) -> None:
        self._mend()
        record = self._losses.record()
        if os.write(self._files.fd, record) != len(record):
            self._torn = True
            raise OSError(errno.ENOSPC, "the loss record was cut short")
        self._losses.written(accepting)

    def _start_keeper(self) -> None:
        keeper = Keeper(self._sync, self._rest, self._interval_s)
        if keeper.start():
            self._keeper = keeper

    def _sync(self) -> bool:
        with self._lock:
            mark = (self._accepted + self._started, self._files.number)
            if mark == self._synced:
                return False
            if self._files.deleted():
                log.error("journal %s was deleted while it was written to; a new one is begun", self._files.name)
                self._files.forget()
                self._revoke_room()
            descriptors = self._files.descriptors_to_sync()
        sync_and_close(descriptors)
        if mark[1] != self._synced[1]:
            sync_names(self.directory)
        self._synced = mark
        self._alarm()
        return True

    def _rest(self) -> bool:
        with self._lock:
            if (self._accepted + self._started, self._files.number) != self._synced:
                return False
            # No room sends the next append through _make_room, which starts a new keeper.
            self._revoke_room()
            self._keeper = None
            return True

    def _alarm(self) -> None:
        now = self._monotonic()
        if now - self._alarmed_at < _ALARM_EVERY_S:
            return
        used, refused = self._allowance.used_share, self._losses.total
        if used >= _ALARM_SHARE or refused:
            self._alarmed_at = now
            log.warning("journal %s: %.0f %% of its quota in use; refused: %s", self.directory, used * 100, refused)

    def before_fork(self) -> None:
        self._lock.acquire(timeout=1.0)

    def after_fork_in_parent(self) -> None:
        with suppress(RuntimeError):
            self._lock.release()

    def after_fork_in_child(self) -> None:
        self._files.forget()
        self._begin()


def _refusal(error: OSError) -> JournalRefused:
    reason = "full" if error.errno in _FULL else "io"
    return JournalRefused(reason, str(error))
