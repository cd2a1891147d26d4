"""Time as an argument."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time decides; wall-clock time is only written down."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...

    def time_ns(self) -> int:
        """Unix time in nanoseconds."""
        ...

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Sleep until ``wake`` is set or the time is over; whether it is set."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns()

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.wait(seconds)
