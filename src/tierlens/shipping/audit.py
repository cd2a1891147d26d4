"""Whether the sink holds what it took, asked a moment later; what it does not hold is sent again.

MLflow can answer 200 and store nothing: a trace that another request makes at the same moment is dropped with a
warning in its log, and what stands before a server may lie as well. Every root is tagged with the name of the
request it came with, so that one count of the spans below the tag speaks for all traces of a request, at a
hundredth of what storing them costs. Where the count is another than what was sent, and for spans that came without
their root, each trace's span ids are fetched. (Spans that a foreign process adds to the same traces would have to
make up exactly for lost ones to hide them.) What becomes of a trace whose root does not come is `rootless`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from tierlens import keys
from tierlens.errors import DeliveryError, Rejected, Unavailable
from tierlens.projection.tags import completeness, spans_started
from tierlens.shipping.alarm import Alarms
from tierlens.shipping.clock import Clock
from tierlens.shipping.entry import Entry
from tierlens.shipping.limits import Limits
from tierlens.shipping.parcel import Parcel
from tierlens.shipping.rootless import Rootless
from tierlens.shipping.taken import Awaited, Ledger, Trace, root_of
from tierlens.sinks.witness import Request, Witness

_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 120.0
_MISSES: Final = 3
_IN_VAIN: Final = 5
_NO_SUCH_QUESTION: Final = frozenset({404, 405, 501})


class Retention(Protocol):
    """Keeps the lines of spans that were taken until they are seen."""

    def keep(self, entry: Entry) -> None: ...

    def let_go(self, awaited: Awaited) -> None: ...

    def send_again(self, awaited: Awaited) -> None: ...

    def has_ended(self, awaited: Awaited) -> bool:
        """Its writer's process is gone, or it was a dead letter."""
        ...

    def give_up(self, awaited: Awaited) -> None:
        """It was taken and missing too often."""
        ...


