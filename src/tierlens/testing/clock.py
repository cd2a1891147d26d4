"""A clock to turn by hand."""

from __future__ import annotations

import threading


class FakeClock:
    """Stands still until it is turned; waiting turns it.

    Attributes:
        waits: every wait in seconds, in order.
    """

    def __init__(self, monotonic: float = 1_000.0, time_ns: int = 1_700_000_000_000_000_000) -> None:
        self._monotonic, self._time_ns = monotonic, time_ns
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self._monotonic

    def time_ns(self) -> int:
        return self._time_ns

    def turn(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._monotonic += seconds
        self._time_ns += int(seconds * 1e9)

    def set_wall(self, time_ns: int) -> None:
        """Move the wall clock alone, as an administrator would."""
        self._time_ns = time_ns

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Pass the time at once, unless ``wake`` is set."""
        if wake.is_set():
            return True
        self.waits.append(seconds)
        self.turn(seconds)
        return False
