"""Reads what the journal holds, sends it, and acknowledges last."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tierlens.errors import DeliveryError
from tierlens.journal.codec import Line
from tierlens.journal.cursor import Ends
from tierlens.journal.forgotten import Forgotten
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.audit import Audit
from tierlens.shipping.blobrest import BlobRest
from tierlens.shipping.clock import Clock, SystemClock
from tierlens.shipping.deadletter import DeadLetters
from tierlens.shipping.delivery import Delivery
from tierlens.shipping.entry import Destination
from tierlens.shipping.feed import Feed
from tierlens.shipping.finishes import Finishes
from tierlens.shipping.health import Health
from tierlens.shipping.keeping import KeptLines
from tierlens.shipping.letters import Retries
from tierlens.shipping.limits import Limits
from tierlens.shipping.outbox import Outbox
from tierlens.shipping.parcel import Parcel
from tierlens.shipping.rootless import Rootless
from tierlens.shipping.runs import RunLog
from tierlens.shipping.sieve import Sieve
from tierlens.shipping.supply import Supply
from tierlens.shipping.tally import Tally
from tierlens.sinks.base import Sink
from tierlens.sinks.runs import run_sink_of
from tierlens.sinks.witness import witness_of


class Shipper:
    """Ships one journal directory to one sink; whoever runs it holds the directory's shipper lock.

    Everything it does can be done twice without harm: what is sent again lands on the same rows.

    Args:
        tell: called, from inside ``step``, whenever ``health`` has changed.
        tally: counts what the sink has taken, for metrics; closed with the shipper.

    Attributes:
        urgent: spans are sent without waiting for their trace's root, or for the agents to rest.
    """

    def __init__(
        self,
        directory: Path,
        sink: Sink,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        tell: Callable[[Health], None] = lambda health: None,
        tally: Tally | None = None,
    ) -> None:
        self._limits, self._clock = limits or Limits(), clock or SystemClock()
        rng = rng or random.Random()  # noqa: S311  # jitter and names are no secrets
        self._tally, self._stored_lines = tally, list[Line]()
        passed = self._stored_lines.append if tally is not None else None
        self._alarms = Alarms(self._clock)
        self._supply = Supply(directory, self._limits, self._clock, self._alarms, passed)
        self._intake, self._gathering = self._supply.intake, self._supply.gathering
        self._finishes = Finishes(directory, self._alarms, self._limits.metrics_patience_s)
        self._outbox = Outbox(self._limits, rng)
        self._runs = RunLog(run_sink_of(sink), directory, self._limits, self._alarms)
        self._letters = DeadLetters(directory)
        whose = self._intake.whose
        self._retries = Retries(self._letters, self._finishes, self._runs, self._limits, self._clock, whose)
        self._blobs = BlobRest(directory, self._limits.blob_rest_s)
        self._audit = self._audit_of(sink, rng)
        self._delivery = self._delivery_to(sink, Sieve(Forgotten(directory)), tell)
        self._look_at = self._clock.monotonic()
        self._new_next = True
        self._awaited: Ends = {}
        self.urgent = False

    def _audit_of(self, sink: Sink, rng: random.Random) -> Audit:
        audit = Audit(
            witness_of(sink),
            KeptLines(self._intake.feeds, self._gathering, self._retries, self._clock, self._alarms),
            limits=self._limits,
            clock=self._clock,
            alarms=self._alarms,
            name=lambda: f"{rng.getrandbits(48):012x}",
            rootless=Rootless(self._clock, self._limits.rootless_s, self._is_over, self._intake.start_tags),
        )
        for trace in self._retries.roots:
            audit.expect_root(trace)
        return audit

    def _delivery_to(self, sink: Sink, sieve: Sieve, tell: Callable[[Health], None]) -> Delivery:
        return Delivery(
            sink,
            self._intake.feeds,
            outbox=self._outbox,
            finishes=self._finishes,
            audit=self._audit,
            retries=self._retries,
            runs=self._runs,
            blobs=self._blobs,
            sieve=sieve,
            alarms=self._alarms,
            clock=self._clock,
            tell=tell,
            tally=self._stored_lines.extend,
        )

    def step(self) -> float:
        """Look, read, send at most one request, acknowledge.

        Returns:
            Seconds until there can be something to do although no line is written; 0 if there is something
            now.
        """
        if self._clock.monotonic() >= self._look_at:
            self.look()
        read = self._supply.read(self._outbox, self.urgent)
        now = self._clock.monotonic()
        # Traces first: until there are none to send, what they say to runs gathers into fewer calls.
        for records in self._runs.due(now, self.urgent and not read and not self._gathering):
            self._outbox.put(records)
        parcel = self._next_parcel(now)
        if parcel is not None:
            self._delivery.attempt(parcel)
        # Before MLflow is asked anything: somebody may wait for the word that it was sent.
        self._save()
        asked = not self.health.failing and self._audit.step()
        return 0.0 if read or parcel is not None or asked else self._quiet_s()

    def look(self) -> None:
        """List the directory, adopt the dead, and tidy up behind them."""
        now = self._clock.monotonic()
        self._look_at = now + self._limits.look_s
        for feed in self._intake.look():
            self._take_up(feed, now)
        self._supply.bury(now)
        for feed in self._intake.feeds.values():
            if feed.buried:
                self._finishes.expedite(feed.writer, now)
        for destination, finish in self._finishes.overdue(now):
            self._outbox.put(Parcel(destination, [], (finish,)))
        # Positions also move past lines that nothing has to be stored for.
        self._delivery.touched.update(self._intake.feeds)
        if not self._intake.feeds:
            self._blobs.abandoned(now)
        if not (self._gathering or self._outbox or self._finishes or self._runs):
            self._blobs.sweep(now)

    @property
    def health(self) -> Health:
        """What the sink last said."""
        return self._delivery.health

    @property
    def refusal(self) -> DeliveryError | None:
        """Why all that waits has to wait for a person; None where there is something else to wait for."""
        asks = self._audit and not self.health.failing
        return None if asks else self._outbox.refusal(self._clock.monotonic())

    @property
    def stored(self) -> int:
        """Spans the sink has taken, those sent again included."""
        return self._delivery.stored

    @property
    def pending_bytes(self) -> int:
        """Bytes of memory that spans take that wait."""
        return self._gathering.memory + self._outbox.memory

    @property
    def drained(self) -> bool:
        """Whether all that lay there at the last step has been stored or set aside."""
        return self._supply.drained and not (self._outbox or self._runs)

    @property
    def holds_back(self) -> bool:
        """Whether something lies there unread since the agents write on."""
        return self._supply.holds_back

    def hurry(self) -> None:
        """Be urgent: somebody waits for what is written by now."""
        self.urgent = True
        self.look()
        self._awaited = self._intake.ends()

    def calm_down(self) -> None:
        """Be urgent no longer than until what was to be hurried with has been stored or set aside."""
        self.urgent = self.urgent and not (self._intake.is_past(self._awaited) or self.drained)

    @property
    def settled(self) -> bool:
        """Whether, beyond that, all that was stored has been seen in the sink, where that can be asked."""
        return self.drained and not self._audit

    @property
    def missing(self) -> int:
        """Spans that the sink had taken and did not hold."""
        return self._audit.missing

    def settle(self, soon: bool = True) -> None:
        """Ask without delay whether the sink holds what it took; or, after all, when it is time."""
        self._audit.hurry = soon

    @property
    def living(self) -> int:
        """How many writers are not known to be dead."""
        return self._intake.living

    def close(self) -> None:
        """Acknowledge what was settled; the sink is the caller's."""
        self._save()
        self._intake.close()
        if self._tally is not None:
            self._tally.close()

    def abandon(self) -> None:
        """Close the files without acknowledging anything: in a forked child they are the parent's to
        acknowledge."""
        self._intake.close()
        if self._tally is not None:
            self._tally.abandon()

    def _count(self) -> None:
        """Tell the tally of what is about to be acknowledged: what is sent again, because it was not, counts then."""
        if self._tally is not None and self._stored_lines:
            self._tally.taken(self._stored_lines, self._intake.start_of)
        self._stored_lines.clear()

    def _is_over(self) -> bool:
        return self.drained and not self._intake.living

    def _take_up(self, feed: Feed, now: float) -> None:
        for entry in feed.held_entries():
            destination = Destination(entry.line.experiment, entry.line.resource)
            if not self._finishes.hold(entry, destination, now):
                feed.release(entry.line.span)
        for entry in feed.unseen_entries():
            if not self._letters.holds(entry.line):
                self._audit.recall(entry)

    def _next_parcel(self, now: float) -> Parcel | None:
        """New traces and returned parcels in turn, so that neither an outage nor poison keeps the other
        waiting."""
        self._new_next = not self._new_next
        ways = [self._new_parcel, self._outbox.next_returned]
        for way in ways if self._new_next else reversed(ways):
            if parcel := way(now):
                return parcel
        return self._retries.next() if self._outbox.next_at(now) is None else None

    def _new_parcel(self, now: float) -> Parcel | None:
        destination = self._outbox.next_destination(self._gathering, now)
        if destination is None:
            return None
        groups = self._gathering.take(destination, self._outbox.request_traces, self._outbox.request_bytes)
        finishes = tuple(finish for group in groups if (finish := self._finishes.of(group)) is not None)
        return Parcel(destination, groups, finishes)

    def _save(self) -> None:
        self._count()
        for writer in list(self._delivery.touched):
            feed = self._intake.feeds.get(writer)
            try:
                if feed is not None:
                    feed.save()
                self._delivery.touched.discard(writer)
            except OSError as error:
                self._alarms.warn("cursor", f"what was stored cannot be acknowledged: {error}")

    def _quiet_s(self) -> float:
        now = self._clock.monotonic()
        parts = [self._supply.next_at(now), self._outbox.next_at(now), self._audit.next_at(), self._runs.next_at()]
        times = [self._look_at, *parts]
        return max(min(at for at in times if at is not None) - now, 0.001)