class Audit:
    """Follows what was taken until it was seen.

    Args:
        witness: says what the sink holds; None where nobody can, and all that was taken counts as seen.

    Attributes:
        missing: spans that the sink had taken and did not hold.
        hurry: ask at once.
    """

    def __init__(
        self,
        witness: Witness | None,
        retention: Retention,
        *,
        limits: Limits,
        clock: Clock,
        alarms: Alarms,
        name: Callable[[], str],
        rootless: Rootless,
    ) -> None:
        self._witness, self._retention = witness, retention
        self._limits, self._clock, self._alarms, self._name = limits, clock, alarms, name
        self._ledger, self._rootless = Ledger(), rootless
        self._alone: dict[str, float] = {}
        self._failures, self._rests_until = 0, float("-inf")
        self._answers, self._in_vain = 0, dict[str, tuple[int, int]]()
        self.missing = 0
        self.hurry = False

    def __bool__(self) -> bool:
        """Whether anything was taken that was not seen yet, or is to be said of its trace."""
        return self._ledger.awaited > 0 or self._rootless_due() is not None

    def tags(self, parcel: Parcel) -> dict[str, dict[str, str]]:
        """What the roots in a parcel are to say: how this try to send it is called, and how complete they are."""
        parcel.delivery = self._name()
        # One trace may be in several groups.
        stored: dict[str, set[str]] = {}
        for entry in parcel.entries():
            stored.setdefault(entry.line.trace, set()).add(entry.line.span)
        said = {}
        for group in parcel.groups:
            if (root := root_of(group)) is None:
                continue
            said[group.trace] = {keys.DELIVERY: parcel.delivery}
            if (started := spans_started(root.line.payload)) is not None:
                earlier = self._ledger.traces.get(group.trace)
                known = stored[group.trace] | (earlier.known if earlier else set())
                said[group.trace] |= completeness(started, len(known))
        return said

    def taken(self, parcel: Parcel) -> None:
        """The sink took a parcel."""
        now = self._clock.monotonic()
        request = Request(parcel.destination.experiment, parcel.delivery, 0, 0)
        for group in parcel.groups:
            trace = self._ledger.trace(group.trace)
            trace.known.update(entry.line.span for entry in group.entries)
            for entry in group.entries if self._witness else ():
                self._keep(trace, entry)
            trace.rooted |= group.rooted
            if group.rooted:
                self._rootless.drop(trace.id)
            if (root := root_of(group)) is not None:
                self._ledger.root_taken(trace, root, request, now + self._limits.audit_s)
                self._alone.pop(trace.id, None)
                self._in_vain.pop(trace.id, None)
            elif trace.delivery not in self._ledger.sent:
                wait = self._limits.audit_s if trace.delivery else self._limits.audit_rootless_s
                self._alone.setdefault(trace.id, now + wait)
        self._bound()

    def expect_root(self, trace_id: str) -> None:
        """The root of a trace lies in the dead letters."""
        self._rootless.wait(trace_id)

    def recall(self, entry: Entry) -> None:
        """A line that was taken when somebody else shipped, and not seen since."""
        trace = self._ledger.trace(entry.line.trace)
        self._keep(trace, entry)
        self._alone[trace.id] = self._clock.monotonic() + self._limits.audit_s

    def _keep(self, trace: Trace, entry: Entry) -> None:
        self._retention.keep(entry)
        if earlier := self._ledger.wait(trace, entry):
            self._retention.let_go(earlier)

    def step(self) -> bool:
        """Ask one question, if one is due; whether there was one."""
        now = self._clock.monotonic()
        if now < self._rests_until:
            return False
        try:
            asked = self._ask_of_request(now) or self._ask_of_trace(now) or self._ask_of_rootless()
        except DeliveryError as error:
            self._unanswered(error, now)
            return False
        except Exception as error:
            # What cannot be understood is no answer either, and must not end shipping.
            self._unanswered(Unavailable(repr(error)), now)
            return False
        if asked:
            self._failures = 0
            self._answers += 1
        return asked

    def _unanswered(self, error: DeliveryError, now: float) -> None:
        if error.status in _NO_SUCH_QUESTION:
            self._alarms.warn("audit", f"the sink cannot be asked what it holds, so its word is taken: {error}")
            self._witness = None
            for trace in list(self._ledger.traces.values()):
                self._done(trace)
            return
        self._failures += 1
        pause = min(_PAUSE_S * 2.0 ** min(self._failures - 1, 16), _LONGEST_PAUSE_S)
        self._rests_until = now + pause
        self._alarms.warn("audit", f"the sink does not say what it holds, next try in {pause:.0f} s: {error}")

    def next_at(self) -> float | None:
        """Monotonic time of the next question; None where there is none."""
        dues = [sent.due for sent in list(self._ledger.sent.values())[:1]]
        dues += [min(self._alone.values())] if self._alone else []
        dues += [due] if self._witness and (due := self._rootless.next_at()) is not None else []
        return max(min(dues), self._rests_until) if dues else None

    def _ask_of_request(self, now: float) -> bool:
        sent = next(iter(self._ledger.sent.values()), None)
        if sent is None or not (self.hurry or now >= sent.due):
            return False
        name = sent.request.delivery
        try:
            whole = self._witness is None or self._witness.count(sent.request) == sent.spans
        except Exception as error:
            if not self._is_hopeless(name, error):
                self._ledger.sent.move_to_end(name)
                raise
            whole = False
        del self._ledger.sent[name]
        self._in_vain.pop(name, None)
        for trace in list(sent.traces.values()):
            if whole and not trace.incomplete:
                self._done(trace)
            else:
                self._alone[trace.id] = now
        return True

    def _ask_of_trace(self, now: float) -> bool:
        due = next((one for one, at in self._alone.items() if self.hurry or now >= at), None)
        if due is None:
            return False
        if (trace := self._ledger.traces.get(due)) is not None:
            try:
                self._compare(trace)
            except Exception as error:
                if not self._is_hopeless(due, error):
                    self._alone[due] = self._alone.pop(due)
                    raise
                self._alarms.warn("audit", f"the sink cannot be asked of trace {due}, so its word is taken: {error}")
                self._done(trace)
        del self._alone[due]
        self._in_vain.pop(due, None)
        return True

    def _is_hopeless(self, question: str, error: Exception) -> bool:
        """Whether it is this question that fails, again and again, while others are answered."""
        if isinstance(error, DeliveryError) and error.status in _NO_SUCH_QUESTION:
            return False
        answers, times = self._in_vain.get(question, (-1, 0))
        times += self._answers > answers
        self._in_vain[question] = self._answers, times
        return isinstance(error, Rejected) or times >= _IN_VAIN

    def _rootless_due(self) -> str | None:
        return self._rootless.due() if self._witness else None

    def _ask_of_rootless(self) -> bool:
        due = self._rootless_due()
        if due is None or self._witness is None:
            return False
        try:
            self._rootless.conclude(self._witness, due)
        except Exception as error:
            # A sink that cannot say this may still be asked all else.
            unknown = isinstance(error, DeliveryError) and error.status in _NO_SUCH_QUESTION
            if not (unknown or self._is_hopeless(due, error)):
                raise
            self._rootless.drop(due)
        self._in_vain.pop(due, None)
        return True

    def _compare(self, trace: Trace) -> None:
        if self._witness is None:
            return
        held = self._witness.held([trace.id]).get(trace.id, frozenset())
        ended = any(map(self._retention.has_ended, trace.awaited.values()))
        for awaited in self._ledger.release(trace, trace.awaited.keys() & held):
            self._retention.let_go(awaited)
        if lost := self._ledger.release(trace, list(trace.awaited)):
            self._lost(trace, lost)
        elif trace.delivery:
            self._say_complete(self._witness, trace, len(held))
        elif not trace.rooted:
            self._rootless.wait(trace.id, soon=ended)

    def _lost(self, trace: Trace, lost: list[Awaited]) -> None:
        self.missing += len(lost)
        trace.misses += 1
        final = trace.misses >= _MISSES
        then = "set aside in dead-letter" if final else "sent again"
        self._alarms.warn("missing", f"{len(lost)} span(s) that the sink had taken are not there: {then}")
        for awaited in lost:
            if final:
                self._retention.give_up(awaited)
            else:
                self._retention.send_again(awaited)
        if final:
            self._ledger.forget(trace)

    def _say_complete(self, witness: Witness, trace: Trace, stored: int) -> None:
        if trace.started is not None and trace.incomplete != trace.lacks(stored):
            witness.tag(trace.id, completeness(trace.started, stored))
            trace.incomplete = trace.lacks(stored)
        if not trace.incomplete:
            self._done(trace)

    def _done(self, trace: Trace) -> None:
        for awaited in self._ledger.forget(trace):
            self._retention.let_go(awaited)

    def _bound(self) -> None:
        """Keep memory and disk within bounds, should the sink be asked in vain for long."""
        while (trace := self._ledger.overfull()) is not None:
            self._alone.pop(trace.id, None)
            self._done(trace)
        while self._ledger.awaited > self._limits.audit_spans:
            self._alarms.warn("audit", "too many spans wait to be seen in the sink; the oldest are let go")
            trace = next(one for one in self._ledger.traces.values() if one.awaited)
            self._alone.pop(trace.id, None)
            self._done(trace)
