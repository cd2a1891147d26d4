"""A second destination beside the first."""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from tierlens.errors import DeliveryError, Unavailable
from tierlens.sinks.base import Batch, Finish, Sink

_log: Final = logging.getLogger(__name__)
_WARN_EVERY_S: Final = 60.0


class FanOut:
    """The first sink decides what is acknowledged; the second gets copies, as long as it keeps up.

    A batch is copied once the first sink has stored it, into a queue of at most ``queue_bytes`` that a thread
    of its own drains. So the second destination can be slow, down or refusing without holding anything back.
    What it may lose, counted in ``lost``: batches that found the queue full, batches it refused, and the
    queue's content when the process dies. A destination that must lose nothing is shipped to on its own, from
    its own copy of the journal.

    Args:
        first: its errors are the caller's.
        second: its errors are logged, at most once a minute.
        queue_bytes: bound of the copies that wait.
        drain_s: how long ``close`` waits for the queue to empty, in seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        first: Sink,
        second: Sink,
        *,
        queue_bytes: int = 64 * 1024 * 1024,
        drain_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first, self._second = first, second
        self._queue_bytes, self._drain_s, self._clock = queue_bytes, drain_s, clock
        self._queue: collections.deque[Batch] = collections.deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._warn_at = clock()
        self._thread: threading.Thread | None = None
        self.lost = 0
        """Spans that the second destination did not get."""

    @property
    def first(self) -> Sink:
        """The one whose word counts."""
        return self._first

    def send(self, batch: Batch) -> None:
        self._first.send(batch)
        with self._changed:
            if self._queued_bytes + _size(batch) > self._queue_bytes:
                self._lose(batch, "its queue is full")
                return
            self._queue.append(batch)
            self._queued_bytes += _size(batch)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._drain, name="tierlens-second", daemon=True)
                self._thread.start()

    def finish(self, finish: Finish) -> None:
        self._first.finish(finish)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(self._drain_s)
        self._first.close()
        self._second.close()

    def _drain(self) -> None:
        pause_s = 0.0
        while (batch := self._next(pause_s)) is not None:
            pause_s = self._offer(batch, pause_s)

    def _next(self, pause_s: float) -> Batch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, pause_s)
            self._changed.wait_for(lambda: self._queue or self._closing)
            return self._queue[0] if self._queue else None

    def _offer(self, batch: Batch, pause_s: float) -> float:
        """Send the oldest copy; how long to wait before the next try, in seconds."""
        try:
            self._second.send(batch)
        except Unavailable as e:
            if not self._closing:
                return e.retry_after_s or min(max(2 * pause_s, 0.5), 60.0)
            self._take(batch, str(e))
        except DeliveryError as e:
            self._take(batch, str(e))
        except Exception as e:  # a redactor's, or that of a full disk: the thread must live on
            self._take(batch, repr(e))
        else:
            self._take(batch, "")
        return 0.0

    def _take(self, batch: Batch, lost_because: str) -> None:
        with self._changed:
            self._queue.popleft()
            self._queued_bytes -= _size(batch)
            if lost_because:
                self._lose(batch, lost_because)

    def _lose(self, batch: Batch, why: str) -> None:
        self.lost += len(batch.spans)
        if self._clock() >= self._warn_at:
            self._warn_at = self._clock() + _WARN_EVERY_S
            _log.warning("The second destination has lost %d spans so far; now: %s", self.lost, why)


def _size(batch: Batch) -> int:
    return sum(map(len, batch.spans))
