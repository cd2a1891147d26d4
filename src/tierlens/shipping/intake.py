"""All writers of one journal directory: finding them, telling the dead from the living, reading in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tierlens.journal.codec import Line
from tierlens.journal.cursor import Ends
from tierlens.journal.forgotten import subjects_of
from tierlens.journal.lock import is_orphan
from tierlens.journal.segment import Writer, lock_path, writers
from tierlens.projection.tags import is_real_root, trace_tags
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.entry import Entry
from tierlens.shipping.feed import Feed


class Intake:
    """The feeds of a directory.

    Args:
        passed: as `Feed` has it.

    Attributes:
        feeds: by writer.
    """

    def __init__(self, directory: Path, alarms: Alarms, passed: Callable[[Line], None] | None = None) -> None:
        self._directory, self._alarms, self._passed = directory, alarms, passed
        self._opens: dict[str, Feed] = {}
        self._unreadable: set[str] = set()
        self._turn = 0
        self._least_next = False
        self.feeds: dict[str, Feed] = {}

    def look(self) -> list[Feed]:
        """List the directory; returns the feeds that are new.

        A writer that is new is taken for alive until the next look, because what it wrote between a listing
        and its death would otherwise be missed.
        """
        dead = {writer for writer, feed in self.feeds.items() if feed.dead or self._is_dead(writer)}
        self._unreadable.clear()
        found = {writer.name: writer for writer in self._listed()}
        for gone in self.feeds.keys() - found.keys():
            self._forget(gone)
        new = [self._new(writer) for writer in found if writer not in self.feeds]
        for name, writer in found.items():
            self.feeds[name].look(writer.segments, name in dead)
        return new

    def read(self, about: int) -> list[Entry]:
        """The next lines of the writer that is least behind, then of the next one that has any, in turn.

        Turns alone would have what was written just now wait for as many slices as there are backlogs.
        """
        names = [name for name in self.feeds if name not in self._unreadable]
        self._least_next = not self._least_next
        if self._least_next and len(names) > 1:
            least = min(((left, name) for name in names if (left := self._unread(name))), default=None)
            if least and (entries := self._read(least[1], about)):
                return entries
        for step in range(len(names)):
            name = names[(self._turn + step) % len(names)]
            if entries := self._read(name, about):
                self._turn = (self._turn + step + 1) % len(names)
                return entries
        return []

    def bury(self) -> list[Entry]:
        """The open spans of the dead, and no files of those who left nothing."""
        entries = [entry for feed in self.feeds.values() for entry in feed.bury()]
        for name in [name for name, feed in self.feeds.items() if feed.finished]:
            with suppress(OSError):
                self.feeds[name].remove()
                self._forget(name)
        return entries

    def ends(self) -> Ends:
        """Where the lines of each writer end, just now."""
        return {name: feed.chain.end() for name, feed in self.feeds.items()}

    def is_past(self, ends: Ends) -> bool:
        """Whether every line before these ends is settled."""
        return all(self.feeds[name].settled_to >= end for name, end in ends.items() if name in self.feeds)

    @property
    def drained(self) -> bool:
        return all(feed.drained for feed in self.feeds.values())

    @property
    def living(self) -> int:
        """How many writers are not known to be dead."""
        return sum(not feed.dead for feed in self.feeds.values())

    def start_of(self, span: str) -> Line | None:
        """The start record of a span, whoever's, that has not been dealt with yet; None where there is none."""
        feed = self._opens.get(span)
        return feed.start_of(span) if feed is not None else None

    def start_tags(self, trace: str) -> dict[str, str]:
        """What the start record of a trace's own root says of the trace, if it has not been dealt with yet."""
        start = self._start_of_root(trace)
        return trace_tags(start.payload) if start is not None else {}

    def whose(self, trace: str) -> dict[str, str]:
        """The user and the session that it names."""
        start = self._start_of_root(trace)
        return {subject.kind: subject.id for subject, _ in subjects_of(start)} if start is not None else {}

    def _start_of_root(self, trace: str) -> Line | None:
        for start in (feed.start_of(span) for span, feed in list(self._opens.items())):
            if start is not None and start.trace == trace and start.root and is_real_root(start.payload):
                return start
        return None

    def close(self) -> None:
        for feed in self.feeds.values():
            feed.close()

    def _listed(self) -> list[Writer]:
        try:
            return writers(self._directory)
        except OSError as error:
            self._alarms.warn("listing", f"journal {self._directory} cannot be listed: {error}")
            return []

    def _unread(self, name: str) -> int:
        with suppress(OSError):
            return self.feeds[name].chain.unread_bytes()
        return 0

    def _read(self, name: str, about: int) -> list[Entry]:
        try:
            return self.feeds[name].read(about)
        except OSError as error:
            self._unreadable.add(name)
            self._alarms.warn(f"read {name}", f"a segment of journal writer {name} cannot be read: {error}")
            return []

    def _is_dead(self, writer: str) -> bool:
        try:
            return is_orphan(lock_path(self._directory, writer))
        except OSError as error:
            self._alarms.warn(f"lock {writer}", f"whether {writer} is alive cannot be told: {error}")
            return False

    def _new(self, writer: str) -> Feed:
        feed = self.feeds[writer] = Feed(self._directory, writer, self._opens, self._alarms, self._passed)
        return feed

    def _forget(self, writer: str) -> None:
        feed = self.feeds.pop(writer)
        feed.close()
        for span in [span for span, owner in self._opens.items() if owner is feed]:
            del self._opens[span]
