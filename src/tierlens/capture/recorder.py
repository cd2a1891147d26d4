"""Starts and ends of work in, spans into the journal out: the one place where a span is made.

A span's ids are derived from LangChain's run ids, so that a parent is found by its run id alone: a root's
run id is the trace id, the last 16 digits of a run's id are its span id.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Final, Protocol

from tierlens import keys
from tierlens.capture import files, invocations, outcomes, privacy, sampling
from tierlens.capture.ended import Ended, facts_of, go_on, unsaid
from tierlens.capture.outcomes import Outcome
from tierlens.capture.shield import Shield
from tierlens.capture.tagging import list_agent, tag_start, tag_trace
from tierlens.capture.trace import Context, Hold, Open, Trace
from tierlens.errors import JournalRefused, UnknownBrand
from tierlens.policy import AgentPolicy, Policies
from tierlens.spans import NONE, AttributeValue, Routing, Span, Status

Step = Callable[[Span], Span | None]
_LOW_64: Final = 0xFFFFFFFFFFFFFFFF


class Journal(Protocol):
    """Takes a span whole, or raises JournalRefused having counted it."""

    def append(self, span: Span, routing: Routing) -> None: ...

    def append_start(self, span: Span, routing: Routing, still_open: Callable[[], bool]) -> None: ...

    def store_blob(self, content: bytes) -> str: ...


class Recorder:
    """The open spans of this process, by key: a LangChain run's id as an integer (a UUID hashes and compares
    in Python code, an int does not), or any object of the caller's own.

    Args:
        journal: where finished spans and start records go.
        policies: what is recorded, for whom.
        shield: keeps failures in here from the agent.
        steps: the user's own functions over every span before it is journalled, start records too; None drops it.

    Attributes:
        when_busy: called when a trace begins.
        ended: whose the spans were that have ended last.
        batches: whose the batches of calls are that this process has made, by id; None of those it has read.
    """

    def __init__(
        self, journal: Journal, policies: Policies, shield: Shield | None = None, steps: Sequence[Step] = ()
    ) -> None:
        self.journal = journal
        self.policies = policies
        self.shield = shield or Shield()
        self.open: dict[Hashable, Open] = {}
        self.when_busy: Callable[[], None] = _nothing
        self.ended = Ended()
        self.batches: dict[str, Context | None] = {}
        self._steps = tuple(steps)

    def start(
        self,
        key: Hashable,
        name: str,
        kind: str,
        *,
        parent: Open | None,
        context: Context,
        policy: AgentPolicy | None = None,
        agent: str = "",
    ) -> Open:
        """Open a span below ``parent``, or the root of a new trace where there is none.

        A trace of a brand that is rejected is opened all the same, so that nothing inside it becomes a trace of
        its own, and not recorded.
        """
        if parent is None:
            return self._start_root(key, name, kind, context, policy, agent)
        opened = Open(
            key,
            parent.trace,
            span_id_of(key),
            parent.span_id,
            parent,
            name,
            kind,
            policy or parent.policy,
            agent or parent.agent,
            parent.facts,
        )
        if policy is not None or not parent.recording or parent.hold or parent.own_hold:
            self._inherit(opened, parent, policy, agent)
            opened.facts = facts_of(opened)
        self.open[key] = opened
        parent.trace.open.add(opened)
        if agent:
            opened.facts = facts_of(opened)
            list_agent(opened)
        return opened

    def _inherit(self, opened: Open, parent: Open, policy: AgentPolicy | None, agent: str) -> None:
        opened.recording = parent.recording
        opened.hold = parent.own_hold or parent.hold
        if opened.trace.private.lost:
            opened.policy = unsaid(opened.policy)
        if policy is not None and parent.recording:
            if policy.runs == "per_invocation" and not opened.trace.by_invocation:
                opened.trace.by_invocation = True
                # What is on record of the root's start does not know of its run, which waits for an end.
                opened.root().start_recorded = False
            self._sample(opened, agent)

    def _start_root(
        self, key: Hashable, name: str, kind: str, context: Context, policy: AgentPolicy | None, agent: str
    ) -> Open:
        policies, origin = self.policies, context.origin
        if origin is not None:
            policy, agent = policy or origin.policy, agent or origin.agent
        policy = policy or policies.defaults
        brand, rejected = self._brand(context)
        experiment = policies.experiment(brand, policy)
        trace_id = context.remote[0] if context.remote else trace_id_of(key)
        trace = Trace(trace_id, context, brand, experiment)
        parent_id = context.remote[1] if context.remote else None
        facts = trace_id, policy, agent, None, True
        opened = Open(key, trace, span_id_of(key), parent_id, None, name, kind, policy, agent, facts)
        if origin is not None:
            go_on(opened, origin)
        trace.by_invocation = policy.runs == "per_invocation"
        if trace.by_invocation or policies.by_invocation:
            trace.inner_calls = []
        if rejected or not context.sampled:
            opened.recording = False
        else:
            self._sample(opened, "")
        opened.facts = facts_of(opened)
        self.open[key] = opened
        trace.open.add(opened)
        if agent:
            list_agent(opened)
        return opened

    def forget(self, root: Open) -> None:
        """Take back the start of a trace that is to be started anew, with the same ids."""
        self.open.pop(root.key, None)
        root.trace.open.discard(root)

    def _brand(self, context: Context) -> tuple[str, bool]:
        try:
            return self.policies.brand(context.brand), False
        except UnknownBrand as error:
            self.shield.warn("brand", f"calls are not recorded: {error}")
            return self.policies.default_brand, True

    def _sample(self, opened: Open, unit: str) -> None:
        policy = opened.policy
        if sampling.sampled(opened.trace.trace_id, unit, policy.sample):
            return
        if sampling.wants_hold(policy):
            opened.own_hold = Hold(opened.hold)
        else:
            opened.recording = False

    def started(self, opened: Open) -> None:
        """Say that the inputs are on the span. A root's start is journalled at once, that of other work by
        ``record_starts``, should it go on for long enough."""
        opened.described = True
        if opened.parent is None:
            if opened.parent_id is None and opened.recording:
                tag_start(opened, self.policies)
            self._record_start(opened)
            self.when_busy()

    def record_starts(self, min_age_ns: int) -> None:
        """Journal the start of what has been open for ``min_age_ns``, since its end might never come.

        Called from a thread of its own: the agent's thread pays nothing, and what ends sooner needs no such record.
        """
        self.ended.tidy()
        for opened in list(self.open.values()):
            if opened.described and not opened.start_recorded and opened.trace.now() - opened.start_ns >= min_age_ns:
                self._record_start(opened)

    def _record_start(self, opened: Open) -> None:
        opened.start_recorded = True
        if not opened.recording or opened.hold or opened.own_hold:
            return
        # Its own thread may put more on the span, or end it, meanwhile.
        span = self._span(opened, opened.attributes.copy(), 0, "UNSET")
        if span is None:
            return
        with suppress(JournalRefused):  # counted by the journal, under its reason
            self.journal.append_start(span, self._routing(opened), lambda: opened.key in self.open)

    def finish(self, opened: Open, outcome: Outcome, *, end_ns: int | None = None) -> None:
        """End a span: build it, clean it, journal it. A second end of the same span is nothing."""
        if self.open.pop(opened.key, None) is None:
            return
        trace = opened.trace
        trace.open.discard(opened)
        if opened.asked is None:  # below a model call nothing is started
            self.ended.spans[opened.key] = opened.facts
        if opened.parent is None:
            self._finish_left_behind(opened, outcome)
            self.ended.over(trace, privacy.kept(trace, self.policies))
        if opened.recording:
            # Its agent's policy is its own; a root with a run to itself counts the calls of all.
            if opened.asked is not None and (opened.policy.runs != "off" or trace.inner_calls is not None):
                invocations.count(opened)
            self.rewrite(opened, outcome, end_ns or trace.clock_ns + perf_counter_ns())
            if opened.own_hold is not None:
                self._decide(opened, opened.own_hold, outcome)

    def _decide(self, opened: Open, hold: Hold, outcome: Outcome) -> None:
        kept = opened.policy.keep.wants(outcome.status == "ERROR", (opened.end_ns - opened.start_ns) / 1e9)
        if not kept:
            opened.trace.spans -= hold.count
        elif hold.lost:
            held = f"of what sampling may still drop, {sampling.MAX_HELD} spans are held back"
            self.shield.warn("held", f"{hold.lost} spans of {opened.name} are not recorded: {held}")
        sampling.decide(hold, kept, self._write)

    def rewrite(self, opened: Open, outcome: Outcome, end_ns: int) -> None:
        """Journal ``opened`` as ended so; for a span already journalled, the later record replaces the earlier."""
        first, opened.end_ns = not opened.end_ns, end_ns
        fine = outcome is outcomes.FINE
        if not fine or opened.kind == "AGENT" or opened.parent is None:
            self._tell(opened, outcome)
        if opened.artifacts:
            files.show(opened)
        span = self._span(opened, opened.attributes, end_ns, "OK" if fine else outcome.status, outcome.detail)
        if span is None:
            return
        if first:
            opened.trace.spans += 1
        if hold := opened.own_hold or opened.hold:
            sampling.emit(span, self._routing(opened), hold, self._write, last=hold is opened.own_hold)
        else:
            self._write(span, self._routing(opened))

    def _tell(self, opened: Open, outcome: Outcome) -> None:
        opened.attributes[keys.OUTCOME] = outcome.word
        if opened.policy.runs != "off" and opened.kind == "AGENT":
            opened.attributes[keys.VERSION] = opened.policy.version
        if outcome.detail and opened.policy.log_prompts:
            opened.attributes[keys.OUTCOME_DETAIL] = outcome.detail
        if opened.parent_id is None:
            tag_trace(opened, outcome, self.policies)

    def _span(
        self, opened: Open, attributes: Mapping[str, AttributeValue], end_ns: int, status: Status, detail: str = ""
    ) -> Span | None:
        """The span as it may be journalled: without what is private, through the user's steps."""
        trace = opened.trace
        made = Span(
            trace.trace_id,
            opened.span_id,
            opened.parent_id,
            opened.name,
            opened.start_ns,
            end_ns,
            attributes,
            status,
            detail if detail and status == "ERROR" and opened.policy.log_prompts else "",
            opened.events,
            opened.links,
        )
        try:
            guarded = opened.policy.redact or trace.private.texts
            span: Span | None = privacy.clean(made, opened) if guarded else made
            for step in self._steps:
                span = step(span) if span is not None else None
            return span
        except Exception as error:
            # What cannot be cleaned is not written; what ends after it, its root above all, is.
            self.shield.report(f"cleaning a span of {opened.kind}", error)
            return None

    def _routing(self, opened: Open) -> Routing:
        routing = opened.trace.root_routing if opened.parent is None else opened.trace.routing
        if opened.metrics or opened.artifacts:
            routing = routing._replace(metrics=privacy.clean_metrics(opened) or NONE, artifacts=opened.artifacts)
        if invocations.tells(opened):
            return routing._replace(invocation=invocations.of(opened, self.policies))
        return routing

    def _write(self, span: Span, routing: Routing) -> None:
        try:
            self.journal.append(span, routing)
        except JournalRefused:
            return  # counted by the journal, under its reason

    def _finish_left_behind(self, root: Open, outcome: Outcome) -> None:
        """Spans still open when their root ends were left in the middle: a stream broken off, a task cancelled."""
        word = outcome.word if outcome.word == outcomes.CANCELLED else outcomes.ABANDONED
        for left in sorted(root.trace.open, key=lambda one: one.start_ns, reverse=True):
            self.finish(left, Outcome(word))


def trace_id_of(key: Hashable) -> str:
    return f"{key:032x}" if type(key) is int else os.urandom(16).hex()


def span_id_of(key: Hashable) -> str:
    return "%016x" % (key & _LOW_64) if type(key) is int else os.urandom(8).hex()


def _nothing() -> None:
    pass
