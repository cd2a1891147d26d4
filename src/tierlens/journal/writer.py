"""The journal's writing side, on the agent's thread: encode, append, account; the rest is rare, or done
elsewhere."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tierlens.errors import JournalRefused
from tierlens.journal import blobs
from tierlens.journal.append import Appender, End, refusal
from tierlens.journal.background import BackgroundThread
from tierlens.journal.codec import cut, encode, encode_resource
from tierlens.journal.files import WriterFiles
from tierlens.journal.forks import follow_forks
from tierlens.journal.quota import Allowance
from tierlens.journal.segment import writer_name
from tierlens.journal.syncing import Syncer
from tierlens.spans import Routing, Span

_CUTS: Final = (16_384, 256)
_Kind = Literal["span", "start"]


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
        self._lines = Appender(
            self._files,
            Allowance(self.directory, self._quota, self._monotonic),
            self._segment_bytes,
            ready=self._ready,
            opened=self._opened,
        )
        self._accepted = self._started = self._truncated = self._starts_refused = self._blobs_refused = 0
        self._syncer = Syncer(self._files, self._lines, self._lock, self._written, self._monotonic)
        self._end = End("", 0, 0)
        self._background: BackgroundThread | None = None

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
                self._end = self._lines.end()
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
            line = self._encoded("span", span, routing)
            with self._lock:
                self._lines.write(line)
                self._accepted += 1
        except JournalRefused as refused:
            with self._lock:
                self._lines.refuse(refused.reason)
            raise

    def append_start(self, span: Span, routing: Routing, still_open: Callable[[], bool] = lambda: True) -> None:
        """Record an open span, so that it is known should this process die before the span ends.

        Args:
            still_open: asked when nothing else can be appended; where the span has ended meanwhile, nothing is,
                since a start behind its end would read as work that never ended.

        Raises:
            JournalRefused: as in ``append``, but counted under ``starts_refused``.
        """
        try:
            line = self._encoded("start", span, routing)
            with self._lock:
                if still_open():
                    self._lines.write(line)
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
            raise refusal(error) from error
        except JournalRefused:
            self._blobs_refused += 1
            raise
        return sha256

    def counts(self) -> Counts:
        return Counts(
            self._accepted,
            self._started,
            self._lines.losses.total,
            self._truncated,
            self._starts_refused,
            self._blobs_refused,
        )

    def close(self) -> None:
        """Sync what was written and free the writer's lock; later appends are refused as ``closed``."""
        with self._lock:
            if self._closed:
                return
            self._end, self._closed = self._lines.end(), True
            self._lines.close()
            if self._background is not None:
                self._background.stop()

    def _encoded(self, kind: _Kind, span: Span, routing: Routing) -> bytes:
        try:
            line = encode(span, routing, self._resource, kind)
            return line if len(line) <= self._max_line else self._cut(kind, span, routing)
        except JournalRefused:
            raise
        except Exception as error:
            raise JournalRefused("invalid", repr(error)) from error

    def _cut(self, kind: _Kind, span: Span, routing: Routing) -> bytes:
        for longest in _CUTS:
            line = encode(cut(span, longest), routing, self._resource, kind)
            if len(line) <= self._max_line:
                self._truncated += 1
                return line
        raise JournalRefused("too_large", f"{len(line)} bytes after cutting its values")

    def _new_blob(self, sha256: str, content: bytes) -> None:
        with self._lock:
            granted = self._lines.allowance.take(len(content), 0)
        if content and not granted:
            raise JournalRefused("quota", f"{self._quota} bytes are taken")
        blobs.write_blob(self.directory, sha256, content)
        self._syncer.expect(sha256)

    def _opened(self) -> None:
        for call in self._when_opened:
            call()

    def _ready(self) -> None:
        if self._closed:
            raise JournalRefused("closed")
        # Here too: while nothing was written, the background thread slept.
        self._syncer.leave_displaced()
        if self._background is None:
            background = BackgroundThread(self._syncer.sync, self._rest, self._interval_s)
            self._background = background if background.start() else None

    def _written(self) -> int:
        return self._accepted + self._started

    def _rest(self) -> bool:
        with self._lock:
            if not self._syncer.is_idle():
                return False
            # No room makes the next append look for some, and that starts a new thread.
            self._lines.revoke_room()
            self._background = None
            return True

    def before_fork(self) -> None:
        self._lock.acquire(timeout=1.0)

    def after_fork_in_parent(self) -> None:
        with suppress(RuntimeError):
            self._lock.release()

    def after_fork_in_child(self) -> None:
        self._files.forget()
        self._begin()
