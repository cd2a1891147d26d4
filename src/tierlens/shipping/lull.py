"""When to read on: while the agents rest, or once something has waited long enough.

Delivery takes as much CPU as the work that it tells of, the server's own part included, and where they share a
machine an agent that writes without pause was slowed by it threefold. So a burst is let pass first.
"""

from __future__ import annotations

from contextlib import suppress

from tierlens.journal.cursor import Ends
from tierlens.shipping.intake import Intake
from tierlens.shipping.limits import Limits


class Lull:
    """Holds reading back while living writers go on writing.

    What the dead left is not waited with, since nobody is in its way.

    Args:
        intake: all writers.
    """

    def __init__(self, intake: Intake, limits: Limits) -> None:
        self._intake, self._feeds, self._limits = intake, intake.feeds, limits
        self._ends: Ends = {}
        self._moved_at = self._since = float("-inf")
        self._goal: Ends = {}
        self._unread = False

    def wait_s(self, now: float) -> float:
        """Seconds until what lies there is to be read, if nothing more is written; 0 at once.

        Args:
            now: monotonic time.
        """
        if not self._limits.delay_s or any(feed.dead and not feed.drained for feed in self._feeds.values()):
            return 0.0
        ends = self._intake.ends()
        if ends != self._ends:
            self._ends, self._moved_at = ends, now
        if self._behind(self._goal):
            return 0.0
        self._goal = {}
        if not self._behind(ends):
            self._unread = False
            return 0.0
        if not self._unread:
            self._unread, self._since = True, now
        wait = min(self._moved_at + self._limits.quiet_s, self._since + self._limits.delay_s) - now
        if wait > 0.0 and self._unread_bytes() <= self._limits.delay_bytes:
            return wait
        # All of it, however long that takes; what is written meanwhile waits for the next time.
        self._goal, self._unread = ends, False
        return 0.0

    def _unread_bytes(self) -> int:
        with suppress(OSError):  # what cannot be seen cannot be read either
            return sum(feed.chain.unread_bytes() for feed in self._feeds.values())
        return 0

    def _behind(self, ends: Ends) -> bool:
        """Whether something before these ends has not been read."""
        return any(self._feeds[name].chain.position < end for name, end in ends.items() if name in self._feeds)
