"""One request and what its answer leads to."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from tierlens.errors import DeliveryError, Forbidden, Rejected, TooLarge, Unavailable
from tierlens.journal.codec import Line
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.audit import Audit
from tierlens.shipping.blobrest import BlobRest
from tierlens.shipping.clock import Clock
from tierlens.shipping.entry import STORED, Destination, Entry
from tierlens.shipping.feed import Feed
from tierlens.shipping.finishes import Finishes
from tierlens.shipping.health import Health
from tierlens.shipping.letters import Retries, reason_of
from tierlens.shipping.outbox import Outbox
from tierlens.shipping.parcel import Parcel, detached, halves, truncated
from tierlens.shipping.retry import Action, decide
from tierlens.shipping.runs import RunLog
from tierlens.shipping.sieve import ERASED, Sieve
from tierlens.sinks.base import Finish, Sink
from tierlens.sinks.mends import with_mend

_OF_THIS_HOST: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Delivery:
    """Sends parcels, settles what was taken, and does with the rest what the answer table says.

    Args:
        tell: called whenever ``health`` has changed.
        tally: told of dead letters that the sink has taken after all: their writer may be gone.
        sieve: knows what was erased.

    Attributes:
        feeds: by writer, for acknowledging.
        touched: writers whose position has moved since it was last saved.
        stored: spans the sink has taken.
        health: what the sink last said.
    """

    def __init__(
        self,
        sink: Sink,
        feeds: Mapping[str, Feed],
        *,
        outbox: Outbox,
        finishes: Finishes,
        audit: Audit,
        retries: Retries,
        runs: RunLog,
        blobs: BlobRest,
        sieve: Sieve,
        alarms: Alarms,
        clock: Clock,
        tell: Callable[[Health], None],
        tally: Callable[[Iterable[Line]], None],
    ) -> None:
        self._tell, self._tally = tell, tally
        self._sink, self.feeds, self._outbox, self._finishes = sink, feeds, outbox, finishes
        self._audit, self._runs, self._sieve = audit, runs, sieve
        self._retries, self._blobs, self._alarms, self._clock = retries, blobs, alarms, clock
        self.touched: set[str] = set()
        self.stored = 0
        self.health = Health()

    def attempt(self, parcel: Parcel) -> None:
        """Send once, and draw the conclusions."""
        parcel.tries += 1
        before = self.health
        # Said first: whoever erases waits for what was under way when nobody could know of it.
        self._feel(replace(before, asked_at=self._clock.monotonic()))
        parcel, erased = self._sieve.parted(parcel)
        if erased is not None:
            self._drop(erased)
        if not (parcel.groups or parcel.finishes or parcel.records):
            self._feel(before)
            return
        began, error = self._clock.monotonic(), self._send(parcel)
        now, ever_took = self._clock.monotonic(), self.health.ever_took or error is None
        self._feel(Health(isinstance(error, Unavailable | Forbidden), now, None, ever_took))
        if error is None:
            self._outbox.passed(len(parcel.groups), now - began)
            self._taken(parcel)
        else:
            self._refused(parcel, error)

    def _feel(self, health: Health) -> None:
        self.health = health
        self._tell(health)

    def _send(self, parcel: Parcel) -> DeliveryError | None:
        try:
            if parcel.groups:
                self._sink.send(parcel.batch(self._audit.tags(parcel)))
            elif parcel.records:
                self._runs.send(parcel)
            else:
                self._sink.finish(parcel.finishes[0])
        except DeliveryError as error:
            return error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _OF_THIS_HOST:
                return Unavailable(repr(error))
            # A sink that trips over one parcel must not hold up all others; whatever it is, nothing is thrown
            # away.
            self._alarms.warn("sink", f"the sink failed in a way it does not declare: {error!r}")
            return Rejected(repr(error))
        return None

    def _taken(self, parcel: Parcel) -> None:
        now = self._clock.monotonic()
        self.stored += parcel.spans
        for entry in self._runs.done(parcel):
            self._settle(entry, STORED)
        self._audit.taken(parcel)
        for group in parcel.groups:
            if group.rooted:
                self._finishes.root_stored(group.trace)
        # By span: a request may hold two groups of one trace, of which only the one with the root has a finish.
        said = {span for finish in parcel.finishes for span in finish.speakers}
        for entry in parcel.entries():
            # What a dead letter says of its trace stays with the letters: no segment has that line any more.
            if entry.has_findings and entry.line.span not in said and not parcel.letter:
                self._hold(entry, parcel.destination, now)
            if parcel.letter or not self._runs.hold(entry, now):
                self._settle(entry, STORED)
        for finish in parcel.finishes:
            self._release(finish, parcel.destination)
        self._blobs.delivered(parcel.finishes, now)
        if parcel.letter:
            self._tally(entry.line for entry in parcel.entries())
            self._redeem(parcel.letter)

    def _drop(self, parcel: Parcel) -> None:
        """Settle what was erased, without sending it."""
        for entry in [*parcel.entries(), *self._runs.done(parcel)]:
            self._settle(entry, ERASED)
            if feed := self.feeds.get(entry.writer):
                feed.seen(entry.place)
        for finish in parcel.finishes:
            self._release(finish, parcel.destination)
        if parcel.letter:
            self._retries.drop(parcel.letter)

    def _redeem(self, name: str) -> None:
        letter = self._retries.delivered(name)
        feed = self.feeds.get(letter.writer) if letter else None
        if letter and feed and letter.part == "span":
            feed.redeem(letter.reason)
            self.touched.add(letter.writer)

    def _refused(self, parcel: Parcel, error: DeliveryError) -> None:
        now = self._clock.monotonic()
        if parcel.passes is None:
            parcel.passes = self._outbox.passes
        action = decide(error, parcel.attempt(self._outbox.passes))
        if action is Action.RETRY:
            wish = error.retry_after_s if isinstance(error, Unavailable) else None
            delay = self._outbox.back_off(parcel, now, wish)
            self._alarms.warn("outage", f"the sink is unavailable, next try in {delay:.1f} s: {error}")
        elif action is Action.PAUSE:
            self._outbox.pause(parcel, now, error)
            where = parcel.destination.experiment
            text = f"nothing can be stored in {where!r} until this is mended: {with_mend(error)}"
            self._alarms.warn("forbidden", text)
        elif action is Action.HALVE:
            if isinstance(error, TooLarge):
                self._outbox.shrink(parcel.size)
            self._outbox.put_first(halves(parcel))
        elif action is Action.DETACH:
            self._outbox.put_first(detached(parcel))
        elif action is Action.TRUNCATE:
            self._truncate(parcel, error)
        else:
            self._set_aside(parcel, error)

    def _truncate(self, parcel: Parcel, error: DeliveryError) -> None:
        (entry,) = parcel.entries()
        try:
            self._retries.put(entry.line, error, entry.writer, final=True)
        except OSError as full:
            self._keep(parcel, full)
            return
        self._outbox.put_first([truncated(parcel)])

    def _set_aside(self, parcel: Parcel, error: DeliveryError) -> None:
        try:
            for entry in parcel.entries():
                self._retries.put(entry.line, error, entry.writer)
                self._settle(entry, reason_of(error))
            self._set_records_aside(parcel, error)
            if parcel.finishes and not parcel.groups:
                self._set_metrics_aside(parcel, error)
        except OSError as full:
            self._keep(parcel, full)
            return
        self._alarms.warn(reason_of(error), f"{parcel.spans} span(s) set aside in dead-letter: {error}")

    def _set_metrics_aside(self, parcel: Parcel, error: DeliveryError) -> None:
        (finish,) = parcel.finishes
        for entry in self._finishes.done(finish, parcel.destination):
            self._retries.put(entry.line, error, entry.writer, part="metrics")
            self._release_line(entry)

    def _set_records_aside(self, parcel: Parcel, error: DeliveryError) -> None:
        for entry, _ in parcel.records:
            self._retries.put(entry.line, error, entry.writer, part="run")
        for entry in self._runs.done(parcel):
            self._settle(entry, STORED)

    def _keep(self, parcel: Parcel, error: OSError) -> None:
        delay = self._outbox.back_off(parcel, self._clock.monotonic(), None)
        text = f"a refused span cannot be set aside, next try in {delay:.1f} s: {error}"
        self._alarms.warn("dead-letter", text)

    def _hold(self, entry: Entry, destination: Destination, now: float) -> None:
        if self._finishes.hold(entry, destination, now) and (feed := self.feeds.get(entry.writer)):
            feed.hold(entry)

    def _release(self, finish: Finish, destination: Destination) -> None:
        for entry in self._finishes.done(finish, destination):
            self._release_line(entry)

    def _release_line(self, entry: Entry) -> None:
        if feed := self.feeds.get(entry.writer):
            feed.release(entry.line.span)
            self.touched.add(entry.writer)

    def _settle(self, entry: Entry, outcome: str) -> None:
        line: Entry | None = entry
        while line is not None:
            if feed := self.feeds.get(line.writer):
                feed.settle(line, outcome)
                self.touched.add(line.writer)
            line = line.earlier
