"""Lines that were taken, kept in their segments until they are seen in the sink, and sent again where they are not."""

from __future__ import annotations

from collections.abc import Mapping

from tierlens.errors import DamagedLine, Rejected
from tierlens.journal.codec import Line
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import Clock
from tierlens.shipping.entry import Entry, Gathering
from tierlens.shipping.feed import Feed
from tierlens.shipping.letters import Retries
from tierlens.shipping.taken import Awaited


class KeptLines:
    """As ``audit.Retention`` has it, for the feeds of one journal."""

    def __init__(
        self, feeds: Mapping[str, Feed], gathering: Gathering, retries: Retries, clock: Clock, alarms: Alarms
    ) -> None:
        self._feeds, self._gathering, self._retries = feeds, gathering, retries
        self._clock, self._alarms = clock, alarms

    def keep(self, entry: Entry) -> None:
        # A dead letter tried again has no place.
        if entry.place[2] and (feed := self._feeds.get(entry.writer)):
            feed.await_seen(entry.place)

    def let_go(self, awaited: Awaited) -> None:
        if feed := self._feeds.get(awaited.writer):
            feed.seen(awaited.place)

    def send_again(self, awaited: Awaited) -> None:
        if line := self._line(awaited):
            entry = Entry(line, awaited.writer, awaited.place, len(line.payload), loose=True)
            self._gathering.add(entry, self._clock.monotonic())

    def give_up(self, awaited: Awaited) -> None:
        if line := self._line(awaited):
            try:
                self._retries.put(
                    line, Rejected("taken, and not there when asked, time and again", 200), awaited.writer
                )
            except OSError as full:
                self._alarms.warn("dead-letter", f"a span that is not stored cannot be set aside: {full}")
                return
        self.let_go(awaited)

    def has_ended(self, awaited: Awaited) -> bool:
        feed = self._feeds.get(awaited.writer)
        return awaited.line is not None or feed is None or feed.dead

    def _line(self, awaited: Awaited) -> Line | None:
        feed = self._feeds.get(awaited.writer)
        try:
            return awaited.line or (feed.line_at(awaited.place) if feed else None)
        except (OSError, DamagedLine) as error:
            self._alarms.warn("missing", f"a span that is not stored cannot be read any more: {error}")
            self.let_go(awaited)
            return None
