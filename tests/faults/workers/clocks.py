"""Clocks that a row can hurry, and set."""

from __future__ import annotations

import threading
import time
from multiprocessing.synchronize import Event

_SLICE_S = 0.05


class HurriedClock:
    """The machine's clocks, ``speed`` times as fast for as long as ``hurried`` is set.

    Args:
        hurried: shared with the process that says when the hurry is over.
    """

    def __init__(self, speed: float, hurried: Event) -> None:
        self._speed, self._hurried = speed, hurried
        self._at, self._seen = time.monotonic(), time.monotonic()
        self._wall_ns = time.time_ns() - int(self._at * 1e9)
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        with self._lock:
            now = time.monotonic()
            self._at += (now - self._seen) * (self._speed if self._hurried.is_set() else 1)
            self._seen = now
            return self._at

    def time_ns(self) -> int:
        return self._wall_ns + int(self.monotonic() * 1e9)

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Sleep for so long by this clock; the hurry may end meanwhile."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            real = left / (self._speed if self._hurried.is_set() else 1)
            if wake.wait(min(real, _SLICE_S)):
                return True
        return wake.is_set()
