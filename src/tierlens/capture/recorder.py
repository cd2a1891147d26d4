"""Starts and ends of work in, spans into the journal out: the one place where a span is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Protocol

from tierlens import keys
from tierlens.capture import files, invocations, outcomes, privacy, sampling
from tierlens.capture.ended import Ended, facts_of
from tierlens.capture.opening import inherit, open_root, span_id_of
from tierlens.capture.outcomes import Outcome
from tierlens.capture.outliving import Outliving
from tierlens.capture.shield import Shield
from tierlens.capture.tagging import list_agent, tag_start, tag_trace
from tierlens.capture.trace import Context, Open
from tierlens.errors import JournalRefused
from tierlens.policy import AgentPolicy, Policies
from tierlens.spans import NONE, AttributeValue, Routing, Span, Status

Step = Callable[[Span], Span | None]


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
        outliving: the model calls whose trace has ended before them.
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
        self.outliving = Outliving()
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
            root = open_root(key, name, kind, context, self.policies, self.shield, policy, agent)
            self.open[key] = root
            root.trace.open.add(root)
            return root
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
            inherit(opened, parent, policy, agent)
        self.open[key] = opened
        parent.trace.open.add(opened)
        if agent:
            opened.facts = facts_of(opened)
            list_agent(opened)
        return opened

    def forget(self, root: Open) -> None:
        """Take back the start of a trace that is to be started anew, with the same ids."""
        self.open.pop(root.key, None)
        root.trace.open.discard(root)

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
        """End a span: build it, clean it, journal it. A second end of the same span is nothing, unless the first was
        that of its trace and it is a model call: then it is journalled again."""
        if self.open.pop(opened.key, None) is None:
            if self.outliving.pop(opened.key) is not None:
                self.finish_late(opened, outcome)
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
                sampling.conclude(opened, opened.own_hold, outcome, self._write, self.shield)

    def finish_late(self, opened: Open, outcome: Outcome) -> None:
        """End a span once more that was taken for abandoned, its trace having ended before it did."""
        if opened.recording:
            opened.attributes.pop(keys.OUTCOME, None)
            self.rewrite(opened, outcome, opened.trace.now())

    def running(self, key: Hashable) -> Open | None:
        """The open span of that key, or the model call that has outlived its trace."""
        return self.open.get(key) or self.outliving.get(key)

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
            self.outliving.add(left)


def _nothing() -> None:
    pass
