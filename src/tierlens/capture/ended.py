"""Spans that have ended, as far as work needs to know them that was started in them and goes on: whose it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Final

from tierlens.capture.trace import Context, Facts, Open, Trace
from tierlens.capture.withheld import Lost
from tierlens.policy import AgentPolicy

MOST: Final = 8_192
_UUID7: Final = 7

_Over = tuple[Context, str, str, str | None, bool]
"""Of a trace whose root has ended: context, brand, experiment, session, whether some text was not to be stored."""


def facts_of(opened: Open) -> Facts:
    """What is to be known of a span once it has ended."""
    hold = opened.own_hold or opened.hold
    return opened.trace.trace_id, opened.policy, opened.agent, hold, opened.recording


class Ended:
    """The facts of the spans that have ended last, at least ``most`` of them and at most a few more than twice that.

    Of a trace's text nothing is kept: in what goes on after a trace that kept some of it private, all of it is.

    Attributes:
        spans: the youngest by key, which whoever ends a span puts there.
    """

    def __init__(self, most: int = MOST, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.spans: dict[Hashable, Facts] = {}
        self._older: dict[Hashable, Facts] = {}
        self._traces: dict[str, _Over] = {}
        self._older_traces: dict[str, _Over] = {}
        self._most, self._clock_ns = most, clock_ns
        self._since_ns = self._complete_since_ns = 0

    def over(self, trace: Trace, private: bool) -> None:
        """A trace's root has ended."""
        self._traces[trace.trace_id] = trace.context, trace.brand, trace.experiment, trace.session, private
        self.tidy()

    def tidy(self) -> None:
        """Forget the oldest where there are many."""
        if len(self.spans) >= self._most:
            self._complete_since_ns, self._since_ns = self._since_ns, self._clock_ns()
            self._older, self.spans = self.spans, {}
            self._older_traces, self._traces = self._traces, {}

    def may_have_been(self, key: int) -> bool:
        """Whether an unknown run may be one whose span was forgotten, by the time in its id (UUID version 7)."""
        if not self._complete_since_ns:
            return False
        timed = (key >> 76) & 0xF == _UUID7
        return not timed or (key >> 80) * 1_000_000 <= self._complete_since_ns

    def find(self, key: Hashable, span_id: str, traces: Iterable[Trace]) -> Open | None:
        """A stand-in for the span that ended, which others can be opened below; None where it is not known.

        Args:
            traces: those that go on still.
        """
        if (facts := self.spans.get(key) or self._older.get(key)) is None:
            return None
        trace_id, policy, agent, hold, recording = facts
        trace = next((one for one in traces if one.trace_id == trace_id), None) or self._again(trace_id)
        if trace is None:
            return None
        if trace.private.lost:
            policy = unsaid(policy)
        stand_in = Open(key, trace, span_id, None, None, "", "CHAIN", policy, agent, facts)
        stand_in.recording, stand_in.hold, stand_in.is_node = recording, hold, True
        return stand_in

    def _again(self, trace_id: str) -> Trace | None:
        over = self._traces.get(trace_id) or self._older_traces.get(trace_id)
        if over is None:
            return None
        context, brand, experiment, session, private = over
        trace = Trace(trace_id, context, brand, experiment)
        trace.session = session
        if private:
            trace.private = Lost()
        return trace


def unsaid(policy: AgentPolicy) -> AgentPolicy:
    """``policy``, with no text stored."""
    return replace(policy, log_prompts=False) if policy.log_prompts else policy
