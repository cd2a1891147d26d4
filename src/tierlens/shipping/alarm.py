"""Telling a person, at most once a minute for each cause."""

from __future__ import annotations

import logging

from tierlens.shipping.clock import Clock

log = logging.getLogger("tierlens.shipping")


class Alarms:
    """Logs warnings; a repeated cause is only counted until its minute is over."""

    def __init__(self, clock: Clock, every_s: float = 60.0) -> None:
        self._clock, self._every_s = clock, every_s
        self._last: dict[str, float] = {}
        self._silenced: dict[str, int] = {}

    def warn(self, cause: str, text: str) -> None:
        """Log ``text`` unless the same cause was logged less than a minute ago."""
        now = self._clock.monotonic()
        last = self._last.get(cause)
        if last is not None and now - last < self._every_s:
            self._silenced[cause] = self._silenced.get(cause, 0) + 1
            return
        self._last[cause] = now
        again = self._silenced.pop(cause, 0)
        log.warning("%s%s", text, f" (and {again} times since the last warning)" if again else "")
