"""What a journal holds for the shipper: read in turn while the agents rest, and gathered into traces."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from tierlens.journal.codec import Line
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import Clock
from tierlens.shipping.entry import Gathering
from tierlens.shipping.intake import Intake
from tierlens.shipping.limits import Limits
from tierlens.shipping.lull import Lull
from tierlens.shipping.outbox import Outbox


class Supply:
    """Decides when to read on, and how much.

    Args:
        passed: as `Feed` has it.

    Attributes:
        intake: all writers, and how far the lines of each are read and settled.
        gathering: what was read, and not taken from here yet.
    """

    def __init__(
        self, directory: Path, limits: Limits, clock: Clock, alarms: Alarms, passed: Callable[[Line], None] | None
    ) -> None:
        self._limits, self._clock = limits, clock
        self.intake = Intake(directory, alarms, passed)
        self.gathering = Gathering(limits.root_patience_s)
        self._lull, self._lull_s = Lull(self.intake, limits), 0.0
        self._caught_up = False
        self._breath = threading.Event()

    @property
    def drained(self) -> bool:
        """Whether all that lay there at the last read has been settled."""
        return self.intake.drained and not (self._lull_s or self.gathering)

    @property
    def holds_back(self) -> bool:
        """Whether something lies there unread since the agents write on."""
        return self._lull_s > 0.0

    def read(self, outbox: Outbox, urgent: bool) -> bool:
        """Read one request's worth, in slices, unless the agents write on; whether there was anything.

        No more than that: what is read waits its turn, and one writer's backlog would keep all others waiting.

        Args:
            outbox: knows how much a request may hold, and takes memory too.
            urgent: neither the agents' rest nor a trace's root is waited for.
        """
        self._lull_s = 0.0 if urgent else self._lull.wait_s(self._clock.monotonic())
        if self._lull_s:
            return False
        read = self._gather(outbox)
        if self._caught_up:
            # Else the rest of a trace, its root included, may lie there unread.
            self.gathering.ripen(self._clock.monotonic(), urgent)
        return read > 0

    def bury(self, now: float) -> None:
        """Gather the open spans of the dead."""
        for entry in self.intake.bury():
            self.gathering.add(entry, now)

    def next_at(self, now: float) -> float | None:
        """Monotonic time from which on there is something to do although no line is written; None if nothing
        waits."""
        if self._lull_s:
            return now + self._lull_s
        return self.gathering.next_ripe_at() if self._caught_up else None

    def _gather(self, outbox: Outbox) -> int:
        """Bytes that were read."""
        room = self._limits.pending_bytes - self.gathering.memory - outbox.memory
        wanted = min(room, self._limits.bytes_per_request)
        # What there is no room for cannot be waited for.
        self._caught_up = wanted <= 0
        total, now = 0, self._clock.monotonic()
        while total < wanted and not outbox.has_enough(self.gathering, now):
            if not (entries := self.intake.read(self._limits.slice_bytes)):
                self._caught_up = True
                break
            now = self._clock.monotonic()
            for entry in entries:
                self.gathering.add(entry, now)
                total += entry.size
            if self._limits.breath_s:
                # The agent's threads want the interpreter too, and would wait a whole switch interval for it.
                self._clock.wait(self._breath, self._limits.breath_s)
        return total
